//! out[t, :] = s W[id[t], :]; ids (T, 1), W (V, C), out (T, C).
//!
//! Backward: dW[v, :] = s times the sum over t with id[t] = v of dout[t, :], in order of t.

use bytemuck::{Pod, Zeroable};

use super::float::Float;
use super::matrix::{Matrix, inputs, outputs};
use super::{Case, Define, Given};
use crate::engine::device::View;
use crate::engine::grad::Context;
use crate::engine::recording::{Indices, Output, PARAM_WORDS, Recorder, Step, params, words};

/// inputs: ids, order, W; outputs: out. Backward inputs: ids, order, dout; outputs: dW.
#[derive(Debug)]
pub struct Embed;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable, Debug)]
pub struct Params {
    pub scale: f32,
}

impl Recorder<'_> {
    /// The rows `ids` of `weight` (V, C), times `scale`: (T, C).
    pub fn embed(&mut self, ids: Indices, weight: View, scale: f32) -> View {
        let out = self.temp(ids.at.rows, weight.cols);
        let inputs = vec![Some(ids.at), Some(ids.order), Some(weight)];
        self.forward(&Embed, words(&Params { scale }), inputs, vec![Output::set(out)]);
        out
    }
}

impl Define for Embed {
    const NAME: &'static str = "embed";

    fn oracle<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([ids, _, weight], [out]) = (inputs(views), outputs(out));
        let scale = T::of(f64::from(params::<Params>(given).scale));
        for t in 0..out.rows {
            for c in 0..out.cols {
                out.set(t, c, scale * weight.at(ids.word(t, 0), c));
            }
        }
    }

    fn oracle_backward<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([ids, _, d_out], [d_weight]) = (inputs(views), outputs(out));
        let scale = T::of(f64::from(params::<Params>(given).scale));
        d_weight.fill(T::default());
        for t in 0..d_out.rows {
            for c in 0..d_out.cols {
                d_weight.add(ids.word(t, 0), c, scale * d_out.at(t, c));
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
        let embed = |name, ids: Vec<u32>, vocabulary, channels, scale| {
            let given = vec![Given::column(&ids), Given::order_of(&ids), Given::Normal(vocabulary, channels)];
            Case::new(name, given, move |rec, v| vec![rec.embed(Indices { at: v[0], order: v[1] }, v[2], scale)])
        };
        let many = (0..300).map(|t| t * t % 17).collect();
        vec![
            embed("one", vec![0], 1, 1, 1.0),
            embed("odd", vec![4, 0, 4, 2, 4], 5, 3, 1.0),
            embed("large", many, 17, 70, 1.0),
            embed("scaled", vec![1, 3, 1], 5, 9, 5.5),
        ]
    }
}
