//! y = x r g with r = 1 / sqrt(mean(x^2) + eps) per row; x, y (T, C), g (1, C), r (T, 1).
//!
//! Backward: dx = r (dy g - x r^2 mean(dy g x)), dg = sum over t of dy x r.

use bytemuck::{Pod, Zeroable};

use super::float::Float;
use super::matrix::{Matrix, inputs, outputs};
use super::{Case, Define, Given};
use crate::engine::device::View;
use crate::engine::grad::Context;
use crate::engine::recording::{Output, PARAM_WORDS, Recorder, Step, params, words};

/// inputs: x, g; outputs: y, r. Backward inputs: x, g, r, dy; outputs: dx?, dg?.
#[derive(Debug)]
pub struct RmsNorm;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable, Debug)]
pub struct Params {
    pub eps: f32,
}

impl Recorder<'_> {
    /// x (T, C) with rows of root mean square 1, times `gain` (1, C).
    pub fn rms_norm(&mut self, x: View, gain: View, eps: f32) -> View {
        assert_eq!(x.cols, gain.words(), "a gain has one number a channel");
        let (y, r) = (self.temp(x.rows, x.cols), self.temp(x.rows, 1));
        let outputs = vec![Output::set(y), Output::set(r)];
        self.forward(&RmsNorm, words(&Params { eps }), vec![Some(x), Some(gain)], outputs);
        y
    }
}

impl Define for RmsNorm {
    const NAME: &'static str = "rms_norm";

    fn oracle<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([x, gain], [y, r]) = (inputs(views), outputs(out));
        let eps = T::of(f64::from(params::<Params>(given).eps));
        for t in 0..x.rows {
            let mut square = T::default();
            for c in 0..x.cols {
                square += x.at(t, c) * x.at(t, c);
            }
            let inverse = T::of(1.0) / (square / T::of(x.cols as f64) + eps).sqrt();
            r.set(t, 0, inverse);
            for c in 0..x.cols {
                y.set(t, c, x.at(t, c) * inverse * gain.numbers[c]);
            }
        }
    }

    fn oracle_backward<T: Float>(_: &[u32; PARAM_WORDS], given: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([x, gain, r, d_y], [d_x, d_gain]) = (inputs(given), outputs(out));
        d_gain.fill(T::default());
        for t in 0..x.rows {
            let mut dot = T::default();
            for c in 0..x.cols {
                dot += d_y.at(t, c) * gain.numbers[c] * x.at(t, c);
                d_gain.add(0, c, d_y.at(t, c) * x.at(t, c) * r.at(t, 0));
            }
            let mean = dot / T::of(x.cols as f64);
            for c in 0..x.cols {
                let own = d_y.at(t, c) * gain.numbers[c];
                d_x.set(t, c, r.at(t, 0) * (own - x.at(t, c) * r.at(t, 0) * r.at(t, 0) * mean));
            }
        }
    }

    fn backward(step: &Step, context: &mut Context<'_, '_>) {
        if let Some(d_y) = context.upstream(step.output(0)) {
            let outputs = vec![context.target(step.inputs[0]), context.target(step.inputs[1])];
            context.push(step, vec![step.inputs[0], step.inputs[1], Some(step.output(1)), Some(d_y)], outputs);
        }
    }

    fn cases() -> Vec<Case> {
        let norm = |name, rows, cols| {
            let given = vec![Given::Normal(rows, cols), Given::Normal(1, cols)];
            Case::new(name, given, |rec, v| vec![rec.rms_norm(v[0], v[1], 1e-5)])
        };
        vec![norm("one", 1, 1), norm("odd", 5, 7), norm("wide", 3, 300), norm("tall", 300, 40)]
    }
}
