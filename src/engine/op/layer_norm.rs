//! y = n g + b with n = (x - m) r, m = mean(x), r = 1 / sqrt(mean((x - m)^2) + eps) per row; x, y (T, C), g, b (1, C),
//! m, r (T, 1) (Ba, Kiros & Hinton 2016).
//!
//! Backward: dx = r (dy g - mean(dy g) - n mean(dy g n)), dg = sum over t of dy n, db = sum over t of dy.

use bytemuck::{Pod, Zeroable};

use super::float::Float;
use super::matrix::{Matrix, inputs, outputs};
use super::{Case, Define, Given};
use crate::engine::device::View;
use crate::engine::grad::Context;
use crate::engine::recording::{Output, PARAM_WORDS, Recorder, Step, params, words};

/// inputs: x, g, b; outputs: y, m, r. Backward inputs: x, g, m, r, dy; outputs: dx?, dg?, db?.
#[derive(Debug)]
pub struct LayerNorm;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable, Debug)]
pub struct Params {
    pub eps: f32,
}

impl Recorder<'_> {
    /// x (T, C) with rows of mean 0 and variance 1, times `gain` (1, C) plus `bias` (1, C).
    pub fn layer_norm(&mut self, x: View, gain: View, bias: View, eps: f32) -> View {
        assert!([gain, bias].iter().all(|view| view.words() == x.cols), "gain and bias have one number a channel");
        let (y, mean, r) = (self.temp(x.rows, x.cols), self.temp(x.rows, 1), self.temp(x.rows, 1));
        let outputs = vec![Output::set(y), Output::set(mean), Output::set(r)];
        self.forward(&LayerNorm, words(&Params { eps }), vec![Some(x), Some(gain), Some(bias)], outputs);
        y
    }
}

impl Define for LayerNorm {
    const NAME: &'static str = "layer_norm";

    fn oracle<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([x, gain, bias], [y, mean, r]) = (inputs(views), outputs(out));
        let (eps, channels) = (T::of(f64::from(params::<Params>(given).eps)), T::of(x.cols as f64));
        for t in 0..x.rows {
            let (mut sum, mut square) = (T::default(), T::default());
            (0..x.cols).for_each(|c| sum += x.at(t, c));
            let centre = sum / channels;
            (0..x.cols).for_each(|c| square += (x.at(t, c) - centre) * (x.at(t, c) - centre));
            let inverse = T::of(1.0) / (square / channels + eps).sqrt();
            mean.set(t, 0, centre);
            r.set(t, 0, inverse);
            for c in 0..x.cols {
                y.set(t, c, (x.at(t, c) - centre) * inverse * gain.numbers[c] + bias.numbers[c]);
            }
        }
    }

    fn oracle_backward<T: Float>(_: &[u32; PARAM_WORDS], given: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([x, gain, mean, r, d_y], [d_x, d_gain, d_bias]) = (inputs(given), outputs(out));
        let channels = T::of(x.cols as f64);
        d_gain.fill(T::default());
        d_bias.fill(T::default());
        for t in 0..x.rows {
            let normed = |c| (x.at(t, c) - mean.at(t, 0)) * r.at(t, 0);
            let (mut sum, mut dot) = (T::default(), T::default());
            for c in 0..x.cols {
                sum += d_y.at(t, c) * gain.numbers[c];
                dot += d_y.at(t, c) * gain.numbers[c] * normed(c);
                d_gain.add(0, c, d_y.at(t, c) * normed(c));
                d_bias.add(0, c, d_y.at(t, c));
            }
            for c in 0..x.cols {
                let own = d_y.at(t, c) * gain.numbers[c];
                d_x.set(t, c, r.at(t, 0) * (own - sum / channels - normed(c) * dot / channels));
            }
        }
    }

    fn backward(step: &Step, context: &mut Context<'_, '_>) {
        if let Some(d_y) = context.upstream(step.output(0)) {
            let outputs = step.inputs.iter().map(|input| context.target(*input)).collect();
            let inputs = vec![step.inputs[0], step.inputs[1], Some(step.output(1)), Some(step.output(2)), Some(d_y)];
            context.push(step, inputs, outputs);
        }
    }

    fn cases() -> Vec<Case> {
        let norm = |name, rows, cols| {
            let given = vec![Given::Normal(rows, cols), Given::Normal(1, cols), Given::Normal(1, cols)];
            Case::new(name, given, |rec, v| vec![rec.layer_norm(v[0], v[1], v[2], 1e-2)])
        };
        vec![norm("one", 1, 1), norm("odd", 5, 7), norm("wide", 3, 300), norm("tall", 300, 40)]
    }
}
