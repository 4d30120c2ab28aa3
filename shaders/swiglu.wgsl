// y = silu(a) b with silu(a) = a s and s the logistic function of a.

struct Params { unused: u32 }

#import step
#import flat

@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

/// No overflow: WGSL promises nothing about infinities.
fn logistic(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(clamp(-x, -80.0, 80.0)));
}

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = flat(group, groups, lane);
    if i >= step.views[2].rows * step.views[2].cols {
        return;
    }
    let x = a[step.views[0].offset + i];
    let at = step.views[2].offset + i;
    var value = x * logistic(x) * b[step.views[1].offset + i];
    if step.views[2].accumulate == 1u {
        value += y[at];
    }
    y[at] = value;
}

@group(0) @binding(3) var<storage, read> d_y: array<f32>;
@group(0) @binding(4) var<storage, read_write> d_a: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_b: array<f32>;

@compute @workgroup_size(256)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = flat(group, groups, lane);
    if i >= step.views[2].rows * step.views[2].cols {
        return;
    }
    let x = a[step.views[0].offset + i];
    let gate = b[step.views[1].offset + i];
    let upstream = d_y[step.views[2].offset + i];
    let s = logistic(x);
    if step.views[3].rows > 0u {
        let at = step.views[3].offset + i;
        d_a[at] = upstream * gate * (s + x * s * (1.0 - s)) + select(0.0, d_a[at], step.views[3].accumulate == 1u);
    }
    if step.views[4].rows > 0u {
        let at = step.views[4].offset + i;
        d_b[at] = upstream * x * s + select(0.0, d_b[at], step.views[4].accumulate == 1u);
    }
}
