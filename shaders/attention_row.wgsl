// Attention for few queries, as in decoding: a workgroup per query and head, a lane per key and then per dimension.

#import attention_forward
#import held

/// Stands for −∞, which WGSL does not promise.
const LOWEST: f32 = -1e30;

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) group: vec3<u32>, lanes: Lanes) {
    let lane = lanes.lane;
    head = group.y;
    let query = group.x;
    let range = range_of(query);
    let prefix = range.y - min(range.x, range.y);
    let count = prefix + range.w - min(range.z, range.w);
    var most = LOWEST;
    var total = 0.0;
#for c ROUNDS
    var out_$c = 0.0;
#end
    for (var first = 0u; first < count; first += 64u) {
        let n = first + lane;
        var score = LOWEST;
        if n < count {
            score = capped(vec4(step.params.scale * product(query, row_key(range, prefix, n)))).x;
        }
        let most_now = max(most, held_most(score, lanes));
        let weight = select(0.0, exp(score - most_now), n < count);
        let keep = exp(most - most_now);
        most = most_now;
        total = total * keep + held_sum(weight, lanes);
        let block = min(64u, count - first);
#for c ROUNDS
        out_$c *= keep;
#end
        for (var i = 0u; i < block; i++) {
            let key = row_key(range, prefix, first + i);
#for c ROUNDS
            out_$c = fma(held[i], v_at(key, $cu * 64u + lane), out_$c);
#end
        }
    }
#for c ROUNDS
    store(query, $cu * 64u + lane, out_$c / max(total, 1e-30));
#end
    if lane == 0u {
        lse[step.views[5].offset + query * step.params.heads + head] = most + log(total);
    }
}

/// The n-th key that a range holds.
fn row_key(range: vec4<u32>, prefix: u32, n: u32) -> u32 {
    return select(range.z + n - prefix, range.x + n, n < prefix);
}

fn product(query: u32, key: u32) -> f32 {
    var sum = 0.0;
    for (var d = 0u; d < step.params.dim; d++) {
        sum = fma(q_at(query, d), k_at(key, d), sum);
    }
    return sum;
}
