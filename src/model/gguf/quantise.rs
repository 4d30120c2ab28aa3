//! f32 to the formats that are written. Equal to `gguf-py`'s bytes.

use half::{bf16, f16};

use crate::engine::blocks::q8_0;

pub(super) fn encode_f32(numbers: &[f32], bytes: &mut Vec<u8>) {
    bytes.extend(numbers.iter().flat_map(|x| x.to_le_bytes()));
}

pub(super) fn encode_f16(numbers: &[f32], bytes: &mut Vec<u8>) {
    bytes.extend(numbers.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()));
}

pub(super) fn encode_bf16(numbers: &[f32], bytes: &mut Vec<u8>) {
    bytes.extend(numbers.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()));
}

pub(super) fn encode_q8_0(numbers: &[f32], bytes: &mut Vec<u8>) {
    let (scale, codes) = q8_0(numbers);
    bytes.extend(scale.to_le_bytes());
    bytes.extend(codes.map(i8::cast_unsigned));
}
