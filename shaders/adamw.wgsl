// Adam with decoupled weight decay, in place.

struct Params {
    lr: f32,
    beta1: f32,
    beta2: f32,
    eps: f32,
    weight_decay: f32,
    correction1: f32,
    correction2: f32,
    grad_scale: f32,
}

#import step
#import flat

@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read_write> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> m: array<f32>;
@group(0) @binding(4) var<storage, read_write> v: array<f32>;

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = flat(group, groups, lane);
    if i >= step.views[0].rows * step.views[0].cols {
        return;
    }
    let p = step.params;
    let g = gradient[step.views[0].offset + i] * p.grad_scale;
    let at_m = step.views[2].offset + i;
    let at_v = step.views[3].offset + i;
    let first = p.beta1 * m[at_m] + (1.0 - p.beta1) * g;
    let second = p.beta2 * v[at_v] + (1.0 - p.beta2) * g * g;
    m[at_m] = first;
    v[at_v] = second;
    let size = sqrt(second / p.correction2) + p.eps;
    let at = step.views[1].offset + i;
    weight[at] = weight[at] * (1.0 - p.lr * p.weight_decay) - p.lr * (first / p.correction1 / size);
}
