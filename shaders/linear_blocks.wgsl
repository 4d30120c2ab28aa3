// Both products of `linear_blocks`: y = x · Wᵀ + b and d_x = d_y · W, where W lies in blocks. Numbers are decoded on their
// way into workgroup memory.

#import product
#import block

@group(0) @binding(2) var<storage, read> b: array<u32>;

fn word_at(at: u32) -> u32 {
    return b[at];
}

fn b_at(k: u32, j: u32) -> f32 {
    if k >= step.params.depth || j >= step.params.cols {
        return 0.0;
    }
    // what runs along a row of W is the depth of the first product and the width of the second
    let place = select(vec2(k, j), vec2(j, k), b_runs_along_k());
    return number_at(step.views[1].offset + place.x * step.views[1].cols, place.y);
}
