// y = value.

struct Params { value: f32 }

#import step
#import flat

@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = flat(group, groups, lane);
    if i < step.views[0].rows * step.views[0].cols {
        y[step.views[0].offset + i] = step.params.value;
    }
}
