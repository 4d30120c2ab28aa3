// Joins the parts of linear_logp.wgsl in order: log-prob of the chosen token, entropy, logsumexp.

struct Params { parts: u32, has_entropy: u32 }

#import step
#import flat

@group(0) @binding(1) var<storage, read> parts: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> logp: array<f32>;
@group(0) @binding(3) var<storage, read_write> lse: array<f32>;
@group(0) @binding(4) var<storage, read_write> entropy: array<f32>;

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = flat(group, groups, lane);
    if row >= step.views[1].rows {
        return;
    }
    var most = -1e30;
    for (var n = 0u; n < step.params.parts; n++) {
        most = max(most, parts[row * step.params.parts + n].x);
    }
    var sum = 0.0;
    var moment = 0.0;
    var chosen = 0.0;
    for (var n = 0u; n < step.params.parts; n++) {
        let part = parts[row * step.params.parts + n];
        let keep = exp(part.x - most);
        sum += keep * part.y;
        moment += keep * (part.z + part.y * (part.x - most));
        chosen += part.w;
    }
    let total = most + log(sum);
    logp[step.views[1].offset + row] = chosen - total;
    lse[step.views[2].offset + row] = total;
    if step.params.has_entropy == 1u {
        entropy[step.views[3].offset + row] = log(sum) - moment / sum;
    }
}
