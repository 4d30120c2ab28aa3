// dK and dV of attention: 32 keys of one key-value head a workgroup, walking over the queries that may see them and,
// one after the other, over the query heads that share them.

#import attention_gradient

@group(0) @binding(8) var<storage, read> key_until: array<u32>;
@group(0) @binding(9) var<storage, read_write> d_k: array<f32>;
@group(0) @binding(10) var<storage, read_write> d_v: array<f32>;

/// Where the last query that sees one of these keys ends.
fn until(row: u32) -> u32 {
    var end = 0u;
    for (var i = 0u; i < min(SIDE, step.views[1].rows - row); i++) {
        end = max(end, key_until[step.views[7].offset + row + i]);
    }
    return end;
}

fn store(key: u32, kv_head: u32, d: u32, from_scores: f32, from_values: f32) {
    if key >= step.views[1].rows || d >= step.params.dim {
        return;
    }
    let at = key * step.views[1].cols + kv_head * step.params.dim + d;
    // Where keys or values come out of frozen weights, nobody asks for their gradient.
    if step.views[8].rows > 0u {
        let at_k = step.views[8].offset + at;
        d_k[at_k] = from_scores * step.params.scale + select(0.0, d_k[at_k], step.views[8].accumulate == 1u);
    }
    if step.views[9].rows > 0u {
        let at_v = step.views[9].offset + at;
        d_v[at_v] = from_values + select(0.0, d_v[at_v], step.views[9].accumulate == 1u);
    }
}

@compute @workgroup_size(64)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let shared_by = step.params.heads / step.params.kv_heads;
    let row = group.x * SIDE;
    let own = row + lane / 8u * 4u;
    let end = until(row);
#for c CHUNKS
    var sum_k_$c: Block;
    var sum_v_$c: Block;
#end
    for (var h = 0u; h < shared_by; h++) {
        head = group.y * shared_by + h;
        for (var query = row; query < end; query += SIDE) {
            let mine = query + lane % 8u * 4u;
            var weights: Block;
            var d_weights: Block;
            for (var d = 0u; d < step.params.dim; d += SIDE) {
                workgroupBarrier();
                left_k(row, d, lane);
                right_q(query, d, lane);
                workgroupBarrier();
                weights = multiply(weights, lane);
                workgroupBarrier();
                left_v(row, d, lane);
                right_d_y(query, d, lane);
                workgroupBarrier();
                d_weights = multiply(d_weights, lane);
            }
#for j 4
            let range_$j = range_of(mine + $ju);
            let known_$j = known_of(mine + $ju);
#end
            let log_total = vec4(known_0.x, known_1.x, known_2.x, known_3.x);
            let delta_four = vec4(known_0.y, known_1.y, known_2.y, known_3.y);
#for i 4
            let key_$i = own + $iu;
            let seen_$i = vec4(sees(range_0, key_$i), sees(range_1, key_$i), sees(range_2, key_$i), sees(range_3, key_$i));
            let score_$i = capped(weights.rows[$i] * step.params.scale);
            weights.rows[$i] = select(vec4(0.0), exp(score_$i - log_total), seen_$i);
            d_weights.rows[$i] = weights.rows[$i] * (d_weights.rows[$i] - delta_four) * slope(score_$i);
#end
            put_left(weights, lane);
#for c CHUNKS
            workgroupBarrier();
            values_d_y(query, $cu * SIDE, lane);
            workgroupBarrier();
            sum_v_$c = multiply(sum_v_$c, lane);
#end
            put_left(d_weights, lane);
#for c CHUNKS
            workgroupBarrier();
            values_q(query, $cu * SIDE, lane);
            workgroupBarrier();
            sum_k_$c = multiply(sum_k_$c, lane);
#end
        }
    }
#for c CHUNKS
#for i 4
#for j 4
    store(own + $iu, group.y, $cu * SIDE + lane % 8u * 4u + $ju, sum_k_$c.rows[$i][$j], sum_v_$c.rows[$i][$j]);
#end
#end
#end
}
