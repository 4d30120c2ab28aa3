// What shares.wgsl says, by subgroups: they say their shares in place of their lanes.

#import subgroup_lanes

var<workgroup> shares: array<f32, 64u * ROWS>;

/// Says what this lane has of a result.
fn share(result: u32, value: f32, lanes: Lanes) {
    let own = subgroupAdd(value);
    if lanes.place == 0u {
        shares[result * 16u + lanes.subgroup] = own;
    }
}

/// The result `lanes.lane`, once every lane has said its share and waited for the others.
fn whole(lanes: Lanes) -> f32 {
    var sum = 0.0;
    for (var i = 0u; i < lanes.subgroups; i++) {
        sum += shares[lanes.lane * 16u + i];
    }
    return sum;
}
