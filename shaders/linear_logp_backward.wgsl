// The derivative by the logits of one chunk of the vocabulary, into d_z (P, chunk); products do the rest:
// d_z[p, v] = (d_logp[p] ([v = chosen] − q) − d_entropy[p] q (log q + entropy[p])) / temperature, q = exp(z − lse[p]), times
// 1 − (l / c)² under a soft cap.

#import head

@group(0) @binding(6) var<storage, read> lse: array<f32>;
@group(0) @binding(7) var<storage, read> entropy: array<f32>;
@group(0) @binding(8) var<storage, read> d_logp: array<f32>;
@group(0) @binding(9) var<storage, read> d_entropy: array<f32>;
@group(0) @binding(10) var<storage, read_write> d_z: array<f32>;

var<workgroup> live: u32;

/// (d_logp, d_entropy, lse, entropy) of a row; coefficients are zero outside.
fn known_of(row: u32) -> vec4<f32> {
    var known = vec4(0.0);
    if row >= step.views[3].rows {
        return known;
    }
    if step.views[7].rows > 0u {
        known.x = d_logp[step.views[7].offset + row];
    }
    if step.views[8].rows > 0u {
        known.y = d_entropy[step.views[8].offset + row];
        known.w = entropy[step.views[6].offset + row];
    }
    known.z = lse[step.views[5].offset + row];
    return known;
}

/// Whether any row of the tile has a coefficient.
fn is_live(row: u32, lane: u32) -> bool {
    if lane == 0u {
        live = 0u;
        for (var i = 0u; i < TILE; i++) {
            let known = known_of(row + i);
            live |= u32(known.x != 0.0 || known.y != 0.0);
        }
    }
    return workgroupUniformLoad(&live) == 1u;
}

fn store(row: u32, v: u32, known: vec4<f32>, chosen_here: u32, sum: f32) {
    if row >= step.views[3].rows || v >= step.params.vocabulary {
        return;
    }
    let logit = capped(sum + bias_at(v));
    let log_q = logit * step.params.inverse_temperature - known.z;
    let q = exp(log_q);
    let hit = select(0.0, 1.0, step.params.first + v == chosen_here);
    var value = known.x * (hit - q);
    if known.y != 0.0 {
        value -= known.y * q * (log_q + known.w);
    }
    d_z[step.views[9].offset + row * step.params.vocabulary + v] = value * step.params.inverse_temperature * slope(logit);
}

@compute @workgroup_size(256)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.x * TILE;
    let col = group.y * TILE;
    var sums: array<vec4<f32>, BLOCK>;
    if is_live(row, lane) {
        sums = tile_product(row, col, 0u, step.views[0].cols, lane);
    }
    let i = row + lane / 16u * 4u;
    let v = col + lane % 16u * 4u;
#for r CLUSTERS
#for i 4
    let known_$r$i = known_of(i + $ru * 64u + $iu);
    let chosen_$r$i = chosen_at(i + $ru * 64u + $iu);
#for c CLUSTERS
#for j 4
    store(i + $ru * 64u + $iu, v + $cu * 64u + $ju, known_$r$i, chosen_$r$i, sums[($r * CLUSTERS + $c) * 4 + $i][$j]);
#end
#end
#end
#end
}
