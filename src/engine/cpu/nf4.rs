//! The numbers of `nf4` blocks: one register holds all levels, and a code is an index into it.

use super::simd::Level;
#[cfg(target_arch = "x86_64")]
use crate::engine::blocks::LEVELS;
use crate::engine::blocks::{BLOCK_WORDS, BlockFormat};

/// Numbers of a block.
const NUMBERS: usize = BlockFormat::Nf4.numbers();

/// Numbers of a word.
#[cfg(target_arch = "x86_64")]
const IN_WORD: usize = 8;

type Block = [u32; BLOCK_WORDS];

/// The numbers of one row, bit for bit those of [`BlockFormat::decode`].
pub(super) fn decode(words: &[u32], row: &mut [f32]) {
    let (whole, short) = row.as_chunks_mut::<NUMBERS>();
    let (blocks, last) = words.as_chunks::<BLOCK_WORDS>().0.split_at(whole.len());
    fastest(blocks, whole);
    if !short.is_empty() {
        let mut block = [[0.0; NUMBERS]];
        fastest(last, &mut block);
        short.copy_from_slice(&block[0][..short.len()]);
    }
}

#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "calls code for instructions that were found"))]
fn fastest(blocks: &[Block], numbers: &mut [[f32; NUMBERS]]) {
    match Level::best() {
        // SAFETY: the processor has AVX-512 F.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { avx512(blocks, numbers) },
        // SAFETY: the processor has AVX2.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2(blocks, numbers) },
        Level::Base => BlockFormat::Nf4.decode(blocks.as_flattened(), numbers.as_flattened_mut()),
    }
}

/// Two words at a time: sixteen codes and sixteen levels.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "loads and stores of registers have no safe form")]
fn avx512(blocks: &[Block], numbers: &mut [[f32; NUMBERS]]) {
    use std::arch::x86_64::*;
    // SAFETY: it is sixteen numbers.
    let levels = unsafe { _mm512_loadu_ps(LEVELS.as_ptr()) };
    let shifts = _mm512_set_epi32(28, 24, 20, 16, 12, 8, 4, 0, 28, 24, 20, 16, 12, 8, 4, 0);
    for ([scale, codes @ ..], numbers) in blocks.iter().zip(numbers) {
        let scale = _mm512_set1_ps(f32::from_bits(*scale));
        for ([low, high], numbers) in codes.as_chunks().0.iter().zip(numbers.as_chunks_mut::<{ 2 * IN_WORD }>().0) {
            let (low, high) = (_mm256_set1_epi32(low.cast_signed()), _mm256_set1_epi32(high.cast_signed()));
            let codes = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
            // an index is the lowest four bits
            let found = _mm512_permutexvar_ps(_mm512_srlv_epi32(codes, shifts), levels);
            // SAFETY: it is sixteen numbers.
            unsafe { _mm512_storeu_ps(numbers.as_mut_ptr(), _mm512_mul_ps(scale, found)) };
        }
    }
}

/// A word at a time: eight codes, and levels in two registers between which the highest bit of a code chooses.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "loads and stores of registers have no safe form")]
fn avx2(blocks: &[Block], numbers: &mut [[f32; NUMBERS]]) {
    use std::arch::x86_64::*;
    // SAFETY: they are sixteen numbers.
    let (lower, upper) = unsafe { (_mm256_loadu_ps(LEVELS.as_ptr()), _mm256_loadu_ps(LEVELS[IN_WORD..].as_ptr())) };
    let shifts = _mm256_set_epi32(28, 24, 20, 16, 12, 8, 4, 0);
    for ([scale, codes @ ..], numbers) in blocks.iter().zip(numbers) {
        let scale = _mm256_set1_ps(f32::from_bits(*scale));
        for (word, numbers) in codes.iter().zip(numbers.as_chunks_mut::<IN_WORD>().0) {
            let codes = _mm256_srlv_epi32(_mm256_set1_epi32(word.cast_signed()), shifts);
            // an index is the lowest three bits, a choice the highest of all
            let (low, high) = (_mm256_permutevar8x32_ps(lower, codes), _mm256_permutevar8x32_ps(upper, codes));
            let found = _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32::<28>(codes)));
            // SAFETY: it is eight numbers.
            unsafe { _mm256_storeu_ps(numbers.as_mut_ptr(), _mm256_mul_ps(scale, found)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "calls code for instructions that were found"))]
    fn every_code_has_its_level_by_every_path() {
        for cols in [1, 63, 64, 65, 130, 300] {
            // all codes at all places, with scales of both sizes
            let words: Vec<u32> = (0..u32::try_from(BlockFormat::Nf4.words(cols)).expect("few"))
                .map(|at| if at % 9 == 0 { (0.3 + at as f32).to_bits() } else { at.wrapping_mul(0x9e37_79b9) })
                .collect();
            let (mut expected, mut found) = (vec![0.0; cols], vec![1.0; cols]);
            BlockFormat::Nf4.decode(&words, &mut expected);
            decode(&words, &mut found);
            assert_eq!(found, expected);
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                let (whole, blocks) = (found.as_chunks_mut::<NUMBERS>().0, words.as_chunks::<BLOCK_WORDS>().0);
                whole.as_flattened_mut().fill(1.0);
                // SAFETY: the processor has AVX2.
                unsafe { avx2(blocks, whole) };
                assert_eq!(found, expected);
            }
        }
    }
}
