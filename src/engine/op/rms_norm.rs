//! y = x r (o + g) with r = 1 / sqrt(mean(x^2) + eps) per row of C; x, y (T, N C), g (1, C), r (T N, 1), o = 0 or 1.
//! With N > 1 every C numbers of a row, as those of a head, are a row of their own.
//!
//! Backward: dx = r (dy (o + g) - x r^2 mean(dy (o + g) x)), dg = sum over rows of dy x r.

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
    /// What is added to the gain: some families store it less 1.
    pub offset: f32,
}

impl Recorder<'_> {
    /// x (T, N C) with rows of C numbers of root mean square 1, times `gain` (1, C) plus the offset.
    pub fn rms_norm(&mut self, x: View, gain: View, params: Params) -> View {
        assert!(x.cols.is_multiple_of(gain.words()), "a gain has one number a channel");
        let (y, r) = (self.temp(x.rows, x.cols), self.temp(x.words() / gain.words(), 1));
        let outputs = vec![Output::set(y), Output::set(r)];
        self.forward(&RmsNorm, words(&params), vec![Some(x), Some(gain)], outputs);
        y
    }
}

impl Define for RmsNorm {
    const NAME: &'static str = "rms_norm";

    fn oracle<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([x, gain], [y, r]) = (inputs(views), outputs(out));
        let p: Params = params(given);
        let (eps, offset, channels) = (T::of(f64::from(p.eps)), T::of(f64::from(p.offset)), gain.numbers.len());
        for (t, x) in x.numbers.chunks(channels).enumerate() {
            let mut square = T::default();
            for x in x {
                square += *x * *x;
            }
            let inverse = T::of(1.0) / (square / T::of(channels as f64) + eps).sqrt();
            r.set(t, 0, inverse);
            for (c, x) in x.iter().enumerate() {
                y.numbers[t * channels + c] = *x * inverse * (offset + gain.numbers[c]);
            }
        }
    }

    fn oracle_backward<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([x, gain, r, d_y], [d_x, d_gain]) = (inputs(views), outputs(out));
        let (offset, channels) = (T::of(f64::from(params::<Params>(given).offset)), gain.numbers.len());
        d_gain.fill(T::default());
        for (t, (x, d_y)) in x.numbers.chunks(channels).zip(d_y.numbers.chunks(channels)).enumerate() {
            let (r, mut dot) = (r.at(t, 0), T::default());
            for c in 0..channels {
                dot += d_y[c] * (offset + gain.numbers[c]) * x[c];
                d_gain.add(0, c, d_y[c] * x[c] * r);
            }
            let mean = dot / T::of(channels as f64);
            for c in 0..channels {
                let own = d_y[c] * (offset + gain.numbers[c]);
                if d_x.present() {
                    d_x.numbers[t * channels + c] = r * (own - x[c] * r * r * mean);
                }
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
        let norm = |name, rows, groups, cols, offset| {
            let given = vec![Given::Normal(rows, groups * cols), Given::Normal(1, cols)];
            Case::new(name, given, move |rec, v| vec![rec.rms_norm(v[0], v[1], Params { eps: 1e-5, offset })])
        };
        vec![
            norm("one", 1, 1, 1, 0.0),
            norm("odd", 5, 1, 7, 0.0),
            norm("wide", 3, 1, 300, 0.0),
            norm("tall", 300, 1, 40, 0.0),
            norm("less one", 9, 1, 33, 1.0),
            norm("heads", 130, 3, 10, 0.0),
            norm("heads less one", 2, 70, 6, 1.0),
        ]
    }
}
