//! The decoder as recorded ops: embedding, blocks, final norm, heads. The derivative follows by `engine::grad`.
//!
//! ```text
//! x = s embed(ids) + positions                            (T, C)
//! per block:  a = norm(x)
//!             x = x + norm(W_o attention(rope(norm(W_q a)), rope(norm(W_k a)), W_v a))
//!             b = norm(x)                                 of the first x, where attention and MLP are parallel
//!             x = x + norm(W_down (f(W_gate b) * W_up b))
//! h = norm(x);  logits = W_head h  or  score = w_score h
//! ```
//!
//! What a family has not is left out.

use crate::engine::op::attention::Params as Heads;
use crate::engine::op::rms_norm::Params as Rms;
use crate::engine::{BlockFormat, Indices, Recorder, View};

use super::family::{Activation, NormKind};
use super::tokens::Tokens;
use super::{Head, ModelSpec, Site, Target};

/// A linear map's weight (N, K) and bias (1, N).
#[derive(Clone, Copy, Debug)]
pub(super) struct Projection {
    weight: View,
    /// Where the weight's words are blocks.
    blocks: Option<BlockFormat>,
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

/// A norm's gain and bias, (1, C).
#[derive(Clone, Copy, Debug)]
pub(super) struct Norm {
    gain: View,
    bias: Option<View>,
}

/// The tensors of one block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    query: Projection,
    key: Projection,
    value: Projection,
    output: Projection,
    gate: Option<Projection>,
    up: Projection,
    down: Projection,
    attention_norm: Option<Norm>,
    mlp_norm: Option<Norm>,
    attention_post_norm: Option<Norm>,
    mlp_post_norm: Option<Norm>,
    query_key_norm: Option<(Norm, Norm)>,
}

/// All tensors of a network on a device.
#[derive(Clone, Debug)]
pub(super) struct Tensors {
    pub embedding: View,
    pub positions: Option<View>,
    pub blocks: Vec<Block>,
    pub final_norm: Norm,
    /// (V, C) for a language head, the embedding where it is tied; (1, C) for a score or value head.
    pub head: View,
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
        let positions = spec.family.names.positions.map(|_| next());
        let blocks = (0..spec.layers).map(|_| Block::new(spec, &mut next)).collect();
        let final_norm = Norm::new(spec, &mut next);
        let head = if head == Head::Language && spec.tied { embedding } else { next() };
        Self { embedding, positions, blocks, final_norm, head }
    }

    /// Puts an adapter beside a projection.
    pub(super) fn adapt(&mut self, site: Site, adapter: LowRank) {
        self.projection(site).adapter = Some(adapter);
    }

    /// Says that a projection's weight lies in blocks.
    pub(super) fn in_blocks(&mut self, site: Site, format: BlockFormat) {
        self.projection(site).blocks = Some(format);
    }

    fn projection(&mut self, site: Site) -> &mut Projection {
        let block = &mut self.blocks[site.block];
        match site.target {
            Target::Query => &mut block.query,
            Target::Key => &mut block.key,
            Target::Value => &mut block.value,
            Target::Output => &mut block.output,
            Target::Gate => block.gate.as_mut().expect("a site is of a projection that is there"),
            Target::Up => &mut block.up,
            Target::Down => &mut block.down,
        }
    }
}

impl Norm {
    fn new(spec: &ModelSpec, next: &mut impl FnMut() -> View) -> Self {
        Self { gain: next(), bias: (spec.family.norm == NormKind::Layer).then(next) }
    }
}

impl Block {
    fn new(spec: &ModelSpec, next: &mut impl FnMut() -> View) -> Self {
        let names = &spec.family.names;
        let mut projection = |biased: bool| Projection { weight: next(), blocks: None, bias: biased.then(&mut *next), adapter: None };
        let inputs = spec.query_key_value_bias;
        let (query, key, value) = (projection(inputs), projection(inputs), projection(inputs));
        let output = projection(spec.output_bias);
        let gate = names.gate.map(|_| projection(spec.mlp_bias));
        let (up, down) = (projection(spec.mlp_bias), projection(spec.mlp_bias));
        let mut norm = |name: Option<&str>| name.map(|_| Norm::new(spec, next));
        let (attention_norm, mlp_norm) = (norm(names.attention_norm), norm(names.mlp_norm));
        let (attention_post_norm, mlp_post_norm) = (norm(names.attention_post_norm), norm(names.mlp_post_norm));
        let query_key_norm = spec.family.query_key_norm.map(|_| (Norm::new(spec, next), Norm::new(spec, next)));
        Self { query, key, value, output, gate, up, down, attention_norm, mlp_norm, attention_post_norm, mlp_post_norm, query_key_norm }
    }
}

/// x (M, K) through a projection: (M, N).
fn project(rec: &mut Recorder<'_>, x: View, Projection { weight, blocks, bias, adapter }: Projection) -> View {
    let mut linear = |bias| match blocks {
        Some(format) => rec.linear_blocks(x, weight, format, bias),
        None => rec.linear(x, weight, bias),
    };
    let Some(LowRank { down, up, magnitude, scale }) = adapter else { return linear(bias) };
    let y = linear(bias.filter(|_| magnitude.is_none()));
    let low = rec.linear(x, down, None);
    let low = rec.scale(low, scale);
    rec.linear_onto(y, low, up);
    let Some(magnitude) = magnitude else { return y };
    let norm = rec.merged_norm(weight, down, up, scale);
    rec.magnitude(y, magnitude, norm, bias)
}

/// The rows of x brought to one size; x itself where there is no norm.
fn normed(rec: &mut Recorder<'_>, spec: &ModelSpec, x: View, norm: Option<Norm>) -> View {
    let Some(Norm { gain, bias }) = norm else { return x };
    match bias {
        Some(bias) => rec.layer_norm(x, gain, bias, spec.norm_epsilon),
        None => {
            let offset = if spec.family.norm == NormKind::RmsLessOne { 1.0 } else { 0.0 };
            rec.rms_norm(x, gain, Rms { eps: spec.norm_epsilon, offset })
        }
    }
}

/// Queries, keys and values of block `index` for its normed input a (T, C).
fn inputs(rec: &mut Recorder<'_>, spec: &ModelSpec, (index, tensors): (usize, &Block), tokens: Tokens, a: View) -> [View; 3] {
    let (mut q, mut k, v) = (project(rec, a, tensors.query), project(rec, a, tensors.key), project(rec, a, tensors.value));
    if let Some((query_norm, key_norm)) = tensors.query_key_norm {
        (q, k) = (normed(rec, spec, q, Some(query_norm)), normed(rec, spec, k, Some(key_norm)));
    }
    if let Some(table) = tokens.sight(spec, index).table {
        let mut turn = |x| rec.rope(x, tokens.positions, table, spec.head_dim);
        (q, k) = (turn(q), turn(k));
    }
    [q, k, v]
}

/// What the MLP adds to x, given what it reads of it.
fn mlp(rec: &mut Recorder<'_>, spec: &ModelSpec, tensors: &Block, b: View) -> View {
    let gate = tensors.gate.map(|gate| project(rec, b, gate));
    let up = project(rec, b, tensors.up);
    let inner = match (spec.activation, gate) {
        (Activation::Silu, Some(gate)) => rec.swiglu(gate, up),
        (Activation::Silu, None) => unreachable!("a configuration without a gate has another activation"),
        (gelu, Some(gate)) => rec.gelu(gate, Some(up), gelu == Activation::GeluTanh),
        (gelu, None) => rec.gelu(up, None, gelu == Activation::GeluTanh),
    };
    let added = project(rec, inner, tensors.down);
    normed(rec, spec, added, tensors.mlp_post_norm)
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
    let a = normed(rec, spec, x, tensors.attention_norm);
    let [q, k, v] = inputs(rec, spec, (index, tensors), tokens, a);
    let (k, v) = memory.remember(rec, index, k, v);
    let mut mixed = rec.attention(q, k, v, tokens.sight(spec, index).reach, heads(spec));
    if let Some(needed) = needed {
        (x, mixed) = (rec.gather(needed, x), rec.gather(needed, mixed));
    }
    let attended = project(rec, mixed, tensors.output);
    let attended = normed(rec, spec, attended, tensors.attention_post_norm);
    let sum = rec.add(x, attended);
    let b = normed(rec, spec, if spec.parallel { x } else { sum }, tensors.mlp_norm);
    let added = mlp(rec, spec, tensors, b);
    rec.add(sum, added)
}

/// The states in front of the first block, (T, C).
pub(super) fn embedded(rec: &mut Recorder<'_>, spec: &ModelSpec, tensors: &Tensors, tokens: Tokens) -> View {
    let x = rec.embed(tokens.ids, tensors.embedding, spec.embedding_scale);
    let (Some(positions), Some(table)) = (tokens.learned, tensors.positions) else { return x };
    let position = rec.embed(positions, table, 1.0);
    rec.add(x, position)
}

/// Records some blocks for the states x (T, C) of all tokens; activations stay.
pub(super) fn some_blocks(
    rec: &mut Recorder<'_>,
    spec: &ModelSpec,
    tensors: &Tensors,
    (tokens, blocks): (Tokens, std::ops::Range<usize>),
    x: View,
) -> View {
    blocks.fold(x, |x, index| block(rec, spec, (index, &tensors.blocks[index]), (tokens, None), x, &mut NoMemory))
}

/// What the head reads of states (N, C).
pub(super) fn final_norm(rec: &mut Recorder<'_>, spec: &ModelSpec, tensors: &Tensors, x: View) -> View {
    normed(rec, spec, x, Some(tensors.final_norm))
}

/// Queries (T, H D) and keys (T, Hkv D) of a block as its attention compares them.
pub(super) fn compared(
    rec: &mut Recorder<'_>,
    spec: &ModelSpec,
    tensors: &Tensors,
    (tokens, index): (Tokens, usize),
    x: View,
) -> [View; 2] {
    let a = normed(rec, spec, x, tensors.blocks[index].attention_norm);
    let [q, k, _] = inputs(rec, spec, (index, &tensors.blocks[index]), tokens, a);
    [q, k]
}

/// Records everything up to the final norm: the rows `needed` of the hidden states (T, C), `None` for all. With
/// `keep`, activations stay for a backward pass; without, blocks share their memory.
pub(super) fn decoder(
    rec: &mut Recorder<'_>,
    spec: &ModelSpec,
    tensors: &Tensors,
    (tokens, needed): (Tokens, Option<Indices>),
    memory: &mut impl Memory,
    keep: bool,
) -> View {
    let mut x = embedded(rec, spec, tensors, tokens);
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
    normed(rec, spec, x, Some(tensors.final_norm))
}

#[expect(clippy::cast_possible_truncation, reason = "head counts and sizes are small")]
pub(super) fn heads(spec: &ModelSpec) -> Heads {
    let (scale, cap) = (spec.attention_scale, spec.attention_cap);
    Heads { heads: spec.heads as u32, kv_heads: spec.kv_heads as u32, head_dim: spec.head_dim as u32, scale, cap }
}
