//! y[i, :] = x[idx[i], :]; x (T, C), idx (N, 1), y (N, C). Rows may repeat.
//!
//! Backward: dx[t, :] = sum over i with idx[i] = t of dy[i, :], in order of i; zero where there is none.

use super::embed::{Embed, Params};
use super::float::Float;
use super::matrix::Matrix;
use super::{Case, Define, Given};
use crate::engine::device::View;
use crate::engine::grad::Context;
use crate::engine::recording::{Indices, Output, PARAM_WORDS, Recorder, Step, words};

/// inputs: idx, order, x; outputs: y. Backward inputs: idx, order, dy; outputs: dx.
#[derive(Debug)]
pub struct Gather;

impl Recorder<'_> {
    /// The rows `rows` of `x` (T, C): (N, C).
    pub fn gather(&mut self, rows: Indices, x: View) -> View {
        let y = self.temp(rows.at.rows, x.cols);
        let inputs = vec![Some(rows.at), Some(rows.order), Some(x)];
        self.forward(&Gather, words(&Params { scale: 1.0 }), inputs, vec![Output::set(y)]);
        y
    }
}

/// The same sums as [`Embed`]; apart because there the sum goes to a weight, where most rows are untouched.
impl Define for Gather {
    const NAME: &'static str = "gather";

    fn oracle<T: Float>(params: &[u32; PARAM_WORDS], given: &[Matrix<T>], out: &mut [Matrix<T>]) {
        Embed::oracle(params, given, out);
    }

    fn oracle_backward<T: Float>(params: &[u32; PARAM_WORDS], given: &[Matrix<T>], out: &mut [Matrix<T>]) {
        Embed::oracle_backward(params, given, out);
    }

    fn backward(step: &Step, context: &mut Context<'_, '_>) {
        Embed::backward(step, context);
    }

    fn cases() -> Vec<Case> {
        let gather = |name, rows: Vec<u32>, tokens, channels| {
            let given = vec![Given::column(&rows), Given::order_of(&rows), Given::Normal(tokens, channels)];
            Case::new(name, given, |rec, v| vec![rec.gather(Indices { at: v[0], order: v[1] }, v[2])])
        };
        let many = (0..300).map(|i| (7 * i + 3) % 90).collect();
        vec![gather("one", vec![0], 1, 1), gather("odd", vec![6, 2, 2], 7, 3), gather("large", many, 91, 65)]
    }
}
