//! Model families as data: what the parts of a decoder are called in files, and which switches a family sets.
//!
//! A new family of the same building blocks is one more row of [`FAMILIES`], written as what differs from Llama: no file
//! of layers.

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

const LLAMA: Family = Family {
    model_type: "llama",
    language_class: "LlamaForCausalLM",
    score_class: "LlamaForSequenceClassification",
    names: Names {
        embedding: "model.embed_tokens",
        positions: None,
        block: "model.layers.{}.",
        attention_norm: Some("input_layernorm"),
        query: "self_attn.q_proj",
        key: "self_attn.k_proj",
        value: "self_attn.v_proj",
        query_norm: "self_attn.q_norm",
        key_norm: "self_attn.k_norm",
        output: "self_attn.o_proj",
        attention_post_norm: None,
        mlp_norm: Some("post_attention_layernorm"),
        gate: Some("mlp.gate_proj"),
        up: "mlp.up_proj",
        down: "mlp.down_proj",
        mlp_post_norm: None,
        final_norm: "model.norm",
        language_head: "lm_head",
        score_head: "score",
    },
    fields: Fields {
        width: "hidden_size",
        layers: "num_hidden_layers",
        heads: "num_attention_heads",
        mlp: "intermediate_size",
        positions: "max_position_embeddings",
        norm_epsilon: "rms_norm_eps",
        activation: "hidden_act",
    },
    defaults: Defaults {
        norm_epsilon: 1e-6,
        activation: Activation::Silu,
        tied: false,
        mlp_ratio: None,
        rope_base: 10_000.0,
        window: None,
        attention_cap: None,
        logit_cap: None,
    },
    norm: NormKind::Rms,
    query_key_norm: None,
    query_key_value_bias: Bias::Config("attention_bias", false),
    output_bias: Bias::Config("attention_bias", false),
    mlp_bias: Bias::Config("mlp_bias", false),
    fused: Fused::Stacked,
    transposed: false,
    parallel: None,
    turned: None,
    sliding: Sliding::None,
    window_rope_base: None,
    scaled_embedding: false,
    attention_scalar: None,
    knows: &[],
    ignored: &["rotary_emb.inv_freq"],
};

const GEMMA2: Family = Family {
    model_type: "gemma2",
    language_class: "Gemma2ForCausalLM",
    score_class: "Gemma2ForSequenceClassification",
    names: Names {
        attention_post_norm: Some("post_attention_layernorm"),
        mlp_norm: Some("pre_feedforward_layernorm"),
        mlp_post_norm: Some("post_feedforward_layernorm"),
        ..LLAMA.names
    },
    fields: Fields { activation: "hidden_activation", ..LLAMA.fields },
    defaults: Defaults {
        activation: Activation::GeluTanh,
        tied: true,
        window: Some(4096),
        attention_cap: Some(50.0),
        logit_cap: Some(30.0),
        ..LLAMA.defaults
    },
    norm: NormKind::RmsLessOne,
    mlp_bias: Bias::Never,
    sliding: Sliding::AllBut(2),
    scaled_embedding: true,
    attention_scalar: Some(256.0),
    knows: &["attn_logit_softcapping", "final_logit_softcapping"],
    ..LLAMA
};

/// Every family that can be loaded.
pub const FAMILIES: &[Family] = &[
    LLAMA,
    Family {
        model_type: "qwen2",
        language_class: "Qwen2ForCausalLM",
        score_class: "Qwen2ForSequenceClassification",
        defaults: Defaults { window: Some(4096), ..LLAMA.defaults },
        query_key_value_bias: Bias::Always,
        output_bias: Bias::Never,
        mlp_bias: Bias::Never,
        sliding: Sliding::Upper,
        ..LLAMA
    },
    Family {
        model_type: "gpt2",
        language_class: "GPT2LMHeadModel",
        score_class: "GPT2ForSequenceClassification",
        names: Names {
            embedding: "transformer.wte",
            positions: Some("transformer.wpe"),
            block: "transformer.h.{}.",
            attention_norm: Some("ln_1"),
            query: "attn.c_attn",
            key: "attn.c_attn",
            value: "attn.c_attn",
            output: "attn.c_proj",
            mlp_norm: Some("ln_2"),
            gate: None,
            up: "mlp.c_fc",
            down: "mlp.c_proj",
            final_norm: "transformer.ln_f",
            ..LLAMA.names
        },
        fields: Fields {
            width: "n_embd",
            layers: "n_layer",
            heads: "n_head",
            mlp: "n_inner",
            positions: "n_positions",
            norm_epsilon: "layer_norm_epsilon",
            activation: "activation_function",
        },
        defaults: Defaults { norm_epsilon: 1e-5, activation: Activation::GeluTanh, tied: true, mlp_ratio: Some(4), ..LLAMA.defaults },
        norm: NormKind::Layer,
        query_key_value_bias: Bias::Always,
        output_bias: Bias::Always,
        mlp_bias: Bias::Always,
        transposed: true,
        ignored: &[".attn.bias", ".attn.masked_bias"],
        ..LLAMA
    },
    Family {
        model_type: "mistral",
        language_class: "MistralForCausalLM",
        score_class: "MistralForSequenceClassification",
        defaults: Defaults { window: Some(4096), ..LLAMA.defaults },
        query_key_value_bias: Bias::Never,
        output_bias: Bias::Never,
        mlp_bias: Bias::Never,
        sliding: Sliding::All,
        ..LLAMA
    },
    Family {
        model_type: "qwen3",
        language_class: "Qwen3ForCausalLM",
        score_class: "Qwen3ForSequenceClassification",
        defaults: Defaults { window: Some(4096), ..LLAMA.defaults },
        query_key_norm: Some(NormOver::Head),
        mlp_bias: Bias::Never,
        sliding: Sliding::Upper,
        ..LLAMA
    },
    Family {
        model_type: "phi3",
        language_class: "Phi3ForCausalLM",
        score_class: "Phi3ForSequenceClassification",
        names: Names {
            query: "self_attn.qkv_proj",
            key: "self_attn.qkv_proj",
            value: "self_attn.qkv_proj",
            gate: Some("mlp.gate_up_proj"),
            up: "mlp.gate_up_proj",
            ..LLAMA.names
        },
        defaults: Defaults { norm_epsilon: 1e-5, ..LLAMA.defaults },
        query_key_value_bias: Bias::Never,
        output_bias: Bias::Never,
        mlp_bias: Bias::Never,
        turned: Some(1.0),
        sliding: Sliding::All,
        ..LLAMA
    },
    // also Pythia
    Family {
        model_type: "gpt_neox",
        language_class: "GPTNeoXForCausalLM",
        score_class: "GPTNeoXForSequenceClassification",
        names: Names {
            embedding: "gpt_neox.embed_in",
            block: "gpt_neox.layers.{}.",
            query: "attention.query_key_value",
            key: "attention.query_key_value",
            value: "attention.query_key_value",
            output: "attention.dense",
            gate: None,
            up: "mlp.dense_h_to_4h",
            down: "mlp.dense_4h_to_h",
            final_norm: "gpt_neox.final_layer_norm",
            language_head: "embed_out",
            ..LLAMA.names
        },
        fields: Fields { norm_epsilon: "layer_norm_eps", ..LLAMA.fields },
        defaults: Defaults { norm_epsilon: 1e-5, activation: Activation::Gelu, ..LLAMA.defaults },
        norm: NormKind::Layer,
        query_key_value_bias: Bias::Config("attention_bias", true),
        output_bias: Bias::Config("attention_bias", true),
        mlp_bias: Bias::Always,
        fused: Fused::ByHead,
        parallel: Some("use_parallel_residual"),
        turned: Some(0.25),
        ignored: &[".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq"],
        ..LLAMA
    },
    Family {
        model_type: "olmo2",
        language_class: "Olmo2ForCausalLM",
        score_class: "Olmo2ForSequenceClassification",
        names: Names {
            attention_norm: None,
            attention_post_norm: Some("post_attention_layernorm"),
            mlp_norm: None,
            mlp_post_norm: Some("post_feedforward_layernorm"),
            ..LLAMA.names
        },
        defaults: Defaults { norm_epsilon: 1e-5, ..LLAMA.defaults },
        query_key_norm: Some(NormOver::AllHeads),
        mlp_bias: Bias::Never,
        ..LLAMA
    },
    GEMMA2,
    Family {
        model_type: "gemma3_text",
        language_class: "Gemma3ForCausalLM",
        score_class: "Gemma3TextForSequenceClassification",
        defaults: Defaults { rope_base: 1_000_000.0, attention_cap: None, logit_cap: None, ..GEMMA2.defaults },
        query_key_norm: Some(NormOver::Head),
        sliding: Sliding::AllBut(6),
        window_rope_base: Some(10_000.0),
        knows: &["final_logit_softcapping"],
        ..GEMMA2
    },
];

/// The family of a `model_type`.
pub fn family(model_type: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|f| f.model_type == model_type)
}
