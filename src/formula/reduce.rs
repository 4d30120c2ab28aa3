//! Many numbers in, one out: each reduction's value and, beside it, its derivative.
//!
//! Nothing to reduce gives 0 for `sum`, `mean`, `var` and `std`: an empty completion adds neither loss nor gradient.

use super::number::Gives;

/// One reduction. `ddof` is 0 but for `var` and `std`.
#[derive(Clone, Copy, Debug)]
pub struct Reduction {
    pub value: fn(&[f64], ddof: f64) -> f64,
    /// Adds the derivative of the value `y`, times `upstream`, for each number.
    pub slope: fn(xs: &[f64], ddof: f64, y: f64, upstream: f64, into: &mut [f64]),
    pub gives: Gives,
    /// Whether there is an answer for no numbers at all.
    pub empty: bool,
}

pub(super) const SUM: Reduction = Reduction {
    value: |xs, _| xs.iter().sum(),
    slope: |_, _, _, up, into| into.iter_mut().for_each(|d| *d += up),
    gives: Gives::Widest,
    empty: true,
};
pub(super) const MEAN: Reduction = Reduction {
    value: |xs, _| mean(xs),
    slope: |xs, _, _, up, into| into.iter_mut().for_each(|d| *d += up / count(xs)),
    gives: Gives::Real,
    empty: true,
};
/// Ties share the derivative evenly, as PyTorch's `amax` does.
pub(super) const MAX: Reduction = Reduction {
    value: |xs, _| xs.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    slope: extreme_slope,
    gives: Gives::Widest,
    empty: false,
};
pub(super) const MIN: Reduction = Reduction { value: |xs, _| xs.iter().copied().fold(f64::INFINITY, f64::min), ..MAX };
/// 0 where `ddof` leaves nothing to divide by: one sample has no spread.
pub(super) const VAR: Reduction = Reduction {
    value: variance,
    slope: |xs, ddof, _, up, into| {
        let (m, n) = (mean(xs), count(xs) - ddof);
        if n > 0.0 {
            into.iter_mut().zip(xs).for_each(|(d, x)| *d += up * 2.0 * (x - m) / n);
        }
    },
    gives: Gives::Real,
    empty: true,
};
/// Its derivative where all numbers are equal is taken as 0.
pub(super) const STD: Reduction = Reduction {
    value: |xs, ddof| variance(xs, ddof).sqrt(),
    slope: |xs, ddof, y, up, into| {
        if y > 0.0 {
            (VAR.slope)(xs, ddof, y * y, up / (2.0 * y), into);
        }
    },
    ..VAR
};
pub(super) const LOG_SUM_EXP: Reduction = Reduction {
    value: |xs, _| log_sum_exp(xs),
    slope: |xs, _, y, up, into| into.iter_mut().zip(xs).for_each(|(d, x)| *d += up * (x - y).exp()),
    gives: Gives::Real,
    empty: false,
};

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn count(xs: &[f64]) -> f64 {
    xs.len() as f64
}

/// Measured from the first number, so that equal numbers have exactly their mean and no spread.
fn mean(xs: &[f64]) -> f64 {
    let Some(&first) = xs.first() else { return 0.0 };
    first + xs.iter().map(|x| x - first).sum::<f64>() / count(xs)
}

fn variance(xs: &[f64], ddof: f64) -> f64 {
    let (m, n) = (mean(xs), count(xs) - ddof);
    if n > 0.0 { xs.iter().map(|x| (x - m) * (x - m)).sum::<f64>() / n } else { 0.0 }
}

fn log_sum_exp(xs: &[f64]) -> f64 {
    let top = xs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if top.is_infinite() { top } else { top + xs.iter().map(|x| (x - top).exp()).sum::<f64>().ln() }
}

fn extreme_slope(xs: &[f64], _: f64, y: f64, upstream: f64, into: &mut [f64]) {
    let ties = xs.iter().filter(|x| **x == y).count();
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    let share = upstream / ties.max(1) as f64;
    into.iter_mut().zip(xs).filter(|(_, x)| **x == y).for_each(|(d, _)| *d += share);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Reduction; 7] = [SUM, MEAN, MAX, MIN, VAR, STD, LOG_SUM_EXP];

    #[test]
    fn slopes_are_central_differences() {
        let xs = [0.3, -1.2, 2.0, 0.9];
        for (r, reduction) in ALL.iter().enumerate() {
            for ddof in [0.0, 1.0] {
                let mut slopes = [0.0; 4];
                (reduction.slope)(&xs, ddof, (reduction.value)(&xs, ddof), 1.5, &mut slopes);
                for i in 0..4 {
                    let shifted = |h: f64| {
                        let mut x = xs;
                        x[i] += h;
                        (reduction.value)(&x, ddof)
                    };
                    let difference = 1.5 * (shifted(1e-6) - shifted(-1e-6)) / 2e-6;
                    assert!((slopes[i] - difference).abs() < 1e-8, "reduction {r}: {} and {difference}", slopes[i]);
                }
            }
        }
    }

    #[test]
    fn huge_numbers_do_not_overflow() {
        let y = (LOG_SUM_EXP.value)(&[1000.0, 1000.0, 999.0], 0.0);
        assert!((y - 1_000.861_994_804_058_2).abs() < 1e-9, "{y}");
    }

    #[test]
    fn nothing_gives_nothing() {
        for reduction in ALL.iter().filter(|r| r.empty) {
            assert_eq!((reduction.value)(&[], 0.0), 0.0);
        }
        assert_eq!((STD.value)(&[4.0], 1.0), 0.0);
        assert_eq!((STD.value)(&[0.7; 6], 0.0), 0.0);
    }
}
