//! out[t, :] = W[id[t], :]; ids (T, 1), W (V, C), out (T, C).
//!
//! Backward: dW[v, :] = sum over t with id[t] = v of dout[t, :], in order of t.

use super::float::Float;
use super::matrix::{Matrix, inputs, outputs};
use super::{Case, Define, Given};
use crate::engine::device::View;
use crate::engine::grad::Context;
use crate::engine::recording::{Indices, Output, PARAM_WORDS, Recorder, Step};

/// inputs: ids, order, W; outputs: out. Backward inputs: ids, order, dout; outputs: dW.
#[derive(Debug)]
pub struct Embed;

impl Recorder<'_> {
    /// The rows `ids` of `weight` (V, C): (T, C).
    pub fn embed(&mut self, ids: Indices, weight: View) -> View {
        let out = self.temp(ids.at.rows, weight.cols);
        let inputs = vec![Some(ids.at), Some(ids.order), Some(weight)];
        self.forward(&Embed, [0; PARAM_WORDS], inputs, vec![Output::set(out)]);
        out
    }
}

impl Define for Embed {
    const NAME: &'static str = "embed";

    fn oracle<T: Float>(_: &[u32; PARAM_WORDS], given: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([ids, _, weight], [out]) = (inputs(given), outputs(out));
        for t in 0..out.rows {
            for c in 0..out.cols {
                out.set(t, c, weight.at(ids.word(t, 0), c));
            }
        }
    }

    fn oracle_backward<T: Float>(_: &[u32; PARAM_WORDS], given: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([ids, _, d_out], [d_weight]) = (inputs(given), outputs(out));
        d_weight.fill(T::default());
        for t in 0..d_out.rows {
            for c in 0..d_out.cols {
                d_weight.add(ids.word(t, 0), c, d_out.at(t, c));
            }
        }
    }

    fn backward(step: &Step, context: &mut Context<'_, '_>) {
        if let Some(d_out) = context.upstream(step.output(0)) {
            let d_weight = context.target(step.inputs[2]);
            context.push(step, vec![step.inputs[0], step.inputs[1], Some(d_out)], vec![d_weight]);
        }
    }

    fn cases() -> Vec<Case> {
        let embed = |name, ids: Vec<u32>, vocabulary, channels| {
            let given = vec![Given::column(&ids), Given::order_of(&ids), Given::Normal(vocabulary, channels)];
            Case::new(name, given, |rec, v| vec![rec.embed(Indices { at: v[0], order: v[1] }, v[2])])
        };
        let many = (0..300).map(|t| t * t % 17).collect();
        vec![embed("one", vec![0], 1, 1), embed("odd", vec![4, 0, 4, 2, 4], 5, 3), embed("large", many, 17, 70)]
    }
}
