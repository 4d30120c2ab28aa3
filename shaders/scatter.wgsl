// cache[numbers[i], :] = x[i, :]; the numbers differ.

struct Params { unused: u32 }

#import step
#import flat

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> numbers: array<u32>;
@group(0) @binding(3) var<storage, read_write> cache: array<f32>;

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let cols = step.views[0].cols;
    let i = flat(group, groups, lane);
    if i >= step.views[0].rows * cols {
        return;
    }
    let row = numbers[step.views[1].offset + i / cols];
    cache[step.views[2].offset + row * cols + i % cols] = x[step.views[0].offset + i];
}
