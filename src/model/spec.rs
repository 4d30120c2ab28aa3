//! What a network is: a decoder's sizes and switches, read from `config.json`, and the list of its parameters.

use std::path::Path;

use serde_json::Value;

use super::ModelError;
use super::config::Config;
use super::family::{Bias, FAMILIES, Family, family};
use super::rope::Rope;

/// What stands on top of the decoder.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Head {
    /// Log-probs of the next token.
    Language,
    /// One number a sequence, read at its last token.
    Score,
    /// One number a token: the value of the state before it.
    Value,
}

impl Head {
    /// The word for it in `align.json` and in messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Language => "language",
            Self::Score => "score",
            Self::Value => "value",
        }
    }
}

/// A decoder's sizes and switches.
#[derive(Clone, Debug)]
pub struct ModelSpec {
    pub family: &'static Family,
    pub layers: usize,
    /// C, the residual stream.
    pub width: usize,
    /// H query heads of `head_dim`; `kv_heads` key and value heads, each shared by H / kv_heads query heads.
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Width of the gated product.
    pub mlp: usize,
    /// V.
    pub vocabulary: usize,
    /// What the network was made for; longer sequences work, but badly.
    pub max_positions: usize,
    pub norm_epsilon: f32,
    pub rope: Rope,
    /// The language head is the embedding.
    pub tied: bool,
    pub query_key_value_bias: bool,
    pub output_bias: bool,
    pub mlp_bias: bool,
    pub bos: Option<u32>,
    /// End tokens; the first one ends written text, any of them ends sampling.
    pub eos: Vec<u32>,
    pub pad: Option<u32>,
}

/// One tensor of a network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parameter {
    /// Its name in a checkpoint.
    pub name: String,
    pub shape: Vec<usize>,
}

impl Parameter {
    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether weight decay applies: to matrices, not to biases and norms.
    pub fn decays(&self) -> bool {
        self.shape.len() > 1
    }
}

impl ModelSpec {
    /// Reads and checks a `config.json`.
    ///
    /// # Errors
    /// When the file cannot be read, its family is unknown, a size is missing or sizes do not fit together.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        Self::from_config(&Config::read(path)?)
    }

    pub(super) fn from_config(config: &Config) -> Result<Self, ModelError> {
        let family = family_of(config)?;
        let on = |bias| match bias {
            Bias::Never => Ok(false),
            Bias::Always => Ok(true),
            Bias::Config(field) => config.flag(field),
        };
        let (width, heads) = (config.size("hidden_size")?, config.size("num_attention_heads")?);
        let spec = Self {
            family,
            layers: config.size("num_hidden_layers")?,
            width,
            heads,
            kv_heads: config.optional_size("num_key_value_heads")?.unwrap_or(heads),
            head_dim: config.optional_size("head_dim")?.unwrap_or(width / heads),
            mlp: config.size("intermediate_size")?,
            vocabulary: config.size("vocab_size")?,
            max_positions: config.optional_size("max_position_embeddings")?.unwrap_or(2048),
            #[expect(clippy::cast_possible_truncation, reason = "the device counts in f32")]
            norm_epsilon: config.optional_positive("rms_norm_eps")?.unwrap_or(1e-6) as f32,
            rope: Rope::from_config(config)?,
            tied: config.flag("tie_word_embeddings")?,
            query_key_value_bias: on(family.query_key_value_bias)?,
            output_bias: on(family.output_bias)?,
            mlp_bias: on(family.mlp_bias)?,
            bos: config.token_ids("bos_token_id")?.first().copied(),
            eos: config.token_ids("eos_token_id")?,
            pad: config.token_ids("pad_token_id")?.first().copied(),
        };
        spec.check(config)?;
        Ok(spec)
    }

    /// Sizes must fit together and special ids must exist.
    fn check(&self, config: &Config) -> Result<(), ModelError> {
        if !self.heads.is_multiple_of(self.kv_heads) {
            let reason = format!("{} heads cannot share {} key-value heads evenly", self.heads, self.kv_heads);
            return Err(config.wrong("num_key_value_heads", reason));
        }
        if config.field("head_dim").is_none() && !self.width.is_multiple_of(self.heads) {
            let reason = format!("{} is not a multiple of {} heads", self.width, self.heads);
            return Err(config.wrong("hidden_size", reason));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(config.wrong("head_dim", format!("{} is odd, and rotary positions need pairs", self.head_dim)));
        }
        if let Some(other) = config.text("hidden_act").filter(|act| *act != "silu") {
            let feature = format!("activation `{other}`");
            return Err(ModelError::UnsupportedFeature { path: config.path().to_owned(), feature });
        }
        let outside = |id: &&u32| **id as usize >= self.vocabulary;
        if let Some(id) = self.bos.iter().chain(&self.eos).find(outside) {
            return Err(config.wrong("vocab_size", format!("token id {id} is outside the {} words", self.vocabulary)));
        }
        Ok(())
    }

    /// Every tensor of the network with this head, in the order in which they are stored.
    pub fn parameters(&self, head: Head) -> Vec<Parameter> {
        let names = &self.family.names;
        let mut list = List(Vec::new());
        list.push(names.embedding, "weight", &[self.vocabulary, self.width]);
        for block in 0..self.layers {
            self.block_parameters(&names.block.replace("{}", &block.to_string()), &mut list);
        }
        list.push(names.final_norm, "weight", &[self.width]);
        match head {
            Head::Language if self.tied => {}
            Head::Language => list.push(names.language_head, "weight", &[self.vocabulary, self.width]),
            Head::Score | Head::Value => list.push(names.score_head, "weight", &[1, self.width]),
        }
        list.0
    }

    fn block_parameters(&self, block: &str, list: &mut List) {
        let names = &self.family.names;
        let (queries, keys) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let mut linear = |name: &str, rows: usize, cols: usize, bias: bool| {
            list.push(&format!("{block}{name}"), "weight", &[rows, cols]);
            if bias {
                list.push(&format!("{block}{name}"), "bias", &[rows]);
            }
        };
        linear(names.query, queries, self.width, self.query_key_value_bias);
        linear(names.key, keys, self.width, self.query_key_value_bias);
        linear(names.value, keys, self.width, self.query_key_value_bias);
        linear(names.output, self.width, queries, self.output_bias);
        linear(names.gate, self.mlp, self.width, self.mlp_bias);
        linear(names.up, self.mlp, self.width, self.mlp_bias);
        linear(names.down, self.width, self.mlp, self.mlp_bias);
        list.push(&format!("{block}{}", names.attention_norm), "weight", &[self.width]);
        list.push(&format!("{block}{}", names.mlp_norm), "weight", &[self.width]);
    }

    /// How many numbers a network with this head holds.
    pub fn parameter_count(&self, head: Head) -> usize {
        self.parameters(head).iter().map(Parameter::len).sum()
    }
}

struct List(Vec<Parameter>);

impl List {
    fn push(&mut self, name: &str, kind: &str, shape: &[usize]) {
        self.0.push(Parameter { name: format!("{name}.{kind}"), shape: shape.to_vec() });
    }
}

/// The family that `model_type` or `architectures` names.
fn family_of(config: &Config) -> Result<&'static Family, ModelError> {
    let class = config.field("architectures").and_then(|a| a.get(0)).and_then(Value::as_str);
    let by_class = |f: &&Family| Some(f.language_class) == class || Some(f.score_class) == class;
    let found = match config.text("model_type") {
        Some(model_type) => family(model_type),
        None => FAMILIES.iter().find(by_class),
    };
    found.ok_or_else(|| ModelError::UnsupportedFamily {
        path: config.path().to_owned(),
        found: config.text("model_type").or(class).unwrap_or("no `model_type` at all").into(),
        supported: FAMILIES.iter().map(|f| f.model_type).collect(),
    })
}
