// y = a x; the derivative is the same with d_y for x.

struct Params { factor: f32 }

#import step
#import flat

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = flat(group, groups, lane);
    if i >= step.views[1].rows * step.views[1].cols {
        return;
    }
    let at = step.views[1].offset + i;
    y[at] = step.params.factor * x[step.views[0].offset + i] + select(0.0, y[at], step.views[1].accumulate == 1u);
}
