//! y = silu(a) b with silu(a) = a s, s = 1 / (1 + exp(-a)); all (T, C).
//!
//! Backward: da = dy b (s + a s (1 - s)), db = dy a s.

use super::float::Float;
use super::matrix::{Matrix, inputs, outputs};
use super::{Case, Define, Given};
use crate::engine::device::View;
use crate::engine::grad::Context;
use crate::engine::recording::{Output, PARAM_WORDS, Recorder, Step};

/// inputs: a, b; outputs: y. Backward inputs: a, b, dy; outputs: da?, db?.
#[derive(Debug)]
pub struct SwiGlu;

impl Recorder<'_> {
    /// silu(a) b, all (T, C).
    pub fn swiglu(&mut self, a: View, b: View) -> View {
        assert_eq!((a.rows, a.cols), (b.rows, b.cols), "swiglu needs equal shapes");
        let y = self.temp(a.rows, a.cols);
        self.forward(&SwiGlu, [0; PARAM_WORDS], vec![Some(a), Some(b)], vec![Output::set(y)]);
        y
    }
}

fn sigmoid<T: Float>(x: T) -> T {
    T::of(1.0) / (T::of(1.0) + (-x).exp())
}

impl Define for SwiGlu {
    const NAME: &'static str = "swiglu";

    fn oracle<T: Float>(_: &[u32; PARAM_WORDS], given: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([a, b], [y]) = (inputs(given), outputs(out));
        for (i, y) in y.numbers.iter_mut().enumerate() {
            *y = a.numbers[i] * sigmoid(a.numbers[i]) * b.numbers[i];
        }
    }

    fn oracle_backward<T: Float>(_: &[u32; PARAM_WORDS], given: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([a, b, d_y], [d_a, d_b]) = (inputs(given), outputs(out));
        for t in 0..d_y.rows {
            for c in 0..d_y.cols {
                let (x, dy) = (a.at(t, c), d_y.at(t, c));
                let s = sigmoid(x);
                d_a.set(t, c, dy * b.at(t, c) * (s + x * s * (T::of(1.0) - s)));
                d_b.set(t, c, dy * x * s);
            }
        }
    }

    fn backward(step: &Step, context: &mut Context<'_, '_>) {
        if let Some(d_y) = context.upstream(step.output(0)) {
            let outputs = vec![context.target(step.inputs[0]), context.target(step.inputs[1])];
            context.push(step, vec![step.inputs[0], step.inputs[1], Some(d_y)], outputs);
        }
    }

    fn cases() -> Vec<Case> {
        let swiglu = |name, rows, cols| {
            let given = vec![Given::Normal(rows, cols), Given::Normal(rows, cols)];
            Case::new(name, given, |rec, v| vec![rec.swiglu(v[0], v[1])])
        };
        let far = Given::Numbers(vec![-200.0, -90.0, -20.0, 0.0, 20.0, 90.0, 200.0], 1, 7);
        let far = Case::new("far out", vec![far, Given::Normal(1, 7)], |rec, v| vec![rec.swiglu(v[0], v[1])]);
        vec![swiglu("one", 1, 1), swiglu("odd", 5, 7), swiglu("large", 65, 70), far]
    }
}
