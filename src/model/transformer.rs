//! The decoder as recorded ops: embedding, blocks, final norm, heads. The derivative follows by `engine::grad`.
//!
//! ```text
//! x = embed(ids)                                          (T, C)
//! per block:  a = rms_norm(x)
//!             x = x + W_o attention(rope(W_q a), rope(W_k a), W_v a)
//!             b = rms_norm(x)
//!             x = x + W_down (silu(W_gate b) * W_up b)
//! h = rms_norm(x);  logits = W_head h  or  score = w_score h
//! ```

use crate::engine::op::attention::{Params as Heads, Reach};
use crate::engine::{Indices, Recorder, View};

use super::{Head, ModelSpec, Site, Target};

/// A linear map's weight (N, K) and bias (1, N).
#[derive(Clone, Copy, Debug)]
pub(super) struct Projection {
    weight: View,
    bias: Option<View>,
    adapter: Option<LowRank>,
}

/// What stands beside a projection's weight W: see [`super::adapter`].
#[derive(Clone, Copy, Debug)]
pub(super) struct LowRank {
    /// A (R, K).
    pub down: View,
    /// B (N, R).
    pub up: View,
    /// m (1, N).
    pub magnitude: Option<View>,
    /// s.
    pub scale: f32,
}

/// The tensors of one block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    query: Projection,
    key: Projection,
    value: Projection,
    output: Projection,
    gate: Projection,
    up: Projection,
    down: Projection,
    attention_norm: View,
    mlp_norm: View,
}

/// All tensors of a network on a device.
#[derive(Clone, Debug)]
pub(super) struct Tensors {
    pub embedding: View,
    pub blocks: Vec<Block>,
    pub final_norm: View,
    /// (V, C) for a language head, the embedding where it is tied; (1, C) for a score or value head.
    pub head: View,
}

/// The tokens of a pass on the device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens {
    pub ids: Indices,
    /// u32 (T, 1).
    pub positions: View,
    pub reach: Reach,
    /// Rotary cosines and sines, (P, D).
    pub table: View,
}

/// What attention sees of a block's keys and values: those of this pass, or a cache into which they go first.
pub(super) trait Memory {
    /// The keys and values (Tk, Hkv D) to attend to, given those of the pass's own tokens.
    fn remember(&mut self, rec: &mut Recorder<'_>, block: usize, keys: View, values: View) -> (View, View);
}

/// Attention among the pass's own tokens only.
pub(super) struct NoMemory;

impl Memory for NoMemory {
    fn remember(&mut self, _: &mut Recorder<'_>, _: usize, keys: View, values: View) -> (View, View) {
        (keys, values)
    }
}

impl Tensors {
    /// Names `views`, one a parameter in the order of [`ModelSpec::parameters`].
    pub(super) fn new(spec: &ModelSpec, head: Head, views: &[View]) -> Self {
        let mut views = views.iter().copied();
        let mut next = || views.next().expect("one view a parameter");
        let embedding = next();
        let blocks = (0..spec.layers).map(|_| Block::new(spec, &mut next)).collect();
        let final_norm = next();
        let head = if head == Head::Language && spec.tied { embedding } else { next() };
        Self { embedding, blocks, final_norm, head }
    }

    /// Puts an adapter beside a projection.
    pub(super) fn adapt(&mut self, site: Site, adapter: LowRank) {
        let block = &mut self.blocks[site.block];
        let projection = match site.target {
            Target::Query => &mut block.query,
            Target::Key => &mut block.key,
            Target::Value => &mut block.value,
            Target::Output => &mut block.output,
            Target::Gate => &mut block.gate,
            Target::Up => &mut block.up,
            Target::Down => &mut block.down,
        };
        projection.adapter = Some(adapter);
    }
}

impl Block {
    fn new(spec: &ModelSpec, next: &mut impl FnMut() -> View) -> Self {
        let mut projection = |biased: bool| Projection { weight: next(), bias: biased.then(&mut *next), adapter: None };
        let inputs = spec.query_key_value_bias;
        let (query, key, value) = (projection(inputs), projection(inputs), projection(inputs));
        let output = projection(spec.output_bias);
        let (gate, up, down) = (projection(spec.mlp_bias), projection(spec.mlp_bias), projection(spec.mlp_bias));
        Self { query, key, value, output, gate, up, down, attention_norm: next(), mlp_norm: next() }
    }
}

/// x (M, K) through a projection: (M, N).
fn project(rec: &mut Recorder<'_>, x: View, Projection { weight, bias, adapter }: Projection) -> View {
    let Some(LowRank { down, up, magnitude, scale }) = adapter else { return rec.linear(x, weight, bias) };
    let y = rec.linear(x, weight, bias.filter(|_| magnitude.is_none()));
    let low = rec.linear(x, down, None);
    let low = rec.scale(low, scale);
    rec.linear_onto(y, low, up);
    let Some(magnitude) = magnitude else { return y };
    let norm = rec.merged_norm(weight, down, up, scale);
    rec.magnitude(y, magnitude, norm, bias)
}

/// Records block `index`: x (T, C) to (T, C), or to the rows `needed` of it: every token gives its key and value, but
/// nothing else is computed for rows off which nothing is read.
fn block(
    rec: &mut Recorder<'_>,
    spec: &ModelSpec,
    (index, tensors): (usize, &Block),
    (tokens, needed): (Tokens, Option<Indices>),
    mut x: View,
    memory: &mut impl Memory,
) -> View {
    let normed = rec.rms_norm(x, tensors.attention_norm, spec.norm_epsilon);
    let (q, k, v) = (project(rec, normed, tensors.query), project(rec, normed, tensors.key), project(rec, normed, tensors.value));
    let (q, k) = (rec.rope(q, tokens.positions, tokens.table), rec.rope(k, tokens.positions, tokens.table));
    let (k, v) = memory.remember(rec, index, k, v);
    let mut mixed = rec.attention(q, k, v, tokens.reach, heads(spec));
    if let Some(needed) = needed {
        (x, mixed) = (rec.gather(needed, x), rec.gather(needed, mixed));
    }
    let attended = project(rec, mixed, tensors.output);
    let x = rec.add(x, attended);
    let normed = rec.rms_norm(x, tensors.mlp_norm, spec.norm_epsilon);
    let (gate, up) = (project(rec, normed, tensors.gate), project(rec, normed, tensors.up));
    let gated = rec.swiglu(gate, up);
    let added = project(rec, gated, tensors.down);
    rec.add(x, added)
}

/// Records everything up to the last block: the rows `needed` of the residual stream (T, C), `None` for all. With
/// `keep`, activations stay for a backward pass; without, blocks share their memory.
pub(super) fn decoder(
    rec: &mut Recorder<'_>,
    spec: &ModelSpec,
    tensors: &Tensors,
    (tokens, needed): (Tokens, Option<Indices>),
    memory: &mut impl Memory,
    keep: bool,
) -> View {
    let mut x = rec.embed(tokens.ids, tensors.embedding);
    for (index, tensors) in tensors.blocks.iter().enumerate() {
        let tokens = (tokens, needed.filter(|_| index + 1 == spec.layers));
        if keep {
            x = block(rec, spec, (index, tensors), tokens, x, memory);
            continue;
        }
        let [next] = rec.scope(|rec| [block(rec, spec, (index, tensors), tokens, x, memory)]);
        rec.release(x);
        x = next;
    }
    x
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "head counts and sizes are small")]
fn heads(spec: &ModelSpec) -> Heads {
    let scale = 1.0 / (spec.head_dim as f32).sqrt();
    Heads { heads: spec.heads as u32, kv_heads: spec.kv_heads as u32, head_dim: spec.head_dim as u32, scale }
}
