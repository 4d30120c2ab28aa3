// y = x · Wᵀ + b for at most ROWS rows of x, as in decoding: W is read once, by 64 lanes along its rows, four rows a
// workgroup. The importing file says what W is: `weight`, bound at 2, and `weight_at(row, k)`, where `row` is the word at
// which a row begins.

#import row_result

@compute @workgroup_size(64)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, lanes: Lanes) {
    let lane = lanes.lane;
    let col = (group.y * groups.x + group.x) * 4u;
    let depth = step.views[0].cols;
    // Rows beyond the last are computed again and not stored.
#for n 4
    let w_$n = step.views[1].offset + min(col + $nu, step.views[1].rows - 1u) * step.views[1].cols;
#end
#for m ROWS
    let x_$m = step.views[0].offset + min($mu, step.views[0].rows - 1u) * depth;
    var sum_$m = vec4(0.0);
#end
    for (var k = lane; k < depth; k += 64u) {
        let w = vec4(weight_at(w_0, k), weight_at(w_1, k), weight_at(w_2, k), weight_at(w_3, k));
#for m ROWS
        sum_$m = fma(vec4(x[x_$m + k]), w, sum_$m);
#end
    }
#for m ROWS
#for n 4
    share($mu * 4u + $nu, sum_$m[$n], lanes);
#end
#end
    finish(col, lanes);
}
