//! Ops that move or treat whole rows: `embed`, `gather`, `scatter`, `rms_norm`, `rope`.

use rayon::prelude::*;

use super::memory::{Frame, Target};
use super::parallel;
use super::simd::{LANES, fastest, fma};
use super::vector::{self, lanes, sum};
use crate::engine::op::{rms_norm, rope};

/// Rows of `x` by number: `embed` and `gather`.
pub(super) fn pick(frame: &mut Frame<'_>) {
    let (at, x, y) = (frame.input(0).words(), frame.input(2), frame.output(0));
    let (cols, accumulate) = (y.cols, y.accumulate);
    parallel::rows(y.data, cols, cols, |first, rows| {
        for (row, at) in rows.chunks_mut(cols).zip(&at[first..]) {
            put(row, x.row(*at as usize), accumulate);
        }
    });
}

/// Rows of `dy` added up by number, in order.
pub(super) fn pick_backward(frame: &mut Frame<'_>) {
    let (at, d_y) = (frame.input(0).words(), frame.input(2));
    if let Some(mut d_x) = frame.target(0) {
        d_x.clear();
        for (place, row) in at.iter().enumerate() {
            let begin = *row as usize * d_x.cols;
            vector::add(&mut d_x.data[begin..begin + d_x.cols], d_y.row(place));
        }
    }
}

pub(super) fn scatter(frame: &mut Frame<'_>) {
    let (x, rows, cache) = (frame.input(0), frame.input(1).words(), frame.output(0));
    for (place, row) in rows.iter().enumerate() {
        let at = *row as usize * x.cols;
        cache.data[at..at + x.cols].copy_from_slice(x.row(place));
    }
}

pub(super) fn rms_norm(frame: &mut Frame<'_>) {
    let eps = frame.step.params::<rms_norm::Params>().eps;
    let (x, gain, y, r) = (frame.input(0), frame.input(1).data, frame.output(0), frame.output(1));
    let block = parallel::block_rows(2 * x.cols);
    let work = y.data.par_chunks_mut(block * x.cols).zip(r.data.par_chunks_mut(block)).enumerate();
    work.for_each(|(piece, (y, r))| {
        for (i, (y, r)) in y.chunks_mut(x.cols).zip(r).enumerate() {
            let x = x.row(piece * block + i);
            *r = (vector::dot(x, x) / x.len() as f32 + eps).sqrt().recip();
            norm_row(y, x, gain, *r);
        }
    });
}

pub(super) fn rms_norm_backward(frame: &mut Frame<'_>) {
    let (x, gain, r, d_y) = (frame.input(0), frame.input(1).data, frame.input(2).data, frame.input(3));
    if let Some(d_x) = frame.target(0) {
        let accumulate = d_x.accumulate;
        parallel::rows(d_x.data, x.cols, 3 * x.cols, |first, rows| {
            for (i, d_x) in rows.chunks_mut(x.cols).enumerate() {
                let t = first + i;
                norm_row_backward(d_x, x.row(t), gain, d_y.row(t), r[t], accumulate);
            }
        });
    }
    if let Some(d_gain) = frame.target(1) {
        column_sums(d_gain, x.rows, |t, sums| add_product(sums, x.row(t), d_y.row(t), r[t]));
    }
}

/// d = sum over rows of what `add(row, d)` adds: blocks of rows, then the blocks in order.
pub(super) fn column_sums(d: Target<'_>, rows: usize, add: impl Fn(usize, &mut [f32]) + Sync) {
    let cols = d.data.len();
    let block = parallel::block_rows(2 * cols).max(16);
    if !d.accumulate {
        d.data.fill(0.0);
    }
    if rows <= block {
        return (0..rows).for_each(|row| add(row, d.data));
    }
    let mut sums = vec![0.0; rows.div_ceil(block) * cols];
    sums.par_chunks_mut(cols).enumerate().for_each(|(piece, sums)| {
        (piece * block..rows.min((piece + 1) * block)).for_each(|row| add(row, sums));
    });
    sums.chunks(cols).for_each(|sums| vector::add(d.data, sums));
}

pub(super) fn rope(frame: &mut Frame<'_>) {
    turn(frame, 1.0);
}

pub(super) fn rope_backward(frame: &mut Frame<'_>) {
    turn(frame, -1.0);
}

fn turn(frame: &mut Frame<'_>, sign: f32) {
    let head_dim = frame.step.params::<rope::Params>().head_dim as usize;
    let (x, positions, table) = (frame.input(0), frame.input(1).words(), frame.input(2));
    let Some(y) = frame.target(0) else { return };
    let accumulate = y.accumulate;
    parallel::rows(y.data, x.cols, x.cols, |first, rows| {
        for (i, y) in rows.chunks_mut(x.cols).enumerate() {
            let (cos, sin) = table.row(positions[first + i] as usize).split_at(head_dim / 2);
            turn_row(y, x.row(first + i), cos, sin, sign, accumulate);
        }
    });
}

#[inline]
fn put(y: &mut [f32], x: &[f32], accumulate: bool) {
    if accumulate { vector::add(y, x) } else { y.copy_from_slice(x) }
}

fastest! {
    fn norm_row(y: &mut [f32], x: &[f32], gain: &[f32], r: f32) {
        for ((y, x), g) in y.iter_mut().zip(x).zip(gain) {
            *y = x * r * g;
        }
    }

    fn norm_row_backward(d_x: &mut [f32], x: &[f32], gain: &[f32], d_y: &[f32], r: f32, accumulate: bool) {
        let ((x16, x_rest), (g16, g_rest), (d16, d_rest)) = (lanes(x), lanes(gain), lanes(d_y));
        let mut dot = [0.0; LANES];
        for ((x, g), d) in x16.iter().zip(g16).zip(d16) {
            for i in 0..LANES {
                dot[i] = fma::<FMA>(d[i] * g[i], x[i], dot[i]);
            }
        }
        let rest: f32 = x_rest.iter().zip(g_rest).zip(d_rest).map(|((x, g), d)| d * g * x).sum();
        let back = r * r * r * (sum(dot) + rest) / x.len() as f32;
        for (((d_x, x), g), d_y) in d_x.iter_mut().zip(x).zip(gain).zip(d_y) {
            *d_x = fma::<FMA>(d_y * g, r, -(x * back)) + if accumulate { *d_x } else { 0.0 };
        }
    }

    /// sums += r x d.
    fn add_product(sums: &mut [f32], x: &[f32], d: &[f32], r: f32) {
        for ((sum, x), d) in sums.iter_mut().zip(x).zip(d) {
            *sum = fma::<FMA>(x * r, *d, *sum);
        }
    }

    fn turn_row(y: &mut [f32], x: &[f32], cos: &[f32], sin: &[f32], sign: f32, accumulate: bool) {
        let half = cos.len();
        for (y, x) in y.chunks_exact_mut(2 * half).zip(x.chunks_exact(2 * half)) {
            let ((y_a, y_b), (a, b)) = (y.split_at_mut(half), x.split_at(half));
            for i in 0..half {
                let sin = sin[i] * sign;
                let (new_a, new_b) = (fma::<FMA>(a[i], cos[i], -(b[i] * sin)), fma::<FMA>(b[i], cos[i], a[i] * sin));
                y_a[i] = new_a + if accumulate { y_a[i] } else { 0.0 };
                y_b[i] = new_b + if accumulate { y_b[i] } else { 0.0 };
            }
        }
    }
}
