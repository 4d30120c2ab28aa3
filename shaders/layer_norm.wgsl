// y = n g + b with n = (x − m) r, m = mean(x), r = 1 / sqrt(mean((x − m)²) + eps), a workgroup per row.
// Backward: d_x = r (d_y g − mean(d_y g) − n mean(d_y g n)), d_g = Σ_t d_y n, d_b = Σ_t d_y.

struct Params { eps: f32 }

#import step
#import sum

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> gain: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> mean: array<f32>;
@group(0) @binding(6) var<storage, read_write> inverse: array<f32>;

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, lanes: Lanes) {
    let lane = lanes.lane;
    let row = group.y * groups.x + group.x;
    let cols = step.views[0].cols;
    if row >= step.views[0].rows {
        return;
    }
    var total = 0.0;
    for (var c = lane; c < cols; c += 256u) {
        total += x[step.views[0].offset + row * cols + c];
    }
    let centre = workgroup_sum(total, lanes) / f32(cols);
    var square = 0.0;
    for (var c = lane; c < cols; c += 256u) {
        let value = x[step.views[0].offset + row * cols + c] - centre;
        square = fma(value, value, square);
    }
    let r = 1.0 / sqrt(workgroup_sum(square, lanes) / f32(cols) + step.params.eps);
    for (var c = lane; c < cols; c += 256u) {
        let normed = (x[step.views[0].offset + row * cols + c] - centre) * r;
        y[step.views[3].offset + row * cols + c] = fma(normed, gain[step.views[1].offset + c], bias[step.views[2].offset + c]);
    }
    if lane == 0u {
        mean[step.views[4].offset + row] = centre;
        inverse[step.views[5].offset + row] = r;
    }
}

@group(0) @binding(3) var<storage, read> m: array<f32>;
@group(0) @binding(4) var<storage, read> r: array<f32>;
@group(0) @binding(5) var<storage, read> d_y: array<f32>;
@group(0) @binding(6) var<storage, read_write> d_x: array<f32>;

@compute @workgroup_size(256)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, lanes: Lanes) {
    let lane = lanes.lane;
    let row = group.y * groups.x + group.x;
    let cols = step.views[0].cols;
    if row >= step.views[0].rows {
        return;
    }
    let centre = m[step.views[2].offset + row];
    let scale = r[step.views[3].offset + row];
    var total = 0.0;
    var product = 0.0;
    for (var c = lane; c < cols; c += 256u) {
        let own = d_y[step.views[4].offset + row * cols + c] * gain[step.views[1].offset + c];
        total += own;
        product = fma(own, (x[step.views[0].offset + row * cols + c] - centre) * scale, product);
    }
    let average = workgroup_sum(total, lanes) / f32(cols);
    let share = workgroup_sum(product, lanes) / f32(cols);
    for (var c = lane; c < cols; c += 256u) {
        let i = row * cols + c;
        let own = d_y[step.views[4].offset + i] * gain[step.views[1].offset + c];
        let normed = (x[step.views[0].offset + i] - centre) * scale;
        let at = step.views[5].offset + i;
        d_x[at] = scale * (own - average - normed * share) + select(0.0, d_x[at], step.views[5].accumulate == 1u);
    }
}
