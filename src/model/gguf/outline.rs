//! A network as a file has it: sizes as metadata, tensors under their own names and in their own order of rows.

use std::borrow::Cow;
use std::path::Path;

use super::super::rope::RopeScaling;
use super::blocks::{Format, format};
use super::config::Heads;
use super::names::{ARCHITECTURES, Architecture, ROPE_FACTORS, Rows};
use super::vocabulary::{Reading, entries as vocabulary_entries};
use super::writer::{Entry, Line, write};
use super::{GgufError, rotary};

/// The architectures whose switches all have a place: the others can be read only.
const WRITTEN: &[&str] = &["llama", "qwen2"];

/// `general.file_type` by the format of most matrices.
const FILE_TYPES: &[(&str, u32)] = &[("F32", 0), ("F16", 1), ("Q8_0", 7), ("BF16", 32)];

/// Of the formats that group numbers into blocks; there has been no other.
const QUANTIZATION_VERSION: u32 = 2;

/// What a network is, beside its numbers and its vocabulary.
#[derive(Clone, Debug)]
pub struct Outline<'a> {
    /// `general.name`: what a person calls it.
    pub name: Option<&'a str>,
    /// As in `config.json`.
    pub model_type: &'a str,
    pub layers: usize,
    pub width: usize,
    pub mlp: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub vocabulary: usize,
    pub max_positions: usize,
    pub norm_epsilon: f32,
    pub rope_base: f64,
    pub rope_scaling: RopeScaling,
    /// Hugging Face names and row-major shapes of all tensors; a tied language head is not among them.
    pub tensors: Vec<(String, Vec<usize>)>,
}

/// A network that has a place in a file: all that is missing are its numbers.
#[derive(Clone, Debug)]
pub struct Draft {
    entries: Vec<(String, Entry)>,
    /// First the tensors of the outline in its order, then what the file alone has.
    lines: Vec<Line>,
    rows: Vec<Option<usize>>,
    factors: Vec<f32>,
}

impl Draft {
    /// Works out metadata and the table of tensors, matrices in `format`. A matrix whose rows do not fill its blocks is
    /// F16 instead; what has one dimension (norms, biases) is F32.
    ///
    /// # Errors
    /// When a part of the network or of its vocabulary has no place in a file, and for a format that is not written.
    pub fn new(outline: &Outline, reading: &Reading, format: &'static Format) -> Result<Self, GgufError> {
        let architecture = architecture(outline.model_type)?;
        let heads = Heads { query: outline.heads, key_value: outline.kv_heads, dim: outline.head_dim };
        let (mut lines, mut rows) = (Vec::new(), Vec::new());
        for (name, shape) in &outline.tensors {
            let no_place =
                || GgufError::NoPlace { feature: format!("tensor `{name}`"), supported: format!("those of `{}`", architecture.name) };
            let (own, order) = architecture.spell(name).ok_or_else(no_place)?;
            lines.push(Line { name: own, shape: shape.clone(), format: stored_as(shape, format) });
            rows.push(heads.turned(order));
        }
        let factors = rope_factors(outline);
        if !factors.is_empty() {
            lines.push(Line { name: ROPE_FACTORS.into(), shape: vec![factors.len()], format: plain() });
            rows.push(None);
        }
        let mut entries = general(outline, architecture, format);
        entries.extend(sizes(outline, architecture)?);
        entries.extend(vocabulary_entries(reading, outline.vocabulary)?);
        Ok(Self { entries, lines, rows, factors })
    }

    /// Writes a new file; `numbers` gives those of a tensor of the outline, in the outline's order.
    ///
    /// # Errors
    /// When the file is there or the disk refuses, what `numbers` gives, and when a number does not fit its format.
    pub fn write<'n, E: From<GgufError>>(
        &'n self,
        path: &Path,
        mut numbers: impl FnMut(usize) -> Result<Cow<'n, [f32]>, E>,
    ) -> Result<(), E> {
        write(path, &self.entries, &self.lines, |index| {
            if self.lines[index].name == ROPE_FACTORS {
                return Ok(Cow::Borrowed(&self.factors));
            }
            let found = numbers(index)?;
            Ok(match self.rows[index] {
                Some(heads) => Cow::Owned(rotary::interleaved(&found, heads, self.lines[index].shape[1..].iter().product())),
                None => found,
            })
        })
    }
}

impl Heads {
    /// How many heads have their rows reordered.
    fn turned(self, rows: Rows) -> Option<usize> {
        match rows {
            Rows::Kept => None,
            Rows::Query => Some(self.query),
            Rows::Key => Some(self.key_value),
        }
    }
}

fn architecture(model_type: &str) -> Result<&'static Architecture, GgufError> {
    let found = ARCHITECTURES.iter().find(|a| a.model_type == model_type && WRITTEN.contains(&a.name));
    found.ok_or_else(|| GgufError::NoPlace { feature: format!("a network of family `{model_type}`"), supported: WRITTEN.join(", ") })
}

fn plain() -> &'static Format {
    format("F32").expect("it is listed")
}

/// How a tensor is stored where matrices should be `wanted`.
fn stored_as(shape: &[usize], wanted: &'static Format) -> &'static Format {
    match shape {
        [_, row] if row.is_multiple_of(wanted.block_len) => wanted,
        [_, _] => format("F16").expect("it is listed"),
        _ => plain(),
    }
}

fn general(outline: &Outline, architecture: &Architecture, format: &Format) -> Vec<(String, Entry)> {
    let file_type = FILE_TYPES.iter().find(|(name, _)| *name == format.name).map(|(_, id)| Entry::U32(*id));
    let said = [
        ("architecture", Some(Entry::Text(architecture.name.into()))),
        ("type", Some(Entry::Text("model".into()))),
        ("name", outline.name.map(|name| Entry::Text(name.into()))),
        ("file_type", file_type),
        ("quantization_version", Some(Entry::U32(QUANTIZATION_VERSION))),
    ];
    said.into_iter().filter_map(|(key, value)| Some((format!("general.{key}"), value?))).collect()
}

fn sizes(outline: &Outline, architecture: &Architecture) -> Result<Vec<(String, Entry)>, GgufError> {
    let counts = [
        ("vocab_size", outline.vocabulary),
        ("context_length", outline.max_positions),
        ("embedding_length", outline.width),
        ("block_count", outline.layers),
        ("feed_forward_length", outline.mlp),
        ("attention.head_count", outline.heads),
        ("attention.head_count_kv", outline.kv_heads),
        ("attention.key_length", outline.head_dim),
        ("attention.value_length", outline.head_dim),
        ("rope.dimension_count", outline.head_dim),
    ];
    let mut said = Vec::new();
    for (key, size) in counts {
        let too_large = |_| GgufError::NoPlace { feature: format!("a {key} of {size}"), supported: "32 bits".into() };
        said.push((key, Entry::U32(u32::try_from(size).map_err(too_large)?)));
    }
    said.push(("attention.layer_norm_rms_epsilon", Entry::F32(outline.norm_epsilon)));
    said.push(("rope.freq_base", single(outline.rope_base)));
    if let RopeScaling::Linear { factor } = outline.rope_scaling {
        said.push(("rope.scaling.type", Entry::Text("linear".into())));
        said.push(("rope.scaling.factor", single(factor)));
    }
    Ok(said.into_iter().map(|(key, value)| (format!("{}.{key}", architecture.name), value)).collect())
}

#[expect(clippy::cast_possible_truncation, reason = "the format has no f64 for it")]
fn single(x: f64) -> Entry {
    Entry::F32(x as f32)
}

/// What divides each of the D / 2 frequencies; none where all are divided alike.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "the format has f32")]
fn rope_factors(outline: &Outline) -> Vec<f32> {
    let RopeScaling::Llama3 { .. } = outline.rope_scaling else { return Vec::new() };
    let plain = |i: usize| outline.rope_base.powf(-((2 * i) as f64) / outline.head_dim as f64);
    (0..outline.head_dim / 2).map(|i| (plain(i) / outline.rope_scaling.apply(plain(i))) as f32).collect()
}
