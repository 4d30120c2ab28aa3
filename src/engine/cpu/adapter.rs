//! What adapters need beside products: `scale`, `magnitude`, `merged_norm`.

use super::memory::Frame;
use super::parallel;
use super::rows::column_sums;
use super::simd::fastest;
use super::vector;
use crate::engine::op::{merged_norm, scale};

/// Words a thread takes at once.
const PIECE: usize = 1 << 14;

pub(super) fn scale(frame: &mut Frame<'_>) {
    let factor = frame.step.params::<scale::Params>().factor;
    let x = frame.input(0).data;
    let Some(y) = frame.target(0) else { return };
    let accumulate = y.accumulate;
    parallel::pieces(y.data, PIECE, |first, y| scaled(y, &x[first..first + y.len()], factor, accumulate));
}

pub(super) fn magnitude(frame: &mut Frame<'_>) {
    let (x, gain, bias) = (frame.input(0), gain(frame), frame.option(3));
    let y = frame.output(0);
    let accumulate = y.accumulate;
    parallel::rows(y.data, x.cols, 2 * x.cols, |first, rows| {
        for (i, y) in rows.chunks_mut(x.cols).enumerate() {
            product(y, x.row(first + i), &gain, accumulate);
            if let Some(bias) = bias {
                vector::add(y, bias.data);
            }
        }
    });
}

pub(super) fn magnitude_backward(frame: &mut Frame<'_>) {
    let (x, norm, d_y, gain) = (frame.input(0), frame.input(2).data, frame.input(3), gain(frame));
    if let Some(d_x) = frame.target(0) {
        let accumulate = d_x.accumulate;
        parallel::rows(d_x.data, x.cols, 2 * x.cols, |first, rows| {
            for (i, d_x) in rows.chunks_mut(x.cols).enumerate() {
                product(d_x, d_y.row(first + i), &gain, accumulate);
            }
        });
    }
    if let Some(d_magnitude) = frame.target(1) {
        column_sums(d_magnitude, x.rows, |t, sums| add_quotient(sums, x.row(t), d_y.row(t), norm));
    }
    if let Some(d_bias) = frame.target(2) {
        column_sums(d_bias, x.rows, |t, sums| vector::add(sums, d_y.row(t)));
    }
}

/// m / n.
fn gain(frame: &Frame<'_>) -> Vec<f32> {
    frame.input(1).data.iter().zip(frame.input(2).data).map(|(m, n)| m / n).collect()
}

pub(super) fn merged_norm(frame: &mut Frame<'_>) {
    let factor = frame.step.params::<merged_norm::Params>().scale;
    let (weight, down, up, norm) = (frame.input(0), frame.input(1), frame.input(2), frame.output(0));
    let accumulate = norm.accumulate;
    parallel::rows(norm.data, 1, weight.cols * (1 + down.rows), |first, norms| {
        let mut merged = vec![0.0; weight.cols];
        for (i, norm) in norms.iter_mut().enumerate() {
            merged.copy_from_slice(weight.row(first + i));
            for (r, share) in up.row(first + i).iter().enumerate() {
                scaled(&mut merged, down.row(r), factor * share, true);
            }
            *norm = vector::dot(&merged, &merged).sqrt() + if accumulate { *norm } else { 0.0 };
        }
    });
}

fastest! {
    /// y = factor x, or y += factor x.
    fn scaled(y: &mut [f32], x: &[f32], factor: f32, accumulate: bool) {
        if accumulate {
            for (y, x) in y.iter_mut().zip(x) {
                *y += factor * x;
            }
        } else {
            for (y, x) in y.iter_mut().zip(x) {
                *y = factor * x;
            }
        }
    }

    /// y = x g, or y += x g.
    fn product(y: &mut [f32], x: &[f32], g: &[f32], accumulate: bool) {
        for ((y, x), g) in y.iter_mut().zip(x).zip(g) {
            *y = x * g + if accumulate { *y } else { 0.0 };
        }
    }

    /// sums += x d / n.
    fn add_quotient(sums: &mut [f32], x: &[f32], d: &[f32], n: &[f32]) {
        for (((sum, x), d), n) in sums.iter_mut().zip(x).zip(d).zip(n) {
            *sum += x * d / n;
        }
    }
}
