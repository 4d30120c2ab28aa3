//! `linear_blocks`: a panel of the weight's rows is decoded where the cache holds it, multiplied, and forgotten.

use std::ops::Range;

use faer::{MatMut, MatRef};

use super::ahead::{AHEAD, ask};
use super::few_rows::FEW;
use super::linear::add_bias;
use super::matmul::{Kernel, cut, runs, worthwhile_parts};
use super::memory::{Frame, Source};
use super::simd::fastest;
use super::{nf4, parallel};
use crate::engine::blocks::BlockFormat;
use crate::engine::op::linear_blocks::Params;

/// Numbers of a panel: half a megabyte, which a core's own cache holds.
const PANEL: usize = 1 << 17;

/// With few rows of x a panel is used once or twice, so it stays close.
const NEAR_PANEL: usize = 1 << 13;

/// Rows of a panel are a multiple of this, as columns of faer's tiles are; a matrix unit's product has to be worth
/// putting x in its order.
const LEAST_ROWS: usize = 16;
const LEAST_ROWS_FOR_UNIT: usize = 128;

/// The weight (N, K).
#[derive(Clone, Copy)]
struct Blocks<'a> {
    words: Source<'a>,
    format: BlockFormat,
    cols: usize,
    /// What multiplies with a panel.
    kernel: Kernel,
}

pub(super) fn forward(frame: &mut Frame<'_>) {
    let format = frame.step.params::<Params>().format();
    let (x, words, bias, mut y) = (frame.input(0), frame.input(1), frame.option(2), frame.output(0));
    let weight = Blocks { words, format, cols: x.cols, kernel: Kernel::of([y.rows, y.cols, x.cols], true) };
    let (accumulate, parts) = (y.accumulate, worthwhile_parts(y.rows, y.cols, x.cols));
    columns(y.matrix(), accumulate, x.matrix(), (weight, 0), parts);
    add_bias(y, bias);
}

pub(super) fn backward(frame: &mut Frame<'_>) {
    let format = frame.step.params::<Params>().format();
    let (words, d_y) = (frame.input(0), frame.input(1));
    let Some(mut d_x) = frame.target(0) else { return };
    let weight = Blocks { words, format, cols: d_x.cols, kernel: Kernel::of([d_x.rows, d_x.cols, d_y.cols], false) };
    let (accumulate, parts) = (d_x.accumulate, worthwhile_parts(d_x.rows, d_x.cols, d_y.cols));
    rows(d_x.matrix(), accumulate, d_y.matrix(), weight, parts);
}

/// y = or += x Wᵀ for the rows of W from `first` on, one a column of y.
fn columns(mut y: MatMut<'_, f32>, accumulate: bool, x: MatRef<'_, f32>, (weight, first): (Blocks<'_>, usize), parts: usize) {
    if let Some((at, left, right)) = cut(y.ncols(), parts) {
        let (y_left, y_right) = y.split_at_col_mut(at);
        let on_left = || columns(y_left, accumulate, x, (weight, first), left);
        let on_right = || columns(y_right, accumulate, x, (weight, first + at), right);
        rayon::join(on_left, on_right);
        return;
    }
    let count = y.ncols();
    weight.panels(first..first + count, y.nrows(), |begin, panel| {
        weight.kernel.multiply(y.as_mut().subcols_mut(begin - first, panel.nrows()), accumulate, x, panel.transpose());
    });
}

/// d_x = or += d_y W.
fn rows(mut d_x: MatMut<'_, f32>, accumulate: bool, d_y: MatRef<'_, f32>, weight: Blocks<'_>, parts: usize) {
    if let Some((at, top, bottom)) = cut(d_x.nrows(), parts) {
        let ((upper, lower), (d_upper, d_lower)) = (d_x.split_at_row_mut(at), d_y.split_at_row(at));
        rayon::join(|| rows(upper, accumulate, d_upper, weight, top), || rows(lower, accumulate, d_lower, weight, bottom));
        return;
    }
    // the panels of a sum do not depend on the rows of this part
    weight.panels(0..weight.words.rows, usize::MAX, |begin, panel| {
        weight.kernel.multiply(d_x.as_mut(), accumulate || begin > 0, d_y.subcols(begin, panel.nrows()), panel);
    });
}

impl Blocks<'_> {
    /// Hands out some rows, decoded, a panel at a time.
    fn panels(self, range: Range<usize>, rows_of_x: usize, mut take: impl FnMut(usize, MatRef<'_, f32>)) {
        let size = if rows_of_x <= FEW { NEAR_PANEL } else { PANEL };
        let least = if matches!(self.kernel, Kernel::Unit(_)) { LEAST_ROWS_FOR_UNIT } else { LEAST_ROWS };
        let height = (size / self.cols / least * least).max(least);
        let per_row = self.words.cols;
        parallel::scratch((height + 1).min(range.len()) * self.cols, |panel| {
            for Range { start, end } in runs(range.clone(), height) {
                let numbers = &mut panel[..(end - start) * self.cols];
                decode(self.format, &self.words.words()[start * per_row..end * per_row], per_row, numbers, self.cols);
                take(start, MatRef::from_row_major_slice(numbers, end - start, self.cols));
            }
        });
    }
}

/// The numbers of some rows.
fn decode(format: BlockFormat, words: &[u32], per_row: usize, numbers: &mut [f32], cols: usize) {
    let one = match format {
        BlockFormat::Int8 => int8,
        BlockFormat::Nf4 => nf4::decode,
    };
    for (words, row) in words.chunks_exact(per_row).zip(numbers.chunks_exact_mut(cols)) {
        ask(words, AHEAD);
        one(words, row);
    }
}

fastest! {
    fn int8(words: &[u32], row: &mut [f32]) {
        let _ = FMA;
        BlockFormat::Int8.decode(words, row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_change_a_bit() {
        let numbers = |count: usize, step: f32| -> Vec<f32> { (0..count).map(|i| (i as f32 * step).sin()).collect() };
        for format in BlockFormat::ALL {
            for (m, n, k) in [(300, 200, 150), (8, 2048, 288), (1, 700, 70), (100, 33, 5000), (64, 289, 4096), (40, 97, 2000)] {
                let (x, d_y) = (numbers(m * k, 0.37), numbers(m * n, 0.11));
                let words = format.encode(&numbers(n * k, 0.73), k);
                let data: &[f32] = bytemuck::cast_slice(&words);
                let words = Source { data, rows: n, cols: format.words(k) };
                let weight = |kernel| Blocks { words, format, cols: k, kernel };
                let run = |parts| {
                    let (mut y, mut d_x) = (vec![0.5; m * n], vec![0.5; m * k]);
                    let x = MatRef::from_row_major_slice(&x, m, k);
                    let forward = weight(Kernel::of([m, n, k], true));
                    columns(MatMut::from_row_major_slice_mut(&mut y, m, n), true, x, (forward, 0), parts);
                    let d_y = MatRef::from_row_major_slice(&d_y, m, n);
                    let backward = weight(Kernel::of([m, k, n], false));
                    rows(MatMut::from_row_major_slice_mut(&mut d_x, m, k), true, d_y, backward, parts);
                    (y, d_x)
                };
                let whole = run(1);
                assert!([2, 3, 7].into_iter().all(|parts| run(parts) == whole), "{m} x {n} x {k}");
            }
        }
    }
}
