//! What tensors are called: the names of GGUF, and those of the same tensors in a Hugging Face checkpoint.
//!
//! A new architecture of the same building blocks is one more [`Architecture`] in [`ARCHITECTURES`].

/// The order of a tensor's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rows {
    /// The same in both.
    Kept,
    /// One group a query head, turned by rotary positions.
    Query,
    /// One group a key-value head, turned by rotary positions.
    Key,
}

/// A tensor of a block: GGUF, Hugging Face, and the order of its rows.
type Row = (&'static str, &'static str, Rows);

/// One architecture of `general.architecture`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Architecture {
    /// The value of `general.architecture`; its metadata keys begin with it.
    pub(super) name: &'static str,
    /// `model_type` of the same network in `config.json`.
    pub(super) model_type: &'static str,
    /// `architectures` of the same network in `config.json`.
    pub(super) class: &'static str,
    /// Whether rotary pairs stand next to each other in a file. Hugging Face has them half a head apart.
    pub(super) interleaved: bool,
    /// Tensors outside of blocks: GGUF, Hugging Face, both without `.weight` or `.bias`.
    whole: &'static [(&'static str, &'static str)],
    /// Tensors of a block, behind `blk.N.` and `model.layers.N.`.
    block: &'static [&'static [Row]],
}

const WHOLE: &[(&str, &str)] = &[("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")];

const PROJECTIONS: &[Row] = &[
    ("attn_q", "self_attn.q_proj", Rows::Query),
    ("attn_k", "self_attn.k_proj", Rows::Key),
    ("attn_v", "self_attn.v_proj", Rows::Kept),
    ("attn_output", "self_attn.o_proj", Rows::Kept),
    ("ffn_gate", "mlp.gate_proj", Rows::Kept),
    ("ffn_up", "mlp.up_proj", Rows::Kept),
    ("ffn_down", "mlp.down_proj", Rows::Kept),
];

const NORMS: &[Row] = &[("attn_norm", "input_layernorm", Rows::Kept), ("ffn_norm", "post_attention_layernorm", Rows::Kept)];

const POST_NORMS: &[Row] =
    &[("post_attention_norm", "post_attention_layernorm", Rows::Kept), ("post_ffw_norm", "post_feedforward_layernorm", Rows::Kept)];

const QUERY_KEY_NORMS: &[Row] = &[("attn_q_norm", "self_attn.q_norm", Rows::Kept), ("attn_k_norm", "self_attn.k_norm", Rows::Kept)];

const LLAMA: Architecture = Architecture {
    name: "llama",
    model_type: "llama",
    class: "LlamaForCausalLM",
    interleaved: true,
    whole: WHOLE,
    block: &[PROJECTIONS, NORMS],
};

/// Every architecture that can be read.
pub(super) const ARCHITECTURES: &[Architecture] = &[
    // Also TinyLlama, SmolLM, Mistral 7B …: whatever was a `LlamaForCausalLM` or computes the same.
    LLAMA,
    Architecture { name: "qwen2", model_type: "qwen2", class: "Qwen2ForCausalLM", interleaved: false, ..LLAMA },
    Architecture {
        name: "qwen3",
        model_type: "qwen3",
        class: "Qwen3ForCausalLM",
        interleaved: false,
        block: &[PROJECTIONS, NORMS, QUERY_KEY_NORMS],
        ..LLAMA
    },
    Architecture {
        name: "olmo2",
        model_type: "olmo2",
        class: "Olmo2ForCausalLM",
        interleaved: false,
        block: &[PROJECTIONS, POST_NORMS, QUERY_KEY_NORMS],
        ..LLAMA
    },
];

/// The tensor of rotary frequency factors: not a parameter, it belongs to the configuration.
pub(super) const ROPE_FACTORS: &str = "rope_freqs.weight";

impl Architecture {
    /// What a file calls the tensor of this Hugging Face name, and the order of its rows there; `None` for one it does
    /// not know.
    pub(super) fn spell(&self, name: &str) -> Option<(String, Rows)> {
        let (stem, kind) = name.rsplit_once('.').filter(|(_, kind)| matches!(*kind, "weight" | "bias"))?;
        let Some((number, part)) = stem.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.')) else {
            let (ours, _) = self.whole.iter().find(|(_, theirs)| *theirs == stem)?;
            return Some((format!("{ours}.{kind}"), Rows::Kept));
        };
        let (ours, _, rows) = self.block.iter().copied().flatten().find(|(_, theirs, _)| *theirs == part)?;
        let rows = if self.interleaved { *rows } else { Rows::Kept };
        Some((format!("blk.{number}.{ours}.{kind}"), rows))
    }

    /// The Hugging Face name of a tensor and the order of its rows in the file; `None` for one it does not know.
    pub(super) fn translate(&self, name: &str) -> Option<(String, Rows)> {
        let (stem, kind) = name.rsplit_once('.').filter(|(_, kind)| matches!(*kind, "weight" | "bias"))?;
        let Some((number, part)) = stem.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) else {
            let (_, theirs) = self.whole.iter().find(|(ours, _)| *ours == stem)?;
            return Some((format!("{theirs}.{kind}"), Rows::Kept));
        };
        // One spelling a number: `blk.01` is not `blk.1`.
        let number: u32 = number.parse().ok().filter(|n: &u32| n.to_string() == number)?;
        let (_, theirs, rows) = self.block.iter().copied().flatten().find(|(ours, ..)| *ours == part)?;
        let rows = if self.interleaved { *rows } else { Rows::Kept };
        Some((format!("model.layers.{number}.{theirs}.{kind}"), rows))
    }
}
