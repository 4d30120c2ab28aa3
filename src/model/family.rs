//! Model families as data: what the parts of a decoder are called in a checkpoint, and which switches a family sets.
//!
//! A new family of the same building blocks is one more [`Family`] in [`FAMILIES`], not a file of layers.

/// Whether a projection has a bias.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bias {
    Never,
    Always,
    /// As the boolean of this name in `config.json` says; absent means no.
    Config(&'static str),
}

/// What the tensors of a family are called. `.weight` and `.bias` are appended; block names stand behind
/// `block` with the block's number for `{}`.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    pub embedding: &'static str,
    pub block: &'static str,
    pub attention_norm: &'static str,
    pub query: &'static str,
    pub key: &'static str,
    pub value: &'static str,
    pub output: &'static str,
    pub mlp_norm: &'static str,
    pub gate: &'static str,
    pub up: &'static str,
    pub down: &'static str,
    pub final_norm: &'static str,
    pub language_head: &'static str,
    pub score_head: &'static str,
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
    pub query_key_value_bias: Bias,
    pub output_bias: Bias,
    pub mlp_bias: Bias,
    /// Tensor name endings that old checkpoints carry and no network needs.
    pub ignored: &'static [&'static str],
}

const LLAMA_NAMES: Names = Names {
    embedding: "model.embed_tokens",
    block: "model.layers.{}.",
    attention_norm: "input_layernorm",
    query: "self_attn.q_proj",
    key: "self_attn.k_proj",
    value: "self_attn.v_proj",
    output: "self_attn.o_proj",
    mlp_norm: "post_attention_layernorm",
    gate: "mlp.gate_proj",
    up: "mlp.up_proj",
    down: "mlp.down_proj",
    final_norm: "model.norm",
    language_head: "lm_head",
    score_head: "score",
};

/// Every family that can be loaded.
pub const FAMILIES: &[Family] = &[Family {
    model_type: "llama",
    language_class: "LlamaForCausalLM",
    score_class: "LlamaForSequenceClassification",
    names: LLAMA_NAMES,
    query_key_value_bias: Bias::Config("attention_bias"),
    output_bias: Bias::Config("attention_bias"),
    mlp_bias: Bias::Config("mlp_bias"),
    ignored: &["rotary_emb.inv_freq"],
}];

/// The family of a `model_type`.
pub fn family(model_type: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|f| f.model_type == model_type)
}
