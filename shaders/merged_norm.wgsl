// n_i = |W_i + s B_i A|, a workgroup per row of W.

struct Params { scale: f32 }

#import step
#import sum

@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> down: array<f32>;
@group(0) @binding(3) var<storage, read> up: array<f32>;
@group(0) @binding(4) var<storage, read_write> norm: array<f32>;

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, lanes: Lanes) {
    let lane = lanes.lane;
    let row = group.y * groups.x + group.x;
    let cols = step.views[0].cols;
    let rank = step.views[1].rows;
    if row >= step.views[0].rows {
        return;
    }
    var square = 0.0;
    for (var k = lane; k < cols; k += 256u) {
        var added = 0.0;
        for (var r = 0u; r < rank; r++) {
            added = fma(up[step.views[2].offset + row * rank + r], down[step.views[1].offset + r * cols + k], added);
        }
        let merged = fma(step.params.scale, added, weight[step.views[0].offset + row * cols + k]);
        square = fma(merged, merged, square);
    }
    let length = sqrt(workgroup_sum(square, lanes));
    if lane == 0u {
        let at = step.views[3].offset + row;
        norm[at] = length + select(0.0, norm[at], step.views[3].accumulate == 1u);
    }
}
