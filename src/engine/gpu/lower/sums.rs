//! Sums over many elements, in an order that does not depend on scheduling.

use crate::engine::Step;

use super::super::dispatch::{Bound, Kernel, Scratch, flat, params, rows, word};
use super::{Plan, Run, input, output, own_params, runs};

/// Rows that one invocation of `column_sum` adds up.
const BLOCK: usize = 64;

/// Workgroups of the first pass of `norm_sq` at most: what one workgroup then sums at four numbers a lane.
const PARTS: usize = 1024;

/// Where the passes of a column sum leave their sums, in turn.
const PASSES: [Scratch; 2] = [Scratch::EvenSums, Scratch::OddSums];

/// y and the inverse norms.
pub fn rms_norm(step: &Step, plan: &mut Plan<'_>) {
    let bindings = vec![input(step, 0), input(step, 1), output(step, 0), output(step, 1)];
    plan.call(plan.reducing("rms_norm", "forward"), own_params(step), bindings, rows(step.output(1).rows));
}

/// d_x by rows, d_g by columns.
pub fn rms_norm_backward(step: &Step, plan: &mut Plan<'_>) {
    let [x, gain, inverse, d_y] = std::array::from_fn(|place| input(step, place));
    let [d_x, d_gain] = std::array::from_fn(|place| output(step, place));
    if d_x.rows > 0 {
        let bindings = vec![x, gain, inverse, d_y, d_x];
        plan.call(plan.reducing("rms_norm", "backward"), own_params(step), bindings, rows(inverse.rows));
    }
    if d_gain.rows > 0 {
        // A row of x may hold several rows of the norm.
        let by_gain = |bound: Bound| Bound { rows: inverse.rows, cols: gain.cols, ..bound };
        let weighted = Weighted { weight: by_gain(x), scale: inverse, shift: Bound::absent() };
        column_sum(plan, by_gain(d_y), Some(weighted), d_gain);
    }
}

/// y, the means and the inverse deviations.
pub fn layer_norm(step: &Step, plan: &mut Plan<'_>) {
    let bindings = [[0, 1, 2].map(|place| input(step, place)), [0, 1, 2].map(|place| output(step, place))].concat();
    plan.call(plan.reducing("layer_norm", "forward"), own_params(step), bindings, rows(step.input(0).rows));
}

/// d_x by rows, d_g and d_b by columns.
pub fn layer_norm_backward(step: &Step, plan: &mut Plan<'_>) {
    let [x, gain, mean, inverse, d_y] = std::array::from_fn(|place| input(step, place));
    let [d_x, d_gain, d_bias] = std::array::from_fn(|place| output(step, place));
    if d_x.rows > 0 {
        let bindings = vec![x, gain, mean, inverse, d_y, d_x];
        plan.call(plan.reducing("layer_norm", "backward"), own_params(step), bindings, rows(x.rows));
    }
    if d_gain.rows > 0 {
        column_sum(plan, d_y, Some(Weighted { weight: x, scale: inverse, shift: mean }), d_gain);
    }
    if d_bias.rows > 0 {
        column_sum(plan, d_y, None, d_bias);
    }
}

/// The divergence and both logs of sums of exponents.
pub fn kl(step: &Step, plan: &mut Plan<'_>) {
    let bindings = [[0, 1].map(|place| input(step, place)).to_vec(), [0, 1, 2].map(|place| output(step, place)).to_vec()].concat();
    plan.call(plan.reducing("kl", "forward"), own_params(step), bindings, rows(step.input(0).rows));
}

/// d_x and d_y, a kernel each.
pub fn kl_backward(step: &Step, plan: &mut Plan<'_>) {
    for (place, entry) in [(0, "backward_x"), (1, "backward_y")] {
        let to = output(step, place);
        if to.rows > 0 {
            let bindings: Vec<Bound> = (0..6).map(|place| input(step, place)).chain([to]).collect();
            plan.call(Kernel::new("kl", entry), own_params(step), bindings, rows(to.rows));
        }
    }
}

/// What each row is multiplied by before it is summed: `(weight − shift[t]) scale[t]`.
#[derive(Clone, Copy, Debug)]
pub struct Weighted {
    /// (T, C).
    pub weight: Bound,
    /// (T, 1).
    pub scale: Bound,
    /// (T, 1), or absent.
    pub shift: Bound,
}

/// `to` = or += Σ_t from[t, :], each row times a weight if given.
pub fn column_sum(plan: &mut Plan<'_>, from: Bound, weighted: Option<Weighted>, to: Bound) {
    let (mut from, mut weighted, mut pass) = (from, weighted, 0);
    loop {
        let blocks = from.rows.div_ceil(BLOCK);
        let last = blocks <= 1;
        let sums = if last { to } else { Bound::scratch(PASSES[pass % 2], blocks, from.cols).written() };
        let none = Weighted { weight: Bound::absent(), scale: Bound::absent(), shift: Bound::absent() };
        let Weighted { weight, scale, shift } = weighted.take().unwrap_or(none);
        let [x, y, _] = flat(from.cols);
        for run in runs(blocks.max(1), plan.rows_at_once(from) / BLOCK) {
            let rows = Run { first: run.first * BLOCK, length: (run.length * BLOCK).min(from.rows - run.first * BLOCK) };
            let part = |of: Bound| if of.rows > 0 { of.rows_from(rows.first, rows.length) } else { of };
            let bindings = vec![part(from), part(weight), part(scale), part(shift), sums.rows_from(run.first, run.length)];
            plan.call(Kernel::new("column_sum", "sum"), params([word(BLOCK)]), bindings, [x, y, word(run.length)]);
        }
        if last {
            return;
        }
        from = Bound { write: false, ..sums };
        pass += 1;
    }
}

/// Two passes: workgroups of every run, then their sums.
pub fn norm_sq(step: &Step, plan: &mut Plan<'_>) {
    let x = input(step, 0);
    let kernel = plan.reducing("norm_sq", "forward");
    let runs = runs(x.rows * x.cols, plan.tuning.binding_words);
    let parts: Vec<usize> = runs.iter().map(|run| run.length.div_ceil(256).clamp(1, PARTS)).collect();
    let sums = Bound::scratch(Scratch::Parts, parts.iter().sum(), 1);
    let mut first = 0;
    for (run, parts) in runs.into_iter().zip(parts) {
        let bindings = vec![x.words_from(run.first, run.length), sums.rows_from(first, parts).written()];
        plan.call(kernel.clone(), params([1]), bindings, [word(parts), 1, 1]);
        first += parts;
    }
    plan.call(kernel, params([0]), vec![sums, output(step, 0)], [1, 1, 1]);
}

/// All kernels of this file.
pub fn kernels() -> Vec<Kernel> {
    let reducing = [
        ("rms_norm", "forward"),
        ("rms_norm", "backward"),
        ("layer_norm", "forward"),
        ("layer_norm", "backward"),
        ("kl", "forward"),
        ("norm_sq", "forward"),
    ];
    let others = [("kl", "backward_x"), ("kl", "backward_y"), ("column_sum", "sum")];
    let kernel = |(file, entry): (&'static str, &'static str)| Kernel::new(file, entry);
    reducing.into_iter().flat_map(|of| kernel(of).either_way()).chain(others.map(kernel)).collect()
}
