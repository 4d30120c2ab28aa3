//! Metadata as the object of a Hugging Face `config.json`.
//!
//! Sizes and switches that a file has and this reader does not know would make another network: those that matter are
//! listed and refused.

use serde_json::{Map, Value, json};

use super::metadata::Metadata;
use super::names::{Architecture, ROPE_FACTORS};
use super::rotary::llama3_scaling;
use super::{Gguf, GgufError};

/// `config.json` and GGUF, behind the architecture's name. All of them must be there.
const SIZES: &[(&str, &str)] = &[
    ("hidden_size", "embedding_length"),
    ("intermediate_size", "feed_forward_length"),
    ("num_hidden_layers", "block_count"),
    ("num_attention_heads", "attention.head_count"),
    ("max_position_embeddings", "context_length"),
];

/// Keys that may be absent or have this value; any other is a network that is built differently.
const NEUTRAL: &[(&str, f64)] = &[
    ("expert_count", 0.0),
    ("attention.sliding_window", 0.0),
    ("attention.clamp_kqv", 0.0),
    ("attention.max_alibi_bias", 0.0),
    ("attn_logit_softcapping", 0.0),
    ("final_logit_softcapping", 0.0),
    ("embedding_scale", 1.0),
    ("residual_scale", 1.0),
    ("logit_scale", 1.0),
];

/// Biases that `config.json` announces: its field, and a tensor of the first block that tells.
const BIASES: &[(&str, &str)] =
    &[("attention_bias", "model.layers.0.self_attn.q_proj.bias"), ("mlp_bias", "model.layers.0.mlp.gate_proj.bias")];

/// Special ids: `config.json`, and the keys that name them. Chats end with `eot`, calls of tools with `eom`.
const IDS: &[(&str, &[&str])] = &[
    ("bos_token_id", &["tokenizer.ggml.bos_token_id"]),
    ("eos_token_id", END_KEYS),
    ("pad_token_id", &["tokenizer.ggml.padding_token_id"]),
];

/// Keys of tokens that end a text; the first is the one to write.
pub(super) const END_KEYS: &[&str] = &["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];

/// The rotary base of a file that does not say.
const ROPE_BASE: f64 = 10_000.0;

/// The sizes of heads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Heads {
    pub(super) query: usize,
    pub(super) key_value: usize,
    pub(super) dim: usize,
}

/// The metadata of one architecture.
#[derive(Clone, Copy)]
struct Scoped<'a> {
    metadata: Metadata<'a>,
    architecture: &'static Architecture,
}

impl Scoped<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture.name)
    }

    fn optional_size(&self, name: &str) -> Result<Option<usize>, GgufError> {
        let key = self.key(name);
        let fits = |size| usize::try_from(size).ok().filter(|n| *n < 1 << 31);
        match self.metadata.size(&key)? {
            None => Ok(None),
            Some(size) => fits(size).map(Some).ok_or_else(|| self.metadata.wrong(&key, format!("{size} is too large"))),
        }
    }

    fn size(&self, name: &str) -> Result<usize, GgufError> {
        let found = self.optional_size(name)?;
        self.metadata.need(&self.key(name), found)
    }

    fn optional_positive(&self, name: &str) -> Result<Option<f64>, GgufError> {
        let key = self.key(name);
        match self.metadata.number(&key)? {
            Some(x) if x <= 0.0 => Err(self.metadata.wrong(&key, format!("expected a positive number, found {x}"))),
            found => Ok(found),
        }
    }

    fn positive(&self, name: &str) -> Result<f64, GgufError> {
        let found = self.optional_positive(name)?;
        self.metadata.need(&self.key(name), found)
    }

    fn unsupported(&self, name: &str, value: impl std::fmt::Display, supported: impl Into<String>) -> GgufError {
        self.metadata.unsupported(format!("`{}` = {value}", self.key(name)), supported)
    }

    fn heads(&self) -> Result<Heads, GgufError> {
        let query = self.size("attention.head_count")?;
        let key_value = self.optional_size("attention.head_count_kv")?.unwrap_or(query);
        let width = self.size("embedding_length")?;
        let dim = match self.optional_size("attention.key_length")? {
            Some(dim) => dim,
            None if width.is_multiple_of(query) => width / query,
            None => {
                let reason = format!("a width of {width} is not a multiple of {query} heads");
                return Err(self.metadata.wrong(&self.key("attention.head_count"), reason));
            }
        };
        for same in ["attention.value_length", "rope.dimension_count"] {
            if let Some(other) = self.optional_size(same)?.filter(|n| *n != dim) {
                return Err(self.unsupported(same, other, format!("the size of a head, {dim}")));
            }
        }
        if !dim.is_multiple_of(2) {
            return Err(self.unsupported("attention.key_length", dim, "an even number: rotary positions need pairs"));
        }
        Ok(Heads { query, key_value, dim })
    }

    fn check_neutral(&self) -> Result<(), GgufError> {
        for (name, neutral) in NEUTRAL {
            let found = self.metadata.number(&self.key(name))?;
            if let Some(other) = found.filter(|x| x != neutral) {
                return Err(self.unsupported(name, other, neutral.to_string()));
            }
        }
        match self.metadata.flag(&self.key("attention.causal"))? {
            Some(false) => Err(self.unsupported("attention.causal", false, "true")),
            _ => Ok(()),
        }
    }

    /// `rope_scaling`, from the metadata or from the tensor of factors.
    fn rope_scaling(&self, factors: Option<&[f32]>, base: f64) -> Result<Option<Value>, GgufError> {
        const TYPE: &str = "rope.scaling.type";
        let kind = self.metadata.text(&self.key(TYPE))?;
        // The older spelling has a factor and no type.
        let older = self.optional_positive("rope.scale_linear")?.filter(|factor| *factor != 1.0);
        match (kind, factors, older) {
            (None | Some("none"), None, None) => Ok(None),
            (None, None, Some(factor)) => Ok(Some(json!({ "rope_type": "linear", "factor": factor }))),
            (Some("linear"), None, _) => Ok(Some(json!({ "rope_type": "linear", "factor": self.positive("rope.scaling.factor")? }))),
            (None | Some("none" | "llama3"), Some(factors), None) => llama3_scaling(factors, base).map(Some).ok_or_else(|| {
                let feature = format!("the frequency factors of tensor `{ROPE_FACTORS}`");
                self.metadata.unsupported(feature, "the factors of Llama 3.1's scaling with its published constants")
            }),
            (kind, ..) => Err(self.unsupported(TYPE, kind.unwrap_or("none, with factors"), "none, linear, and Llama 3.1's factors")),
        }
    }
}

fn scoped(gguf: &Gguf) -> Scoped<'_> {
    Scoped { metadata: gguf.metadata(), architecture: gguf.architecture }
}

/// How many heads there are and how large they are.
pub(super) fn heads(gguf: &Gguf) -> Result<Heads, GgufError> {
    scoped(gguf).heads()
}

/// The object of `config.json`.
pub(super) fn config(gguf: &Gguf) -> Result<Map<String, Value>, GgufError> {
    let file = scoped(gguf);
    file.check_neutral()?;
    let mut config = Map::new();
    config.insert("architectures".into(), json!([file.architecture.class]));
    config.insert("model_type".into(), json!(file.architecture.model_type));
    for (field, name) in SIZES {
        config.insert((*field).into(), json!(file.size(name)?));
    }
    let heads = file.heads()?;
    config.insert("num_key_value_heads".into(), json!(heads.key_value));
    config.insert("head_dim".into(), json!(heads.dim));
    config.insert("hidden_act".into(), json!("silu"));
    config.insert("rms_norm_eps".into(), json!(file.positive("attention.layer_norm_rms_epsilon")?));
    let base = file.optional_positive("rope.freq_base")?.unwrap_or(ROPE_BASE);
    config.insert("rope_theta".into(), json!(base));
    let scaling = file.rope_scaling(rope_factors(gguf, heads.dim)?.as_deref(), base)?;
    config.insert("rope_scaling".into(), json!(scaling));
    config.insert("vocab_size".into(), json!(vocabulary(gguf)?));
    config.insert("tie_word_embeddings".into(), json!(gguf.shape("lm_head.weight").is_none()));
    for (field, tensor) in BIASES {
        config.insert((*field).into(), json!(gguf.shape(tensor).is_some()));
    }
    for (field, keys) in IDS {
        config.insert((*field).into(), ids(&file.metadata, keys)?);
    }
    Ok(config)
}

/// The rows of the embedding, V.
fn vocabulary(gguf: &Gguf) -> Result<usize, GgufError> {
    const EMBEDDING: &str = "model.embed_tokens.weight";
    match gguf.shape(EMBEDDING) {
        Some([rows, _]) => Ok(*rows),
        Some(shape) => Err(gguf.wrong_shape(EMBEDDING, shape, "(V, C)")),
        None => Err(gguf.missing("token_embd.weight")),
    }
}

/// The factors that divide the rotary frequencies, (D / 2), if the file has them.
fn rope_factors(gguf: &Gguf, head_dim: usize) -> Result<Option<Vec<f32>>, GgufError> {
    let Some(tensor) = gguf.header.tensors.get(ROPE_FACTORS) else { return Ok(None) };
    match tensor.shape[..] {
        [count] if count == head_dim / 2 => gguf.numbers(ROPE_FACTORS, tensor).map(Some),
        _ => Err(gguf.wrong_shape(ROPE_FACTORS, &tensor.shape, &format!("[{}]", head_dim / 2))),
    }
}

/// None, one id, or several distinct ones.
fn ids(metadata: &Metadata, keys: &[&str]) -> Result<Value, GgufError> {
    let mut ids: Vec<u32> = Vec::new();
    for key in keys {
        ids.extend(metadata.id(key)?.filter(|id| !ids.contains(id)));
    }
    Ok(match ids[..] {
        [] => Value::Null,
        [one] => json!(one),
        _ => json!(ids),
    })
}
