//! Matrix products: a matrix unit where there is one, else faer, on one thread per part of the result.
//!
//! Parts cut the result, never the sum, so the number of threads does not change a bit of it; and they need no barrier,
//! so a part that the system delays holds nobody else up.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use half::f16;

use super::few_rows;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use super::{amx, tiles};

/// Multiply-adds that are worth a thread: some ten microseconds.
const WORTH_A_THREAD: usize = 1 << 19;

/// Multiply-adds that take as long as fetching a number: what counts where few rows meet a large weight.
const FETCH: usize = 8;

/// With few rows, columns come in blocks of so many: faer copies what it multiplies into a friendlier order, and a
/// copy of a whole large weight would leave the cache before it is read.
const FEW_ROWS: usize = 64;
const BLOCK: usize = 192;

/// A matrix unit multiplies blocks of so many rows, columns and numbers of a sum; the rest is filled up with zeros. It is
/// at most twice as fast as faer, so a third of zeros is too many, and with few multiply-adds faer has done before
/// numbers are in the unit's order.
const UNIT: usize = 32;
const WORTH_THE_UNIT: usize = 1 << 19;

/// Parts begin at multiples of this many rows or columns.
const PART: usize = 32;

/// What computes a product on one thread.
#[derive(Clone, Copy)]
pub(super) enum Kernel {
    /// Rows of a and columns of b, each in one piece, as inner products.
    FewRows,
    Faer,
    /// A matrix unit.
    Unit(fn(MatMut<'_, f32>, bool, MatRef<'_, f32>, MatRef<'_, f32>)),
}

impl Kernel {
    /// What computes a product (M, K) (K, N): the same for all its parts, as another kernel rounds otherwise. `along`:
    /// whether rows of a and columns of b lie in one piece each.
    pub(super) fn of([m, n, k]: [usize; 3], along: bool) -> Self {
        let filled_up: usize = [m, n, k].into_iter().map(|length| length.next_multiple_of(UNIT)).product();
        match unit() {
            _ if along && few_rows::fits(m, k) => Self::FewRows,
            Some(unit) if m * n * k >= WORTH_THE_UNIT && 2 * filled_up <= 3 * m * n * k => unit,
            _ => Self::Faer,
        }
    }

    fn of_whole(a: MatRef<'_, f32>, b: MatRef<'_, f32>) -> Self {
        Self::of([a.nrows(), b.ncols(), a.ncols()], a.col_stride() == 1 && b.row_stride() == 1)
    }

    /// dst = a b, or dst += a b, of a whole product or a part.
    pub(super) fn multiply(self, dst: MatMut<'_, f32>, accumulate: bool, a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
        match self {
            Self::FewRows => few_rows::product(dst, accumulate, a, b),
            Self::Faer => matmul(dst, if accumulate { Accum::Add } else { Accum::Replace }, a, b, 1.0, Par::Seq),
            Self::Unit(product) => product(dst, accumulate, a, b),
        }
    }
}

/// The kernel of this processor's matrix unit.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(super) fn unit() -> Option<Kernel> {
    amx::here().then_some(Kernel::Unit(tiles::product))
}

/// The kernel of this processor's matrix unit: none that is known.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(super) fn unit() -> Option<Kernel> {
    None
}

/// Where this processor has a matrix unit: y = x Wᵀ, or y += x Wᵀ, with W in panels of 32 rows, as `packed` keeps it.
pub(super) type OfPanels = fn(MatMut<'_, f32>, bool, MatRef<'_, f32>, &[f16]);

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(super) fn unit_of_panels() -> Option<OfPanels> {
    amx::here().then_some(tiles::product_of_panels)
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(super) fn unit_of_panels() -> Option<OfPanels> {
    None
}

/// dst = a b, or dst += a b; (M, N) = (M, K) (K, N).
pub(super) fn product(dst: MatMut<'_, f32>, accumulate: bool, a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
    let parts = worthwhile_parts(dst.nrows(), dst.ncols(), a.ncols());
    in_parts(dst, accumulate, a, b, parts);
}

fn in_parts(dst: MatMut<'_, f32>, accumulate: bool, a: MatRef<'_, f32>, b: MatRef<'_, f32>, parts: usize) {
    let (kernel, m, n) = (Kernel::of_whole(a, b), dst.nrows(), dst.ncols());
    let width = if matches!(kernel, Kernel::Faer) && (2..=FEW_ROWS).contains(&m) { BLOCK } else { n };
    let here = |dst: MatMut<'_, f32>, a: MatRef<'_, f32>, b: MatRef<'_, f32>| in_blocks(kernel, width, dst, accumulate, a, b);
    split(dst, a, b, parts, &here);
}

/// The same on this thread alone.
pub(super) fn product_here(dst: MatMut<'_, f32>, accumulate: bool, a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
    Kernel::of_whole(a, b).multiply(dst, accumulate, a, b);
}

/// How many threads a product (M, K) (K, N) is worth.
pub(super) fn worthwhile_parts(m: usize, n: usize, k: usize) -> usize {
    parts_for(work(m, n, k))
}

/// What a product (M, K) (K, N) takes, in multiply-adds.
pub(super) fn work(m: usize, n: usize, k: usize) -> usize {
    m * n * k + FETCH * (m * n + m * k + n * k)
}

/// How many threads so much work is worth.
pub(super) fn parts_for(work: usize) -> usize {
    rayon::current_num_threads().min(work / WORTH_A_THREAD).max(1)
}

/// Where to cut a length for so many parts, and how many go to either side; `None` where it is too short for two.
pub(super) fn cut(length: usize, parts: usize) -> Option<(usize, usize, usize)> {
    let first = parts / 2;
    let at = (length * first / parts).next_multiple_of(PART).min(length);
    (parts > 1 && length >= 2 * PART).then_some((at, first, parts - first))
}

/// Parts of a product, each on the thread that is free first.
fn split<F>(dst: MatMut<'_, f32>, a: MatRef<'_, f32>, b: MatRef<'_, f32>, parts: usize, here: &F)
where
    F: Fn(MatMut<'_, f32>, MatRef<'_, f32>, MatRef<'_, f32>) + Sync,
{
    let (rows, cols) = (dst.nrows(), dst.ncols());
    let Some((at, first, second)) = cut(rows.max(cols), parts) else { return here(dst, a, b) };
    if rows >= cols {
        let ((top, bottom), (a_top, a_bottom)) = (dst.split_at_row_mut(at), a.split_at_row(at));
        rayon::join(|| split(top, a_top, b, first, here), || split(bottom, a_bottom, b, second, here));
    } else {
        let ((left, right), (b_left, b_right)) = (dst.split_at_col_mut(at), b.split_at_col(at));
        rayon::join(|| split(left, a, b_left, first, here), || split(right, a, b_right, second, here));
    }
}

fn in_blocks(kernel: Kernel, width: usize, mut dst: MatMut<'_, f32>, accumulate: bool, a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
    for Range { start, end } in runs(0..dst.ncols(), width) {
        kernel.multiply(dst.as_mut().subcols_mut(start, end - start), accumulate, a, b.subcols(start, end - start));
    }
}

/// Columns of a result, so many at a time, and never one alone at the end of many, which faer sums otherwise.
pub(super) fn runs(all: Range<usize>, width: usize) -> impl Iterator<Item = Range<usize>> {
    let mut begin = all.start;
    std::iter::from_fn(move || {
        let left = all.end - begin;
        let run = begin..begin + if left <= width + 1 { left } else { width };
        begin = run.end;
        (!run.is_empty()).then_some(run)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(length: usize, step: f32) -> Vec<f32> {
        (0..length).map(|i| (i as f32 * step).sin()).collect()
    }

    #[test]
    fn parts_do_not_change_a_bit() {
        let few = [(1, 3000, 300), (8, 2048, 288), (1000, 1, 64), (70, 8, 2048), (70, 1, 2048), (40, 193, 300), (66, 50, 100)];
        let many = [(300, 200, 150), (129, 700, 64), (70, 150, 1100), (500, 97, 40)];
        for (m, n, k) in few.into_iter().chain(many) {
            let (a, b) = (numbers(m * k, 0.37), numbers(n * k, 0.73));
            let (a, b) = (MatRef::from_row_major_slice(&a, m, k), MatRef::from_row_major_slice(&b, n, k).transpose());
            let multiply = |parts| {
                let mut dst = vec![0.5; m * n];
                in_parts(MatMut::from_row_major_slice_mut(&mut dst, m, n), true, a, b, parts);
                dst
            };
            let whole = multiply(1);
            for parts in [2, 3, 7] {
                assert!(multiply(parts) == whole, "{m} x {n} x {k} in {parts} parts");
            }
        }
    }

    fn matrix(x: &[f32], rows: usize, cols: usize, turned: bool) -> MatRef<'_, f32> {
        if turned { MatRef::from_column_major_slice(x, rows, cols) } else { MatRef::from_row_major_slice(x, rows, cols) }
    }

    /// The kernels that compute any product.
    fn kernels() -> impl Iterator<Item = Kernel> {
        unit().into_iter().chain([Kernel::Faer])
    }

    #[test]
    fn products_are_as_exact_as_their_numbers() {
        let shapes = [(64, 96, 128), (75, 140, 200), (33, 545, 1100), (40, 33, 600), (17, 50, 30), (2, 1, 3)];
        for ((m, n, k), offset) in shapes.into_iter().flat_map(|shape| [(shape, 0.0), (shape, 1.5)]) {
            let [a, b] = [(m * k, 0.37), (k * n, 0.73)].map(|(length, step)| numbers(length, step));
            let [a, b] = [a, b].map(|x| x.into_iter().map(|x| x + offset).collect::<Vec<_>>());
            for turned in 0..8 {
                let (a, b) = (matrix(&a, m, k, turned & 1 > 0), matrix(&b, k, n, turned & 2 > 0));
                let exact = |i, j| (0..k).map(|l| f64::from(a[(i, l)]) * f64::from(b[(l, j)])).sum::<f64>();
                let exact: Vec<_> = (0..m).flat_map(|i| (0..n).map(move |j| (i, j))).map(|(i, j)| exact(i, j)).collect();
                for (kernel, start) in kernels().flat_map(|kernel| [(kernel, None), (kernel, Some(0.5))]) {
                    let mut dst = vec![start.unwrap_or(7.0); m * n];
                    let dst = MatMut::from_row_major_slice_mut(&mut dst, m, n);
                    let mut other = vec![start.unwrap_or(7.0); m * n];
                    let mut dst = if turned & 4 > 0 { MatMut::from_column_major_slice_mut(&mut other, m, n) } else { dst };
                    kernel.multiply(dst.as_mut(), start.is_some(), a, b);
                    let (mut wrong, mut right) = (0.0, 0.0);
                    for (at, exact) in exact.iter().enumerate() {
                        let exact = exact + f64::from(start.unwrap_or(0.0));
                        wrong += (f64::from(dst[(at / n, at % n)]) - exact).powi(2);
                        right += exact * exact;
                    }
                    let error = (wrong / right).sqrt();
                    assert!(error < 2e-6, "{m} x {n} x {k}, {turned:03b}, {offset}, {start:?}: {error:e}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let (m, n, k) = (64, 64, 128);
        for bad in [f32::NAN, f32::from_bits(0x7fff_ffff), f32::from_bits(0xff80_0001), f32::INFINITY] {
            let (mut a, b) = (vec![1.0; m * k], vec![1.0; k * n]);
            a[5 * k + 77] = bad;
            for kernel in kernels() {
                let mut dst = vec![0.0; m * n];
                let to = MatMut::from_row_major_slice_mut(&mut dst, m, n);
                kernel.multiply(to, false, matrix(&a, m, k, false), matrix(&b, k, n, false));
                for (row, dst) in dst.chunks(n).enumerate() {
                    assert!(dst.iter().all(|x| if row == 5 { !x.is_finite() } else { *x == k as f32 }), "{bad} in row {row}");
                }
            }
        }
    }
}
