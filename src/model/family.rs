//! What a model family can say of itself: what the parts of a decoder are called in files, and which switches it sets.
//! `families.rs` holds the families.

/// Whether a projection has a bias.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bias {
    Never,
    Always,
    /// As the boolean of this name in `config.json` says; absent means the second.
    Config(&'static str, bool),
}

/// How rows are brought to one size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NormKind {
    /// By their root mean square.
    Rms,
    /// The same, with gains stored less 1.
    RmsLessOne,
    /// To mean 0 and variance 1, with a bias.
    Layer,
}

/// What a norm of queries and keys takes as one row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NormOver {
    Head,
    AllHeads,
}

/// The function between the two halves of an MLP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activation {
    Silu,
    Gelu,
    /// By its approximation with tanh.
    GeluTanh,
}

/// What `config.json` calls activations.
pub const ACTIVATIONS: &[(&str, Activation)] = &[
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("gelu", Activation::Gelu),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
];

/// Which blocks attend to a window of the last tokens only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sliding {
    None,
    All,
    /// As `layer_types` says; without it, all but every n-th.
    AllBut(usize),
    /// As `layer_types` says; without it, those from `max_window_layers` on; none unless `use_sliding_window`.
    Upper,
}

/// How the rows of projections lie in files. Projections of one name lie in one tensor: see `stored.rs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fused {
    /// One projection behind the other.
    Stacked,
    /// All projections of one head, then those of the next.
    ByHead,
}

/// What the tensors of a family are called. `.weight` and `.bias` are appended; block names stand behind
/// `block` with the block's number for `{}`. What a family lacks is `None`.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    pub embedding: &'static str,
    pub positions: Option<&'static str>,
    pub block: &'static str,
    pub attention_norm: Option<&'static str>,
    pub query: &'static str,
    pub key: &'static str,
    pub value: &'static str,
    pub query_norm: &'static str,
    pub key_norm: &'static str,
    pub output: &'static str,
    pub attention_post_norm: Option<&'static str>,
    pub mlp_norm: Option<&'static str>,
    pub gate: Option<&'static str>,
    pub up: &'static str,
    pub down: &'static str,
    pub mlp_post_norm: Option<&'static str>,
    pub final_norm: &'static str,
    pub language_head: &'static str,
    pub score_head: &'static str,
}

/// What fields of `config.json` are called.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    pub width: &'static str,
    pub layers: &'static str,
    pub heads: &'static str,
    pub mlp: &'static str,
    pub positions: &'static str,
    pub norm_epsilon: &'static str,
    pub activation: &'static str,
}

/// What a family takes for a field that `config.json` does not have.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    pub norm_epsilon: f64,
    pub activation: Activation,
    pub tied: bool,
    /// The MLP's width by the network's.
    pub mlp_ratio: Option<usize>,
    pub rope_base: f64,
    pub window: Option<usize>,
    pub attention_cap: Option<f64>,
    pub logit_cap: Option<f64>,
}

/// One family of decoders.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// `model_type` in `config.json`.
    pub model_type: &'static str,
    /// `architectures` with a language head, as `transformers` names it.
    pub language_class: &'static str,
    /// `architectures` with a score head.
    pub score_class: &'static str,
    pub names: Names,
    pub fields: Fields,
    pub defaults: Defaults,
    pub norm: NormKind,
    pub query_key_norm: Option<NormOver>,
    pub query_key_value_bias: Bias,
    pub output_bias: Bias,
    pub mlp_bias: Bias,
    pub fused: Fused,
    /// Whether files hold the weights of projections as (K, N).
    pub transposed: bool,
    /// The field that says whether attention and MLP read the same x; absent means yes.
    pub parallel: Option<&'static str>,
    /// The part of a head that rotary positions turn, where `config.json` may say; else all of it.
    pub turned: Option<f64>,
    pub sliding: Sliding,
    /// The rotary base of blocks with a window, where they have their own.
    pub window_rope_base: Option<f64>,
    /// Whether embeddings are multiplied by the root of the network's width.
    pub scaled_embedding: bool,
    /// Attention is scaled by the root of `query_pre_attn_scalar`, or of this without it.
    pub attention_scalar: Option<f64>,
    /// Fields of [`super::switches::NEUTRAL`] that this family computes.
    pub knows: &'static [&'static str],
    /// Tensor name endings that old checkpoints carry and no network needs.
    pub ignored: &'static [&'static str],
}
