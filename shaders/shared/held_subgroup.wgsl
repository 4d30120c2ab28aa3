// What held.wgsl says, by subgroups: a lane reads one number a subgroup in place of 64.

#import subgroup_lanes

var<workgroup> held: array<f32, 64>;
var<workgroup> partial: array<f32, 16>;

fn held_most(value: f32, lanes: Lanes) -> f32 {
    let own = subgroupMax(value);
    workgroupBarrier();
    if lanes.place == 0u {
        partial[lanes.subgroup] = own;
    }
    workgroupBarrier();
    var most = partial[0];
    for (var i = 1u; i < lanes.subgroups; i++) {
        most = max(most, partial[i]);
    }
    return most;
}

fn held_sum(value: f32, lanes: Lanes) -> f32 {
    let own = subgroupAdd(value);
    workgroupBarrier();
    held[lanes.lane] = value;
    if lanes.place == 0u {
        partial[lanes.subgroup] = own;
    }
    workgroupBarrier();
    var sum = partial[0];
    for (var i = 1u; i < lanes.subgroups; i++) {
        sum += partial[i];
    }
    return sum;
}
