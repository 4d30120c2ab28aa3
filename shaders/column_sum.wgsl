// y[n, :] = Σ over the n-th block of rows of x[t, :], or of x ∘ (weight − shift[t]) · scale[t] where weight and scale
// are there, and shift: the gradients of a bias and of a gain. Blocks are summed in order; the host calls again until one row is left.

struct Params { block: u32 }

#import step
#import flat

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> scale: array<f32>;
@group(0) @binding(4) var<storage, read> shift: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn sum(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let cols = step.views[0].cols;
    let c = flat(group, groups, lane);
    if c >= cols {
        return;
    }
    let begin = group.z * step.params.block;
    let end = min(begin + step.params.block, step.views[0].rows);
    var sum = 0.0;
    for (var t = begin; t < end; t++) {
        var value = x[step.views[0].offset + t * cols + c];
        if step.views[1].rows > 0u {
            var factor = weight[step.views[1].offset + t * cols + c];
            if step.views[3].rows > 0u {
                factor -= shift[step.views[3].offset + t];
            }
            value *= factor * scale[step.views[2].offset + t];
        }
        sum += value;
    }
    let at = step.views[4].offset + group.z * cols + c;
    y[at] = sum + select(0.0, y[at], step.views[4].accumulate == 1u);
}
