// y = x · Wᵀ + b for a few rows of x, where W lies in blocks.

#import row_product
#import block

@group(0) @binding(2) var<storage, read> weight: array<u32>;

fn word_at(at: u32) -> u32 {
    return weight[at];
}

fn weight_at(row: u32, k: u32) -> f32 {
    return number_at(row, k);
}
