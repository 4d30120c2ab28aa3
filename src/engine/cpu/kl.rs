//! `kl`: the divergence of two softmaxes, row by row.

use super::memory::Frame;
use super::parallel;
use crate::engine::op::kl::Params;

/// How a side's logits become those of its distribution.
#[derive(Clone, Copy)]
struct Side {
    sharpness: f32,
    /// The soft cap, 0 for none.
    cap: f32,
}

impl Side {
    fn cooled(self, z: f32) -> f32 {
        self.sharpness * if self.cap > 0.0 { self.cap * (z / self.cap).tanh() } else { z }
    }

    /// What is left of a derivative by the raw logit.
    fn slope(self, z: f32) -> f32 {
        self.sharpness * if self.cap > 0.0 { 1.0 - (z / self.cap).tanh().powi(2) } else { 1.0 }
    }

    fn log_sum_exp(self, row: &[f32]) -> f32 {
        let most = row.iter().fold(f32::NEG_INFINITY, |most, z| most.max(self.cooled(*z)));
        most + row.iter().map(|z| (self.cooled(*z) - most).exp()).sum::<f32>().ln()
    }
}

fn sides(frame: &Frame<'_>) -> [Side; 2] {
    let Params { temperature, cap_x, cap_y } = frame.step.params();
    [cap_x, cap_y].map(|cap| Side { sharpness: temperature.recip(), cap })
}

pub(super) fn forward(frame: &mut Frame<'_>) {
    let [at_x, at_y] = sides(frame);
    let (x, y) = (frame.input(0), frame.input(1));
    let (kl, lse_x, lse_y) = (frame.output(0), frame.output(1), frame.output(2));
    let mut sums = vec![0.0_f32; 3 * x.rows];
    parallel::rows(&mut sums, 3, 8 * x.cols, |first, sums| {
        for (p, sum) in (first..).zip(sums.chunks_mut(3)) {
            let (x, y) = (x.row(p), y.row(p));
            let (total_x, total_y) = (at_x.log_sum_exp(x), at_y.log_sum_exp(y));
            let each = x.iter().zip(y).map(|(x, y)| {
                let (log_a, log_b) = (at_x.cooled(*x) - total_x, at_y.cooled(*y) - total_y);
                log_a.exp() * (log_a - log_b)
            });
            sum.copy_from_slice(&[each.sum(), total_x, total_y]);
        }
    });
    for (p, sum) in sums.chunks(3).enumerate() {
        (kl.data[p], lse_x.data[p], lse_y.data[p]) = (sum[0], sum[1], sum[2]);
    }
}

pub(super) fn backward(frame: &mut Frame<'_>) {
    let [at_x, at_y] = sides(frame);
    let (x, y) = (frame.input(0), frame.input(1));
    let [kl, lse_x, lse_y, d_kl] = [2, 3, 4, 5].map(|place| frame.input(place).data);
    let cols = x.cols;
    let logs = |p: usize, j: usize| (at_x.cooled(x.row(p)[j]) - lse_x[p], at_y.cooled(y.row(p)[j]) - lse_y[p]);
    if let Some(d_x) = frame.target(0) {
        let accumulate = d_x.accumulate;
        parallel::rows(d_x.data, cols, 8 * cols, |first, rows| {
            for (p, row) in (first..).zip(rows.chunks_mut(cols)) {
                for (j, d) in row.iter_mut().enumerate() {
                    let (log_a, log_b) = logs(p, j);
                    let value = d_kl[p] * log_a.exp() * (log_a - log_b - kl[p]) * at_x.slope(x.row(p)[j]);
                    *d = value + if accumulate { *d } else { 0.0 };
                }
            }
        });
    }
    if let Some(d_y) = frame.target(1) {
        let accumulate = d_y.accumulate;
        parallel::rows(d_y.data, cols, 8 * cols, |first, rows| {
            for (p, row) in (first..).zip(rows.chunks_mut(cols)) {
                for (j, d) in row.iter_mut().enumerate() {
                    let (log_a, log_b) = logs(p, j);
                    let value = d_kl[p] * (log_b.exp() - log_a.exp()) * at_y.slope(y.row(p)[j]);
                    *d = value + if accumulate { *d } else { 0.0 };
                }
            }
        });
    }
}
