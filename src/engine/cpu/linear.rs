//! `linear`: three products, and a bias.

use super::matmul::product;
use super::memory::{Frame, Memory, Source, Target};
use super::packed::{Packed, products};
use super::rows::column_sums;
use super::{parallel, vector};
use crate::engine::recording::{Pass, Step};

pub(super) fn forward(frame: &mut Frame<'_>) {
    let (x, weight, bias, mut y) = (frame.input(0), frame.input(1), frame.option(2), frame.output(0));
    let accumulate = y.accumulate;
    product(y.matrix(), accumulate, x.matrix(), weight.matrix().transpose());
    add_bias(y, bias);
}

/// How many of the first steps are products of the same few rows with packed weights: queries, keys and values, or both
/// halves of a gated MLP.
pub(super) fn alike(steps: &[Step], memory: &Memory) -> usize {
    let fits = |step: &Step| step.op.name() == "linear" && step.pass == Pass::Forward && Packed::fits(step.input(0).rows);
    let packed = |step: &&Step| fits(step) && memory.packed(step.input(1)) && step.input(0) == steps[0].input(0);
    let apart = |at: usize| !steps[..at].iter().any(|step| step.output(0).overlaps(steps[at].output(0)));
    steps.iter().enumerate().take_while(|(at, step)| packed(step) && apart(*at)).count()
}

/// Such steps, together.
pub(super) fn forward_alike(frames: Vec<Frame<'_>>) {
    let mut targets: Vec<_> = frames.into_iter().map(|mut frame| (frame.output(0), frame)).collect();
    products(
        targets
            .iter_mut()
            .map(|(y, frame)| {
                let accumulate = y.accumulate;
                frame.packed(1).expect("it was asked for").product(y.matrix(), accumulate, frame.input(0))
            })
            .collect(),
    );
    targets.into_iter().for_each(|(y, frame)| add_bias(y, frame.option(2)));
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
