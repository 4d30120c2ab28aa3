// Weights in blocks of NUMBERS numbers: a scale, then eight words of codes (engine/blocks.rs). The importing file defines
// `word_at(at)`.

const BLOCK_WORDS: u32 = 9u;

/// The 4-bit NormalFloat: quantiles of a normal distribution.
var<private> levels: array<f32, 16> = array<f32, 16>(
    -1.0, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.091050036, 0.0,
    0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0,
);

/// Number `k` of the row that begins at the word `row`.
fn number_at(row: u32, k: u32) -> f32 {
    let block = row + k / NUMBERS * BLOCK_WORDS;
    let scale = bitcast<f32>(word_at(block));
    let i = k % NUMBERS;
    if NUMBERS == 32u {
        let codes = word_at(block + 1u + i / 4u);
        return scale * f32(extractBits(bitcast<i32>(codes), i % 4u * 8u, 8u));
    }
    let codes = word_at(block + 1u + i / 8u);
    return scale * levels[extractBits(codes, i % 8u * 4u, 4u)];
}
