// Rows picked by number and scaled, and the sum of gradients back into them.

struct Params {
    scale: f32,
    /// Number of the bound matrix's first row: it may be bound in runs, each with a dispatch of its own.
    first: u32,
}

#import step
#import flat

@group(0) @binding(1) var<storage, read> numbers: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let cols = step.views[2].cols;
    let i = flat(group, groups, lane);
    if i >= step.views[2].rows * cols {
        return;
    }
    let picked = numbers[step.views[0].offset + i / cols] - step.params.first;
    if picked >= step.views[1].rows {
        return;
    }
    let at = step.views[2].offset + i;
    y[at] = step.params.scale * x[step.views[1].offset + picked * cols + i % cols] + select(0.0, y[at], step.views[2].accumulate == 1u);
}

/// The places of `numbers`, sorted by number and then by place.
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> d_y: array<f32>;
@group(0) @binding(4) var<storage, read_write> d_x: array<f32>;

fn number(n: u32) -> u32 {
    return numbers[step.views[0].offset + order[step.views[1].offset + n]];
}

/// One workgroup a place; the first place of a run of equal numbers adds the whole run, in order.
@compute @workgroup_size(64)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let n = group.y * groups.x + group.x;
    let count = step.views[0].rows;
    if n >= count {
        return;
    }
    let own = number(n);
    let row = own - step.params.first;
    if row >= step.views[3].rows {
        return;
    }
    if n > 0u {
        if number(n - 1u) == own {
            return;
        }
    }
    let cols = step.views[3].cols;
    for (var c = lane; c < cols; c += 64u) {
        let at = step.views[3].offset + row * cols + c;
        var sum = d_x[at];
        for (var m = n; m < count; m++) {
            if number(m) != own {
                break;
            }
            sum += step.params.scale * d_y[step.views[2].offset + order[step.views[1].offset + m] * cols + c];
        }
        d_x[at] = sum;
    }
}
