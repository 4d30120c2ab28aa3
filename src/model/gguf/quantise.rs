//! f32 to the formats that are written. Equal to `gguf-py`'s bytes.

use half::{bf16, f16};

pub(super) fn encode_f32(numbers: &[f32], bytes: &mut Vec<u8>) {
    bytes.extend(numbers.iter().flat_map(|x| x.to_le_bytes()));
}

pub(super) fn encode_f16(numbers: &[f32], bytes: &mut Vec<u8>) {
    bytes.extend(numbers.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()));
}

pub(super) fn encode_bf16(numbers: &[f32], bytes: &mut Vec<u8>) {
    bytes.extend(numbers.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()));
}

/// d = max |x| / 127 as f16, q = x / d of the f32 d, to nearest, halves away from zero.
#[expect(clippy::cast_possible_truncation, reason = "quotients lie in −127 … 127; a cast saturates at worst")]
pub(super) fn encode_q8_0(numbers: &[f32], bytes: &mut Vec<u8>) {
    let largest = numbers.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    let scale = largest / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    bytes.extend(f16::from_f32(scale).to_le_bytes());
    bytes.extend(numbers.iter().map(|x| ((x * inverse).round() as i8).cast_unsigned()));
}
