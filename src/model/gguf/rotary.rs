//! Rotary positions: the order of the rows they turn, and the frequency factors that a file keeps as a tensor.

use serde_json::{Value, json};

/// Reorders the rows of `heads` heads from interleaved pairs (0, 1), (2, 3) … to halves: all first members, then all
/// second ones. `numbers` is (heads · D, columns) or, for a bias, (heads · D). D must be even.
pub(super) fn half_split(numbers: &[f32], heads: usize, columns: usize) -> Vec<f32> {
    let head_dim = numbers.len() / columns / heads;
    let mut split = Vec::with_capacity(numbers.len());
    for head in numbers.chunks_exact(head_dim * columns) {
        for member in 0..2 {
            let rows = head.chunks_exact(columns).skip(member).step_by(2);
            rows.for_each(|row| split.extend_from_slice(row));
        }
    }
    split
}

/// The way back: from halves to interleaved pairs.
pub(super) fn interleaved(numbers: &[f32], heads: usize, columns: usize) -> Vec<f32> {
    let head_dim = numbers.len() / columns / heads;
    let mut pairs = Vec::with_capacity(numbers.len());
    for head in numbers.chunks_exact(head_dim * columns) {
        let (first, second) = head.split_at(head_dim / 2 * columns);
        for (first, second) in first.chunks_exact(columns).zip(second.chunks_exact(columns)) {
            pairs.extend_from_slice(first);
            pairs.extend_from_slice(second);
        }
    }
    pairs
}

/// The constants of every published Llama 3.1, 3.2 and 3.3.
const LOW: f64 = 1.0;
const HIGH: f64 = 4.0;
const ORIGINAL_POSITIONS: f64 = 8192.0;

/// Relative; factors are f32.
const TOLERANCE: f64 = 1e-5;

/// `rope_scaling` of `config.json` for factors (D / 2) that divide the frequencies 1 / base^(2i/D), if they are those
/// of Llama 3.1's scaling. A file keeps the factors and not the constants that made them: the published constants are
/// tried, and taken only if they give these very factors. `None` means that nobody knows which rule made them.
pub(super) fn llama3_scaling(factors: &[f32], base: f64) -> Option<Value> {
    let factor = factors.iter().copied().fold(1.0_f32, f32::max);
    let factor: f64 = factor.to_string().parse().ok()?;
    let expected = llama3_factors(factors.len(), base, factor);
    let close = |(found, expected): (&f32, f64)| (f64::from(*found) - expected).abs() <= TOLERANCE * expected;
    factors.iter().zip(expected).all(close).then(|| {
        json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": LOW,
            "high_freq_factor": HIGH,
            "original_max_position_embeddings": 8192,
        })
    })
}

/// What the frequencies are divided by: long waves by `factor`, short ones by 1, those between by a blend.
#[expect(clippy::cast_precision_loss, reason = "heads have a few hundred dimensions")]
fn llama3_factors(count: usize, base: f64, factor: f64) -> impl Iterator<Item = f64> {
    (0..count).map(move |i| {
        let frequency = base.powf(-(i as f64) / count as f64);
        let turns = ORIGINAL_POSITIONS * frequency / std::f64::consts::TAU;
        let kept = ((turns - LOW) / (HIGH - LOW)).clamp(0.0, 1.0);
        1.0 / ((1.0 - kept) / factor + kept)
    })
}
