// What the forward kernels of attention read and write.

struct Params { heads: u32, kv_heads: u32, dim: u32, scale: f32 }

#import step

@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> k: array<f32>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read> ranges: array<u32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> lse: array<f32>;

const Q: u32 = 0u;
const K: u32 = 1u;
const V: u32 = 2u;

var<private> head: u32;

fn range_of(query: u32) -> vec4<u32> {
    if query >= step.views[0].rows {
        return vec4(0u);
    }
    let at = step.views[3].offset + query * 4u;
    return vec4(ranges[at], ranges[at + 1u], ranges[at + 2u], ranges[at + 3u]);
}

fn element(matrix: u32, row: u32, d: u32) -> f32 {
    if row >= step.views[matrix].rows || d >= step.params.dim {
        return 0.0;
    }
    let kv_head = head / (step.params.heads / step.params.kv_heads);
    let column = select(kv_head, head, matrix == Q) * step.params.dim + d;
    let at = step.views[matrix].offset + row * step.views[matrix].cols + column;
    switch matrix {
        case Q: { return q[at]; }
        case K: { return k[at]; }
        default: { return v[at]; }
    }
}

fn store(query: u32, d: u32, value: f32) {
    if query < step.views[4].rows && d < step.params.dim {
        y[step.views[4].offset + query * step.views[4].cols + head * step.params.dim + d] = value;
    }
}
