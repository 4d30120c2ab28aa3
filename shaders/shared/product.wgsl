// One product C = A · B, where A and C are plain matrices and the importing file says what B is: `b`, bound at 2, and
// `b_at(k, j)`, zero outside. Of C's depth, grid layer z sums one slice, into its own copy of C (see lower/linear.rs).

struct Params {
    /// Words between neighbours along i and k of A, and numbers between neighbours along k and j of B.
    a_stride: vec2<u32>,
    b_stride: vec2<u32>,
    rows: u32,
    cols: u32,
    depth: u32,
    /// Depth that one grid layer sums.
    slice: u32,
    has_bias: u32,
}

#import step
#import tile

@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> c: array<f32>;

fn a_at(i: u32, k: u32) -> f32 {
    if i >= step.params.rows || k >= step.params.depth {
        return 0.0;
    }
    return a[step.views[0].offset + i * step.params.a_stride.x + k * step.params.a_stride.y];
}

fn a_runs_along_k() -> bool {
    return step.params.a_stride.y == 1u;
}

fn b_runs_along_k() -> bool {
    return step.params.b_stride.x == 1u;
}

fn store(i: u32, j: u32, layer: u32, sum: f32) {
    if i >= step.params.rows || j >= step.params.cols {
        return;
    }
    let at = step.views[3].offset + (layer * step.params.rows + i) * step.params.cols + j;
    var value = sum;
    if step.params.has_bias == 1u {
        value += bias[step.views[2].offset + j];
    }
    if step.views[3].accumulate == 1u {
        value += c[at];
    }
    c[at] = value;
}

@compute @workgroup_size(256)
fn tiled(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.y * TILE;
    let col = group.x * TILE;
    let begin = group.z * step.params.slice;
    let sums = tile_product(row, col, begin, min(begin + step.params.slice, step.params.depth), lane);
    let i = row + lane / 16u * 4u;
    let j = col + lane % 16u * 4u;
#for r CLUSTERS
#for c CLUSTERS
#for i 4
    let sum_$r$c$i = sums[($r * CLUSTERS + $c) * 4 + $i];
#for j 4
    store(i + $ru * 64u + $iu, j + $cu * 64u + $ju, group.z, sum_$r$c$i[$j]);
#end
#end
#end
#end
}
