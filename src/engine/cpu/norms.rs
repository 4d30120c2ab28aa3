//! Ops that bring rows to one size: `rms_norm`, `layer_norm`.

use rayon::prelude::*;

use super::memory::Frame;
use super::parallel;
use super::rows::column_sums;
use super::simd::{LANES, fastest, fma};
use super::vector::{self, lanes, sum};
use crate::engine::op::{layer_norm, rms_norm};

pub(super) fn rms_norm(frame: &mut Frame<'_>) {
    let rms_norm::Params { eps, offset } = frame.step.params();
    let (x, gain, y, r) = (frame.input(0).data, frame.input(1).data, frame.output(0), frame.output(1));
    let cols = gain.len();
    let block = parallel::block_rows(2 * cols);
    let work = y.data.par_chunks_mut(block * cols).zip(r.data.par_chunks_mut(block)).zip(x.par_chunks(block * cols));
    work.for_each(|((y, r), x)| {
        for ((y, r), x) in y.chunks_mut(cols).zip(r).zip(x.chunks(cols)) {
            *r = (vector::dot(x, x) / cols as f32 + eps).sqrt().recip();
            norm_row(y, x, gain, offset, *r);
        }
    });
}

pub(super) fn rms_norm_backward(frame: &mut Frame<'_>) {
    let offset = frame.step.params::<rms_norm::Params>().offset;
    let (x, gain, r, d_y) = (frame.input(0).data, frame.input(1).data, frame.input(2).data, frame.input(3).data);
    let cols = gain.len();
    let row = |t: usize| t * cols..(t + 1) * cols;
    if let Some(d_x) = frame.target(0) {
        let accumulate = d_x.accumulate;
        parallel::rows(d_x.data, cols, 3 * cols, |first, rows| {
            for (i, d_x) in rows.chunks_mut(cols).enumerate() {
                let t = first + i;
                norm_row_backward(d_x, &x[row(t)], gain, offset, &d_y[row(t)], r[t], accumulate);
            }
        });
    }
    if let Some(d_gain) = frame.target(1) {
        column_sums(d_gain, r.len(), |t, sums| add_product(sums, &x[row(t)], &d_y[row(t)], 0.0, r[t]));
    }
}

pub(super) fn layer_norm(frame: &mut Frame<'_>) {
    let eps = frame.step.params::<layer_norm::Params>().eps;
    let (x, gain, bias) = (frame.input(0), frame.input(1).data, frame.input(2).data);
    let (y, mean, r) = (frame.output(0), frame.output(1), frame.output(2));
    let block = parallel::block_rows(3 * x.cols);
    let saved = mean.data.par_chunks_mut(block).zip(r.data.par_chunks_mut(block));
    let work = y.data.par_chunks_mut(block * x.cols).zip(saved).enumerate();
    work.for_each(|(piece, (y, (mean, r)))| {
        for (i, ((y, mean), r)) in y.chunks_mut(x.cols).zip(mean).zip(r).enumerate() {
            let x = x.row(piece * block + i);
            let (centre, square) = moments(x);
            (*mean, *r) = (centre, (square / x.len() as f32 + eps).sqrt().recip());
            centred_row(y, x, gain, bias, centre, *r);
        }
    });
}

pub(super) fn layer_norm_backward(frame: &mut Frame<'_>) {
    let (x, gain, mean, r, d_y) = (frame.input(0), frame.input(1).data, frame.input(2).data, frame.input(3).data, frame.input(4));
    if let Some(d_x) = frame.target(0) {
        let accumulate = d_x.accumulate;
        parallel::rows(d_x.data, x.cols, 4 * x.cols, |first, rows| {
            for (i, d_x) in rows.chunks_mut(x.cols).enumerate() {
                let t = first + i;
                centred_row_backward(d_x, x.row(t), gain, d_y.row(t), mean[t], r[t], accumulate);
            }
        });
    }
    if let Some(d_gain) = frame.target(1) {
        column_sums(d_gain, x.rows, |t, sums| add_product(sums, x.row(t), d_y.row(t), mean[t], r[t]));
    }
    if let Some(d_bias) = frame.target(2) {
        column_sums(d_bias, x.rows, |t, sums| vector::add(sums, d_y.row(t)));
    }
}

fastest! {
    /// y = x r (offset + gain).
    fn norm_row(y: &mut [f32], x: &[f32], gain: &[f32], offset: f32, r: f32) {
        for ((y, x), g) in y.iter_mut().zip(x).zip(gain) {
            *y = x * r * (offset + g);
        }
    }

    fn norm_row_backward(d_x: &mut [f32], x: &[f32], gain: &[f32], offset: f32, d_y: &[f32], r: f32, accumulate: bool) {
        let ((x16, x_rest), (g16, g_rest), (d16, d_rest)) = (lanes(x), lanes(gain), lanes(d_y));
        let mut dot = [0.0; LANES];
        for ((x, g), d) in x16.iter().zip(g16).zip(d16) {
            for i in 0..LANES {
                dot[i] = fma::<FMA>(d[i] * (offset + g[i]), x[i], dot[i]);
            }
        }
        let rest: f32 = x_rest.iter().zip(g_rest).zip(d_rest).map(|((x, g), d)| d * (offset + g) * x).sum();
        let back = r * r * r * (sum(dot) + rest) / x.len() as f32;
        for (((d_x, x), g), d_y) in d_x.iter_mut().zip(x).zip(gain).zip(d_y) {
            *d_x = fma::<FMA>(d_y * (offset + g), r, -(x * back)) + if accumulate { *d_x } else { 0.0 };
        }
    }

    /// sums += r (x - centre) d.
    fn add_product(sums: &mut [f32], x: &[f32], d: &[f32], centre: f32, r: f32) {
        for ((sum, x), d) in sums.iter_mut().zip(x).zip(d) {
            *sum = fma::<FMA>((x - centre) * r, *d, *sum);
        }
    }

    /// The mean, and the sum of squared distances from it.
    fn moments(x: &[f32]) -> (f32, f32) {
        let (x16, rest) = lanes(x);
        let mut total = [0.0; LANES];
        for x in x16 {
            for i in 0..LANES {
                total[i] += x[i];
            }
        }
        let centre = (sum(total) + rest.iter().sum::<f32>()) / x.len() as f32;
        let mut square = [0.0; LANES];
        for x in x16 {
            for i in 0..LANES {
                square[i] = fma::<FMA>(x[i] - centre, x[i] - centre, square[i]);
            }
        }
        (centre, sum(square) + rest.iter().map(|x| (x - centre) * (x - centre)).sum::<f32>())
    }

    /// y = (x - centre) r gain + bias.
    fn centred_row(y: &mut [f32], x: &[f32], gain: &[f32], bias: &[f32], centre: f32, r: f32) {
        for (((y, x), g), b) in y.iter_mut().zip(x).zip(gain).zip(bias) {
            *y = fma::<FMA>((x - centre) * r, *g, *b);
        }
    }

    fn centred_row_backward(d_x: &mut [f32], x: &[f32], gain: &[f32], d_y: &[f32], centre: f32, r: f32, accumulate: bool) {
        let ((x16, x_rest), (g16, g_rest), (d16, d_rest)) = (lanes(x), lanes(gain), lanes(d_y));
        let (mut total, mut dot) = ([0.0; LANES], [0.0; LANES]);
        for ((x, g), d) in x16.iter().zip(g16).zip(d16) {
            for i in 0..LANES {
                let own = d[i] * g[i];
                total[i] += own;
                dot[i] = fma::<FMA>(own, (x[i] - centre) * r, dot[i]);
            }
        }
        let (mut total, mut dot) = (sum(total), sum(dot));
        for ((x, g), d) in x_rest.iter().zip(g_rest).zip(d_rest) {
            total += d * g;
            dot += d * g * (x - centre) * r;
        }
        let (mean, slope) = (total / x.len() as f32, dot / x.len() as f32);
        for (((d_x, x), g), d_y) in d_x.iter_mut().zip(x).zip(gain).zip(d_y) {
            let own = fma::<FMA>(*d_y, *g, -mean);
            *d_x = r * fma::<FMA>(-((x - centre) * r), slope, own) + if accumulate { *d_x } else { 0.0 };
        }
    }
}
