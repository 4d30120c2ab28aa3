// Ways of the matrix `$it` into the factors of attention_tile.wgsl. The importing file defines `$it_at(row, d)`, zero
// outside. None of them waits for other lanes: the caller does, before and after.

fn $it_four(row: u32, d: u32) -> vec4<f32> {
    return vec4($it_at(row, d), $it_at(row + 1u, d), $it_at(row + 2u, d), $it_at(row + 3u, d));
}

/// The left factor of Σ_d $it[first + row, d] · …, over dimensions d0 … d0 + 31. Neighbouring lanes read neighbours.
fn left_$it(first: u32, d0: u32, lane: u32) {
    for (var four = lane / 32u; four < 8u; four += 2u) {
        left[lane % 32u * SLICE + four] = $it_four(first + four * 4u, d0 + lane % 32u);
    }
}

/// The right factor of such a sum.
fn right_$it(first: u32, d0: u32, lane: u32) {
    for (var four = lane / 32u; four < 8u; four += 2u) {
        right[lane % 32u * SLICE + four] = $it_four(first + four * 4u, d0 + lane % 32u);
    }
}

/// The right factor of Σ_n … · $it[n, d], n = first … first + 31.
fn values_$it(first: u32, d0: u32, lane: u32) {
    let d = d0 + lane % 8u * 4u;
    for (var n = lane / 8u; n < SIDE; n += 8u) {
        let row = first + n;
        right[n * SLICE + lane % 8u] = vec4($it_at(row, d), $it_at(row, d + 1u), $it_at(row, d + 2u), $it_at(row, d + 3u));
    }
}
