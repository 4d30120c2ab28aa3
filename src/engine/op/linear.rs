//! y = x W^T + b; x (M, K), W (N, K), b (1, N), y (M, N).
//!
//! Backward: dx = dy W, dW = dy^T x, db = column sums of dy.

use super::float::Float;
use super::matrix::{Matrix, inputs, outputs};
use super::{Case, Define, Given};
use crate::engine::device::View;
use crate::engine::grad::Context;
use crate::engine::recording::{Output, PARAM_WORDS, Recorder, Step};

/// inputs: x, W, b?; outputs: y. Backward inputs: x, W, dy; outputs: dx?, dW?, db?.
#[derive(Debug)]
pub struct Linear;

impl Recorder<'_> {
    /// x (M, K) times the transpose of `weight` (N, K), plus `bias` (1, N): (M, N).
    pub fn linear(&mut self, x: View, weight: View, bias: Option<View>) -> View {
        assert_eq!(x.cols, weight.cols, "linear needs x (M, K) and weight (N, K)");
        assert!(bias.is_none_or(|b| b.words() == weight.rows), "a bias has one number an output");
        let y = self.temp(x.rows, weight.rows);
        self.forward(&Linear, [0; PARAM_WORDS], vec![Some(x), Some(weight), bias], vec![Output::set(y)]);
        y
    }

    /// `y` (M, N) += z (M, R) times the transpose of `weight` (N, R). `y` is a result of this recording that no step has
    /// read yet.
    pub fn linear_onto(&mut self, y: View, z: View, weight: View) {
        assert_eq!(z.cols, weight.cols, "linear needs x (M, K) and weight (N, K)");
        assert_eq!((y.rows, y.cols), (z.rows, weight.rows), "a sum needs equal shapes");
        let output = Some(Output { view: y, accumulate: true });
        self.forward(&Linear, [0; PARAM_WORDS], vec![Some(z), Some(weight), None], vec![output]);
    }
}

impl Define for Linear {
    const NAME: &'static str = "linear";

    fn oracle<T: Float>(_: &[u32; PARAM_WORDS], given: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([x, weight, bias], [y]) = (inputs(given), outputs(out));
        for m in 0..y.rows {
            for n in 0..y.cols {
                let mut sum = if bias.present() { bias.numbers[n] } else { T::default() };
                for k in 0..x.cols {
                    sum += x.at(m, k) * weight.at(n, k);
                }
                y.set(m, n, sum);
            }
        }
    }

    fn oracle_backward<T: Float>(_: &[u32; PARAM_WORDS], given: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([x, weight, d_y], [d_x, d_weight, d_bias]) = (inputs(given), outputs(out));
        for d in [&mut *d_x, &mut *d_weight, &mut *d_bias] {
            d.fill(T::default());
        }
        for m in 0..d_y.rows {
            for n in 0..d_y.cols {
                d_bias.add(0, n, d_y.at(m, n));
                for k in 0..x.cols {
                    d_x.add(m, k, d_y.at(m, n) * weight.at(n, k));
                    d_weight.add(n, k, d_y.at(m, n) * x.at(m, k));
                }
            }
        }
    }

    fn backward(step: &Step, context: &mut Context<'_, '_>) {
        if let Some(d_y) = context.upstream(step.output(0)) {
            let outputs = step.inputs.iter().map(|input| context.target(*input)).collect();
            context.push(step, vec![step.inputs[0], step.inputs[1], Some(d_y)], outputs);
        }
    }

    fn cases() -> Vec<Case> {
        let plain = |name, m, n, k| {
            let given = vec![Given::Normal(m, k), Given::Normal(n, k)];
            Case::new(name, given, |rec, v| vec![rec.linear(v[0], v[1], None)])
        };
        let biased = |name, m, n, k| {
            let given = vec![Given::Normal(m, k), Given::Normal(n, k), Given::Normal(1, n)];
            Case::new(name, given, |rec, v| vec![rec.linear(v[0], v[1], Some(v[2]))])
        };
        let onto = |name, m, n, k, r| {
            let given = vec![Given::Normal(m, k), Given::Normal(n, k), Given::Normal(r, k), Given::Normal(n, r)];
            Case::new(name, given, |rec, v| {
                let (y, z) = (rec.linear(v[0], v[1], None), rec.linear(v[0], v[2], None));
                rec.linear_onto(y, z, v[3]);
                vec![y]
            })
        };
        vec![
            onto("low rank", 13, 21, 17, 3),
            onto("low rank, one row", 1, 21, 17, 3),
            onto("low rank, larger than a tile", 70, 66, 40, 5),
            plain("one", 1, 1, 1),
            plain("one row", 1, 37, 19),
            plain("thin", 5, 70, 33),
            plain("scores", 21, 1, 40),
            biased("odd", 13, 7, 5),
            biased("biased row", 1, 5, 18),
            plain("large", 97, 71, 83),
            biased("larger than a tile", 131, 65, 40),
        ]
    }
}
