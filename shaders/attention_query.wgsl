// dQ of attention: 32 queries of one head a workgroup, walking over the keys they see.

#import attention_gradient
#import attention_walk

@group(0) @binding(8) var<storage, read_write> d_q: array<f32>;

fn store(query: u32, d: u32, value: f32) {
    if query >= step.views[7].rows || d >= step.params.dim {
        return;
    }
    let at = step.views[7].offset + query * step.views[7].cols + head * step.params.dim + d;
    d_q[at] = value * step.params.scale + select(0.0, d_q[at], step.views[7].accumulate == 1u);
}

@compute @workgroup_size(64)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    head = group.y;
    let row = group.x * SIDE;
    let own = row + lane / 8u * 4u;
#for i 4
    let range_$i = range_of(own + $iu);
    let known_$i = known_of(own + $iu);
#end
#for c CHUNKS
    var sum_$c: Block;
#end
    let tiles = walk(row);
    for (var n = 0u; n < walk_length(tiles); n++) {
        let key = walk_key(tiles, n);
        var scores: Block;
        var d_weights: Block;
        for (var d = 0u; d < step.params.dim; d += SIDE) {
            workgroupBarrier();
            left_q(row, d, lane);
            right_k(key, d, lane);
            workgroupBarrier();
            scores = multiply(scores, lane);
            workgroupBarrier();
            left_d_y(row, d, lane);
            right_v(key, d, lane);
            workgroupBarrier();
            d_weights = multiply(d_weights, lane);
        }
#for i 4
        let seen_$i = seen(range_$i, key + lane % 8u * 4u);
        let score_$i = capped(scores.rows[$i] * step.params.scale);
        let weight_$i = select(vec4(0.0), exp(score_$i - known_$i.x), seen_$i);
        scores.rows[$i] = weight_$i * (d_weights.rows[$i] - known_$i.y) * slope(score_$i);
#end
        put_left(scores, lane);
#for c CHUNKS
        workgroupBarrier();
        values_k(key, $cu * SIDE, lane);
        workgroupBarrier();
        sum_$c = multiply(sum_$c, lane);
#end
    }
#for c CHUNKS
#for i 4
#for j 4
    store(own + $iu, $cu * SIDE + lane % 8u * 4u + $ju, sum_$c.rows[$i][$j]);
#end
#end
#end
}
