//! Numbers in, a number out, element by element: each word's value and, beside it, its derivative.
//!
//! Unused arguments are 0. At a kink the derivative is PyTorch's: `larger` of two equal numbers gives half to each,
//! `clamp` passes everything on its bounds. Words without a derivative are constant almost everywhere.

use std::f64::consts::LN_2;

/// Up to three arguments.
pub type Args = [f64; 3];

/// What a number is for people and for columns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scalar {
    Bool,
    Int,
    Float,
}

/// What a word makes of its arguments' scalars.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gives {
    /// Yes or no.
    Truth,
    /// A whole number where all arguments are whole.
    Widest,
    Real,
}

impl Gives {
    /// The scalar of the result.
    pub fn scalar(self, args: impl Iterator<Item = Scalar>) -> Scalar {
        match self {
            Self::Truth => Scalar::Bool,
            Self::Widest => args.max().unwrap_or(Scalar::Float).max(Scalar::Int),
            Self::Real => Scalar::Float,
        }
    }
}

/// One elementwise word.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    pub value: fn(Args) -> f64,
    /// The derivative in each argument, from the arguments and the value.
    pub slope: Option<fn(Args, f64) -> Args>,
    pub gives: Gives,
}

const fn smooth(value: fn(Args) -> f64, slope: fn(Args, f64) -> Args) -> Number {
    Number { value, slope: Some(slope), gives: Gives::Real }
}

const fn whole(value: fn(Args) -> f64, slope: fn(Args, f64) -> Args) -> Number {
    Number { value, slope: Some(slope), gives: Gives::Widest }
}

const fn truth(value: fn(Args) -> f64) -> Number {
    Number { value, slope: None, gives: Gives::Truth }
}

pub(super) const ADD: Number = whole(|[a, b, _]| a + b, |_, _| [1.0, 1.0, 0.0]);
pub(super) const SUBTRACT: Number = whole(|[a, b, _]| a - b, |_, _| [1.0, -1.0, 0.0]);
pub(super) const MULTIPLY: Number = whole(|[a, b, _]| a * b, |[a, b, _], _| [b, a, 0.0]);
pub(super) const DIVIDE: Number = smooth(|[a, b, _]| a / b, |[_, b, _], y| [1.0 / b, -y / b, 0.0]);
pub(super) const POWER: Number = smooth(|[a, b, _]| power(a, b), |[a, b, _], y| [power_slope(a, b), log_times(a, y), 0.0]);
pub(super) const NEGATE: Number = whole(|[a, _, _]| -a, |_, _| [-1.0, 0.0, 0.0]);
/// The same number, with no way back for a gradient.
pub(super) const DETACH: Number = Number { value: |[a, _, _]| a, slope: None, gives: Gives::Widest };

pub(super) const EQUAL: Number = truth(|[a, b, _]| flag(a == b));
pub(super) const NOT_EQUAL: Number = truth(|[a, b, _]| flag(a != b));
pub(super) const LESS: Number = truth(|[a, b, _]| flag(a < b));
pub(super) const LESS_EQUAL: Number = truth(|[a, b, _]| flag(a <= b));
pub(super) const GREATER: Number = truth(|[a, b, _]| flag(a > b));
pub(super) const GREATER_EQUAL: Number = truth(|[a, b, _]| flag(a >= b));
pub(super) const AND: Number = truth(|[a, b, _]| flag(holds(a) && holds(b)));
pub(super) const OR: Number = truth(|[a, b, _]| flag(holds(a) || holds(b)));
pub(super) const NOT: Number = truth(|[a, _, _]| flag(!holds(a)));

pub(super) const EXP: Number = smooth(|[a, _, _]| a.exp(), |_, y| [y, 0.0, 0.0]);
pub(super) const LOG: Number = smooth(|[a, _, _]| a.ln(), |[a, _, _], _| [1.0 / a, 0.0, 0.0]);
pub(super) const SQRT: Number = smooth(|[a, _, _]| a.sqrt(), |_, y| [0.5 / y, 0.0, 0.0]);
pub(super) const TANH: Number = smooth(|[a, _, _]| a.tanh(), |_, y| [1.0 - y * y, 0.0, 0.0]);
pub(super) const ABS: Number = whole(|[a, _, _]| a.abs(), |[a, _, _], _| [sign(a), 0.0, 0.0]);
pub(super) const SIGMOID: Number = smooth(|[a, _, _]| sigmoid(a), |[a, _, _], y| [y * sigmoid(-a), 0.0, 0.0]);
pub(super) const LOG_SIGMOID: Number = smooth(|[a, _, _]| log_sigmoid(a), |[a, _, _], _| [sigmoid(-a), 0.0, 0.0]);
pub(super) const LOG1M_EXP: Number = smooth(|[a, _, _]| log1m_exp(a), |[a, _, _], _| [-1.0 / (-a).exp_m1(), 0.0, 0.0]);
pub(super) const CLAMP: Number = whole(|[a, low, high]| a.max(low).min(high), |[a, low, high], _| clamp_slope(a, low, high));
pub(super) const LARGER: Number = whole(|[a, b, _]| a.max(b), |[a, b, _], _| winner(a, b));
pub(super) const SMALLER: Number = whole(|[a, b, _]| a.min(b), |[a, b, _], _| winner(b, a));
pub(super) const CHOICES: Number = Number { value: |[n, k, _]| choices(n, k), slope: None, gives: Gives::Real };

fn flag(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

/// Whether a number counts as true: neither 0 nor missing.
pub fn holds(x: f64) -> bool {
    x != 0.0 && !x.is_nan()
}

/// 1 / (1 + exp(−x)) without overflow.
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

/// log(1 − exp(a)) for a < 0; the switch at −ln 2 keeps all digits (Mächler 2012).
fn log1m_exp(a: f64) -> f64 {
    if a > -LN_2 { (-a.exp_m1()).ln() } else { (-a.exp()).ln_1p() }
}

fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

/// Squares are by far the most common power.
fn power(a: f64, b: f64) -> f64 {
    if b == 2.0 { a * a } else { a.powf(b) }
}

fn power_slope(a: f64, b: f64) -> f64 {
    match b {
        0.0 => 0.0,
        2.0 => 2.0 * a,
        _ => b * a.powf(b - 1.0),
    }
}

/// a^b ln a, 0 where a is 0: the derivative of a power in its exponent.
fn log_times(a: f64, y: f64) -> f64 {
    if y == 0.0 { 0.0 } else { y * a.ln() }
}

fn winner(a: f64, b: f64) -> Args {
    if a == b { [0.5, 0.5, 0.0] } else { [flag(a > b), flag(a < b), 0.0] }
}

fn clamp_slope(a: f64, low: f64, high: f64) -> Args {
    [flag(low <= a && a <= high), flag(a < low && low <= high), flag(high < a || high < low)]
}

/// n choose k: 0 outside 0..=n.
fn choices(n: f64, k: f64) -> f64 {
    let (n, k) = (n.round(), k.round());
    if k < 0.0 || k > n {
        return 0.0;
    }
    let (mut product, mut i) = (1.0, 1.0);
    while i <= k.min(n - k) {
        product *= (n - k.min(n - k) + i) / i;
        i += 1.0;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-12 * b.abs().max(1.0), "{a} is not {b}");
    }

    #[test]
    fn extremes_stay_finite() {
        close(log_sigmoid(-800.0), -800.0);
        close(log_sigmoid(800.0), 0.0);
        close(log1m_exp(-50.0), -1.928_749_847_963_917_8e-22);
        close(log1m_exp(-1e-8), -18.420_680_748_952_364);
        close(sigmoid(-800.0), 0.0);
    }

    #[test]
    fn binomials() {
        close(choices(5.0, 2.0), 10.0);
        close(choices(4.0, 5.0), 0.0);
        close(choices(60.0, 30.0), 118_264_581_564_861_424.0);
    }

    #[test]
    fn slopes_are_central_differences() {
        let words =
            [ADD, SUBTRACT, MULTIPLY, DIVIDE, POWER, NEGATE, EXP, LOG, SQRT, TANH, ABS, SIGMOID, LOG_SIGMOID, CLAMP, LARGER, SMALLER];
        for (w, word) in words.iter().enumerate() {
            for at in [[0.7, 1.3, 2.0], [1.9, 0.4, 1.1], [0.2, 0.5, 0.9]] {
                let slope = word.slope.expect("all of these have one")(at, (word.value)(at));
                for i in 0..3 {
                    let shifted = |h: f64| {
                        let mut x = at;
                        x[i] += h;
                        (word.value)(x)
                    };
                    let difference = (shifted(1e-6) - shifted(-1e-6)) / 2e-6;
                    assert!((slope[i] - difference).abs() < 1e-8, "word {w} argument {i}: {} and {difference}", slope[i]);
                }
            }
        }
        let at = [-0.3, 0.0, 0.0];
        let slope = LOG1M_EXP.slope.expect("smooth")(at, 0.0)[0];
        assert!((slope - (log1m_exp(-0.3 + 1e-6) - log1m_exp(-0.3 - 1e-6)) / 2e-6).abs() < 1e-7);
    }
}
