// y = x · Wᵀ + b for at most ROWS rows of x, four rows of W a workgroup of 64: what it is told, and where its results go.

struct Params { has_bias: u32 }

#import step
#import shares

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

fn store(row: u32, col: u32, sum: f32) {
    if row >= step.views[3].rows || col >= step.views[1].rows {
        return;
    }
    let at = step.views[3].offset + row * step.views[3].cols + col;
    var value = sum;
    if step.params.has_bias == 1u {
        value += bias[step.views[2].offset + col];
    }
    if step.views[3].accumulate == 1u {
        value += y[at];
    }
    y[at] = value;
}

/// Stores the workgroup's results, once every lane has said its shares of them.
fn finish(col: u32, lanes: Lanes) {
    workgroupBarrier();
    if lanes.lane < 4u * ROWS {
        store(lanes.lane / 4u, col + lanes.lane % 4u, whole(lanes));
    }
}
