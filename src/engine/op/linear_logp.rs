//! The language-model head: with z[p, :] = (h[pred[p], :] W^T + b) / temperature, (P, V), which is never stored whole,
//! lse[p] = log sum_j exp z[p, j],  logp[p] = z[p, target[p]] - lse[p],  entropy[p] = lse[p] - sum_j softmax(z)_j z[p, j];
//! h (T, C), W (V, C), b (1, V), pred, target u32 (P, 1); rows of h may repeat in pred; logp, lse, entropy (P, 1).
//! With a soft cap c > 0, logits l = h W^T + b become c tanh(l / c) before the temperature divides them.
//!
//! Backward, with q = softmax(z[p, :]):
//! dz[p, j] = dlogp[p] ([j = target[p]] - q_j) - dentropy[p] q_j (z[p, j] - lse[p] + entropy[p]);
//! dh[t, :] = sum over p with pred[p] = t of dz[p, :] W / temperature in order of p, dW = dz^T h[pred] / temperature,
//! db = column sums of dz / temperature; with a cap, each dz times 1 - (z temperature / c)^2 first. Places whose coefficients are both 0 cost nothing.

use bytemuck::{Pod, Zeroable};

use super::float::Float;
use super::logits::{cooled, log_sum_exp};
use super::matrix::{Matrix, inputs, outputs};
use super::{Case, Define, Given};
use crate::engine::device::View;
use crate::engine::grad::Context;
use crate::engine::recording::{Indices, Output, PARAM_WORDS, Recorder, Step, params, words};

/// inputs: h, W, b?, pred, order, target; outputs: logp, lse, entropy?.
/// Backward inputs: h, W, b?, pred, order, target, lse, entropy?, dlogp?, dentropy?; outputs: dh?, dW?, db?.
#[derive(Debug)]
pub struct LinearLogp;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable, Debug)]
pub struct Params {
    pub temperature: f32,
    /// The soft cap of logits, 0 for none.
    pub cap: f32,
}

/// What the head says about each scored token.
#[derive(Clone, Copy, Debug)]
pub struct LogProbs {
    /// (P, 1): log-probability of the target.
    pub logp: View,
    /// (P, 1): entropy of the whole distribution, where it was asked for.
    pub entropy: Option<View>,
    /// (P, 1): log of the sum of exponents.
    pub lse: View,
}

/// What is scored: the row of h that predicts, and the token predicted.
#[derive(Clone, Copy, Debug)]
pub struct Scored {
    pub pred: Indices,
    /// u32 (P, 1).
    pub target: View,
}

impl Recorder<'_> {
    /// Log-probabilities of `scored` under the head `weight` (V, C), `bias` (1, V) over the states h (T, C).
    pub fn linear_logp(
        &mut self,
        h: View,
        (weight, bias): (View, Option<View>),
        scored: Scored,
        params: Params,
        entropy: bool,
    ) -> LogProbs {
        assert_eq!(h.cols, weight.cols, "the head needs h (T, C) and W (V, C)");
        assert_eq!(scored.pred.at.rows, scored.target.rows, "every prediction has its target");
        let rows = scored.target.rows;
        let (logp, lse) = (self.temp(rows, 1), self.temp(rows, 1));
        let entropy = entropy.then(|| self.temp(rows, 1));
        let inputs = vec![Some(h), Some(weight), bias, Some(scored.pred.at), Some(scored.pred.order), Some(scored.target)];
        let outputs = vec![Output::set(logp), Output::set(lse), entropy.and_then(Output::set)];
        self.forward(&LinearLogp, words(&params), inputs, outputs);
        LogProbs { logp, entropy, lse }
    }
}

/// One row of z, and of its derivative by the logits.
fn scores<T: Float>(p: Params, row: usize, h: &Matrix<T>, weight: &Matrix<T>, bias: &Matrix<T>) -> (Vec<T>, Vec<T>) {
    let score = |j: usize| {
        let mut sum = if bias.present() { bias.numbers[j] } else { T::default() };
        for c in 0..h.cols {
            sum += h.at(row, c) * weight.at(j, c);
        }
        cooled(sum, p.temperature, p.cap)
    };
    (0..weight.rows).map(score).unzip()
}

impl Define for LinearLogp {
    const NAME: &'static str = "linear_logp";

    fn oracle<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let ([h, weight, bias, pred, _, target], [logp, lse, entropy]) = (inputs(views), outputs(out));
        for p in 0..logp.rows {
            let (z, _) = scores(params(given), pred.word(p, 0), h, weight, bias);
            let total = log_sum_exp(&z);
            let mut mean = T::default();
            for z in &z {
                mean += (*z - total).exp() * *z;
            }
            logp.set(p, 0, z[target.word(p, 0)] - total);
            lse.set(p, 0, total);
            entropy.set(p, 0, total - mean);
        }
    }

    fn oracle_backward<T: Float>(given: &[u32; PARAM_WORDS], views: &[Matrix<T>], out: &mut [Matrix<T>]) {
        let [h, weight, bias, pred, _, target, lse, entropy, d_logp, d_entropy] = inputs(views);
        let [d_h, d_weight, d_bias] = outputs(out);
        for d in [&mut *d_h, &mut *d_weight, &mut *d_bias] {
            d.fill(T::default());
        }
        let or_zero = |m: &Matrix<T>, p| if m.present() { m.at(p, 0) } else { T::default() };
        for p in 0..target.rows {
            let (row, total) = (pred.word(p, 0), lse.at(p, 0));
            let (d_logp, d_entropy) = (or_zero(d_logp, p), or_zero(d_entropy, p));
            let (z, slopes) = scores(params(given), row, h, weight, bias);
            for (j, (z, slope)) in z.into_iter().zip(slopes).enumerate() {
                let q = (z - total).exp();
                let hit = T::of(if j == target.word(p, 0) { 1.0 } else { 0.0 });
                let d_z = d_logp * (hit - q) - d_entropy * q * (z - total + or_zero(entropy, p));
                let d_z = d_z * slope;
                d_bias.add(0, j, d_z);
                for c in 0..h.cols {
                    d_h.add(row, c, d_z * weight.at(j, c));
                    d_weight.add(j, c, d_z * h.at(row, c));
                }
            }
        }
    }

    fn backward(step: &Step, context: &mut Context<'_, '_>) {
        let entropy = step.outputs[2].map(|output| output.view);
        let d_logp = context.upstream(step.output(0));
        let d_entropy = entropy.and_then(|entropy| context.upstream(entropy));
        if d_logp.is_none() && d_entropy.is_none() {
            return;
        }
        let outputs = (0..3).map(|place| context.target(step.inputs[place])).collect();
        let mut inputs = step.inputs.clone();
        inputs.extend([Some(step.output(1)), entropy, d_logp, d_entropy]);
        context.push(step, inputs, outputs);
    }

    fn cases() -> Vec<Case> {
        let capped = |name, pred: Vec<u32>, (tokens, channels, vocabulary): (usize, usize, u32), biased: bool, entropy, cap| {
            let target: Vec<u32> = (0..).map(|p| p * 7 % vocabulary).take(pred.len()).collect();
            let given = vec![
                Given::Normal(tokens, channels),
                Given::Normal(vocabulary as usize, channels),
                Given::Normal(1, vocabulary as usize),
                Given::column(&pred),
                Given::order_of(&pred),
                Given::column(&target),
            ];
            Case::new(name, given, move |rec, v| {
                let scored = Scored { pred: Indices { at: v[3], order: v[4] }, target: v[5] };
                let head = (v[1], biased.then_some(v[2]));
                let said = rec.linear_logp(v[0], head, scored, Params { temperature: 0.8, cap }, entropy);
                [Some(said.logp), said.entropy].into_iter().flatten().collect()
            })
        };
        let case = |name, pred, sizes, biased, entropy| capped(name, pred, sizes, biased, entropy, 0.0);
        let many = || (0..150).map(|p| p * 2 / 3).collect();
        vec![
            case("one", vec![0], (1, 1, 1), false, false),
            case("two choices", vec![0, 0], (1, 1, 2), false, true),
            case("odd", vec![3, 0, 3, 4], (5, 3, 7), true, true),
            case("one token", vec![2], (4, 20, 70), false, false),
            case("large", many(), (101, 40, 300), true, true),
            capped("cap", vec![1, 1, 0], (2, 3, 5), false, true, 1.3),
            capped("cap large", many(), (101, 20, 150), true, true, 4.0),
        ]
    }
}
