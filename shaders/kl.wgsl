// kl = Σ_j a_j (log a_j − log b_j) of a = softmax(x / T), b = softmax(y / T), a workgroup per row; logits z under a soft
// cap c are c tanh(z / c). Backward: d_x = d a (log a − log b − kl) / T, d_y = d (b − a) / T, times the cap's slope.

struct Params { temperature: f32, cap_x: f32, cap_y: f32 }

#import step
#import sum
#import squash

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> kl: array<f32>;
@group(0) @binding(4) var<storage, read_write> lse_x: array<f32>;
@group(0) @binding(5) var<storage, read_write> lse_y: array<f32>;

fn cooled(z: f32, cap: f32) -> f32 {
    if cap == 0.0 {
        return z / step.params.temperature;
    }
    return cap * squash(z / cap) / step.params.temperature;
}

fn slope(z: f32, cap: f32) -> f32 {
    if cap == 0.0 {
        return 1.0 / step.params.temperature;
    }
    let squeezed = squash(z / cap);
    return (1.0 - squeezed * squeezed) / step.params.temperature;
}

fn x_at(row: u32, j: u32) -> f32 {
    return cooled(x[step.views[0].offset + row * step.views[0].cols + j], step.params.cap_x);
}

fn y_at(row: u32, j: u32) -> f32 {
    return cooled(y[step.views[1].offset + row * step.views[1].cols + j], step.params.cap_y);
}

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, lanes: Lanes) {
    let lane = lanes.lane;
    let row = group.y * groups.x + group.x;
    let cols = step.views[0].cols;
    if row >= step.views[0].rows {
        return;
    }
    var most_x = -3.0e38;
    var most_y = -3.0e38;
    for (var j = lane; j < cols; j += 256u) {
        most_x = max(most_x, x_at(row, j));
        most_y = max(most_y, y_at(row, j));
    }
    most_x = workgroup_most(most_x, lanes);
    most_y = workgroup_most(most_y, lanes);
    var total_x = 0.0;
    var total_y = 0.0;
    for (var j = lane; j < cols; j += 256u) {
        total_x += exp(x_at(row, j) - most_x);
        total_y += exp(y_at(row, j) - most_y);
    }
    let all_x = most_x + log(workgroup_sum(total_x, lanes));
    let all_y = most_y + log(workgroup_sum(total_y, lanes));
    var sum = 0.0;
    for (var j = lane; j < cols; j += 256u) {
        let log_a = x_at(row, j) - all_x;
        sum += exp(log_a) * (log_a - (y_at(row, j) - all_y));
    }
    sum = workgroup_sum(sum, lanes);
    if lane == 0u {
        kl[step.views[2].offset + row] = sum;
        lse_x[step.views[3].offset + row] = all_x;
        lse_y[step.views[4].offset + row] = all_y;
    }
}

@group(0) @binding(3) var<storage, read> said: array<f32>;
@group(0) @binding(4) var<storage, read> all_x: array<f32>;
@group(0) @binding(5) var<storage, read> all_y: array<f32>;
@group(0) @binding(6) var<storage, read> d_kl: array<f32>;
@group(0) @binding(7) var<storage, read_write> d: array<f32>;

/// d_x and d_y have one kernel each, so that every one binds what it writes and nothing else.
@compute @workgroup_size(256)
fn backward_x(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.y * groups.x + group.x;
    let cols = step.views[0].cols;
    if row >= step.views[0].rows {
        return;
    }
    let own = said[step.views[2].offset + row];
    for (var j = lane; j < cols; j += 256u) {
        let log_a = x_at(row, j) - all_x[step.views[3].offset + row];
        let log_b = y_at(row, j) - all_y[step.views[4].offset + row];
        let raw = x[step.views[0].offset + row * cols + j];
        let value = d_kl[step.views[5].offset + row] * exp(log_a) * (log_a - log_b - own) * slope(raw, step.params.cap_x);
        let at = step.views[6].offset + row * cols + j;
        d[at] = value + select(0.0, d[at], step.views[6].accumulate == 1u);
    }
}

@compute @workgroup_size(256)
fn backward_y(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.y * groups.x + group.x;
    let cols = step.views[0].cols;
    if row >= step.views[0].rows {
        return;
    }
    for (var j = lane; j < cols; j += 256u) {
        let a = exp(x_at(row, j) - all_x[step.views[3].offset + row]);
        let b = exp(y_at(row, j) - all_y[step.views[4].offset + row]);
        let raw = y[step.views[1].offset + row * cols + j];
        let value = d_kl[step.views[5].offset + row] * (b - a) * slope(raw, step.params.cap_y);
        let at = step.views[6].offset + row * cols + j;
        d[at] = value + select(0.0, d[at], step.views[6].accumulate == 1u);
    }
}
