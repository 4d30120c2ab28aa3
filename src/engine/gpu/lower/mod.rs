//! Which dispatches a step is: one function per op and pass, named by the op.

mod adapter;
mod attention;
mod linear;
mod linear_logp;
mod pointwise;
mod rows;
mod sums;

use crate::engine::{EngineError, Pass, Recording, Step};

use super::dispatch::{BINDINGS, Bound, Dispatch, Kernel, PARAMS};

/// Choices between kernels that compute the same: they change speed and the last bits, nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tuning {
    /// Products of at least so many 128 x 128 tiles use them; others use 64 x 64, which keep more of a GPU busy.
    pub enough_tiles: usize,
    /// Workgroups that a small product is split into, along its depth.
    pub split_groups: usize,
    /// Depth that a split keeps at least: below, summing the layers costs more than it gains.
    pub least_slice: usize,
    /// Up to so many queries of attention have a workgroup each: while decoding, neighbours read different keys.
    pub few_queries: usize,
    /// Workgroups that the head's forward pass is split into, along the vocabulary.
    pub head_groups: usize,
    /// Words of one chunk of the head's derivative at most; it is never less than one tile wide.
    pub head_chunk: usize,
    /// Words of a weight matrix that are bound at once at most; more of the head is taken in runs.
    pub binding_words: usize,
}

impl Tuning {
    /// What suits GPUs.
    pub const GPU: Self = Self {
        enough_tiles: 96,
        split_groups: 256,
        least_slice: 256,
        few_queries: 256,
        head_groups: 512,
        head_chunk: 1 << 24,
        binding_words: usize::MAX,
    };

    /// What suits drivers that run kernels on the processor.
    pub const SOFTWARE: Self = Self { enough_tiles: 1, split_groups: 1, head_groups: 8, ..Self::GPU };
}

/// The dispatches of the step at hand.
#[derive(Debug)]
pub struct Plan<'a> {
    pub tuning: &'a Tuning,
    op: &'static str,
    dispatches: Vec<Dispatch>,
}

impl Plan<'_> {
    /// Adds a kernel call.
    pub fn call(&mut self, kernel: Kernel, params: [u32; PARAMS], bindings: Vec<Bound>, groups: [u32; 3]) {
        assert!(bindings.len() <= BINDINGS, "the strictest adapter binds {BINDINGS} buffers");
        if groups.iter().all(|count| *count > 0) {
            self.dispatches.push(Dispatch { op: self.op, kernel, params, bindings, groups });
        }
    }
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
pub fn recording(recording: &Recording, tuning: &Tuning) -> Result<Vec<Dispatch>, EngineError> {
    let mut plan = Plan { tuning, op: "", dispatches: Vec::with_capacity(recording.steps.len()) };
    for step in &recording.steps {
        plan.op = step.op.name();
        lowering(step)?(step, &mut plan);
    }
    Ok(plan.dispatches)
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
