//! y = x m / n + b: each column of x gets a length of its own; x, y (T, C), m, n, b (1, C).
//!
//! Weight-decomposed adaptation, Liu et al. 2024, eq. 5: n is the length that the columns have, m the one they learn.
//! Backward, n taken for a constant (their section 4.3): dx = dy m / n, dm = sum over t of dy x / n, db = column sums of dy.

use super::float::Float;
use super::matrix::{Matrix, inputs, outputs};
use super::{Case, Define, Given};
use crate::engine::device::View;
use crate::engine::grad::Context;
use crate::engine::recording::{Output, PARAM_WORDS, Recorder, Step};

/// inputs: x, m, n, b?; outputs: y. Backward inputs: x, m, n, dy; outputs: dx?, dm?, db?.
#[derive(Debug)]
pub struct Magnitude;

impl Recorder<'_> {
    /// x (T, C) with its columns times `magnitude` (1, C) over `norm` (1, C), plus `bias` (1, C).
    pub fn magnitude(&mut self, x: View, magnitude: View, norm: View, bias: Option<View>) -> View {
        let fits = |row: View| row.words() == x.cols;
        assert!(fits(magnitude) && fits(norm) && bias.is_none_or(fits), "a magnitude has one number a column");
        let y = self.temp(x.rows, x.cols);
        self.forward(&Magnitude, [0; PARAM_WORDS], vec![Some(x), Some(magnitude), Some(norm), bias], vec![Output::set(y)]);
        y
    }
}

impl Define for Magnitude {
    const NAME: &'static str = "magnitude";

    fn oracle<T: Float>(_: &[u32; PARAM_WORDS], given: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([x, magnitude, norm, bias], [y]) = (inputs(given), outputs(out));
        for t in 0..x.rows {
            for c in 0..x.cols {
                let added = if bias.present() { bias.numbers[c] } else { T::default() };
                y.set(t, c, x.at(t, c) * (magnitude.numbers[c] / norm.numbers[c]) + added);
            }
        }
    }

    fn oracle_backward<T: Float>(_: &[u32; PARAM_WORDS], given: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([x, magnitude, norm, d_y], [d_x, d_magnitude, d_bias]) = (inputs(given), outputs(out));
        d_magnitude.fill(T::default());
        d_bias.fill(T::default());
        for t in 0..x.rows {
            for c in 0..x.cols {
                d_x.set(t, c, d_y.at(t, c) * (magnitude.numbers[c] / norm.numbers[c]));
                d_magnitude.add(0, c, d_y.at(t, c) * x.at(t, c) / norm.numbers[c]);
                d_bias.add(0, c, d_y.at(t, c));
            }
        }
    }

    fn backward(step: &Step, context: &mut Context<'_, '_>) {
        if let Some(d_y) = context.upstream(step.output(0)) {
            let outputs = [0, 1, 3].map(|place| context.target(step.inputs[place])).to_vec();
            context.push(step, vec![step.inputs[0], step.inputs[1], step.inputs[2], Some(d_y)], outputs);
        }
    }

    fn cases() -> Vec<Case> {
        let norm = |cols: usize| Given::Numbers((0u16..).take(cols).map(|c| 0.5 + f32::from(c % 7) / 3.0).collect(), 1, cols);
        let plain = |name, rows, cols| {
            let given = vec![Given::Normal(rows, cols), Given::Normal(1, cols), norm(cols)];
            Case::new(name, given, |rec, v| vec![rec.magnitude(v[0], v[1], v[2], None)])
        };
        let biased = |name, rows, cols| {
            let given = vec![Given::Normal(rows, cols), Given::Normal(1, cols), norm(cols), Given::Normal(1, cols)];
            Case::new(name, given, |rec, v| vec![rec.magnitude(v[0], v[1], v[2], Some(v[3]))])
        };
        vec![plain("one", 1, 1), plain("odd", 5, 7), biased("biased", 9, 300), biased("tall", 300, 40)]
    }
}
