// y = x m / n + b: columns of the learnt length m in place of their own length n.
// Backward: d_x = d_y m / n, d_m = Σ_t d_y x / n.

struct Params { unused: u32 }

#import step
#import flat

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> magnitude: array<f32>;
@group(0) @binding(3) var<storage, read> norm: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = flat(group, groups, lane);
    let cols = step.views[4].cols;
    if i >= step.views[4].rows * cols {
        return;
    }
    let c = i % cols;
    var value = x[step.views[0].offset + i] * (magnitude[step.views[1].offset + c] / norm[step.views[2].offset + c]);
    if step.views[3].rows > 0u {
        value += bias[step.views[3].offset + c];
    }
    let at = step.views[4].offset + i;
    y[at] = value + select(0.0, y[at], step.views[4].accumulate == 1u);
}

// Here x is d_y.
@group(0) @binding(4) var<storage, read_write> d_x: array<f32>;

@compute @workgroup_size(256)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = flat(group, groups, lane);
    let cols = step.views[3].cols;
    if i >= step.views[3].rows * cols {
        return;
    }
    let c = i % cols;
    let value = x[step.views[0].offset + i] * (magnitude[step.views[1].offset + c] / norm[step.views[2].offset + c]);
    let at = step.views[3].offset + i;
    d_x[at] = value + select(0.0, d_x[at], step.views[3].accumulate == 1u);
}

@group(0) @binding(2) var<storage, read> d_y: array<f32>;
@group(0) @binding(4) var<storage, read_write> d_magnitude: array<f32>;

@compute @workgroup_size(256)
fn lengths(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let c = flat(group, groups, lane);
    let cols = step.views[0].cols;
    if c >= cols {
        return;
    }
    var sum = 0.0;
    for (var t = 0u; t < step.views[0].rows; t++) {
        sum = fma(d_y[step.views[1].offset + t * cols + c], x[step.views[0].offset + t * cols + c], sum);
    }
    let at = step.views[3].offset + c;
    d_magnitude[at] = sum / norm[step.views[2].offset + c] + select(0.0, d_magnitude[at], step.views[3].accumulate == 1u);
}
