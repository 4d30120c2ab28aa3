// The sum over a workgroup of 256, and its largest number, always in the same order. Where an adapter has subgroups,
// sum_subgroup.wgsl stands in for this file.

struct Lanes { @builtin(local_invocation_index) lane: u32 }

var<workgroup> terms: array<f32, 256>;

fn workgroup_sum(value: f32, lanes: Lanes) -> f32 {
    workgroupBarrier();
    terms[lanes.lane] = value;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if lanes.lane < half {
            terms[lanes.lane] += terms[lanes.lane + half];
        }
        workgroupBarrier();
    }
    return terms[0];
}

fn workgroup_most(value: f32, lanes: Lanes) -> f32 {
    workgroupBarrier();
    terms[lanes.lane] = value;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if lanes.lane < half {
            terms[lanes.lane] = max(terms[lanes.lane], terms[lanes.lane + half]);
        }
        workgroupBarrier();
    }
    return terms[0];
}
