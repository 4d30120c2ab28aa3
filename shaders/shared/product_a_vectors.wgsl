// The matrix A of a product by vectors of four.

@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;

fn a_four(i: u32, k: u32) -> vec4<f32> {
    if i >= step.params.rows || k >= step.params.depth {
        return vec4(0.0);
    }
    return a[(step.views[0].offset + i * step.params.a_stride.x + k * step.params.a_stride.y) / 4u];
}
