//! `gelu`, plain or gated, exact or by its approximation.

use super::memory::{Frame, Target};
use super::parallel;
use super::simd::{fastest, fma};
use super::vector::exp;
use crate::engine::op::gelu::{CUBE, Params, ROOT};

/// Words a thread takes at once.
const PIECE: usize = 1 << 12;

pub(super) fn forward(frame: &mut Frame<'_>) {
    let approximate = frame.step.params::<Params>().approximate == 1;
    let (a, b, y) = (frame.input(0).data, frame.option(1).map(|b| b.data), frame.output(0));
    times(y, a, b, approximate);
}

pub(super) fn backward(frame: &mut Frame<'_>) {
    let approximate = frame.step.params::<Params>().approximate == 1;
    let (a, b, d_y) = (frame.input(0).data, frame.option(1).map(|b| b.data), frame.input(2).data);
    if let Some(Target { data, accumulate, .. }) = frame.target(0) {
        parallel::pieces(data, PIECE, |first, d_a| {
            let range = first..first + d_a.len();
            let (a, d_y) = (&a[range.clone()], &d_y[range.clone()]);
            match b {
                Some(b) => gated_slope(d_a, a, &b[range], d_y, approximate, accumulate),
                None => plain_slope(d_a, a, d_y, approximate, accumulate),
            }
        });
    }
    if let Some(d_b) = frame.target(1) {
        times(d_b, a, Some(d_y), approximate);
    }
}

/// y = gelu(a) b.
fn times(y: Target<'_>, a: &[f32], b: Option<&[f32]>, approximate: bool) {
    let accumulate = y.accumulate;
    parallel::pieces(y.data, PIECE, |first, y| {
        let range = first..first + y.len();
        match b {
            Some(b) => gated(y, &a[range.clone()], &b[range], approximate, accumulate),
            None => plain(y, &a[range], approximate, accumulate),
        }
    });
}

/// (1 + erf(x / √2)) / 2 within 4e-7: formula 7.1.26 of Abramowitz & Stegun, Handbook of Mathematical Functions, errs by
/// 0.75e-7; the rest is rounding, and most near 0, where the terms of the sum cancel.
#[inline(always)]
fn normal_share<const FMA: bool>(x: f32) -> f32 {
    let t = 1.0 / fma::<FMA>(0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2, x.abs(), 1.0);
    let p = fma::<FMA>(t, 1.061_405_4, -1.453_152);
    let p = fma::<FMA>(p, t, 1.421_413_7);
    let p = fma::<FMA>(p, t, -0.284_496_74);
    let p = fma::<FMA>(p, t, 0.254_829_6);
    let tail = 0.5 * p * t * exp::<FMA>(-0.5 * x * x);
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// f and f' of the op's equation.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "devices compute in f32")]
fn gate<const FMA: bool>(approximate: bool, x: f32) -> (f32, f32) {
    let (root, cube) = (ROOT as f32, CUBE as f32);
    if approximate {
        // (1 + tanh u) / 2 is the logistic function of 2 u.
        let f = 1.0 / (1.0 + exp::<FMA>(-2.0 * root * x * fma::<FMA>(cube * x, x, 1.0)));
        (f, 2.0 * f * (1.0 - f) * root * fma::<FMA>(3.0 * cube * x, x, 1.0))
    } else {
        (normal_share::<FMA>(x), 0.5 * root * exp::<FMA>(-0.5 * x * x))
    }
}

fastest! {
    fn plain(y: &mut [f32], a: &[f32], approximate: bool, accumulate: bool) {
        for (y, a) in y.iter_mut().zip(a) {
            *y = a * gate::<FMA>(approximate, *a).0 + if accumulate { *y } else { 0.0 };
        }
    }

    fn gated(y: &mut [f32], a: &[f32], b: &[f32], approximate: bool, accumulate: bool) {
        for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
            *y = a * gate::<FMA>(approximate, *a).0 * b + if accumulate { *y } else { 0.0 };
        }
    }

    fn plain_slope(d_a: &mut [f32], a: &[f32], d_y: &[f32], approximate: bool, accumulate: bool) {
        for ((d_a, a), d_y) in d_a.iter_mut().zip(a).zip(d_y) {
            let (f, slope) = gate::<FMA>(approximate, *a);
            *d_a = d_y * fma::<FMA>(*a, slope, f) + if accumulate { *d_a } else { 0.0 };
        }
    }

    fn gated_slope(d_a: &mut [f32], a: &[f32], b: &[f32], d_y: &[f32], approximate: bool, accumulate: bool) {
        for (((d_a, a), b), d_y) in d_a.iter_mut().zip(a).zip(b).zip(d_y) {
            let (f, slope) = gate::<FMA>(approximate, *a);
            *d_a = d_y * b * fma::<FMA>(*a, slope, f) + if accumulate { *d_a } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_below_a_number_is_accurate() {
        let exact = |x: f64| 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
        for i in 0..100_000u32 {
            let x = -12.0 + 24.0 * i as f32 / 100_000.0;
            for found in [normal_share::<true>(x), normal_share::<false>(x)] {
                let error = (f64::from(found) - exact(f64::from(x))).abs();
                assert!(error < 4e-7, "{x}: {error}");
            }
        }
    }
}
