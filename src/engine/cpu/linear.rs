//! `linear`: three products, and a bias.

use super::matmul::product;
use super::memory::{Frame, Source, Target};
use super::packed::Packed;
use super::rows::column_sums;
use super::{parallel, vector};

pub(super) fn forward(frame: &mut Frame<'_>) {
    let (x, weight, bias, mut y) = (frame.input(0), frame.input(1), frame.option(2), frame.output(0));
    let accumulate = y.accumulate;
    match frame.packed(1).filter(|_| Packed::fits(x.rows)) {
        Some(packed) => packed.product(y.matrix(), accumulate, x),
        None => product(y.matrix(), accumulate, x.matrix(), weight.matrix().transpose()),
    }
    add_bias(y, bias);
}

/// y += b in every row, where there is one.
pub(super) fn add_bias(y: Target<'_>, bias: Option<Source<'_>>) {
    let Some(bias) = bias else { return };
    parallel::rows(y.data, y.cols, y.cols, |_, rows| rows.chunks_mut(y.cols).for_each(|row| vector::add(row, bias.data)));
}

pub(super) fn backward(frame: &mut Frame<'_>) {
    let (x, weight, d_y) = (frame.input(0), frame.input(1), frame.input(2));
    if let Some(mut d_x) = frame.target(0) {
        let accumulate = d_x.accumulate;
        product(d_x.matrix(), accumulate, d_y.matrix(), weight.matrix());
    }
    if let Some(mut d_weight) = frame.target(1) {
        let accumulate = d_weight.accumulate;
        product(d_weight.matrix(), accumulate, d_y.matrix().transpose(), x.matrix());
    }
    if let Some(d_bias) = frame.target(2) {
        column_sums(d_bias, d_y.rows, |row, sums| vector::add(sums, d_y.row(row)));
    }
}
