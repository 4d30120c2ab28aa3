//! Tensor formats: blocks of numbers that share scales, and the f32 they stand for.
//!
//! A row is a whole number of blocks. The arithmetic is f32 in the order of `gguf-py`'s `quants.py`
//! (<https://github.com/ggml-org/llama.cpp/tree/master/gguf-py>), so results agree to the bit.

use half::{bf16, f16};

use super::GgufError;
use super::quantise::{encode_bf16, encode_f16, encode_f32, encode_q8_0};

/// Writes the numbers of one block; both slices have the sizes of the format.
type Decode = fn(block: &[u8], numbers: &mut [f32]);

/// Appends one block.
type Encode = fn(numbers: &[f32], bytes: &mut Vec<u8>);

/// How the numbers of a tensor are stored.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Its number in a file.
    pub(super) id: u32,
    /// Its name in ggml.
    pub name: &'static str,
    /// Numbers a block.
    pub block_len: usize,
    /// Bytes a block.
    pub block_bytes: usize,
    decode: Option<Decode>,
    encode: Option<Encode>,
}

const fn known(id: u32, name: &'static str, block_len: usize, block_bytes: usize) -> Format {
    Format { id, name, block_len, block_bytes, decode: None, encode: None }
}

const fn read(id: u32, name: &'static str, block_len: usize, block_bytes: usize, decode: Decode) -> Format {
    Format { decode: Some(decode), ..known(id, name, block_len, block_bytes) }
}

const fn written(format: Format, encode: Encode) -> Format {
    Format { encode: Some(encode), ..format }
}

/// Every format of ggml: the sizes of all are needed to check a file, though not all can be read.
pub(super) const FORMATS: &[Format] = &[
    written(read(0, "F32", 1, 4, decode_f32), encode_f32),
    written(read(1, "F16", 1, 2, decode_f16), encode_f16),
    read(2, "Q4_0", 32, 18, decode_q4_0),
    read(3, "Q4_1", 32, 20, decode_q4_1),
    known(6, "Q5_0", 32, 22),
    known(7, "Q5_1", 32, 24),
    written(read(8, "Q8_0", 32, 34, decode_q8_0), encode_q8_0),
    known(9, "Q8_1", 32, 40),
    known(10, "Q2_K", 256, 84),
    known(11, "Q3_K", 256, 110),
    read(12, "Q4_K", 256, 144, decode_q4_k),
    known(13, "Q5_K", 256, 176),
    read(14, "Q6_K", 256, 210, decode_q6_k),
    known(15, "Q8_K", 256, 292),
    known(16, "IQ2_XXS", 256, 66),
    known(17, "IQ2_XS", 256, 74),
    known(18, "IQ3_XXS", 256, 98),
    known(19, "IQ1_S", 256, 50),
    known(20, "IQ4_NL", 32, 18),
    known(21, "IQ3_S", 256, 110),
    known(22, "IQ2_S", 256, 82),
    known(23, "IQ4_XS", 256, 136),
    known(24, "I8", 1, 1),
    known(25, "I16", 1, 2),
    known(26, "I32", 1, 4),
    known(27, "I64", 1, 8),
    known(28, "F64", 1, 8),
    known(29, "IQ1_M", 256, 56),
    written(read(30, "BF16", 1, 2, decode_bf16), encode_bf16),
    known(34, "TQ1_0", 256, 54),
    known(35, "TQ2_0", 256, 66),
    known(39, "MXFP4", 32, 17),
    known(40, "NVFP4", 64, 36),
    known(41, "Q1_0", 128, 18),
];

/// The format of this name.
pub fn format(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|f| f.name == name)
}

/// The names of the formats that can be read, as a message lists them.
pub(super) fn readable() -> String {
    let names: Vec<&str> = FORMATS.iter().filter(|f| f.decode.is_some()).map(|f| f.name).collect();
    names.join(", ")
}

impl Format {
    /// Whether [`Self::decode`] can read it.
    pub fn is_readable(&self) -> bool {
        self.decode.is_some()
    }

    /// The numbers of whole blocks: `bytes.len() / block_bytes · block_len` of them. `None` for a format that is known
    /// but cannot be read, and for bytes that are no whole number of blocks.
    pub fn decode(&self, bytes: &[u8]) -> Option<Vec<f32>> {
        let decode = self.decode.filter(|_| bytes.len().is_multiple_of(self.block_bytes))?;
        let mut numbers = vec![0.0; bytes.len() / self.block_bytes * self.block_len];
        for (block, numbers) in bytes.chunks_exact(self.block_bytes).zip(numbers.chunks_exact_mut(self.block_len)) {
            decode(block, numbers);
        }
        Some(numbers)
    }

    /// Numbers as blocks of this format: F32, F16 and BF16 (to nearest, ties to even) or Q8_0 (`gguf-py`'s rounding).
    ///
    /// # Errors
    /// When the format cannot be written, the numbers do not fill its blocks, or one is not finite or too large for it.
    pub fn encode(&self, numbers: &[f32]) -> Result<Vec<u8>, GgufError> {
        let wrong = |reason: String| GgufError::Unencodable { format: self.name, reason };
        let encode = self.encode.ok_or_else(|| wrong("only F32, F16, BF16 and Q8_0 can be written".into()))?;
        if !numbers.len().is_multiple_of(self.block_len) {
            return Err(wrong(format!("{} numbers do not fill blocks of {}", numbers.len(), self.block_len)));
        }
        let mut bytes = Vec::with_capacity(numbers.len() / self.block_len * self.block_bytes);
        for numbers in numbers.chunks_exact(self.block_len) {
            encode(numbers, &mut bytes);
        }
        // What overflowed, or was not finite before, decodes to something that is not finite.
        let decoded = self.decode(&bytes).unwrap_or_default();
        match numbers.iter().zip(&decoded).position(|(x, y)| !x.is_finite() || !y.is_finite()) {
            Some(index) => Err(wrong(format!("number {index} is {}", numbers[index]))),
            None => Ok(bytes),
        }
    }
}

/// The f16 at byte `at`.
fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// The i8 at byte `at`.
fn signed_at(block: &[u8], at: usize) -> f32 {
    f32::from(block[at].cast_signed())
}

fn decode_f32(block: &[u8], numbers: &mut [f32]) {
    numbers[0] = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
}

fn decode_f16(block: &[u8], numbers: &mut [f32]) {
    numbers[0] = half_at(block, 0);
}

fn decode_bf16(block: &[u8], numbers: &mut [f32]) {
    numbers[0] = bf16::from_le_bytes([block[0], block[1]]).to_f32();
}

/// x = d q: d f16, q 32 × i8.
fn decode_q8_0(block: &[u8], numbers: &mut [f32]) {
    let scale = half_at(block, 0);
    for (i, x) in numbers.iter_mut().enumerate() {
        *x = signed_at(block, 2 + i) * scale;
    }
}

/// Number `i` of 2 × `half`, four bits each: the low bits of all bytes come before the high bits of all bytes.
fn nibble(bytes: &[u8], half: usize, i: usize) -> u8 {
    (bytes[i % half] >> (4 * (i / half))) & 15
}

/// x = d (q − 8): d f16, q 32 × 4 bits.
fn decode_q4_0(block: &[u8], numbers: &mut [f32]) {
    let scale = half_at(block, 0);
    for (i, x) in numbers.iter_mut().enumerate() {
        *x = scale * (f32::from(nibble(&block[2..], 16, i)) - 8.0);
    }
}

/// x = d q + m: d and m f16, q 32 × 4 bits.
fn decode_q4_1(block: &[u8], numbers: &mut [f32]) {
    let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
    for (i, x) in numbers.iter_mut().enumerate() {
        *x = scale * f32::from(nibble(&block[4..], 16, i)) + minimum;
    }
}

/// x = d s q − e m in eight sub-blocks of 32: d and e f16, s and m 6 bits each in 12 bytes, q 4 bits.
fn decode_q4_k(block: &[u8], numbers: &mut [f32]) {
    let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
    let (packed, quarters) = (&block[4..16], &block[16..]);
    for (j, numbers) in numbers.chunks_exact_mut(32).enumerate() {
        let (s, m) = six_bits(packed, j);
        let (scale, minimum) = (scale * f32::from(s), minimum * f32::from(m));
        for (i, x) in numbers.iter_mut().enumerate() {
            // Two sub-blocks share 32 bytes: low bits, then high bits.
            let q = nibble(&quarters[j / 2 * 32..], 32, j % 2 * 32 + i);
            *x = scale * f32::from(q) - minimum;
        }
    }
}

/// Scale and minimum of sub-block `j`. The first four have the low six bits of a byte each; the other four have four
/// bits in the last bytes, and the two high bits that the first four left.
fn six_bits(packed: &[u8], j: usize) -> (u8, u8) {
    match j {
        0..4 => (packed[j] & 63, packed[4 + j] & 63),
        _ => ((packed[4 + j] & 15) | ((packed[j - 4] >> 2) & 48), (packed[4 + j] >> 4) | ((packed[j] >> 2) & 48)),
    }
}

/// x = d s (q − 32) in sixteen sub-blocks of 16: q's low 4 bits in 128 bytes, its high 2 in 64, s i8, d f16 at the end.
fn decode_q6_k(block: &[u8], numbers: &mut [f32]) {
    let (low, high) = (&block[..128], &block[128..192]);
    let scale = half_at(block, 208);
    for (i, x) in numbers.iter_mut().enumerate() {
        // 128 numbers share 64 bytes of low bits (two runs of 64) and 32 bytes of high bits (four runs of 32).
        let (part, i_part) = (i / 128, i % 128);
        let four = nibble(&low[part * 64..], 64, i_part);
        let two = (high[part * 32 + i_part % 32] >> (2 * (i_part / 32))) & 3;
        let q = f32::from(four | (two << 4)) - 32.0;
        *x = scale * signed_at(block, 192 + i / 16) * q;
    }
}
