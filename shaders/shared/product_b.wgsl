// The plain matrix B of a product. Where it lies in whole vectors of four, product_b_vectors.wgsl stands in for this file.

@group(0) @binding(2) var<storage, read> b: array<f32>;

fn b_at(k: u32, j: u32) -> f32 {
    if k >= step.params.depth || j >= step.params.cols {
        return 0.0;
    }
    return b[step.views[1].offset + k * step.params.b_stride.x + j * step.params.b_stride.y];
}
