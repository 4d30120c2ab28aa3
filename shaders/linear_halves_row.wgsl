// y = x · Wᵀ + b for a few rows of x, with W as halves: half of what decoding waits for.

#import row_result

@group(0) @binding(2) var<storage, read> weight: array<u32>;

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, lanes: Lanes) {
    let col = (group.y * groups.x + group.x) * 4u;
    let pairs = step.views[1].cols;
    // Rows beyond the last are computed again and not stored.
#for n 4
    let w_$n = step.views[1].offset + min(col + $nu, step.views[1].rows - 1u) * pairs;
#end
#for m ROWS
    let x_$m = step.views[0].offset + min($mu, step.views[0].rows - 1u) * step.views[0].cols;
    var sum_$m = vec4(0.0);
#end
    for (var k = lanes.lane; k < pairs; k += 64u) {
#for n 4
        let pair_$n = unpack2x16float(weight[w_$n + k]);
#end
        let even = vec4(pair_0.x, pair_1.x, pair_2.x, pair_3.x);
        let odd = vec4(pair_0.y, pair_1.y, pair_2.y, pair_3.y);
#for m ROWS
        sum_$m = fma(vec4(x[x_$m + 2u * k + 1u]), odd, fma(vec4(x[x_$m + 2u * k]), even, sum_$m));
#end
    }
#for m ROWS
#for n 4
    share($mu * 4u + $nu, sum_$m[$n], lanes);
#end
#end
    finish(col, lanes);
}
