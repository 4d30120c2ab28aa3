// The matrix A of a product. Where it lies in whole vectors of four, product_a_vectors.wgsl stands in for this file.

@group(0) @binding(1) var<storage, read> a: array<f32>;

fn a_at(i: u32, k: u32) -> f32 {
    if i >= step.params.rows || k >= step.params.depth {
        return 0.0;
    }
    return a[step.views[0].offset + i * step.params.a_stride.x + k * step.params.a_stride.y];
}
