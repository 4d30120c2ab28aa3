// 64 lanes with a number each: the largest, and the sum, which leaves every number in `held`. Where an adapter has
// subgroups, held_subgroup.wgsl stands in for this file.

struct Lanes { @builtin(local_invocation_index) lane: u32 }

var<workgroup> held: array<f32, 64>;

fn hold(value: f32, lanes: Lanes) {
    workgroupBarrier();
    held[lanes.lane] = value;
    workgroupBarrier();
}

fn held_most(value: f32, lanes: Lanes) -> f32 {
    hold(value, lanes);
    var most = held[0];
    for (var i = 1u; i < 64u; i++) {
        most = max(most, held[i]);
    }
    return most;
}

fn held_sum(value: f32, lanes: Lanes) -> f32 {
    hold(value, lanes);
    var sum = held[0];
    for (var i = 1u; i < 64u; i++) {
        sum += held[i];
    }
    return sum;
}
