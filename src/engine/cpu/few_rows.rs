//! y = x Wᵀ for a few rows of x: every weight is fetched once, in order, and used for all rows while it is at hand.
//!
//! A blocked product first copies W into a friendlier order, which pays when many rows follow. With few rows the time
//! is that of fetching W, so it is read as it lies: each result is the inner product of a row of x and a row of W.

use faer::{MatMut, MatRef};
use pulp::{Simd, WithSimd};

use super::ahead::ask;

/// More rows than this are a blocked product's work.
pub(super) const FEW: usize = 16;

/// Shorter vectors do not fill registers.
const LEAST: usize = 32;

/// Results computed side by side: of so many rows of x and rows of W.
const TALL: usize = 4;
const WIDE: usize = 4;

/// Columns between what is computed and what is fetched: as long as a fetch takes.
const AHEAD: usize = 2 * WIDE;

type Vectors<'a, const N: usize> = [&'a [f32]; N];

/// Whether a product (M, K) (K, N) has few rows, and sums no shorter than `LEAST`.
pub(super) fn fits(m: usize, k: usize) -> bool {
    (1..=FEW).contains(&m) && k >= LEAST
}

/// dst = a b, or dst += a b; (M, N) = (M, K) (K, N); rows of `a` and columns of `b` lie in one piece each.
pub(super) fn product(dst: MatMut<'_, f32>, accumulate: bool, a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
    pulp::Arch::new().dispatch(Product { dst, accumulate, a, b });
}

struct Product<'a> {
    dst: MatMut<'a, f32>,
    accumulate: bool,
    a: MatRef<'a, f32>,
    b: MatRef<'a, f32>,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { mut dst, accumulate, a, b } = self;
        let (rows, cols) = (dst.nrows(), dst.ncols());
        for begin in (0..cols).step_by(WIDE) {
            let w = columns(b, begin);
            // rows are short and far apart, so the processor does not see by itself what comes next: this nearly doubles the rate
            columns::<WIDE>(b, begin + AHEAD).iter().for_each(|vector| ask(vector, 0));
            for top in (0..rows).step_by(TALL) {
                let mut results = [[0.0; WIDE]; TALL];
                match rows - top {
                    1 => results[..1].copy_from_slice(&tile::<S, 1>(simd, &columns(a.transpose(), top), &w)),
                    _ => results = tile::<S, TALL>(simd, &columns(a.transpose(), top), &w),
                }
                for i in 0..TALL.min(rows - top) {
                    for j in 0..WIDE.min(cols - begin) {
                        let y = &mut dst[(top + i, begin + j)];
                        *y = if accumulate { *y + results[i][j] } else { results[i][j] };
                    }
                }
            }
        }
    }
}

/// Four columns from `begin` on; beyond the edge the last one, whose results are left out.
#[inline(always)]
fn columns<const N: usize>(matrix: MatRef<'_, f32>, begin: usize) -> Vectors<'_, N> {
    let mut found: Vectors<'_, N> = [&[]; N];
    for (j, column) in found.iter_mut().enumerate() {
        let at = (begin + j).min(matrix.ncols() - 1);
        *column = matrix.col(at).try_as_col_major().expect("it fits").as_slice();
    }
    found
}

/// The inner products of some vectors with four. Loops instead of closures: what a closure does is compiled without the
/// instructions that were found.
#[inline(always)]
fn tile<S: Simd, const R: usize>(simd: S, x: &Vectors<'_, R>, w: &Vectors<'_, WIDE>) -> [[f32; WIDE]; R] {
    let length = w[0].len();
    let ((x, x_rest), (w, w_rest)) = (blocks::<S, _>(x, length), blocks::<S, _>(w, length));
    let mut totals = [[simd.splat_f32s(0.0); WIDE]; R];
    for at in 0..w[0].len() {
        for i in 0..R {
            for j in 0..WIDE {
                totals[i][j] = simd.mul_add_e_f32s(x[i][at], w[j][at], totals[i][j]);
            }
        }
    }
    let mut results = [[0.0; WIDE]; R];
    for i in 0..R {
        for j in 0..WIDE {
            results[i][j] = simd.reduce_sum_f32s(totals[i][j]);
            for at in 0..w_rest[0].len() {
                results[i][j] += x_rest[i][at] * w_rest[j][at];
            }
        }
    }
    results
}

/// Vectors as registers, of one length that the compiler sees, and what is left.
#[inline(always)]
fn blocks<'a, S: Simd, const N: usize>(vectors: &Vectors<'a, N>, length: usize) -> ([&'a [S::f32s]; N], Vectors<'a, N>) {
    let (mut whole, mut rest): ([&[S::f32s]; N], Vectors<'a, N>) = ([&[]; N], [&[]; N]);
    for i in 0..N {
        (whole[i], rest[i]) = S::as_simd_f32s(&vectors[i][..length]);
        whole[i] = &whole[i][..whole[0].len()];
    }
    (whole, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edge_is_right() {
        for (m, n, k) in [(1, 1, 32), (1, 5, 48), (3, 4, 33), (8, 9, 288), (16, 33, 79), (5, 2, 100)] {
            let numbers = |length: usize, step: f32| -> Vec<f32> { (0..length).map(|i| (i as f32 * step).sin()).collect() };
            let (a, b) = (numbers(m * k, 0.37), numbers(n * k, 0.73));
            let mut y = vec![0.5; m * n];
            let (a_matrix, b_matrix) = (MatRef::from_row_major_slice(&a, m, k), MatRef::from_row_major_slice(&b, n, k).transpose());
            assert!(fits(m, k));
            product(MatMut::from_row_major_slice_mut(&mut y, m, n), true, a_matrix, b_matrix);
            for i in 0..m {
                for j in 0..n {
                    let exact: f64 = (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[j * k + l])).sum();
                    assert!((f64::from(y[i * n + j]) - 0.5 - exact).abs() < 1e-5, "{m} x {n} x {k}");
                }
            }
        }
    }
}
