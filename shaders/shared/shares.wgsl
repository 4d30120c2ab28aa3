// Results that 64 lanes have a share of each: 4 · ROWS of them. Where an adapter has subgroups, shares_subgroup.wgsl stands
// in for this file.

struct Lanes { @builtin(local_invocation_index) lane: u32 }

var<workgroup> shares: array<f32, 256u * ROWS>;

/// Says what this lane has of a result.
fn share(result: u32, value: f32, lanes: Lanes) {
    shares[result * 64u + lanes.lane] = value;
}

/// The result `lanes.lane`, once every lane has said its share and waited for the others.
fn whole(lanes: Lanes) -> f32 {
    var sum = 0.0;
    for (var i = 0u; i < 64u; i++) {
        sum += shares[lanes.lane * 64u + (i + lanes.lane) % 64u];
    }
    return sum;
}
