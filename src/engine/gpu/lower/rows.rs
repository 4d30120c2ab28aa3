//! Ops that move whole rows by number.

use crate::engine::Step;

use super::super::dispatch::{Bound, Kernel, PARAMS, flat, params, rows};
use super::{Plan, input, output, own_params};

/// `embed` and `gather`: the rows with the given numbers.
pub fn pick(step: &Step, plan: &mut Plan<'_>) {
    let bindings = vec![input(step, 0), input(step, 2), output(step, 0)];
    plan.call(Kernel::new(step.op.name(), "forward"), own_params(step), bindings, flat(step.output(0).words()));
}

/// The derivative of both: gradients added to the rows they came from.
pub fn give_back(step: &Step, plan: &mut Plan<'_>) {
    add_rows(plan, (step.op.name(), own_params(step)), input(step, 0), input(step, 1), input(step, 2), output(step, 0));
}

/// By a kernel of `file` under `own` parameters, adds the rows of `from` to the rows of `to` with the given numbers, after clearing `to` unless it accumulates.
pub fn add_rows(plan: &mut Plan<'_>, (file, own): (&'static str, [u32; PARAMS]), numbers: Bound, order: Bound, from: Bound, to: Bound) {
    if !to.accumulate {
        plan.call(Kernel::new("fill", "forward"), params([0]), vec![to], flat(to.rows * to.cols));
    }
    plan.call(Kernel::new(file, "backward"), own, vec![numbers, order, from, to], rows(numbers.rows));
}

/// Rows written into a cache.
pub fn scatter(step: &Step, plan: &mut Plan<'_>) {
    let bindings = vec![input(step, 0), input(step, 1), output(step, 0)];
    plan.call(Kernel::new("scatter", "forward"), params([0]), bindings, flat(step.input(0).words()));
}

/// All kernels of this file.
pub fn kernels() -> Vec<Kernel> {
    [("embed", "forward"), ("embed", "backward"), ("gather", "forward"), ("gather", "backward"), ("scatter", "forward")]
        .map(|(file, entry)| Kernel::new(file, entry))
        .to_vec()
}
