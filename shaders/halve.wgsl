// A copy of numbers as halves, two a word, to the nearest even: what a network reads while it samples.

struct Params { unused: u32 }

#import step
#import flat

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

/// Rounded to what a half can hold, because WGSL leaves it open which way it rounds by itself.
fn rounded(value: f32) -> f32 {
    let bits = bitcast<u32>(clamp(value, -65504.0, 65504.0));
    return bitcast<f32>((bits + 0xfffu + (bits >> 13u & 1u)) & 0xffffe000u);
}

@compute @workgroup_size(256)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = flat(group, groups, lane);
    if i >= step.views[1].rows * step.views[1].cols {
        return;
    }
    let at = step.views[0].offset + 2u * i;
    y[step.views[1].offset + i] = pack2x16float(vec2(rounded(x[at]), rounded(x[at + 1u])));
}
