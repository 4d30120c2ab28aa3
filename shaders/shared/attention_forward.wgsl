// What the forward kernels of attention read and write.

struct Params { heads: u32, kv_heads: u32, dim: u32, scale: f32, cap: f32 }

#import step
#import attention_place
#import attention_cap

@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> k: array<f32>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read> ranges: array<u32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> lse: array<f32>;

fn range_of(query: u32) -> vec4<u32> {
    if query >= step.views[0].rows {
        return vec4(0u);
    }
    let at = step.views[3].offset + query * 4u;
    return vec4(ranges[at], ranges[at + 1u], ranges[at + 2u], ranges[at + 3u]);
}

fn q_at(row: u32, d: u32) -> f32 {
    let at = place_of(step.views[0], row, head, d);
    if at == NOWHERE {
        return 0.0;
    }
    return q[at];
}

fn k_at(row: u32, d: u32) -> f32 {
    let at = place_of(step.views[1], row, kv_head(), d);
    if at == NOWHERE {
        return 0.0;
    }
    return k[at];
}

fn v_at(row: u32, d: u32) -> f32 {
    let at = place_of(step.views[2], row, kv_head(), d);
    if at == NOWHERE {
        return 0.0;
    }
    return v[at];
}

fn store(query: u32, d: u32, value: f32) {
    if query < step.views[4].rows && d < step.params.dim {
        y[step.views[4].offset + query * step.views[4].cols + head * step.params.dim + d] = value;
    }
}
