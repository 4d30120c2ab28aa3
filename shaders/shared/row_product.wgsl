// y = x · Wᵀ + b for at most ROWS rows of x, as in decoding: W is read once, by 64 lanes along its rows, four rows a
// workgroup. The importing file says what W is: `weight`, bound at 2, and `weight_at(row, k)`, where `row` is the word at
// which a row begins.

struct Params { has_bias: u32 }

#import step

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

/// What every lane has of each of 4 · ROWS results.
var<workgroup> shares: array<f32, 256u * ROWS>;

fn store(row: u32, col: u32, sum: f32) {
    if row >= step.views[3].rows || col >= step.views[3].cols {
        return;
    }
    let at = step.views[3].offset + row * step.views[3].cols + col;
    var value = sum;
    if step.params.has_bias == 1u {
        value += bias[step.views[2].offset + col];
    }
    if step.views[3].accumulate == 1u {
        value += y[at];
    }
    y[at] = value;
}

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let col = (group.y * groups.x + group.x) * 4u;
    let depth = step.views[0].cols;
    // Rows beyond the last are computed again and not stored.
#for n 4
    let w_$n = step.views[1].offset + min(col + $nu, step.views[1].rows - 1u) * step.views[1].cols;
#end
#for m ROWS
    let x_$m = step.views[0].offset + min($mu, step.views[0].rows - 1u) * depth;
    var sum_$m = vec4(0.0);
#end
    for (var k = lane; k < depth; k += 64u) {
        let w = vec4(weight_at(w_0, k), weight_at(w_1, k), weight_at(w_2, k), weight_at(w_3, k));
#for m ROWS
        sum_$m = fma(vec4(x[x_$m + k]), w, sum_$m);
#end
    }
#for m ROWS
#for n 4
    shares[($mu * 4u + $nu) * 64u + lane] = sum_$m[$n];
#end
#end
    workgroupBarrier();
    if lane < 4u * ROWS {
        var sum = 0.0;
        for (var i = 0u; i < 64u; i++) {
            sum += shares[lane * 64u + (i + lane) % 64u];
        }
        store(lane / 4u, col + lane % 4u, sum);
    }
}
