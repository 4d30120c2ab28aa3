//! What a network is: a decoder's sizes and switches, read from `config.json`, and the list of its parameters.

use std::path::Path;

use serde_json::Value;

use super::ModelError;
use super::config::Config;
use super::families::{FAMILIES, family};
use super::family::{Activation, Family, NormKind, NormOver};
use super::rope::Rope;
use super::switches;

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
    /// Width between the two halves of the MLP.
    pub mlp: usize,
    /// V.
    pub vocabulary: usize,
    /// What the network was made for. Where positions are learned there are no more; elsewhere longer sequences work,
    /// but badly.
    pub max_positions: usize,
    pub norm_epsilon: f32,
    /// Of blocks without a window; `None` where positions are learned.
    pub rope: Option<Rope>,
    /// Of blocks with a window.
    pub window_rope: Option<Rope>,
    /// How many tokens a block with a window attends to, its own among them.
    pub window: Option<usize>,
    /// Which blocks have it.
    pub sliding: Vec<bool>,
    pub activation: Activation,
    /// Attention and MLP of a block read the same x.
    pub parallel: bool,
    /// What the product of query and key is multiplied by.
    pub attention_scale: f32,
    /// Soft caps, 0 for none.
    pub attention_cap: f32,
    pub logit_cap: f32,
    /// What embeddings are multiplied by.
    pub embedding_scale: f32,
    /// The language head is the embedding.
    pub tied: bool,
    pub query_key_value_bias: bool,
    pub output_bias: bool,
    pub mlp_bias: bool,
    pub bos: Option<u32>,
    /// End tokens; the first one ends written text, any of them ends sampling.
    pub eos: Vec<u32>,
    pub pad: Option<u32>,
    /// Numbers that a score head gives for a sequence: members of an ensemble.
    pub scores: usize,
}

/// One tensor of a network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parameter {
    /// Its name in a checkpoint, or one of its own where a checkpoint keeps it together with others.
    pub name: String,
    /// (N, K) for a projection, whatever a checkpoint has.
    pub shape: Vec<usize>,
    /// The tensor of a checkpoint that holds it.
    pub(super) stored: String,
    /// Whether it belongs to a projection inside a block.
    pub(super) projection: bool,
}

impl Parameter {
    /// A tensor that stands by itself.
    pub(super) fn new(name: String, shape: &[usize]) -> Self {
        Self { stored: name.clone(), name, shape: shape.to_vec(), projection: false }
    }

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

    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "the device counts in f32")]
    pub(super) fn from_config(config: &Config) -> Result<Self, ModelError> {
        let family = family_of(config)?;
        switches::check_neutral(config, family)?;
        let Family { fields, defaults, .. } = family;
        let (width, heads, layers) = (config.size(fields.width)?, config.size(fields.heads)?, config.size(fields.layers)?);
        let head_dim = config.optional_size("head_dim")?.unwrap_or(width / heads);
        let (window, sliding) = switches::windows(config, family, layers)?;
        let [rope, window_rope] = match family.names.positions {
            Some(_) => [None, None],
            None => Rope::from_config(config, family, head_dim)?.map(Some),
        };
        let spec = Self {
            family,
            layers,
            width,
            heads,
            kv_heads: config.optional_size("num_key_value_heads")?.unwrap_or(heads),
            head_dim,
            mlp: match (config.optional_size(fields.mlp)?, defaults.mlp_ratio) {
                (None, Some(ratio)) => ratio * width,
                (None, None) => config.size(fields.mlp)?,
                (Some(mlp), _) => mlp,
            },
            vocabulary: config.size("vocab_size")?,
            max_positions: match family.names.positions {
                Some(_) => config.size(fields.positions)?,
                None => config.optional_size(fields.positions)?.unwrap_or(2048),
            },
            norm_epsilon: config.optional_positive(fields.norm_epsilon)?.unwrap_or(defaults.norm_epsilon) as f32,
            rope,
            window_rope,
            window,
            sliding,
            activation: switches::activation(config, family)?,
            parallel: family.parallel.map_or(Ok(false), |field| config.flag_or(field, true))?,
            attention_scale: match family.attention_scalar {
                Some(absent) => config.optional_positive("query_pre_attn_scalar")?.unwrap_or(absent),
                None => head_dim as f64,
            }
            .sqrt()
            .recip() as f32,
            attention_cap: switches::cap(config, family, "attn_logit_softcapping", defaults.attention_cap)?,
            logit_cap: switches::cap(config, family, "final_logit_softcapping", defaults.logit_cap)?,
            embedding_scale: if family.scaled_embedding { (width as f64).sqrt() as f32 } else { 1.0 },
            tied: config.flag_or("tie_word_embeddings", defaults.tied)?,
            query_key_value_bias: switches::biased(config, family.query_key_value_bias)?,
            output_bias: switches::biased(config, family.output_bias)?,
            mlp_bias: switches::biased(config, family.mlp_bias)?,
            bos: config.token_ids("bos_token_id")?.first().copied(),
            eos: config.token_ids("eos_token_id")?,
            pad: config.token_ids("pad_token_id")?.first().copied(),
            scores: 1,
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
            return Err(config.wrong(self.family.fields.width, reason));
        }
        if self.rope.is_some() && !self.head_dim.is_multiple_of(2) {
            return Err(config.wrong("head_dim", format!("{} is odd, and rotary positions need pairs", self.head_dim)));
        }
        let outside = |id: &&u32| **id as usize >= self.vocabulary;
        if let Some(id) = self.bos.iter().chain(&self.eos).find(outside) {
            return Err(config.wrong("vocab_size", format!("token id {id} is outside the {} words", self.vocabulary)));
        }
        Ok(())
    }

    /// The longest sequence that can be computed at all, where there is one.
    pub fn longest(&self) -> Option<usize> {
        self.family.names.positions.map(|_| self.max_positions)
    }

    /// Every tensor of the network with this head, in the order in which the engine holds them.
    pub fn parameters(&self, head: Head) -> Vec<Parameter> {
        let names = &self.family.names;
        let mut list = List(Vec::new());
        list.push(names.embedding, "weight", &[self.vocabulary, self.width]);
        if let Some(positions) = names.positions {
            list.push(positions, "weight", &[self.max_positions, self.width]);
        }
        for block in 0..self.layers {
            self.block_parameters(&names.block.replace("{}", &block.to_string()), &mut list);
        }
        self.norm(&mut list, names.final_norm, self.width);
        match head {
            Head::Language if self.tied => {}
            Head::Language => list.push(names.language_head, "weight", &[self.vocabulary, self.width]),
            Head::Score | Head::Value => list.push(names.score_head, "weight", &[self.scores, self.width]),
        }
        list.0
    }

    fn block_parameters(&self, block: &str, list: &mut List) {
        let names = &self.family.names;
        let (queries, keys) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let mut linear = |name: &str, part: &str, rows: usize, cols: usize, bias: bool| {
            // A name that stands for several projections is told apart by what they are.
            let shared = [names.query, names.key, names.value, names.up].iter().chain(&names.gate).filter(|other| **other == name).count();
            let part = if shared > 1 { part } else { "" };
            list.project(&format!("{block}{name}"), part, "weight", &[rows, cols]);
            if bias {
                list.project(&format!("{block}{name}"), part, "bias", &[rows]);
            }
        };
        linear(names.query, ".query", queries, self.width, self.query_key_value_bias);
        linear(names.key, ".key", keys, self.width, self.query_key_value_bias);
        linear(names.value, ".value", keys, self.width, self.query_key_value_bias);
        linear(names.output, "", self.width, queries, self.output_bias);
        if let Some(gate) = names.gate {
            linear(gate, ".gate", self.mlp, self.width, self.mlp_bias);
        }
        linear(names.up, ".up", self.mlp, self.width, self.mlp_bias);
        linear(names.down, "", self.width, self.mlp, self.mlp_bias);
        for name in [names.attention_norm, names.mlp_norm, names.attention_post_norm, names.mlp_post_norm].into_iter().flatten() {
            self.norm(list, &format!("{block}{name}"), self.width);
        }
        let sizes = match self.family.query_key_norm {
            None => return,
            Some(NormOver::Head) => [self.head_dim; 2],
            Some(NormOver::AllHeads) => [queries, keys],
        };
        for (name, size) in [names.query_norm, names.key_norm].into_iter().zip(sizes) {
            self.norm(list, &format!("{block}{name}"), size);
        }
    }

    fn norm(&self, list: &mut List, name: &str, size: usize) {
        list.push(name, "weight", &[size]);
        if self.family.norm == NormKind::Layer {
            list.push(name, "bias", &[size]);
        }
    }

    /// How many numbers a network with this head holds.
    pub fn parameter_count(&self, head: Head) -> usize {
        self.parameters(head).iter().map(Parameter::len).sum()
    }
}

struct List(Vec<Parameter>);

impl List {
    fn push(&mut self, name: &str, kind: &str, shape: &[usize]) {
        self.0.push(Parameter::new(format!("{name}.{kind}"), shape));
    }

    fn project(&mut self, name: &str, part: &str, kind: &str, shape: &[usize]) {
        let (stored, name) = (format!("{name}.{kind}"), format!("{name}{part}.{kind}"));
        self.0.push(Parameter { name, shape: shape.to_vec(), stored, projection: true });
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
