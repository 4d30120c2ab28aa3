//! Ops that move whole rows by number.

use crate::engine::Step;

use super::super::dispatch::{Bound, Kernel, PARAMS, flat, params, rows, word};
use super::{Plan, Run, input, output, own_params, runs};

/// A kernel's file and its parameters, the first row of a run not among them yet.
type By = (&'static str, [u32; PARAMS]);

/// `embed` and `gather`: the rows with the given numbers.
pub fn pick(step: &Step, plan: &mut Plan<'_>) {
    pick_rows(plan, (step.op.name(), own_params(step)), input(step, 0), input(step, 2), output(step, 0));
}

/// The rows of `table` with the given numbers. A table that is bound in runs gives its own rows at each.
pub fn pick_rows(plan: &mut Plan<'_>, (file, own): By, numbers: Bound, table: Bound, to: Bound) {
    for run in runs(table.rows, plan.rows_at_once(table)) {
        let bindings = vec![numbers, table.rows_from(run.first, run.length), to];
        plan.call(Kernel::new(file, "forward"), from_row(own, run), bindings, flat(to.rows * to.cols));
    }
}

/// The derivative of both: gradients added to the rows they came from.
pub fn give_back(step: &Step, plan: &mut Plan<'_>) {
    add_rows(plan, (step.op.name(), own_params(step)), input(step, 0), input(step, 1), input(step, 2), output(step, 0));
}

/// Adds the rows of `from` to the rows of `to` with the given numbers, after clearing `to` unless it accumulates.
pub fn add_rows(plan: &mut Plan<'_>, (file, own): By, numbers: Bound, order: Bound, from: Bound, to: Bound) {
    if !to.accumulate {
        plan.each_word(&Kernel::new("fill", "forward"), params([0]), &[to]);
    }
    for run in runs(to.rows, plan.rows_at_once(to)) {
        let bindings = vec![numbers, order, from, to.rows_from(run.first, run.length)];
        plan.call(Kernel::new(file, "backward"), from_row(own, run), bindings, rows(numbers.rows));
    }
}

fn from_row(mut own: [u32; PARAMS], run: Run) -> [u32; PARAMS] {
    own[1] = word(run.first);
    own
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
