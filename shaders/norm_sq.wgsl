// Σ x², in two passes: at most 1024 workgroups sum strided elements, then one workgroup sums the workgroups.

struct Params { square: u32 }

#import step
#import sum

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, lanes: Lanes) {
    let lane = lanes.lane;
    let count = step.views[0].rows * step.views[0].cols;
    var sum = 0.0;
    for (var i = group.x * 256u + lane; i < count; i += groups.x * 256u) {
        let value = x[step.views[0].offset + i];
        sum += select(value, value * value, step.params.square == 1u);
    }
    let total = workgroup_sum(sum, lanes);
    if lane == 0u {
        let at = step.views[1].offset + group.x;
        y[at] = total + select(0.0, y[at], step.views[1].accumulate == 1u);
    }
}
