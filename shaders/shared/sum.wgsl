// The sum over a workgroup of 256, always in the same order.

var<workgroup> terms: array<f32, 256>;

fn workgroup_sum(value: f32, lane: u32) -> f32 {
    workgroupBarrier();
    terms[lane] = value;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if lane < half {
            terms[lane] += terms[lane + half];
        }
        workgroupBarrier();
    }
    return terms[0];
}
