//! Products by a matrix unit, a block of the result at a time.
//!
//! Both factors are first put in the order that the unit reads: the right one for as many columns as a core's own cache
//! holds, the left one for the rows of a block. A result's sum is cut in the same places wherever its block lies, so
//! results do not depend on how a product is shared among threads.

use std::cell::RefCell;

use faer::{MatMut, MatRef};

use super::amx::{BLOCK, STEP, Side, Strip, Unit};

/// Numbers of a sum that are taken at a time.
const DEPTH: usize = 512;

/// Strips of the right factor that are put in order at a time, at most: 1.3 MiB.
const RIGHT: usize = 224;

thread_local! {
    static ORDERED: RefCell<(Vec<Strip>, Vec<Strip>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// dst = a b or dst += a b, where there is a unit; one stride of each is 1, and no length is 0.
pub(super) fn product(dst: MatMut<'_, f32>, accumulate: bool, a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
    if dst.col_stride() != 1 {
        assert_eq!(dst.row_stride(), 1);
        return product(dst.transpose_mut(), accumulate, b.transpose(), a.transpose());
    }
    ORDERED.with_borrow_mut(|(left, right)| {
        #[expect(unsafe_code, reason = "there is one unit a thread")]
        // SAFETY: this is the only place that makes one, and the thread's numbers are lent to one at a time.
        let unit = unsafe { Unit::new() };
        let (mut dst, depth) = (dst, a.ncols());
        let deep = depth.div_ceil(depth.div_ceil(DEPTH)).next_multiple_of(STEP);
        for begin in (0..depth).step_by(deep) {
            let deep = deep.min(depth - begin);
            let most = RIGHT / deep.div_ceil(STEP) * BLOCK;
            let wide = dst.ncols().div_ceil(dst.ncols().div_ceil(most)).next_multiple_of(BLOCK);
            for first in (0..dst.ncols()).step_by(wide) {
                let width = wide.min(dst.ncols() - first);
                let b = b.submatrix(begin, first, deep, width);
                let right = order(&unit, Side::Right, right, b.transpose());
                for top in (0..dst.nrows()).step_by(BLOCK) {
                    let height = BLOCK.min(dst.nrows() - top);
                    let left = order(&unit, Side::Left, left, a.submatrix(top, begin, height, deep));
                    let dst = dst.as_mut().submatrix_mut(top, first, height, width);
                    row_of_blocks(&unit, left, right, accumulate || begin > 0, dst);
                }
            }
        }
    });
}

/// The strips of all rows of `x`, a block of rows after the other.
fn order<'a>(unit: &Unit, side: Side, to: &'a mut Vec<Strip>, x: MatRef<'_, f32>) -> &'a [Strip] {
    let (blocks, steps) = (x.nrows().div_ceil(BLOCK), x.ncols().div_ceil(STEP));
    if to.len() < blocks * steps {
        to.resize(blocks * steps, Strip::ZERO);
    }
    for (block, to) in to.chunks_exact_mut(steps).take(blocks).enumerate() {
        unit.fill(side, to, x.subrows(block * BLOCK, BLOCK.min(x.nrows() - block * BLOCK)));
    }
    &to[..blocks * steps]
}

fn row_of_blocks(unit: &Unit, left: &[Strip], right: &[Strip], accumulate: bool, mut dst: MatMut<'_, f32>) {
    for (block, right) in right.chunks_exact(left.len()).enumerate() {
        let first = block * BLOCK;
        let width = BLOCK.min(dst.ncols() - first);
        let mut to = dst.as_mut().subcols_mut(first, width);
        if (to.nrows(), width) == (BLOCK, BLOCK) {
            unit.multiply(left, right, accumulate, to);
            continue;
        }
        let mut whole = [0.0; BLOCK * BLOCK];
        let mut whole = MatMut::from_row_major_slice_mut(&mut whole, BLOCK, BLOCK);
        if accumulate {
            whole.as_mut().submatrix_mut(0, 0, to.nrows(), width).copy_from(&to);
        }
        unit.multiply(left, right, accumulate, whole.as_mut());
        to.copy_from(whole.submatrix(0, 0, to.nrows(), width));
    }
}
