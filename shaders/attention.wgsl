// Attention with online softmax: query t sees the keys of its prefix and of its own range; [T, T] never exists.
// Queries come 32 at a time; see attention_row.wgsl for few of them.

#import attention_forward
#import attention_tile
#import attention_factor of q
#import attention_factor of k
#import attention_factor of v
#import attention_walk

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    head = group.y;
    let row = group.x * SIDE;
    let own = row + lane / 8u * 4u;
#for i 4
    let range_$i = range_of(own + $iu);
#end
    var most = vec4(LOWEST);
    var total = vec4(0.0);
#for c CHUNKS
    var out_$c: Block;
#end
    let tiles = walk(row);
    for (var n = 0u; n < walk_length(tiles); n++) {
        let key = walk_key(tiles, n);
        var scores: Block;
        for (var d = 0u; d < step.params.dim; d += SIDE) {
            workgroupBarrier();
            left_q(row, d, lane);
            right_k(key, d, lane);
            workgroupBarrier();
            scores = multiply(scores, lane);
        }
#for i 4
        let seen_$i = seen(range_$i, key + lane % 8u * 4u);
        scores.rows[$i] = select(vec4(LOWEST), capped(scores.rows[$i] * step.params.scale), seen_$i);
#end
        let most_now = max(most, row_max(scores, lane));
        let keep = exp(most - most_now);
        most = most_now;
#for i 4
        scores.rows[$i] = select(vec4(0.0), exp(scores.rows[$i] - most[$i]), seen_$i);
#end
        total = total * keep + row_sum(scores, lane);
        put_left(scores, lane);
#for c CHUNKS
        workgroupBarrier();
        values_v(key, $cu * SIDE, lane);
        workgroupBarrier();
#for i 4
        out_$c.rows[$i] *= keep[$i];
#end
        out_$c = multiply(out_$c, lane);
#end
    }
#for i 4
#for c CHUNKS
#for j 4
    store(own + $iu, $cu * SIDE + lane % 8u * 4u + $ju, out_$c.rows[$i][$j] / max(total[$i], 1e-30));
#end
#end
    if lane % 8u == 0u && own + $iu < step.views[5].rows {
        lse[step.views[5].offset + (own + $iu) * step.params.heads + head] = most[$i] + log(total[$i]);
    }
#end
}
