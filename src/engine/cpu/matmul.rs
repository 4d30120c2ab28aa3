//! Matrix products: faer on one thread per part of the result.
//!
//! Parts cut the result, never the sum, so the number of threads does not change a bit of it; and they need no barrier,
//! so a part that the system delays holds nobody else up.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::few_rows;

/// Multiply-adds that are worth a thread: some ten microseconds.
const WORTH_A_THREAD: usize = 1 << 19;

/// Multiply-adds that take as long as fetching a number: what counts where few rows meet a large weight.
const FETCH: usize = 8;

/// With few rows, columns come in blocks of so many: faer copies what it multiplies into a friendlier order, and a
/// copy of a whole large weight would leave the cache before it is read.
const FEW_ROWS: usize = 64;
const BLOCK: usize = 192;

/// Parts begin at multiples of this many rows or columns.
const PART: usize = 32;

/// dst = a b, or dst += a b; (M, N) = (M, K) (K, N).
pub(super) fn product(dst: MatMut<'_, f32>, accumulate: bool, a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
    let parts = worthwhile_parts(dst.nrows(), dst.ncols(), a.ncols());
    split(dst, accumulate, a, b, parts);
}

/// How many threads a product (M, K) (K, N) is worth.
pub(super) fn worthwhile_parts(m: usize, n: usize, k: usize) -> usize {
    let work = m * n * k + FETCH * (m * n + m * k + n * k);
    rayon::current_num_threads().min(work / WORTH_A_THREAD).max(1)
}

/// Where to cut a length for so many parts, and how many go to either side; `None` where it is too short for two.
pub(super) fn cut(length: usize, parts: usize) -> Option<(usize, usize, usize)> {
    let first = parts / 2;
    let at = (length * first / parts).next_multiple_of(PART).min(length);
    (parts > 1 && length >= 2 * PART).then_some((at, first, parts - first))
}

/// The same on this thread alone.
pub(super) fn product_here(dst: MatMut<'_, f32>, accumulate: bool, a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
    if few_rows::fits(a, b) {
        return few_rows::product(dst, accumulate, a, b);
    }
    let accumulate = if accumulate { Accum::Add } else { Accum::Replace };
    matmul(dst, accumulate, a, b, 1.0, Par::Seq);
}

fn split(dst: MatMut<'_, f32>, accumulate: bool, a: MatRef<'_, f32>, b: MatRef<'_, f32>, parts: usize) {
    let (rows, cols) = (dst.nrows(), dst.ncols());
    let Some((at, first, second)) = cut(rows.max(cols), parts) else { return in_blocks(dst, accumulate, a, b) };
    if rows >= cols {
        let ((top, bottom), (a_top, a_bottom)) = (dst.split_at_row_mut(at), a.split_at_row(at));
        rayon::join(|| split(top, accumulate, a_top, b, first), || split(bottom, accumulate, a_bottom, b, second));
    } else {
        let ((left, right), (b_left, b_right)) = (dst.split_at_col_mut(at), b.split_at_col(at));
        rayon::join(|| split(left, accumulate, a, b_left, first), || split(right, accumulate, a, b_right, second));
    }
}

fn in_blocks(mut dst: MatMut<'_, f32>, accumulate: bool, a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
    let block = if (2..=FEW_ROWS).contains(&dst.nrows()) { BLOCK } else { dst.ncols().max(1) };
    for begin in (0..dst.ncols()).step_by(block) {
        let width = block.min(dst.ncols() - begin);
        product_here(dst.as_mut().subcols_mut(begin, width), accumulate, a, b.subcols(begin, width));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn multiply(m: usize, n: usize, k: usize, parts: usize) -> Vec<f32> {
        let numbers = |length: usize, step: f32| -> Vec<f32> { (0..length).map(|i| (i as f32 * step).sin()).collect() };
        let (a, b, mut dst) = (numbers(m * k, 0.37), numbers(n * k, 0.73), vec![0.5; m * n]);
        let (a, b) = (MatRef::from_row_major_slice(&a, m, k), MatRef::from_row_major_slice(&b, n, k));
        split(MatMut::from_row_major_slice_mut(&mut dst, m, n), true, a, b.transpose(), parts);
        dst
    }

    #[test]
    fn parts_do_not_change_a_bit() {
        for (m, n, k) in [(300, 200, 150), (129, 700, 64), (1, 3000, 300), (8, 2048, 288), (1000, 1, 64)] {
            let whole = multiply(m, n, k, 1);
            for parts in [2, 3, 7] {
                assert!(multiply(m, n, k, parts) == whole, "{m} x {n} x {k} in {parts} parts");
            }
        }
    }
}
