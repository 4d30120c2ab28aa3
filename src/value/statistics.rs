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
    fn what_is_not_defined_is_nan() {
        assert!(mean(&[]).is_nan());
        assert!(variance(&[1.0], 1).is_nan());
        assert!(quantile(&[], 0.5).is_nan());
    }
}
