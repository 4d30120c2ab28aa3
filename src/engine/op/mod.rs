//! The ops: one file each, with its equation, its naive oracle, its derivative, its [`Recorder`] method and its test
//! cases. The kernel of the same name is in `shaders/`; the fast native loops are in `engine/cpu`.
//!
//! A new op writes [`Define`] and joins [`OPS`]; `tests/ops.rs` then checks its derivative against central differences
//! in f64, and every device against its oracle.
//!
//! [`Recorder`]: super::Recorder

#![allow(rustdoc::broken_intra_doc_links, reason = "equations index with brackets")]

use std::fmt;

use super::device::View;
use super::grad::Context;
use super::recording::{PARAM_WORDS, Pass, Recorder, Step};

pub mod adamw;
pub mod add;
pub mod attention;
pub mod embed;
pub mod fill;
pub mod float;
pub mod gather;
pub mod gelu;
pub mod kl;
pub mod layer_norm;
pub mod linear;
pub mod linear_blocks;
pub mod linear_logp;
pub mod logits;
pub mod magnitude;
pub mod matrix;
pub mod merged_norm;
pub mod norm_sq;
pub mod rms_norm;
pub mod rope;
pub mod scale;
pub mod scatter;
pub mod swiglu;

use float::Float;
use matrix::Matrix;

/// Every op.
pub const OPS: &[&dyn Op] = &[
    &adamw::AdamW,
    &add::Add,
    &attention::Attention,
    &embed::Embed,
    &fill::Fill,
    &gather::Gather,
    &gelu::Gelu,
    &kl::Kl,
    &layer_norm::LayerNorm,
    &linear::Linear,
    &linear_blocks::LinearBlocks,
    &linear_logp::LinearLogp,
    &magnitude::Magnitude,
    &merged_norm::MergedNorm,
    &norm_sq::NormSq,
    &rms_norm::RmsNorm,
    &rope::Rope,
    &scale::Scale,
    &scatter::Scatter,
    &swiglu::SwiGlu,
];

/// What an op's file says about it. Oracles are naive: they set every word of every output, or in case of an in-place
/// op those it names; adding to what was there is the caller's work.
pub trait Define: Sync + fmt::Debug {
    /// The stem of this file and of the kernel's.
    const NAME: &'static str;

    /// Whether outputs hold input values that the op updates.
    const IN_PLACE: bool = false;

    /// Whether there is a backward pass.
    const DIFFERENTIABLE: bool = true;

    /// How far an f32 kernel may be from the oracle: |kernel - oracle| <= tolerance (1 + max |oracle|).
    const TOLERANCE: f32 = 1e-5;

    /// The equation.
    fn oracle<T: Float>(params: &[u32; PARAM_WORDS], inputs: &[Matrix<T>], outputs: &mut [Matrix<T>]);

    /// Its derivative, given the inputs that [`Define::backward`] records.
    fn oracle_backward<T: Float>(_: &[u32; PARAM_WORDS], _: &[Matrix<T>], _: &mut [Matrix<T>]) {
        unreachable!("`{}` has no backward pass", Self::NAME)
    }

    /// Records the backward step of the forward `step`.
    fn backward(_step: &Step, _context: &mut Context<'_, '_>) {}

    /// What to test it on: an odd size, size 1, and one larger than a workgroup.
    fn cases() -> Vec<Case>;
}

/// [`Define`] as an object.
pub trait Op: Sync + fmt::Debug {
    /// The stem of the op's files.
    fn name(&self) -> &'static str;
    /// Whether outputs hold input values that the op updates.
    fn in_place(&self) -> bool;
    /// Whether there is a backward pass.
    fn differentiable(&self) -> bool;
    /// How far an f32 kernel may be from the oracle, relative to the largest value.
    fn tolerance(&self) -> f32;
    /// Runs the oracle in f32.
    fn oracle_f32(&self, pass: Pass, params: &[u32; PARAM_WORDS], inputs: &[Matrix<f32>], outputs: &mut [Matrix<f32>]);
    /// Runs the oracle in f64.
    fn oracle_f64(&self, pass: Pass, params: &[u32; PARAM_WORDS], inputs: &[Matrix<f64>], outputs: &mut [Matrix<f64>]);
    /// Records the backward step of the forward `step`.
    fn backward(&self, step: &Step, context: &mut Context<'_, '_>);
    /// What to test it on.
    fn cases(&self) -> Vec<Case>;
}

impl<D: Define> Op for D {
    fn name(&self) -> &'static str {
        D::NAME
    }

    fn in_place(&self) -> bool {
        D::IN_PLACE
    }

    fn differentiable(&self) -> bool {
        D::DIFFERENTIABLE
    }

    fn tolerance(&self) -> f32 {
        D::TOLERANCE
    }

    fn oracle_f32(&self, pass: Pass, params: &[u32; PARAM_WORDS], inputs: &[Matrix<f32>], outputs: &mut [Matrix<f32>]) {
        oracle::<D, f32>(pass, params, inputs, outputs);
    }

    fn oracle_f64(&self, pass: Pass, params: &[u32; PARAM_WORDS], inputs: &[Matrix<f64>], outputs: &mut [Matrix<f64>]) {
        oracle::<D, f64>(pass, params, inputs, outputs);
    }

    fn backward(&self, step: &Step, context: &mut Context<'_, '_>) {
        D::backward(step, context);
    }

    fn cases(&self) -> Vec<Case> {
        D::cases()
    }
}

fn oracle<D: Define, T: Float>(pass: Pass, params: &[u32; PARAM_WORDS], inputs: &[Matrix<T>], outputs: &mut [Matrix<T>]) {
    match pass {
        Pass::Forward => D::oracle(params, inputs, outputs),
        Pass::Backward => D::oracle_backward(params, inputs, outputs),
    }
}

/// An input of a test case.
#[derive(Clone, Debug)]
pub enum Given {
    /// Normal numbers (rows, cols); where the op is differentiable, its derivative by them is checked.
    Normal(usize, usize),
    /// Positive numbers (rows, cols).
    Positive(usize, usize),
    /// Exactly these numbers (rows, cols), by which nothing is differentiated.
    Numbers(Vec<f32>, usize, usize),
    /// Exactly these words (rows, cols).
    Words(Vec<u32>, usize, usize),
}

impl Given {
    /// Words (N, 1).
    pub fn column(words: &[u32]) -> Self {
        Self::Words(words.to_vec(), words.len(), 1)
    }

    /// The sorted order of row numbers, as [`super::Indices::order`] holds it.
    pub fn order_of(rows: &[u32]) -> Self {
        let mut order: Vec<u32> = (0..).take(rows.len()).collect();
        order.sort_by_key(|place| rows[*place as usize]);
        Self::column(&order)
    }
}

/// Records an op on the given inputs and returns the outputs that count.
pub type Record = Box<dyn Fn(&mut Recorder<'_>, &[View]) -> Vec<View>>;

/// A test case of an op.
pub struct Case {
    pub name: &'static str,
    pub given: Vec<Given>,
    pub record: Record,
}

impl Case {
    /// A case: `record` gets the views of `given`.
    pub fn new(name: &'static str, given: Vec<Given>, record: impl Fn(&mut Recorder<'_>, &[View]) -> Vec<View> + 'static) -> Self {
        Self { name, given, record: Box::new(record) }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).field("given", &self.given).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(OPS.windows(2).all(|pair| pair[0].name() < pair[1].name()));
    }

    #[test]
    fn every_op_has_cases() {
        assert!(OPS.iter().all(|op| op.cases().len() >= 2));
    }
}
