// y = a + b, or a copy of a where b is absent; where y accumulates, y += that.

struct Params { unused: u32 }

#import step
#import flat

@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = flat(group, groups, lane);
    if i >= step.views[2].rows * step.views[2].cols {
        return;
    }
    var sum = a[step.views[0].offset + i];
    if step.views[1].rows > 0u {
        sum += b[step.views[1].offset + i];
    }
    let at = step.views[2].offset + i;
    if step.views[2].accumulate == 1u {
        sum += y[at];
    }
    y[at] = sum;
}
