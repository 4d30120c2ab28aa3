// Turns each pair (x[i], x[R/2 + i]) of a head by its row's angle; `sign` −1 turns back, which is the derivative.
// Dimensions from R on stay.

struct Params { head_dim: u32, turned: u32, sign: f32 }

#import step
#import flat

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> positions: array<u32>;
/// Cosines, then sines, of every position.
@group(0) @binding(3) var<storage, read> table: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

fn store(i: u32, value: f32) {
    let at = step.views[3].offset + i;
    y[at] = value + select(0.0, y[at], step.views[3].accumulate == 1u);
}

@compute @workgroup_size(256)
fn rotate(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let pair = flat(group, groups, lane);
    let half = step.params.head_dim / 2u;
    let pairs = step.views[0].cols / 2u;
    if pair >= step.views[0].rows * pairs {
        return;
    }
    let row = pair / pairs;
    let head = pair % pairs / half;
    let i = pair % half;
    let turned = step.params.turned / 2u;
    let own = row * step.views[0].cols + head * step.params.head_dim;
    if i >= turned {
        let kept = own + 2u * i;
        store(kept, x[step.views[0].offset + kept]);
        store(kept + 1u, x[step.views[0].offset + kept + 1u]);
        return;
    }
    let entry = step.views[2].offset + positions[step.views[1].offset + row] * step.params.turned + i;
    let cosine = table[entry];
    let sine = table[entry + turned] * step.params.sign;
    let first = own + i;
    let a = x[step.views[0].offset + first];
    let b = x[step.views[0].offset + first + turned];
    store(first, a * cosine - b * sine);
    store(first + turned, b * cosine + a * sine);
}
