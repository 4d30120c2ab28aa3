//! kl[p] = sum_j a_j (log a_j - log b_j), with a = softmax(x[p, :] / temperature) and b = softmax(y[p, :] / temperature);
//! x, y (P, V), kl, lse_x, lse_y (P, 1). With a soft cap c > 0 of x or y, logits z become c tanh(z / c) before the
//! temperature divides them.
//!
//! Backward: dx[p, j] = dkl[p] a_j (log a_j - log b_j - kl[p]) / temperature, dy[p, j] = dkl[p] (b_j - a_j) / temperature;
//! with a cap, each times 1 - tanh(z / c)^2.

use bytemuck::{Pod, Zeroable};

use super::float::Float;
use super::logits::{cooled, log_sum_exp};
use super::matrix::{Matrix, inputs, outputs};
use super::{Case, Define, Given};
use crate::engine::device::View;
use crate::engine::grad::Context;
use crate::engine::recording::{Output, PARAM_WORDS, Recorder, Step, params, words};

/// inputs: x, y; outputs: kl, lse_x, lse_y. Backward inputs: x, y, kl, lse_x, lse_y, dkl; outputs: dx?, dy?.
#[derive(Debug)]
pub struct Kl;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable, Debug)]
pub struct Params {
    pub temperature: f32,
    /// The soft cap of each side's logits, 0 for none.
    pub cap_x: f32,
    pub cap_y: f32,
}

impl Recorder<'_> {
    /// KL(softmax x ‖ softmax y) of each row of the logits x and y, (P, V): (P, 1).
    pub fn kl(&mut self, x: View, y: View, params: Params) -> View {
        assert_eq!((x.rows, x.cols), (y.rows, y.cols), "two distributions over the same words");
        let [kl, lse_x, lse_y] = std::array::from_fn(|_| self.temp(x.rows, 1));
        let outputs = [kl, lse_x, lse_y].into_iter().map(Output::set).collect();
        self.forward(&Kl, words(&params), vec![Some(x), Some(y)], outputs);
        kl
    }
}

/// A row's capped and cooled logits, and what is left of a derivative by the raw ones.
fn row_of<T: Float>(row: usize, logits: &Matrix<T>, temperature: f32, cap: f32) -> (Vec<T>, Vec<T>) {
    (0..logits.cols).map(|j| cooled(logits.at(row, j), temperature, cap)).unzip()
}

impl Define for Kl {
    const NAME: &'static str = "kl";

    fn oracle<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([x, y], [kl, lse_x, lse_y]) = (inputs(views), outputs(out));
        let Params { temperature, cap_x, cap_y } = params(given);
        for p in 0..x.rows {
            let ((x, _), (y, _)) = (row_of(p, x, temperature, cap_x), row_of(p, y, temperature, cap_y));
            let (total_x, total_y) = (log_sum_exp(&x), log_sum_exp(&y));
            let mut sum = T::default();
            for (x, y) in x.iter().zip(&y) {
                sum += (*x - total_x).exp() * ((*x - total_x) - (*y - total_y));
            }
            kl.set(p, 0, sum);
            lse_x.set(p, 0, total_x);
            lse_y.set(p, 0, total_y);
        }
    }

    fn oracle_backward<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([x, y, kl, lse_x, lse_y, d_kl], [d_x, d_y]) = (inputs(views), outputs(out));
        let Params { temperature, cap_x, cap_y } = params(given);
        for p in 0..x.rows {
            let ((zx, slope_x), (zy, slope_y)) = (row_of(p, x, temperature, cap_x), row_of(p, y, temperature, cap_y));
            for j in 0..x.cols {
                let (log_a, log_b) = (zx[j] - lse_x.at(p, 0), zy[j] - lse_y.at(p, 0));
                d_x.set(p, j, d_kl.at(p, 0) * log_a.exp() * (log_a - log_b - kl.at(p, 0)) * slope_x[j]);
                d_y.set(p, j, d_kl.at(p, 0) * (log_b.exp() - log_a.exp()) * slope_y[j]);
            }
        }
    }

    fn backward(step: &Step, context: &mut Context<'_, '_>) {
        if let Some(d_kl) = context.upstream(step.output(0)) {
            let outputs = [0, 1].map(|place| context.target(step.inputs[place])).to_vec();
            let mut inputs = step.inputs.clone();
            inputs.extend([Some(step.output(0)), Some(step.output(1)), Some(step.output(2)), Some(d_kl)]);
            context.push(step, inputs, outputs);
        }
    }

    fn cases() -> Vec<Case> {
        let case = |name, rows, cols, cap_x, cap_y| {
            let given = vec![Given::Normal(rows, cols), Given::Normal(rows, cols)];
            Case::new(name, given, move |rec, v| vec![rec.kl(v[0], v[1], Params { temperature: 0.8, cap_x, cap_y })])
        };
        vec![
            case("one", 1, 1, 0.0, 0.0),
            case("odd", 5, 7, 0.0, 0.0),
            case("capped", 3, 5, 1.3, 2.0),
            case("larger than a workgroup", 9, 700, 0.0, 0.0),
        ]
    }
}
