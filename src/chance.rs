//! Counter-based chance: Philox4x32-10 of Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
//!
//! A number depends on its key and counter only, never on which numbers were drawn before it, so results do not
//! change with batch size, order of rows or number of threads. A leaf: formulas, samplers and initialisers share it.

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// Four independent uniform words for one key and counter.
#[must_use]
pub fn uniform(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    let (mut k, mut c) = (key, counter);
    for round in 0..ROUNDS {
        if round > 0 {
            k = [k[0].wrapping_add(WEYL[0]), k[1].wrapping_add(WEYL[1])];
        }
        let (high0, low0) = wide(MULTIPLIERS[0], c[0]);
        let (high1, low1) = wide(MULTIPLIERS[1], c[2]);
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0];
    }
    c
}

/// The high and low half of a product.
#[expect(clippy::cast_possible_truncation, reason = "the halves are taken on purpose")]
fn wide(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32)
}

/// A number in `[0, 1)` with 53 random bits from two words.
#[must_use]
pub fn unit(high: u32, low: u32) -> f64 {
    let bits = join(high, low) >> 11;
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
    let bits = bits as f64;
    bits / 9_007_199_254_740_992.0
}

fn join(high: u32, low: u32) -> u64 {
    (u64::from(high) << 32) | u64::from(low)
}

/// A whole number in `0..n` from two words; `n` must not be 0. Its bias is under 2^-32 for every `n` below 2^32.
#[must_use]
pub fn below(n: u64, high: u32, low: u32) -> u64 {
    let bits = join(high, low);
    ((u128::from(bits) * u128::from(n)) >> 64) as u64
}

/// Splits a 64-bit name of a row or a stage into two words of a key or counter.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the halves are taken on purpose")]
pub fn halves(x: u64) -> [u32; 2] {
    [(x >> 32) as u32, x as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known-answer vectors that Random123 1.14 publishes in `tests/kat_vectors` for `philox4x32 10`.
    #[test]
    fn known_answers() {
        assert_eq!(uniform([0; 2], [0; 4]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = u32::MAX;
        assert_eq!(uniform([ones; 2], [ones; 4]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            uniform([0xa409_3822, 0x299f_31d0], [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn numbers_stay_in_range() {
        assert_eq!(unit(0, 0), 0.0);
        assert!(unit(u32::MAX, u32::MAX) < 1.0);
        assert_eq!(below(6, u32::MAX, u32::MAX), 5);
        assert_eq!(below(1, 7, 7), 0);
    }

    #[test]
    fn a_die_is_fair() {
        let mut counts = [0_u32; 6];
        for i in 0..6000 {
            let w = uniform([1, 2], [i, 0, 0, 0]);
            counts[usize::try_from(below(6, w[0], w[1])).expect("below 6")] += 1;
        }
        assert!(counts.iter().all(|&n| (880..1120).contains(&n)), "{counts:?}");
    }
}
