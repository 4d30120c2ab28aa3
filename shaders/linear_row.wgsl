// y = x · Wᵀ + b for a few rows of x.

#import row_product

@group(0) @binding(2) var<storage, read> weight: array<f32>;

fn weight_at(row: u32, k: u32) -> f32 {
    return weight[row + k];
}
