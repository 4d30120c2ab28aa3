//! Products by a matrix unit, a block of the result at a time.
//!
//! Both factors are first put in the order that the unit reads: the right one for as many columns as a core's own cache
//! holds, the left one for the rows of a block; the few rows of decoding stay, and the weights pass by. A result's sum is
//! cut in the same places wherever its block lies, so results do not depend on how a product is shared among threads.

use std::cell::RefCell;

use faer::{MatMut, MatRef};
use half::f16;

use super::amx::{BLOCK, STEP, Side, Strip, Unit};

/// Numbers of a sum that are taken at a time.
const DEPTH: usize = 512;

/// Strips of the right factor that are put in order at a time, at most: 1.3 MiB.
const RIGHT: usize = 224;

thread_local! {
    static ORDERED: RefCell<(Factors<3>, Factors<2>)> = const { RefCell::new((Factors::NONE, Factors::NONE)) };
}

/// Both factors in order, or what is at hand of them.
struct Factors<const PARTS: usize> {
    left: Vec<Strip<PARTS>>,
    right: Vec<Strip<PARTS>>,
}

impl<const PARTS: usize> Factors<PARTS> {
    const NONE: Self = Self { left: Vec::new(), right: Vec::new() };
}

/// dst = a b or dst += a b, where there is a unit; one stride of each is 1, and no length is 0.
pub(super) fn product(dst: MatMut<'_, f32>, accumulate: bool, a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
    if dst.col_stride() != 1 {
        assert_eq!(dst.row_stride(), 1);
        return product(dst.transpose_mut(), accumulate, b.transpose(), a.transpose());
    }
    with_unit(|unit, (Factors { left, right }, _)| {
        let (mut dst, depth) = (dst, a.ncols());
        let deep = depth.div_ceil(depth.div_ceil(DEPTH)).next_multiple_of(STEP);
        for begin in (0..depth).step_by(deep) {
            let deep = deep.min(depth - begin);
            let most = RIGHT / deep.div_ceil(STEP) * BLOCK;
            let wide = dst.ncols().div_ceil(dst.ncols().div_ceil(most)).next_multiple_of(BLOCK);
            for first in (0..dst.ncols()).step_by(wide) {
                let width = wide.min(dst.ncols() - first);
                let b = b.submatrix(begin, first, deep, width);
                let right = order(unit, Side::Right, right, b.transpose());
                for top in (0..dst.nrows()).step_by(BLOCK) {
                    let height = BLOCK.min(dst.nrows() - top);
                    let left = order(unit, Side::Left, left, a.submatrix(top, begin, height, deep));
                    let dst = dst.as_mut().submatrix_mut(top, first, height, width);
                    row_of_blocks(unit, left, right, accumulate || begin > 0, dst);
                }
            }
        }
    });
}

/// y = x Wᵀ or y += x Wᵀ, where W (N, K) stands in panels of [`BLOCK`] of its rows, each as (K, rows), filled up with
/// zeros.
pub(super) fn product_of_panels(mut y: MatMut<'_, f32>, accumulate: bool, x: MatRef<'_, f32>, panels: &[f16]) {
    with_unit(|unit, (_, Factors { left, right })| {
        let depth = x.ncols();
        for begin in (0..depth).step_by(DEPTH) {
            let deep = DEPTH.min(depth - begin);
            let steps = deep.div_ceil(STEP);
            let left = order(unit, Side::Left, left, x.subcols(begin, deep));
            let right = some(right, steps);
            for (panel, first) in panels.chunks_exact(BLOCK * depth).zip((0..).step_by(BLOCK)) {
                unit.fill_halves(right, &panel[begin * BLOCK..][..deep * BLOCK]);
                let width = BLOCK.min(y.ncols() - first);
                for (left, top) in left.chunks_exact(steps).zip((0..).step_by(BLOCK)) {
                    let height = BLOCK.min(y.nrows() - top);
                    let multiply = |y: MatMut<'_, f32>, add| unit.multiply_halves(left, right, add, y);
                    whole_block(y.as_mut().submatrix_mut(top, first, height, width), accumulate || begin > 0, multiply);
                }
            }
        }
    });
}

/// Sets this thread's unit up, and lends memory for both factors.
fn with_unit(body: impl FnOnce(&Unit, &mut (Factors<3>, Factors<2>))) {
    ORDERED.with_borrow_mut(|factors| {
        #[expect(unsafe_code, reason = "there is one unit a thread")]
        // SAFETY: this is the only place that makes one, and the thread's numbers are lent to one at a time.
        let unit = unsafe { Unit::new() };
        body(&unit, factors);
    });
}

/// The strips of all rows of `x`, a block of rows after the other.
fn order<'a, const PARTS: usize>(unit: &Unit, side: Side, to: &'a mut Vec<Strip<PARTS>>, x: MatRef<'_, f32>) -> &'a [Strip<PARTS>] {
    let (blocks, steps) = (x.nrows().div_ceil(BLOCK), x.ncols().div_ceil(STEP));
    let to = some(to, blocks * steps);
    for (block, to) in to.chunks_exact_mut(steps).enumerate() {
        unit.fill(side, to, x.subrows(block * BLOCK, BLOCK.min(x.nrows() - block * BLOCK)));
    }
    to
}

/// So many strips, of any content.
fn some<const PARTS: usize>(strips: &mut Vec<Strip<PARTS>>, count: usize) -> &mut [Strip<PARTS>] {
    if strips.len() < count {
        strips.resize(count, Strip::ZERO);
    }
    &mut strips[..count]
}

fn row_of_blocks(unit: &Unit, left: &[Strip<3>], right: &[Strip<3>], accumulate: bool, mut dst: MatMut<'_, f32>) {
    for (block, right) in right.chunks_exact(left.len()).enumerate() {
        let first = block * BLOCK;
        let width = BLOCK.min(dst.ncols() - first);
        let multiply = |dst: MatMut<'_, f32>, add| unit.multiply(left, right, add, dst);
        whole_block(dst.as_mut().subcols_mut(first, width), accumulate, multiply);
    }
}

/// One block of a result, which at the edges is smaller than what `multiply` computes.
fn whole_block(mut dst: MatMut<'_, f32>, accumulate: bool, multiply: impl Fn(MatMut<'_, f32>, bool)) {
    let (rows, cols) = dst.shape();
    if (rows, cols) == (BLOCK, BLOCK) {
        return multiply(dst, accumulate);
    }
    let mut whole = [0.0; BLOCK * BLOCK];
    let mut whole = MatMut::from_row_major_slice_mut(&mut whole, BLOCK, BLOCK);
    if accumulate {
        whole.as_mut().submatrix_mut(0, 0, rows, cols).copy_from(&dst);
    }
    multiply(whole.as_mut(), accumulate);
    dst.copy_from(whole.submatrix(0, 0, rows, cols));
}
