// y = x r (o + g) with r = 1 / sqrt(mean(x²) + eps), a workgroup per row of as many numbers as there are gains.
// Backward: d_x = r (d_y (o + g) − x r² mean(d_y (o + g) x)), d_g = Σ_t d_y x r.

struct Params { eps: f32, offset: f32 }

#import step
#import sum

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> gain: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> inverse: array<f32>;

fn gain_at(c: u32) -> f32 {
    return step.params.offset + gain[step.views[1].offset + c];
}

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, lanes: Lanes) {
    let lane = lanes.lane;
    let row = group.y * groups.x + group.x;
    let cols = step.views[1].cols;
    if row >= step.views[3].rows {
        return;
    }
    var square = 0.0;
    for (var c = lane; c < cols; c += 256u) {
        let value = x[step.views[0].offset + row * cols + c];
        square = fma(value, value, square);
    }
    let r = 1.0 / sqrt(workgroup_sum(square, lanes) / f32(cols) + step.params.eps);
    for (var c = lane; c < cols; c += 256u) {
        y[step.views[2].offset + row * cols + c] = x[step.views[0].offset + row * cols + c] * r * gain_at(c);
    }
    if lane == 0u {
        inverse[step.views[3].offset + row] = r;
    }
}

@group(0) @binding(3) var<storage, read> r: array<f32>;
@group(0) @binding(4) var<storage, read> d_y: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_x: array<f32>;

@compute @workgroup_size(256)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, lanes: Lanes) {
    let lane = lanes.lane;
    let row = group.y * groups.x + group.x;
    let cols = step.views[1].cols;
    if row >= step.views[2].rows {
        return;
    }
    let scale = r[step.views[2].offset + row];
    var product = 0.0;
    for (var c = lane; c < cols; c += 256u) {
        let own = d_y[step.views[3].offset + row * cols + c] * gain_at(c);
        product = fma(own, x[step.views[0].offset + row * cols + c], product);
    }
    let mean = workgroup_sum(product, lanes) / f32(cols);
    for (var c = lane; c < cols; c += 256u) {
        let i = row * cols + c;
        let own = d_y[step.views[3].offset + i] * gain_at(c);
        let at = step.views[4].offset + i;
        let value = scale * (own - x[step.views[0].offset + i] * scale * scale * mean);
        d_x[at] = value + select(0.0, d_x[at], step.views[4].accumulate == 1u);
    }
}
