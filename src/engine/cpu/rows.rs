//! Ops that move or treat whole rows: `embed`, `gather`, `scatter`, `rope`.

use rayon::prelude::*;

use super::memory::{Frame, Target};
use super::parallel;
use super::simd::{fastest, fma};
use super::vector;
use crate::engine::op::{embed, rope};

/// Rows of `x` by number: `embed` and `gather`.
pub(super) fn pick(frame: &mut Frame<'_>) {
    let (at, x, y) = (frame.input(0).words(), frame.input(2), frame.output(0));
    let (cols, accumulate, scale) = (y.cols, y.accumulate, frame.step.params::<embed::Params>().scale);
    parallel::rows(y.data, cols, cols, |first, rows| {
        for (row, at) in rows.chunks_mut(cols).zip(&at[first..]) {
            put(row, x.row(*at as usize), scale, accumulate);
        }
    });
}

/// Rows of `dy` added up by number, in order.
pub(super) fn pick_backward(frame: &mut Frame<'_>) {
    let (at, d_y, scale) = (frame.input(0).words(), frame.input(2), frame.step.params::<embed::Params>().scale);
    if let Some(mut d_x) = frame.target(0) {
        d_x.clear();
        for (place, row) in at.iter().enumerate() {
            let begin = *row as usize * d_x.cols;
            put(&mut d_x.data[begin..begin + d_x.cols], d_y.row(place), scale, true);
        }
    }
}

/// Words that are worth a piece of a cache, and the most pieces: each looks through all row numbers.
const PIECE_WORDS: usize = 1 << 13;
const PIECES: usize = 16;

pub(super) fn scatter(frame: &mut Frame<'_>) {
    let (x, rows, cache) = (frame.input(0), frame.input(1).words(), frame.output(0));
    // every piece of the cache takes the rows that are its own; where few come, all of it is one
    let pieces = (x.data.len() / PIECE_WORDS).clamp(1, PIECES);
    let height = cache.rows.div_ceil(pieces);
    cache.data.par_chunks_mut(height * x.cols).enumerate().for_each(|(piece, cache)| {
        for (place, row) in rows.iter().enumerate() {
            let at = (*row as usize).wrapping_sub(piece * height);
            if at < height {
                cache[at * x.cols..(at + 1) * x.cols].copy_from_slice(x.row(place));
            }
        }
    });
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
    let rope::Params { head_dim, turned } = frame.step.params();
    let (head_dim, half) = (head_dim as usize, turned as usize / 2);
    let (x, positions, table) = (frame.input(0), frame.input(1).words(), frame.input(2));
    let Some(y) = frame.target(0) else { return };
    let accumulate = y.accumulate;
    parallel::rows(y.data, x.cols, x.cols, |first, rows| {
        for (i, y) in rows.chunks_mut(x.cols).enumerate() {
            let (cos, sin) = table.row(positions[first + i] as usize).split_at(half);
            turn_row(y, x.row(first + i), head_dim, cos, sin, sign, accumulate);
        }
    });
}

/// y = scale x, or y += scale x.
#[inline]
fn put(y: &mut [f32], x: &[f32], scale: f32, accumulate: bool) {
    match (accumulate, scale == 1.0) {
        (true, true) => vector::add(y, x),
        (false, true) => y.copy_from_slice(x),
        (true, false) => y.iter_mut().zip(x).for_each(|(y, x)| *y += scale * x),
        (false, false) => y.iter_mut().zip(x).for_each(|(y, x)| *y = scale * x),
    }
}

fastest! {
    fn turn_row(y: &mut [f32], x: &[f32], head_dim: usize, cos: &[f32], sin: &[f32], sign: f32, accumulate: bool) {
        let half = cos.len();
        for (y, x) in y.chunks_exact_mut(head_dim).zip(x.chunks_exact(head_dim)) {
            let ((y, y_kept), (x, x_kept)) = (y.split_at_mut(2 * half), x.split_at(2 * half));
            for (y, x) in y_kept.iter_mut().zip(x_kept) {
                *y = x + if accumulate { *y } else { 0.0 };
            }
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
