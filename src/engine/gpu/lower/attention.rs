//! Attention: 32 queries a workgroup, or one where there are few; backward by queries and by keys.

use crate::engine::Step;
use crate::engine::op::attention::Params;

use super::super::dispatch::{Bound, Kernel, Scratch, flat, word};
use super::{Plan, input, output, own_params};

/// Queries, keys and dimensions of one tile.
const SIDE: usize = 32;

/// The widest head that kernels are made for.
const WIDEST: usize = 256;

fn tile_kernel(file: &'static str, entry: &'static str, dim: usize) -> Kernel {
    Kernel::new(file, entry).with("CHUNKS", word(dim.div_ceil(SIDE)))
}

fn row_kernel(dim: usize) -> Kernel {
    Kernel::new("attention_row", "forward").with("ROUNDS", word(dim.div_ceil(64)))
}

/// y and lse.
pub fn forward(step: &Step, plan: &mut Plan<'_>) {
    let params: Params = step.params();
    let mut bindings: Vec<Bound> = (0..4).map(|place| input(step, place)).collect();
    bindings.extend([output(step, 0), output(step, 1)]);
    let (queries, dim) = (step.input(0).rows, params.head_dim as usize);
    let (kernel, groups) = if queries <= plan.tuning.few_queries {
        (row_kernel(dim).by_subgroups(plan.tuning.subgroups), queries)
    } else {
        (tile_kernel("attention", "forward", dim), queries.div_ceil(SIDE))
    };
    plan.call(kernel, own_params(step), bindings, [word(groups), params.heads, 1]);
}

/// d_q, then d_k and d_v.
pub fn backward(step: &Step, plan: &mut Plan<'_>) {
    let params: Params = step.params();
    let [q, k, v, ranges, key_until, y, lse, d_y] = std::array::from_fn(|place| input(step, place));
    let [d_q, d_k, d_v] = std::array::from_fn(|place| output(step, place));
    let (dim, heads) = (params.head_dim as usize, params.heads as usize);
    let delta = Bound::scratch(Scratch::Parts, q.rows, heads);
    let own = own_params(step);
    let kernel = Kernel::new("attention_delta", "backward");
    plan.call(kernel, own, vec![y, d_y, delta.written()], flat(q.rows * heads));
    let known = [q, k, v, d_y, ranges, lse, delta];
    if d_q.rows > 0 {
        let bindings = [&known[..], &[d_q]].concat();
        let groups = [word(q.rows.div_ceil(SIDE)), params.heads, 1];
        plan.call(tile_kernel("attention_query", "backward", dim), own, bindings, groups);
    }
    if d_k.rows > 0 || d_v.rows > 0 {
        let bindings = [&known[..], &[key_until, d_k, d_v]].concat();
        let groups = [word(k.rows.div_ceil(SIDE)), params.kv_heads, 1];
        plan.call(tile_kernel("attention_key", "backward", dim), own, bindings, groups);
    }
}

/// All kernels of this file.
pub fn kernels() -> Vec<Kernel> {
    let tiles = |file, entry| (1..=WIDEST / SIDE).map(move |chunks| tile_kernel(file, entry, chunks * SIDE));
    let rows = (1..=WIDEST / 64).flat_map(|rounds| row_kernel(rounds * 64).either_way());
    tiles("attention", "forward")
        .chain(tiles("attention_query", "backward"))
        .chain(tiles("attention_key", "backward"))
        .chain(rows)
        .chain([Kernel::new("attention_delta", "backward")])
        .collect()
}
