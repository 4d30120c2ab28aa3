// One product C = A · B, where A and C are plain matrices and the importing file says what B is: `b`, bound at 2, and
// `b_at(k, j)` (or `b_four`, see tile_vectors.wgsl), zero outside. Of C's depth, grid layer z sums one slice, into its own copy of C (see lower/linear.rs).

#import product_result
#import product_a
#import tile

fn a_runs_along_k() -> bool {
    return step.params.a_stride.y == 1u;
}

fn b_runs_along_k() -> bool {
    return step.params.b_stride.x == 1u;
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
