//! One number about a column, for intervals. Where it is not defined the result is NaN, never a guess.

/// Mean of `x`.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// Variance of `x` with `ddof` degrees of freedom taken off, in two passes.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub fn variance(x: &[f64], ddof: usize) -> f64 {
    let mean = mean(x);
    let squares: f64 = x.iter().map(|x| (x - mean).powi(2)).sum();
    if x.len() > ddof { squares / (x.len() - ddof) as f64 } else { f64::NAN }
}

/// The `share` quantile of sorted numbers, linear between neighbours.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "places in a slice")]
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// The standard normal distribution's quantile: where its cumulated share is `share`. By halving: exact to the last digits.
pub fn normal_quantile(share: f64) -> f64 {
    if !(share > 0.0 && share < 1.0) {
        return f64::NAN;
    }
    let below = |z: f64| 0.5 * libm::erfc(-z / std::f64::consts::SQRT_2);
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if below(middle) < share { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn textbook_values() {
        assert_eq!(variance(&[1., 2., 3., 4.], 1), 5.0 / 3.0);
        assert_eq!(quantile(&[0.0, 10.0], 0.25), 2.5);
        assert_eq!(quantile(&[1.0, 2.0, 3.0], 1.0), 3.0);
    }

    #[test]
    fn quantiles_of_the_normal_distribution() {
        assert!((normal_quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-12);
        assert!((normal_quantile(0.5)).abs() < 1e-12 && normal_quantile(1.0).is_nan());
    }

    #[test]
    fn what_is_not_defined_is_nan() {
        assert!(mean(&[]).is_nan());
        assert!(variance(&[1.0], 1).is_nan());
        assert!(quantile(&[], 0.5).is_nan());
    }
}
