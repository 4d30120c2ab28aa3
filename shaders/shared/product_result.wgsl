// A product C = A · B: what it is told, and where its results go.

struct Params {
    /// Words between neighbours along i and k of A, and numbers between neighbours along k and j of B.
    a_stride: vec2<u32>,
    b_stride: vec2<u32>,
    rows: u32,
    cols: u32,
    depth: u32,
    /// Depth that one grid layer sums.
    slice: u32,
    has_bias: u32,
    /// Words between neighbouring rows of C.
    stride: u32,
}

#import step

@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> c: array<f32>;

fn store(i: u32, j: u32, layer: u32, sum: f32) {
    if i >= step.params.rows || j >= step.params.cols {
        return;
    }
    let at = step.views[3].offset + (layer * step.params.rows + i) * step.params.stride + j;
    var value = sum;
    if step.params.has_bias == 1u {
        value += bias[step.views[2].offset + j];
    }
    if step.views[3].accumulate == 1u {
        value += c[at];
    }
    c[at] = value;
}
