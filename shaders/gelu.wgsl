// y = gelu(a) b, or gelu(a) where b is absent, gelu(a) = a f: f = (1 + erf(a / √2)) / 2, or its approximation
// (1 + tanh(u)) / 2 = 1 / (1 + exp(−2u)), u = √(2/π) (a + 0.044715 a³).

struct Params { approximate: u32 }

#import step
#import flat

@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

const ROOT: f32 = 0.7978845608;
const CUBE: f32 = 0.044715;

/// f by formula 7.1.26 of Abramowitz & Stegun, Handbook of Mathematical Functions.
fn normal_share(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.3275911 * 0.7071067812 * abs(x));
    let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    let tail = 0.5 * p * exp(-min(0.5 * x * x, 80.0));
    return select(1.0 - tail, tail, x < 0.0);
}

/// f and its derivative. No overflow: WGSL promises nothing about infinities.
fn gate(x: f32) -> vec2<f32> {
    if step.params.approximate == 1u {
        let near = clamp(x, -30.0, 30.0);
        let f = 1.0 / (1.0 + exp(clamp(-2.0 * ROOT * near * (1.0 + CUBE * near * near), -80.0, 80.0)));
        return vec2(f, 2.0 * f * (1.0 - f) * ROOT * (1.0 + 3.0 * CUBE * near * near));
    }
    return vec2(normal_share(x), 0.5 * ROOT * exp(-min(0.5 * x * x, 80.0)));
}

fn gate_of(i: u32) -> f32 {
    if step.views[1].rows == 0u {
        return 1.0;
    }
    return b[step.views[1].offset + i];
}

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = flat(group, groups, lane);
    if i >= step.views[2].rows * step.views[2].cols {
        return;
    }
    let x = a[step.views[0].offset + i];
    let at = step.views[2].offset + i;
    y[at] = x * gate(x).x * gate_of(i) + select(0.0, y[at], step.views[2].accumulate == 1u);
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
    let upstream = d_y[step.views[2].offset + i];
    let known = gate(x);
    if step.views[3].rows > 0u {
        let at = step.views[3].offset + i;
        d_a[at] = upstream * gate_of(i) * (known.x + x * known.y) + select(0.0, d_a[at], step.views[3].accumulate == 1u);
    }
    if step.views[4].rows > 0u {
        let at = step.views[4].offset + i;
        d_b[at] = upstream * x * known.x + select(0.0, d_b[at], step.views[4].accumulate == 1u);
    }
}
