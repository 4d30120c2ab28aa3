// The head's logits, tile by tile: z[p, v] = l / temperature, l = h[pred[p], :] · W[v, :] + bias[v], which a soft cap c
// makes c · tanh(l / c).
// W and bias are bound from vocabulary entry `first` on, `vocabulary` entries of them.

struct Params {
    first: u32,
    vocabulary: u32,
    /// Columns that one grid layer walks over, a multiple of the tile.
    slice: u32,
    has_bias: u32,
    inverse_temperature: f32,
    /// Place of this dispatch's first grid layer among all layers of the row.
    layer: u32,
    layers: u32,
    has_entropy: u32,
    /// The soft cap, 0 for none.
    cap: f32,
}

#import step
#import tile
#import squash

@group(0) @binding(1) var<storage, read> h: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> pred: array<u32>;
@group(0) @binding(5) var<storage, read> chosen: array<u32>;

fn a_at(i: u32, k: u32) -> f32 {
    if i >= step.views[3].rows || k >= step.views[0].cols {
        return 0.0;
    }
    return h[step.views[0].offset + pred[step.views[3].offset + i] * step.views[0].cols + k];
}

fn b_at(k: u32, j: u32) -> f32 {
    if k >= step.views[0].cols || j >= step.params.vocabulary {
        return 0.0;
    }
    return w[step.views[1].offset + j * step.views[0].cols + k];
}

fn a_runs_along_k() -> bool {
    return true;
}

fn b_runs_along_k() -> bool {
    return true;
}

fn bias_at(v: u32) -> f32 {
    if step.params.has_bias == 0u || v >= step.params.vocabulary {
        return 0.0;
    }
    return bias[step.views[2].offset + v];
}

/// A logit under the cap.
fn capped(logit: f32) -> f32 {
    if step.params.cap == 0.0 {
        return logit;
    }
    return step.params.cap * squash(logit / step.params.cap);
}

/// The derivative by the logit of what `capped` gave.
fn slope(capped: f32) -> f32 {
    if step.params.cap == 0.0 {
        return 1.0;
    }
    let squeezed = capped / step.params.cap;
    return 1.0 - squeezed * squeezed;
}

fn chosen_at(row: u32) -> u32 {
    return chosen[step.views[4].offset + min(row, step.views[3].rows - 1u)];
}
