//! Which dispatches a step is: one function per op and pass, named by the op.

mod adapter;
mod attention;
mod linear;
mod linear_logp;
mod pointwise;
mod rows;
mod sums;

pub use linear::Cooperative;

use std::collections::BTreeMap;

use crate::engine::{EngineError, Pass, Recording, Step, View};

use super::Tuning;
use super::dispatch::{BINDINGS, Bound, Dispatch, Kernel, PARAMS, flat};

/// Weights that are read as halves, and by what.
#[derive(Clone, Default, Debug)]
pub struct Halves {
    /// Weight (N, K) → its copy (N, K / 2).
    pub copies: BTreeMap<View, View>,
    /// Matrix units, where a product by them has come out right.
    pub cooperative: Option<Cooperative>,
}

/// The dispatches of the step at hand.
#[derive(Debug)]
pub struct Plan<'a> {
    pub tuning: &'a Tuning,
    halves: &'a Halves,
    op: &'static str,
    dispatches: Vec<Dispatch>,
}

impl Plan<'_> {
    /// Rows of a matrix that can be bound at once, at least one: if that is too much, encoding says so.
    fn rows_at_once(&self, of: Bound) -> usize {
        (self.tuning.binding_words / of.cols.max(1)).max(1)
    }

    /// Adds calls of a kernel that has an invocation for every word of its bindings, which are of one size or absent: one
    /// call where they can be bound whole.
    fn each_word(&mut self, kernel: &Kernel, params: [u32; PARAMS], bindings: &[Bound]) {
        let whole = |bound: &Bound| bound.rows * bound.cols;
        let count = bindings.iter().map(whole).max().unwrap_or(0);
        for run in runs(count, self.tuning.binding_words) {
            let part = |bound: &Bound| if bound.rows > 0 { bound.words_from(run.first, run.length) } else { *bound };
            let parts = if run.length == count { bindings.to_vec() } else { bindings.iter().map(part).collect() };
            self.call(kernel.clone(), params, parts, flat(run.length));
        }
    }

    /// A kernel whose lanes reduce something together.
    fn reducing(&self, file: &'static str, entry: &'static str) -> Kernel {
        Kernel::new(file, entry).by_subgroups(self.tuning.subgroups)
    }

    /// Adds a kernel call.
    pub fn call(&mut self, kernel: Kernel, params: [u32; PARAMS], bindings: Vec<Bound>, groups: [u32; 3]) {
        assert!(bindings.len() <= BINDINGS, "the strictest adapter binds {BINDINGS} buffers");
        if groups.iter().all(|count| *count > 0) {
            self.dispatches.push(Dispatch { op: self.op, kernel, params, bindings, groups });
        }
    }
}

/// Some rows, columns or words of several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    first: usize,
    length: usize,
}

/// `count` in runs of at most `most`.
fn runs(count: usize, most: usize) -> Vec<Run> {
    let length = most.max(1);
    (0..count).step_by(length).map(|first| Run { first, length: length.min(count - first) }).collect()
}

type Lower = fn(&Step, &mut Plan<'_>);

/// Every op's kernels: forward, and backward where it has one.
const LOWERINGS: &[(&str, Lower, Option<Lower>)] = &[
    ("adamw", pointwise::adamw, None),
    ("add", pointwise::add, None),
    ("attention", attention::forward, Some(attention::backward)),
    ("embed", rows::pick, Some(rows::give_back)),
    ("fill", pointwise::fill, None),
    ("gather", rows::pick, Some(rows::give_back)),
    ("gelu", pointwise::gelu, Some(pointwise::gelu_backward)),
    ("kl", sums::kl, Some(sums::kl_backward)),
    ("layer_norm", sums::layer_norm, Some(sums::layer_norm_backward)),
    ("linear", linear::forward, Some(linear::backward)),
    ("linear_blocks", linear::blocks_forward, Some(linear::blocks_backward)),
    ("linear_logp", linear_logp::forward, Some(linear_logp::backward)),
    ("magnitude", adapter::magnitude, Some(adapter::magnitude_backward)),
    ("merged_norm", adapter::merged_norm, None),
    ("norm_sq", sums::norm_sq, None),
    ("rms_norm", sums::rms_norm, Some(sums::rms_norm_backward)),
    ("rope", pointwise::rope, Some(pointwise::rope)),
    ("scale", adapter::scale, Some(adapter::scale)),
    ("scatter", rows::scatter, None),
    ("swiglu", pointwise::swiglu, Some(pointwise::swiglu_backward)),
];

/// The dispatches of every step, in order.
///
/// # Errors
/// [`EngineError::MissingKernel`] for an op or pass that this device does not have.
pub fn recording(recording: &Recording, tuning: &Tuning, halves: &Halves) -> Result<Vec<Dispatch>, EngineError> {
    let mut plan = Plan { tuning, halves, op: "", dispatches: Vec::with_capacity(recording.steps.len()) };
    for step in &recording.steps {
        plan.op = step.op.name();
        lowering(step)?(step, &mut plan);
    }
    Ok(plan.dispatches)
}

/// The dispatches that copy weights as halves.
pub fn halve(copies: &BTreeMap<View, View>, tuning: &Tuning) -> Vec<Dispatch> {
    let mut plan = Plan { tuning, halves: &Halves::default(), op: "linear", dispatches: Vec::new() };
    for (weight, copy) in copies {
        linear::halve(&mut plan, Bound::read(*weight), Bound::read(*copy));
    }
    plan.dispatches
}

fn lowering(step: &Step) -> Result<Lower, EngineError> {
    let missing = || EngineError::MissingKernel { op: step.op.name(), pass: step.pass, device: "gpu" };
    let (_, forward, backward) = LOWERINGS.iter().find(|(name, ..)| *name == step.op.name()).ok_or_else(missing)?;
    match step.pass {
        Pass::Forward => Ok(*forward),
        Pass::Backward => backward.ok_or_else(missing),
    }
}

/// An input as it is bound, absent or not.
fn input(step: &Step, place: usize) -> Bound {
    step.inputs[place].map_or_else(Bound::absent, Bound::read)
}

/// An output as it is bound, absent or not.
fn output(step: &Step, place: usize) -> Bound {
    step.outputs[place].map_or_else(|| Bound::absent().written(), |out| Bound::write(out.view, out.accumulate))
}

/// An op's own parameters as a kernel's.
fn own_params(step: &Step) -> [u32; PARAMS] {
    let mut params = [0; PARAMS];
    params[..step.params.len()].copy_from_slice(&step.params);
    params
}

/// Every kernel that some step can ask for: tests compile and translate them all.
pub fn every_kernel() -> Vec<Kernel> {
    let adapter = adapter::kernels();
    [adapter, attention::kernels(), linear::kernels(), linear_logp::kernels(), pointwise::kernels(), rows::kernels(), sums::kernels()]
        .concat()
}
