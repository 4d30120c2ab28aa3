//! Aggregates whose definitions are worth pinning: a whole table's numbers in, an estimate with its 95 % interval out.

use crate::chance;
use crate::value::Estimate;

const Z95: f64 = 1.959_963_984_540_054;
const BINS: usize = 10;
const RESAMPLES: u32 = 200;

/// Two columns in, an estimate out.
pub type Aggregate = fn(&[f64], &[f64]) -> Estimate;

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn real(n: usize) -> f64 {
    n as f64
}

fn estimate(mean: f64, n: usize, lower95: f64, upper95: f64) -> Estimate {
    Estimate { mean, n: n as u64, lower95, upper95 }
}

/// Expected calibration error over ten equal bins of `p`. Guo et al. 2017, eq. 3. Interval: bootstrap percentiles.
pub fn ece(p: &[f64], truth: &[f64]) -> Estimate {
    let all: Vec<usize> = (0..p.len()).collect();
    let mut spread: Vec<f64> = (0..RESAMPLES).map(|copy| calibration_error(p, truth, &resample(p.len(), copy))).collect();
    spread.sort_by(f64::total_cmp);
    let at = |share: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank among the resamples")]
        spread.get((share * real(spread.len() - 1)).round() as usize).copied().unwrap_or(f64::NAN)
    };
    let mean = calibration_error(p, truth, &all);
    estimate(mean, p.len(), at(0.025).min(mean), at(0.975).max(mean))
}

/// `n` rows drawn with replacement; `copy` numbers the draw.
fn resample(n: usize, copy: u32) -> Vec<usize> {
    let draw = |i: usize| {
        let [high, low] = chance::halves(i as u64);
        let word = chance::uniform([0x0063_6165, copy], [high, low, 0, 0]);
        usize::try_from(chance::below(n as u64, word[0], word[1])).expect("below n")
    };
    (0..n).map(draw).collect()
}

fn calibration_error(p: &[f64], truth: &[f64], rows: &[usize]) -> f64 {
    let (mut gap, n) = ([0.0; BINS], real(rows.len().max(1)));
    for &i in rows {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
        let bin = ((p[i] * real(BINS)) as usize).min(BINS - 1);
        gap[bin] += p[i] - truth[i];
    }
    gap.iter().map(|g| g.abs()).sum::<f64>() / n
}

/// The share of (true, false) pairs that `x` puts in order, ties half. Interval: Hanley and McNeil 1982.
pub fn auroc(x: &[f64], truth: &[f64]) -> Estimate {
    let rank = ranks(x);
    let positive: Vec<f64> = rank.iter().zip(truth).filter(|(_, t)| **t > 0.5).map(|(r, _)| *r).collect();
    let (m, n) = (real(positive.len()), real(x.len() - positive.len()));
    if m == 0.0 || n == 0.0 {
        return estimate(f64::NAN, x.len(), f64::NAN, f64::NAN);
    }
    let a = (positive.iter().sum::<f64>() - m * (m + 1.0) / 2.0) / (m * n);
    let (q1, q2) = (a / (2.0 - a), 2.0 * a * a / (1.0 + a));
    let variance = (a * (1.0 - a) + (m - 1.0) * (q1 - a * a) + (n - 1.0) * (q2 - a * a)) / (m * n);
    let half = Z95 * variance.max(0.0).sqrt();
    estimate(a, x.len(), (a - half).max(0.0), (a + half).min(1.0))
}

/// Rank correlation, ties sharing their mean rank. Interval: Bonett & Wright 2000.
pub fn spearman(a: &[f64], b: &[f64]) -> Estimate {
    let (ra, rb) = (ranks(a), ranks(b));
    let middle = (real(a.len()) + 1.0) / 2.0;
    let cross = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - middle) * (y - middle)).sum::<f64>();
    let spread = (cross(&ra, &ra) * cross(&rb, &rb)).sqrt();
    let rho = if spread > 0.0 { cross(&ra, &rb) / spread } else { 0.0 };
    let half = Z95 * ((1.0 + rho * rho / 2.0) / (real(a.len()) - 3.0).max(f64::MIN_POSITIVE)).sqrt();
    let z = rho.clamp(-1.0 + 1e-15, 1.0 - 1e-15).atanh();
    estimate(rho, a.len(), (z - half).tanh(), (z + half).tanh())
}

/// τ-b: pairs that both columns order alike less those they order otherwise, over the geometric mean of the pairs that
/// either tells apart. Kendall 1945. Interval: Fieller, Hartley & Pearson 1957, variance 0.437 / (n − 4) of artanh τ.
pub fn kendall(a: &[f64], b: &[f64]) -> Estimate {
    let (mut alike, mut in_a, mut in_b) = (0.0, 0.0, 0.0);
    let order = |x: f64, y: f64| if x == y { 0.0 } else { (x - y).signum() };
    for i in 0..a.len() {
        for j in 0..i {
            let (x, y) = (order(a[i], a[j]), order(b[i], b[j]));
            alike += x * y;
            in_a += x * x;
            in_b += y * y;
        }
    }
    let spread: f64 = in_a * in_b;
    let tau = if spread > 0.0 { alike / spread.sqrt() } else { 0.0 };
    correlation(tau, a.len(), 0.437 / (real(a.len()) - 4.0))
}

/// Product-moment correlation, 0 where a column does not vary. Interval: Fisher 1921.
pub fn pearson(a: &[f64], b: &[f64]) -> Estimate {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / real(x.len().max(1));
    let (ma, mb) = (mean(a), mean(b));
    let cross = |x: &[f64], mx: f64, y: &[f64], my: f64| x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum::<f64>();
    let spread = (cross(a, ma, a, ma) * cross(b, mb, b, mb)).sqrt();
    let r = if spread > 0.0 { cross(a, ma, b, mb) / spread } else { 0.0 };
    correlation(r, a.len(), 1.0 / (real(a.len()) - 3.0))
}

/// A correlation with the interval of its artanh, which knows nothing where there are too few rows.
fn correlation(r: f64, n: usize, variance: f64) -> Estimate {
    if variance <= 0.0 || !variance.is_finite() {
        return estimate(r, n, -1.0, 1.0);
    }
    let (half, z) = (Z95 * variance.sqrt(), r.clamp(-1.0 + 1e-15, 1.0 - 1e-15).atanh());
    estimate(r, n, (z - half).tanh(), (z + half).tanh())
}

/// Agreement of two raters' labels beyond chance, (p_o − p_e) / (1 − p_e); 1 where both give one and the same label
/// throughout. Cohen 1960, and its standard error there.
pub fn kappa(a: &[f64], b: &[f64]) -> Estimate {
    let n = real(a.len().max(1));
    let share = |x: &[f64], label: f64| real(x.iter().filter(|y| **y == label).count()) / n;
    let observed = real(a.iter().zip(b).filter(|(x, y)| x == y).count()) / n;
    let mut labels = a.to_vec();
    labels.sort_by(f64::total_cmp);
    labels.dedup();
    let expected: f64 = labels.iter().map(|label| share(a, *label) * share(b, *label)).sum();
    if expected >= 1.0 {
        return estimate(1.0, a.len(), -1.0, 1.0);
    }
    let kappa = (observed - expected) / (1.0 - expected);
    let half = Z95 * (observed * (1.0 - observed) / n).sqrt() / (1.0 - expected);
    estimate(kappa, a.len(), (kappa - half).max(-1.0), (kappa + half).min(1.0))
}

/// 1-based ranks, ties sharing their mean.
fn ranks(x: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&i, &j| x[i].total_cmp(&x[j]));
    let (mut ranks, mut before) = (vec![0.0; x.len()], 0.0);
    for tied in order.chunk_by(|&i, &j| x[i] == x[j]) {
        tied.iter().for_each(|&i| ranks[i] = before + (real(tied.len()) + 1.0) / 2.0);
        before += real(tied.len());
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    #[test]
    fn calibration() {
        let e = ece(&[0.55, 0.65, 0.95, 0.85], &[1.0, 0.0, 1.0, 1.0]);
        close(e.mean, 0.325);
        assert!(e.lower95 <= e.mean && e.mean <= e.upper95);
    }

    #[test]
    fn ordering() {
        close(auroc(&[0.1, 0.4, 0.35, 0.8], &[0.0, 0.0, 1.0, 1.0]).mean, 0.75);
        close(auroc(&[0.5, 0.5], &[0.0, 1.0]).mean, 0.5);
        assert!(auroc(&[0.5], &[1.0]).mean.is_nan());
    }

    /// By hand: ranks 1 2 3 4 5 against 2 1 4 3 5 leave Σd² = 4, so ρ = 1 − 6·4 / (5·24) = 0.8.
    #[test]
    fn rank_correlation() {
        close(spearman(&[1.0, 2.0, 3.0, 4.0, 5.0], &[20.0, 10.0, 40.0, 30.0, 50.0]).mean, 0.8);
        close(spearman(&[1.0, 1.0], &[1.0, 2.0]).mean, 0.0);
    }

    /// By hand: of six pairs five agree and one does not, none tied: (5 − 1) / 6.
    #[test]
    fn pairs_in_order() {
        close(kendall(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0]).mean, 4.0 / 6.0);
        close(kendall(&[1.0, 1.0], &[1.0, 2.0]).mean, 0.0);
        close(pearson(&[1.0, 2.0, 3.0], &[-2.0, -4.0, -6.0]).mean, -1.0);
        let few = pearson(&[1.0, 2.0, 3.0], &[1.0, 3.0, 2.0]);
        assert!((few.lower95, few.upper95) == (-1.0, 1.0), "{few:?}");
    }

    #[test]
    fn agreement_beyond_chance() {
        close(kappa(&[0.0, 1.0, 0.0, 1.0], &[0.0, 1.0, 1.0, 0.0]).mean, 0.0);
        close(kappa(&[2.0, 2.0], &[2.0, 2.0]).mean, 1.0);
        close(kappa(&[0.0, 1.0], &[1.0, 0.0]).mean, -1.0);
    }
}
