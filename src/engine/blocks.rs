//! Weights that are only read, in blocks of few bits: a row (K) is cut into blocks, and a block is one scale and eight
//! words of codes.
//!
//! | format | a block | number | bits a number |
//! |---|---|---|---|
//! | `int8` | 32 numbers | scale · code, code in −127 … 127 | 9 |
//! | `nf4` | 64 numbers | scale · level(code), 16 levels | 4.5 |
//!
//! `int8` rounds as llama.cpp's Q8_0 does: the scale is the largest absolute value over 127, as an f16. `nf4` is the
//! 4-bit NormalFloat of QLoRA (Dettmers et al. 2023, appendix E): the scale is the largest absolute value, the levels
//! are quantiles of a normal distribution. A row's last block may be short.
//!
//! **Invariant:** numbers that came out of blocks go into the same blocks again, so a network whose weights were rounded
//! once can be written as plain f32 and lose nothing.

use half::f16;
use serde::Serialize;

/// Words of a block: its scale, then its codes, the first in the lowest bits.
pub const BLOCK_WORDS: usize = 9;

/// How numbers lie in a block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BlockFormat {
    Int8,
    Nf4,
}

/// The levels of `nf4`, rising.
pub const LEVELS: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// The two levels that a byte stands for.
const PAIRS: [[f32; 2]; 256] = {
    let mut pairs = [[0.0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [LEVELS[byte & 15], LEVELS[byte >> 4]];
        byte += 1;
    }
    pairs
};

impl BlockFormat {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Int8, Self::Nf4];

    /// The word for it in recipes and files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Nf4 => "nf4",
        }
    }

    /// The format of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.word() == word)
    }

    /// Numbers in a block.
    pub const fn numbers(self) -> usize {
        match self {
            Self::Int8 => 32,
            Self::Nf4 => 64,
        }
    }

    /// Words of a row of `cols` numbers.
    pub fn words(self, cols: usize) -> usize {
        cols.div_ceil(self.numbers()) * BLOCK_WORDS
    }

    /// The blocks of a matrix whose rows have `cols` numbers.
    pub fn encode(self, numbers: &[f32], cols: usize) -> Vec<u32> {
        let mut words = vec![0; numbers.len() / cols * self.words(cols)];
        for (row, words) in numbers.chunks_exact(cols).zip(words.chunks_exact_mut(self.words(cols))) {
            for (numbers, words) in row.chunks(self.numbers()).zip(words.chunks_exact_mut(BLOCK_WORDS)) {
                match self {
                    Self::Int8 => encode_int8(numbers, words),
                    Self::Nf4 => encode_nf4(numbers, words),
                }
            }
        }
        words
    }

    /// The numbers of one row. Bytes of a word are taken in the order of little-endian processors, which all are that
    /// have a GPU driver.
    #[inline(always)]
    pub fn decode(self, words: &[u32], row: &mut [f32]) {
        let blocks = words.chunks_exact(BLOCK_WORDS).zip(row.chunks_mut(self.numbers()));
        match self {
            Self::Int8 => blocks.for_each(|(words, numbers)| {
                let (scale, codes): (f32, &[i8]) = (f32::from_bits(words[0]), bytemuck::cast_slice(&words[1..]));
                numbers.iter_mut().zip(codes).for_each(|(x, code)| *x = scale * f32::from(*code));
            }),
            Self::Nf4 => blocks.for_each(|(words, numbers)| {
                let (scale, codes): (f32, &[u8]) = (f32::from_bits(words[0]), bytemuck::cast_slice(&words[1..]));
                for (pair, code) in numbers.chunks_mut(2).zip(codes) {
                    pair.iter_mut().zip(PAIRS[usize::from(*code)]).for_each(|(x, level)| *x = scale * level);
                }
            }),
        }
    }

    /// The numbers of a matrix whose rows have `cols` of them.
    pub fn decode_all(self, words: &[u32], cols: usize) -> Vec<f32> {
        let mut numbers = vec![0.0; words.len() / self.words(cols) * cols];
        let rows = words.chunks_exact(self.words(cols)).zip(numbers.chunks_exact_mut(cols));
        rows.for_each(|(words, row)| self.decode(words, row));
        numbers
    }
}

fn largest(numbers: &[f32]) -> f32 {
    numbers.iter().fold(0.0, |most, x| x.abs().max(most))
}

/// The scale and the codes of a block of llama.cpp's Q8_0: d = max |x| / 127 as f16, and x / d of the f32 d, to nearest,
/// halves away from zero.
#[expect(clippy::cast_possible_truncation, reason = "quotients lie in −127 … 127; a cast saturates at worst")]
pub fn q8_0(numbers: &[f32]) -> (f16, impl Iterator<Item = i8>) {
    let step = largest(numbers) / 127.0;
    let over = if step == 0.0 { 0.0 } else { 1.0 / step };
    (f16::from_f32(step), numbers.iter().map(move |x| (x * over).round() as i8))
}

fn encode_int8(numbers: &[f32], words: &mut [u32]) {
    let (scale, codes) = q8_0(numbers);
    words[0] = scale.to_f32().to_bits();
    for (i, code) in codes.enumerate() {
        words[1 + i / 4] |= u32::from(code.cast_unsigned()) << (8 * (i % 4));
    }
}

fn encode_nf4(numbers: &[f32], words: &mut [u32]) {
    let scale = largest(numbers);
    words[0] = scale.to_bits();
    let over = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    for (i, x) in numbers.iter().enumerate() {
        let x = x * over;
        // the number of midpoints below it
        let code: u32 = LEVELS.windows(2).map(|pair| u32::from(x > f32::midpoint(pair[0], pair[1]))).sum();
        words[1 + i / 8] |= code << (4 * (i % 8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * 0.7).sin() * (1.0 + (i / 50) as f32)).collect()
    }

    #[test]
    fn what_came_out_of_blocks_goes_into_the_same() {
        for format in BlockFormat::ALL {
            for cols in [1, 31, 64, 65, 200] {
                let words = format.encode(&numbers(3 * cols), cols);
                assert_eq!(words.len(), 3 * format.words(cols));
                let rounded = format.decode_all(&words, cols);
                assert_eq!(format.encode(&rounded, cols), words, "{} of {cols}", format.word());
            }
        }
    }

    #[test]
    fn no_number_is_further_than_half_a_step_away() {
        let given = numbers(640);
        for (format, gap) in [(BlockFormat::Int8, 1.14 / 127.0), (BlockFormat::Nf4, 0.304)] {
            let rounded = format.decode_all(&format.encode(&given, 64), 64);
            for (given, rounded) in given.chunks(format.numbers()).zip(rounded.chunks(format.numbers())) {
                let bound = 0.501 * gap * largest(given);
                assert!(given.iter().zip(rounded).all(|(x, y)| (x - y).abs() <= bound), "{}", format.word());
            }
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        for format in BlockFormat::ALL {
            assert!(format.decode_all(&format.encode(&[0.0; 70], 70), 70).iter().all(|x| *x == 0.0));
        }
    }
}
