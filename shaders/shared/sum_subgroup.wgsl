// What sum.wgsl says, by subgroups: each reduces its lanes, then every lane reduces the subgroups in order. Two barriers in
// place of ten.

#import subgroup_lanes

var<workgroup> terms: array<f32, 64>;

fn workgroup_sum(value: f32, lanes: Lanes) -> f32 {
    let own = subgroupAdd(value);
    workgroupBarrier();
    if lanes.place == 0u {
        terms[lanes.subgroup] = own;
    }
    workgroupBarrier();
    var sum = terms[0];
    for (var i = 1u; i < lanes.subgroups; i++) {
        sum += terms[i];
    }
    return sum;
}

fn workgroup_most(value: f32, lanes: Lanes) -> f32 {
    let own = subgroupMax(value);
    workgroupBarrier();
    if lanes.place == 0u {
        terms[lanes.subgroup] = own;
    }
    workgroupBarrier();
    var most = terms[0];
    for (var i = 1u; i < lanes.subgroups; i++) {
        most = max(most, terms[i]);
    }
    return most;
}
