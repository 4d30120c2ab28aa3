//! y = a x; x, y (T, C).
//!
//! Backward: dx = a dy.

use bytemuck::{Pod, Zeroable};

use super::float::Float;
use super::matrix::{Matrix, inputs, outputs};
use super::{Case, Define, Given};
use crate::engine::device::View;
use crate::engine::grad::Context;
use crate::engine::recording::{Output, PARAM_WORDS, Recorder, Step, params, words};

/// inputs: x; outputs: y. Backward inputs: dy; outputs: dx?.
#[derive(Debug)]
pub struct Scale;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable, Debug)]
pub struct Params {
    pub factor: f32,
}

impl Recorder<'_> {
    /// `factor` x, of the shape of x.
    pub fn scale(&mut self, x: View, factor: f32) -> View {
        let y = self.temp(x.rows, x.cols);
        self.forward(&Scale, words(&Params { factor }), vec![Some(x)], vec![Output::set(y)]);
        y
    }
}

impl Define for Scale {
    const NAME: &'static str = "scale";

    fn oracle<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([x], [y]) = (inputs(views), outputs(out));
        let factor = T::of(f64::from(params::<Params>(given).factor));
        for (y, x) in y.numbers.iter_mut().zip(&x.numbers) {
            *y = factor * *x;
        }
    }

    fn oracle_backward<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        Self::oracle(given, views, out);
    }

    fn backward(step: &Step, context: &mut Context<'_, '_>) {
        if let Some(d_y) = context.upstream(step.output(0)) {
            let outputs = vec![context.target(step.inputs[0])];
            context.push(step, vec![Some(d_y)], outputs);
        }
    }

    fn cases() -> Vec<Case> {
        let scale = |name, rows, cols| Case::new(name, vec![Given::Normal(rows, cols)], |rec, v| vec![rec.scale(v[0], 1.75)]);
        let twice = Case::new("added twice", vec![Given::Normal(3, 5)], |rec, v| vec![rec.scale(v[0], 2.0), rec.scale(v[0], -0.5)]);
        vec![scale("one", 1, 1), scale("odd", 7, 13), scale("large", 33, 65), twice]
    }
}
