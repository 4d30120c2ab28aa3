// All three products of `linear`: y = x · Wᵀ + b, d_x = d_y · W, d_W = d_yᵀ · x. They differ in strides only.

#import product

@group(0) @binding(2) var<storage, read> b: array<f32>;

fn b_at(k: u32, j: u32) -> f32 {
    if k >= step.params.depth || j >= step.params.cols {
        return 0.0;
    }
    return b[step.views[1].offset + k * step.params.b_stride.x + j * step.params.b_stride.y];
}
