// y = x · Wᵀ + b with W as halves: as exact as `linear` on the rounded W.

#import product

@group(0) @binding(2) var<storage, read> b: array<u32>;

fn b_at(k: u32, j: u32) -> f32 {
    if k >= step.params.depth || j >= step.params.cols {
        return 0.0;
    }
    let pair = unpack2x16float(b[step.views[1].offset + j * step.views[1].cols + k / 2u]);
    return select(pair.x, pair.y, k % 2u == 1u);
}
