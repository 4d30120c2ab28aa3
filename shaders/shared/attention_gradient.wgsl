// The derivative of attention. With P = exp(S − lse), dP = dY · Vᵀ and delta[t] = Σ_d dY · Y:
// dS = P ∘ (dP − delta);  dQ = scale · dS · K;  dK = scale · dSᵀ · Q;  dV = Pᵀ · dY.
// S and P are computed again, tile by tile; nothing of [T, T] is kept.

struct Params { heads: u32, kv_heads: u32, dim: u32, scale: f32, cap: f32 }

#import step
#import attention_place
#import attention_cap

@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> k: array<f32>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read> d_y: array<f32>;
@group(0) @binding(5) var<storage, read> ranges: array<u32>;
@group(0) @binding(6) var<storage, read> lse: array<f32>;
@group(0) @binding(7) var<storage, read> delta: array<f32>;

fn range_of(query: u32) -> vec4<u32> {
    if query >= step.views[0].rows {
        return vec4(0u);
    }
    let at = step.views[4].offset + query * 4u;
    return vec4(ranges[at], ranges[at + 1u], ranges[at + 2u], ranges[at + 3u]);
}

fn q_at(row: u32, d: u32) -> f32 {
    let at = place_of(step.views[0], row, head, d);
    if at == NOWHERE {
        return 0.0;
    }
    return q[at];
}

fn k_at(row: u32, d: u32) -> f32 {
    let at = place_of(step.views[1], row, kv_head(), d);
    if at == NOWHERE {
        return 0.0;
    }
    return k[at];
}

fn v_at(row: u32, d: u32) -> f32 {
    let at = place_of(step.views[2], row, kv_head(), d);
    if at == NOWHERE {
        return 0.0;
    }
    return v[at];
}

fn d_y_at(row: u32, d: u32) -> f32 {
    let at = place_of(step.views[3], row, head, d);
    if at == NOWHERE {
        return 0.0;
    }
    return d_y[at];
}

/// A query's logsumexp and delta.
fn known_of(query: u32) -> vec2<f32> {
    if query >= step.views[0].rows {
        return vec2(0.0);
    }
    let at = query * step.params.heads + head;
    return vec2(lse[step.views[5].offset + at], delta[step.views[6].offset + at]);
}

#import attention_tile
#import attention_factor of q
#import attention_factor of k
#import attention_factor of v
#import attention_factor of d_y
