//! Model families as data. A new family of the same building blocks is one more row of [`FAMILIES`], written as what
//! differs from Llama: no file of layers.

use super::family::{Activation, Bias, Defaults, Family, Fields, Fused, Names, NormKind, NormOver, Sliding};

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
