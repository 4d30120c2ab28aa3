//! A number with its uncertainty.

use serde::{Deserialize, Serialize};

use super::statistics::{mean, variance};

/// A mean over `n` cases with a 95 % interval.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Estimate {
    pub mean: f64,
    pub n: u64,
    pub lower95: f64,
    pub upper95: f64,
}

/// The 97.5 % quantile of the normal distribution.
pub const Z95: f64 = 1.959_963_984_540_054;

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
impl Estimate {
    /// The share `successes / n` with Wilson's score interval (1927), which is never empty and never leaves 0..1.
    pub fn share(successes: u64, n: u64) -> Self {
        if n == 0 {
            return Self::unknown(f64::NAN, 0);
        }
        let share = successes as f64 / n as f64;
        Self { n, ..Self::wilson(share, n as f64) }
    }

    /// The share of wins among cases (1, 0, a tie is ½) that come in groups, such as samples of one prompt: Wilson's
    /// interval over the *effective* number of cases, p(1 − p) / v, where v is the variance of the share when whole groups
    /// are drawn. It lies between 1 and the number of cases, and is the number of groups when all cases agree, so that
    /// 0 of 8 × 50 claims no more than 0 of 50.
    pub fn grouped_share(cases: &[f64], groups: &[Vec<usize>]) -> Self {
        let n = cases.len() as f64;
        let share = mean(cases);
        if cases.is_empty() {
            return Self::unknown(share, 0);
        }
        let (count, alone) = (groups.len() as f64, share * (1.0 - share));
        let off = |group: &Vec<usize>| group.iter().map(|row| cases[*row] - share).sum::<f64>();
        let spread = groups.iter().map(|group| off(group).powi(2)).sum::<f64>() / (n * n) * count / (count - 1.0).max(1.0);
        let effective = match alone {
            _ if groups.len() == cases.len() => n,
            0.0 => count,
            alone => (alone / spread).clamp(1.0, n),
        };
        Self { n: cases.len() as u64, ..Self::wilson(share, effective) }
    }

    /// The mean of `x` ± 1.96 standard errors, with n − 1 in the variance. One case has an unbounded interval.
    pub fn of_mean(x: &[f64]) -> Self {
        let (mean, n) = (mean(x), x.len());
        let half = Z95 * (variance(x, 1) / n as f64).sqrt();
        if half.is_nan() {
            return Self::unknown(mean, n as u64);
        }
        Self { mean, n: n as u64, lower95: mean - half, upper95: mean + half }
    }

    /// The mean of `a − b` over the same cases: narrower than two intervals where the cases vary together.
    pub fn of_difference(a: &[f64], b: &[f64]) -> Self {
        Self::of_mean(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>())
    }

    /// A number of which nothing is known but itself: every comparison with its bounds fails.
    pub fn unknown(mean: f64, n: u64) -> Self {
        Self { mean, n, lower95: f64::NEG_INFINITY, upper95: f64::INFINITY }
    }

    fn wilson(share: f64, n: f64) -> Self {
        let z2 = Z95 * Z95 / n;
        let centre = (share + z2 / 2.0) / (1.0 + z2);
        let half = Z95 / (1.0 + z2) * (share * (1.0 - share) / n + z2 / (4.0 * n)).sqrt();
        // At the ends the bound is exact; arithmetic alone would leave it an ulp off.
        let lower95 = if share == 0.0 { 0.0 } else { centre - half };
        let upper95 = if share == 1.0 { 1.0 } else { centre + half };
        Self { mean: share, n: 0, lower95, upper95 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_nothing_is_unknown() {
        let nothing = Estimate::share(0, 0);
        assert!(nothing.mean.is_nan() && nothing.lower95 == f64::NEG_INFINITY);
        assert_eq!(Estimate::of_mean(&[2.0]).upper95, f64::INFINITY);
    }

    #[test]
    fn groups_that_agree_count_as_one_case_each() {
        let cases = [vec![1.0; 8], vec![0.0; 8]].concat();
        let groups: Vec<Vec<usize>> = (0..4).map(|g| (g * 4..g * 4 + 4).collect()).collect();
        let grouped = Estimate::grouped_share(&cases, &groups);
        let alone = Estimate::share(8, 16);
        assert!(grouped.upper95 - grouped.lower95 > 1.5 * (alone.upper95 - alone.lower95));
        let never = Estimate::grouped_share(&[0.0; 16], &groups);
        assert_eq!((never.lower95, never.upper95), (0.0, Estimate::share(0, 4).upper95));
        let single: Vec<Vec<usize>> = (0..16).map(|row| vec![row]).collect();
        assert_eq!(Estimate::grouped_share(&cases, &single), alone);
    }

    #[test]
    fn what_varies_together_cancels() {
        let a: Vec<f64> = (0..20).map(f64::from).collect();
        let b: Vec<f64> = a.iter().map(|x| x - 1.0).collect();
        let paired = Estimate::of_difference(&a, &b);
        assert_eq!((paired.mean, paired.lower95, paired.upper95), (1.0, 1.0, 1.0));
    }
}
