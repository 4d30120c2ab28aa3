//! Which interval the mean of a column gets.

use super::Estimate;
use super::bootstrap;
use super::group::singles;
use super::statistics::mean;

impl Estimate {
    /// The mean of `values` with its interval: Wilson's for a share (every value is 0, 1 or, for a tie, ½), else ± 1.96
    /// standard errors, or the bootstrap when rows come in groups. `groups` holds the rows that are not independent.
    pub fn of_values(values: &[f64], groups: Option<&[Vec<usize>]>, seed: u64) -> Self {
        let is_share = values.iter().all(|x| [0.0, 0.5, 1.0].contains(x));
        match groups {
            _ if values.is_empty() => Self::unknown(f64::NAN, 0),
            None if is_share => Self::grouped_share(values, &singles(values.len())),
            Some(groups) if is_share => Self::grouped_share(values, groups),
            Some(groups) if groups.len() < values.len() => {
                #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
                let of = |rows: &[usize]| rows.iter().map(|row| values[*row]).sum::<f64>() / rows.len() as f64;
                bootstrap::interval(mean(values), groups, seed, bootstrap::DRAWS, of)
            }
            _ => Self::of_mean(values),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_means_and_groups_get_their_own_interval() {
        let share = [1.0, 0.0, 1.0, 1.0];
        assert_eq!(Estimate::of_values(&share, None, 0), Estimate::share(3, 4));
        assert_eq!(Estimate::of_values(&share, Some(&singles(4)), 0), Estimate::share(3, 4));
        let numbers = [0.25, 3.0, -1.0, 2.0];
        assert_eq!(Estimate::of_values(&numbers, None, 0), Estimate::of_mean(&numbers));
        let pairs = [vec![0, 1], vec![2, 3]];
        assert_ne!(Estimate::of_values(&numbers, Some(&pairs), 0), Estimate::of_mean(&numbers));
        let tied = Estimate::of_values(&[0.5, 0.5], None, 0);
        assert!(tied.mean == 0.5 && tied.lower95 > 0.0 && tied.upper95 < 1.0);
    }
}
