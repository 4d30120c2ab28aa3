// The fused head: every invocation keeps, for its rows and its columns of all tiles of its layer, the largest logit m,
// Σ exp(z − m), Σ exp(z − m) (z − m) and the chosen token's logit. linear_logp_merge.wgsl joins them.

#import head

/// (m, sum, moment, chosen logit) per row, layer and each of the sixteen column places.
@group(0) @binding(6) var<storage, read_write> parts: array<vec4<f32>>;

fn join(part: vec4<f32>, z: f32, is_chosen: bool) -> vec4<f32> {
    let most = max(part.x, z);
    let keep = exp(part.x - most);
    let own = exp(z - most);
    // Measured from the new maximum, the old terms lie lower by (old − new) each.
    let moment = keep * (part.z + part.y * (part.x - most)) + own * (z - most);
    return vec4(most, keep * part.y + own, moment, part.w + select(0.0, z, is_chosen));
}

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.x * TILE;
    let i = row + lane / 16u * 4u;
    let begin = group.y * step.params.slice;
    let end = min(begin + step.params.slice, step.params.vocabulary);
#for r CLUSTERS
#for i 4
    let chosen_$r$i = chosen_at(i + $ru * 64u + $iu);
    var part_$r$i = vec4(-1e30, 0.0, 0.0, 0.0);
#end
#end
    for (var col = begin; col < end; col += TILE) {
        let sums = tile_product(row, col, 0u, step.views[0].cols, lane);
#for c CLUSTERS
#for j 4
        let v_$c$j = col + $cu * 64u + lane % 16u * 4u + $ju;
        if v_$c$j < end {
            let bias_$c$j = bias_at(v_$c$j);
            let name_$c$j = step.params.first + v_$c$j;
#for r CLUSTERS
#for i 4
            part_$r$i = join(part_$r$i, capped(sums[($r * CLUSTERS + $c) * 4 + $i][$j] + bias_$c$j) * step.params.inverse_temperature, name_$c$j == chosen_$r$i);
#end
#end
        }
#end
#end
    }
#for r CLUSTERS
#for i 4
    let row_$r$i = i + $ru * 64u + $iu;
    if row_$r$i < step.views[3].rows {
        parts[(row_$r$i * step.params.layers + step.params.layer + group.y) * 16u + lane % 16u] = part_$r$i;
    }
#end
#end
}
