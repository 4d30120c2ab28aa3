//! Ops that treat every number alike: `add`, `fill`, `swiglu`, `adamw`, `norm_sq`.

use rayon::prelude::*;

use super::memory::{Frame, Target};
use super::parallel;
use super::simd::{fastest, fma};
use super::vector::{self, exp};
use crate::engine::op::{adamw, fill};

/// Words a thread takes at once.
const PIECE: usize = 1 << 14;

pub(super) fn add(frame: &mut Frame<'_>) {
    let (a, b, y) = (frame.input(0).data, frame.option(1).map(|b| b.data), frame.output(0));
    let accumulate = y.accumulate;
    parallel::pieces(y.data, PIECE, |first, y| {
        let range = first..first + y.len();
        match b {
            Some(b) => add_two(y, &a[range.clone()], &b[range], accumulate),
            None if accumulate => vector::add(y, &a[range]),
            None => y.copy_from_slice(&a[range]),
        }
    });
}

pub(super) fn fill(frame: &mut Frame<'_>) {
    let value = frame.step.params::<fill::Params>().value;
    let y = frame.output(0);
    let accumulate = y.accumulate;
    parallel::pieces(y.data, PIECE, |_, y| if accumulate { y.iter_mut().for_each(|y| *y += value) } else { y.fill(value) });
}

pub(super) fn swiglu(frame: &mut Frame<'_>) {
    let (a, b, y) = (frame.input(0).data, frame.input(1).data, frame.output(0));
    let accumulate = y.accumulate;
    parallel::pieces(y.data, PIECE / 4, |first, y| {
        let range = first..first + y.len();
        swiglu_forward(y, &a[range.clone()], &b[range], accumulate);
    });
}

pub(super) fn swiglu_backward(frame: &mut Frame<'_>) {
    let (a, b, d_y) = (frame.input(0).data, frame.input(1).data, frame.input(2).data);
    match (frame.target(0), frame.target(1)) {
        // One pass over the inputs, in the usual case.
        (Some(d_a), Some(d_b)) if !d_a.accumulate && !d_b.accumulate => {
            let pieces = d_a.data.par_chunks_mut(PIECE / 4).zip(d_b.data.par_chunks_mut(PIECE / 4));
            let inputs = a.par_chunks(PIECE / 4).zip(b.par_chunks(PIECE / 4)).zip(d_y.par_chunks(PIECE / 4));
            pieces.zip(inputs).for_each(|((d_a, d_b), ((a, b), d_y))| swiglu_both(d_a, d_b, a, b, d_y));
        }
        (d_a, d_b) => {
            if let Some(Target { data, accumulate, .. }) = d_a {
                swiglu_gate(data, a, b, d_y, accumulate);
            }
            if let Some(Target { data, accumulate, .. }) = d_b {
                swiglu_forward(data, a, d_y, accumulate);
            }
        }
    }
}

pub(super) fn adamw(frame: &mut Frame<'_>) {
    let params = frame.step.params::<adamw::Params>();
    let g = frame.input(0).data;
    let (w, m, v) = (frame.output(0).data, frame.output(1).data, frame.output(2).data);
    let moments = m.par_chunks_mut(PIECE).zip(v.par_chunks_mut(PIECE));
    w.par_chunks_mut(PIECE).zip(moments).zip(g.par_chunks(PIECE)).for_each(|((w, (m, v)), g)| adamw_update(w, m, v, g, &params));
}

pub(super) fn norm_sq(frame: &mut Frame<'_>) {
    let (x, sum) = (frame.input(0).data, frame.output(0));
    // Collected in order, then added up: the same for any number of threads.
    let parts: Vec<f64> = x.par_chunks(PIECE).map(vector::square_sum).collect();
    #[expect(clippy::cast_possible_truncation, reason = "devices hold f32")]
    let total = parts.iter().sum::<f64>() as f32;
    sum.data[0] = if sum.accumulate { sum.data[0] + total } else { total };
}

/// 1 / (1 + exp(-x)).
#[inline(always)]
fn sigmoid<const FMA: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FMA>(-x))
}

fastest! {
    fn add_two(y: &mut [f32], a: &[f32], b: &[f32], accumulate: bool) {
        for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
            *y = a + b + if accumulate { *y } else { 0.0 };
        }
    }

    /// y = silu(a) b.
    fn swiglu_forward(y: &mut [f32], a: &[f32], b: &[f32], accumulate: bool) {
        for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
            *y = a * sigmoid::<FMA>(*a) * b + if accumulate { *y } else { 0.0 };
        }
    }

    /// d_a = d_y b silu'(a).
    fn swiglu_gate(d_a: &mut [f32], a: &[f32], b: &[f32], d_y: &[f32], accumulate: bool) {
        for (((d_a, a), b), d_y) in d_a.iter_mut().zip(a).zip(b).zip(d_y) {
            let s = sigmoid::<FMA>(*a);
            *d_a = d_y * b * fma::<FMA>(a * s, 1.0 - s, s) + if accumulate { *d_a } else { 0.0 };
        }
    }

    fn swiglu_both(d_a: &mut [f32], d_b: &mut [f32], a: &[f32], b: &[f32], d_y: &[f32]) {
        for ((((d_a, d_b), a), b), d_y) in d_a.iter_mut().zip(d_b).zip(a).zip(b).zip(d_y) {
            let s = sigmoid::<FMA>(*a);
            *d_a = d_y * b * fma::<FMA>(a * s, 1.0 - s, s);
            *d_b = d_y * a * s;
        }
    }

    fn adamw_update(w: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], p: &adamw::Params) {
        let (keep, rate) = (1.0 - p.lr * p.weight_decay, p.lr / p.correction1);
        let (new1, new2, root2) = (1.0 - p.beta1, 1.0 - p.beta2, p.correction2.sqrt().recip());
        for (((w, m), v), g) in w.iter_mut().zip(m).zip(v).zip(g) {
            let g = g * p.grad_scale;
            *m = fma::<FMA>(p.beta1, *m, new1 * g);
            *v = fma::<FMA>(p.beta2, *v, new2 * g * g);
            *w = *w * keep - rate * *m / fma::<FMA>(v.sqrt(), root2, p.eps);
        }
    }
}
