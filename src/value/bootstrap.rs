//! Percentile bootstrap over groups of rows. Efron 1979; groups, because samples of one prompt are not independent.

use crate::chance;

use super::Estimate;
use super::statistics::quantile;

/// Resamples of an interval whose statistic is cheap.
pub const DRAWS: u32 = 2000;

/// `mean` with the 2.5 % and 97.5 % percentiles of `statistic` over `draws` resamples of whole groups of rows.
///
/// `statistic` sees the rows of one resample, groups in drawn order. Resamples on which it is NaN (a class is missing)
/// are left out; when that is half of them or there is only one group, nothing is known about the interval.
pub fn interval(mean: f64, groups: &[Vec<usize>], seed: u64, draws: u32, mut statistic: impl FnMut(&[usize]) -> f64) -> Estimate {
    let n = groups.iter().map(Vec::len).sum::<usize>() as u64;
    let mut rows = Vec::new();
    let mut resample = |draw: u32| {
        rows.clear();
        (0..groups.len()).for_each(|place| rows.extend_from_slice(&groups[pick(groups.len(), seed, draw, place)]));
        statistic(&rows)
    };
    let drawn = if groups.len() < 2 { 0 } else { draws };
    let mut spread: Vec<f64> = (0..drawn).map(&mut resample).filter(|x| !x.is_nan()).collect();
    if spread.len() * 2 <= draws as usize {
        return Estimate::unknown(mean, n);
    }
    spread.sort_by(f64::total_cmp);
    Estimate { mean, n, lower95: quantile(&spread, 0.025), upper95: quantile(&spread, 0.975) }
}

/// The group at `place` of a resample.
#[expect(clippy::cast_possible_truncation, reason = "a draw is below the number of groups")]
fn pick(groups: usize, seed: u64, draw: u32, place: usize) -> usize {
    let [high, low] = chance::halves(place as u64);
    let word = chance::uniform(chance::halves(seed), [draw, high, low, 0x626f_6f74]);
    chance::below(groups as u64, word[0], word[1]) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::group::singles;
    use crate::value::statistics::mean;

    fn of_mean(x: &[f64], groups: &[Vec<usize>], seed: u64) -> Estimate {
        interval(mean(x), groups, seed, DRAWS, |rows| rows.iter().map(|row| x[*row]).sum::<f64>() / rows.len() as f64)
    }

    #[test]
    fn it_agrees_with_the_closed_form_where_that_holds() {
        let x: Vec<f64> = (0..400).map(|i| f64::from(i * 37 % 400) / 400.0).collect();
        let (drawn, closed) = (of_mean(&x, &singles(400), 1), Estimate::of_mean(&x));
        assert!((drawn.lower95 - closed.lower95).abs() < 0.003 && (drawn.upper95 - closed.upper95).abs() < 0.003);
        assert_eq!(of_mean(&x, &singles(400), 1), drawn);
        assert_ne!(of_mean(&x, &singles(400), 2), drawn);
    }

    #[test]
    fn copies_of_a_row_tell_nothing_new() {
        let x: Vec<f64> = (0..40).map(|i| f64::from(i / 4)).collect();
        let groups: Vec<Vec<usize>> = (0..10).map(|g| (g * 4..g * 4 + 4).collect()).collect();
        let (grouped, single) = (of_mean(&x, &groups, 0), of_mean(&x, &singles(40), 0));
        let width = |e: Estimate| e.upper95 - e.lower95;
        assert!(width(grouped) > 1.7 * width(single));
    }

    #[test]
    fn one_group_says_nothing_about_others() {
        assert_eq!(of_mean(&[1.0, 2.0], &[vec![0, 1]], 0), Estimate::unknown(1.5, 2));
        let never = interval(0.5, &singles(9), 0, DRAWS, |_| f64::NAN);
        assert_eq!(never, Estimate::unknown(0.5, 9));
    }
}
