// What tile.wgsl says, of matrices that are bound as vectors of four: a quarter of the loads. The importing file defines
// `a_four(i, k)` and `b_four(k, j)`: four numbers that follow each other in memory, along k where `a_runs_along_k()` and
// `b_runs_along_k()` say so, else along i and along j; zero outside.
//
// A lane brings a block of 4 x 4, and turns it over in its registers where memory runs along k: lanes that each wrote one
// number of a vector would write the others too. A tile has 64 such blocks of either matrix.

const TILE: u32 = 64u * CLUSTERS;
const DEPTH: u32 = 16u / CLUSTERS;
/// Vectors of four in one k-slice, and one of padding: the slices start in different memory banks.
const SLICE: u32 = TILE / 4u + 1u;
const BLOCK: u32 = 4u * CLUSTERS * CLUSTERS;

var<workgroup> tile_a: array<vec4<f32>, DEPTH * SLICE>;
var<workgroup> tile_b: array<vec4<f32>, DEPTH * SLICE>;

/// The block's place along rows or columns, and along k, in fours: neighbours read neighbours.
fn brought(lane: u32, along_k: bool) -> vec2<u32> {
    if along_k {
        return vec2(lane / (DEPTH / 4u), lane % (DEPTH / 4u));
    }
    return vec2(lane % (TILE / 4u), lane / (TILE / 4u));
}

fn block_of_a(i: u32, k: u32) -> mat4x4<f32> {
    if a_runs_along_k() {
        return transpose(mat4x4(a_four(i, k), a_four(i + 1u, k), a_four(i + 2u, k), a_four(i + 3u, k)));
    }
    return mat4x4(a_four(i, k), a_four(i, k + 1u), a_four(i, k + 2u), a_four(i, k + 3u));
}

fn block_of_b(k: u32, j: u32) -> mat4x4<f32> {
    if b_runs_along_k() {
        return transpose(mat4x4(b_four(k, j), b_four(k, j + 1u), b_four(k, j + 2u), b_four(k, j + 3u)));
    }
    return mat4x4(b_four(k, j), b_four(k + 1u, j), b_four(k + 2u, j), b_four(k + 3u, j));
}

/// Element [(row cluster · CLUSTERS + column cluster) · 4 + row] holds four columns.
fn tile_product(row: u32, col: u32, k_begin: u32, k_end: u32, lane: u32) -> array<vec4<f32>, BLOCK> {
    var sums: array<vec4<f32>, BLOCK>;
    let y = lane / 16u;
    let x = lane % 16u;
    // of 256 lanes the first 64 bring A and the next 64 bring B
    let brings_a = lane < 64u;
    let brings_b = lane >= 64u && lane < 128u;
    let a = brought(lane % 64u, a_runs_along_k());
    let b = brought(lane % 64u, b_runs_along_k());
    var block: mat4x4<f32>;
    if brings_a {
        block = block_of_a(row + a.x * 4u, k_begin + a.y * 4u);
    } else if brings_b {
        block = block_of_b(k_begin + b.y * 4u, col + b.x * 4u);
    }
    for (var k0 = k_begin; k0 < k_end; k0 += DEPTH) {
        workgroupBarrier();
        if brings_a {
#for n 4
            tile_a[(a.y * 4u + $nu) * SLICE + a.x] = block[$n];
#end
        } else if brings_b {
#for n 4
            tile_b[(b.y * 4u + $nu) * SLICE + b.x] = block[$n];
#end
        }
        workgroupBarrier();
        // The next slice is on its way while this one is multiplied.
        if brings_a {
            block = block_of_a(row + a.x * 4u, k0 + DEPTH + a.y * 4u);
        } else if brings_b {
            block = block_of_b(k0 + DEPTH + b.y * 4u, col + b.x * 4u);
        }
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
