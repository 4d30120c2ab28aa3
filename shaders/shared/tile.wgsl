// One (64 · CLUSTERS)² tile of Σ_k A(i, k) · B(k, j) by 256 invocations, staged through workgroup memory.
//
// The importing file defines `a_at(i, k)` and `b_at(k, j)`, zero outside the matrices, and says by
// `a_runs_along_k()` and `b_runs_along_k()` which way neighbours lie in memory, so that neighbouring invocations
// read neighbouring words. Invocation (y, x) of 16 × 16 owns rows 4y … 4y+3 of each 64-row cluster and columns
// 4x … 4x+3 of each 64-column cluster.

const TILE: u32 = 64u * CLUSTERS;
const DEPTH: u32 = 16u / CLUSTERS;
/// Vectors of four in one k-slice, and one of padding: the slices start in different memory banks.
const SLICE: u32 = TILE / 4u + 1u;
const BLOCK: u32 = 4u * CLUSTERS * CLUSTERS;

var<workgroup> tile_a: array<vec4<f32>, DEPTH * SLICE>;
var<workgroup> tile_b: array<vec4<f32>, DEPTH * SLICE>;

/// Which (k, four) of the tile this lane brings: neighbours differ in k when memory runs along k.
fn brought(lane: u32, along_k: bool) -> vec2<u32> {
    if along_k {
        return vec2(lane % DEPTH, lane / DEPTH);
    }
    return vec2(lane / (TILE / 4u), lane % (TILE / 4u));
}

fn four_of_a(i: u32, k: u32, end: u32) -> vec4<f32> {
    let inside = select(0xffffffffu, k, k < end);
    return vec4(a_at(i, inside), a_at(i + 1u, inside), a_at(i + 2u, inside), a_at(i + 3u, inside));
}

fn four_of_b(k: u32, j: u32, end: u32) -> vec4<f32> {
    let inside = select(0xffffffffu, k, k < end);
    return vec4(b_at(inside, j), b_at(inside, j + 1u), b_at(inside, j + 2u), b_at(inside, j + 3u));
}

/// Element [(row cluster · CLUSTERS + column cluster) · 4 + row] holds four columns.
fn tile_product(row: u32, col: u32, k_begin: u32, k_end: u32, lane: u32) -> array<vec4<f32>, BLOCK> {
    var sums: array<vec4<f32>, BLOCK>;
    let y = lane / 16u;
    let x = lane % 16u;
    let a = brought(lane, a_runs_along_k());
    let b = brought(lane, b_runs_along_k());
    let i = row + a.y * 4u;
    let j = col + b.y * 4u;
    var from_a = four_of_a(i, k_begin + a.x, k_end);
    var from_b = four_of_b(k_begin + b.x, j, k_end);
    for (var k0 = k_begin; k0 < k_end; k0 += DEPTH) {
        workgroupBarrier();
        tile_a[a.x * SLICE + a.y] = from_a;
        tile_b[b.x * SLICE + b.y] = from_b;
        workgroupBarrier();
        // The next slice is on its way while this one is multiplied.
        from_a = four_of_a(i, k0 + DEPTH + a.x, k_end);
        from_b = four_of_b(k0 + DEPTH + b.x, j, k_end);
        for (var k = 0u; k < DEPTH; k++) {
#for c CLUSTERS
            let a_$c = tile_a[k * SLICE + $cu * 16u + y];
            let b_$c = tile_b[k * SLICE + $cu * 16u + x];
#end
#for r CLUSTERS
#for c CLUSTERS
#for i 4
            sums[($r * CLUSTERS + $c) * 4 + $i] = fma(vec4(a_$r[$i]), b_$c, sums[($r * CLUSTERS + $c) * 4 + $i]);
#end
#end
#end
        }
    }
    return sums;
}
