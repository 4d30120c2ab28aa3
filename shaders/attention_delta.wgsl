// delta[t, h] = Σ_d d_y[t, h, d] · y[t, h, d], which the derivative of a softmax subtracts.

struct Params { heads: u32, kv_heads: u32, dim: u32, scale: f32, cap: f32 }

#import step
#import flat

@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> d_y: array<f32>;
@group(0) @binding(3) var<storage, read_write> delta: array<f32>;

@compute @workgroup_size(256)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = flat(group, groups, lane);
    if i >= step.views[2].rows * step.params.heads {
        return;
    }
    // Heads lie one behind the other in a row, so head i of all starts at i · dim.
    var sum = 0.0;
    for (var d = 0u; d < step.params.dim; d++) {
        let at = i * step.params.dim + d;
        sum = fma(y[step.views[0].offset + at], d_y[step.views[1].offset + at], sum);
    }
    delta[step.views[2].offset + i] = sum;
}
