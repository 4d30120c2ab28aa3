// The plain matrix B of a product by vectors of four.

@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;

fn b_four(k: u32, j: u32) -> vec4<f32> {
    if k >= step.params.depth || j >= step.params.cols {
        return vec4(0.0);
    }
    return b[(step.views[1].offset + k * step.params.b_stride.x + j * step.params.b_stride.y) / 4u];
}
