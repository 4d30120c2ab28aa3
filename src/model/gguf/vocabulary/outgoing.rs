//! `tokenizer.json` as the metadata of a file: the way back.
//!
//! llama.cpp knows kinds of vocabularies by name and brings their rules itself. A tokenizer has a place in a file only
//! if its rules are those of a kind: what is close to one would be read wrongly without a word.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::super::GgufError;
use super::super::config::END_KEYS;
use super::super::writer::Entry;
use super::{KINDS, Kind, MERGES, MODEL, START, TEMPLATE, TOKENS, TYPES, UNKNOWN, byte_level, sentence_piece};

/// How a network reads and writes text.
#[derive(Clone, Debug)]
pub struct Reading<'a> {
    /// `tokenizer.json`.
    pub tokenizer: &'a [u8],
    /// Whether the start token stands in front of every text.
    pub starts: bool,
    pub start: Option<u32>,
    /// What ends a text, the usual one first.
    pub ends: &'a [u32],
    pub padding: Option<u32>,
    /// Chat templates by name; the one called `default` is the usual one.
    pub templates: Vec<(String, String)>,
}

/// `tokenizer.json`, as far as a file can say it.
#[derive(Debug, Deserialize)]
pub(super) struct Spelled {
    #[serde(default)]
    added_tokens: Vec<Added>,
    pub(super) normalizer: Value,
    pub(super) pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    pub(super) model: Model,
}

#[derive(Debug, Deserialize)]
struct Added {
    id: u32,
    content: String,
    special: bool,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
}

/// The model of a BPE tokenizer.
#[derive(Debug, Deserialize)]
pub(super) struct Model {
    dropout: Option<f64>,
    pub(super) unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    pub(super) byte_fallback: bool,
    pub(super) ignore_merges: bool,
    pub(super) vocab: BTreeMap<String, u32>,
    pub(super) merges: Vec<(String, String)>,
}

/// The tokens by id, as a file lists them.
pub(super) struct Listed {
    pub(super) texts: Vec<String>,
    pub(super) kinds: Vec<Kind>,
}

/// A complaint about a tokenizer that no kind of vocabulary fits.
pub(super) fn no_place(feature: impl Into<String>) -> GgufError {
    GgufError::NoPlace {
        feature: feature.into(),
        supported: "SentencePiece's BPE with bytes, and byte-level BPE that cuts text as GPT-2, SmolLM, Llama 3, Qwen2 or Tekken".into(),
    }
}

/// The metadata of a vocabulary for an embedding of `rows` rows.
pub(in super::super) fn entries(reading: &Reading, rows: usize) -> Result<Vec<(String, Entry)>, GgufError> {
    let spelled = spelled(reading.tokenizer)?;
    let listed = spelled.listed(rows)?;
    let mut entries = match byte_level::named(&spelled)? {
        Some(pre) => {
            let merges = spelled.model.merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
            vec![(MODEL, Entry::Text("gpt2".into())), ("tokenizer.ggml.pre", Entry::Text(pre.into())), (MERGES, Entry::Texts(merges))]
        }
        None => sentence_piece::entries(&spelled, &listed)?,
    };
    let kinds = listed.kinds.iter().map(|kind| KINDS.iter().rposition(|k| k == kind).expect("all are listed"));
    entries.push((TYPES, Entry::Signed(kinds.map(|id| i32::try_from(id).expect("there are few")).collect())));
    entries.push((TOKENS, Entry::Texts(listed.texts)));
    entries.extend(special(reading, &spelled, rows)?);
    let mut entries: Vec<(String, Entry)> = entries.into_iter().map(|(key, entry)| (key.to_owned(), entry)).collect();
    entries.extend(templates(&reading.templates));
    Ok(entries)
}

/// The tokenizer with all defaults written out, as its own library has them.
fn spelled(file: &[u8]) -> Result<Spelled, GgufError> {
    let whole = tokenizers::Tokenizer::from_bytes(file).and_then(|tokenizer| tokenizer.to_string(false));
    let whole: Value = whole.ok().and_then(|text| serde_json::from_str(&text).ok()).ok_or_else(|| no_place("this `tokenizer.json`"))?;
    let kind = whole["model"]["type"].as_str().unwrap_or("without a name").to_owned();
    if kind != "BPE" {
        return Err(no_place(format!("a vocabulary of kind {kind}")));
    }
    let spelled: Spelled = serde_json::from_value(whole).map_err(|error| no_place(format!("this `tokenizer.json` ({error})")))?;
    let model = &spelled.model;
    let is_said = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let odd = [
        (model.dropout.is_some(), "a tokenizer that drops merges by chance"),
        (is_said(&model.continuing_subword_prefix), "a tokenizer that marks the insides of words"),
        (is_said(&model.end_of_word_suffix), "a tokenizer that marks the ends of words"),
    ];
    match odd.iter().find(|(is_odd, _)| *is_odd) {
        Some((_, what)) => Err(no_place(*what)),
        None => Ok(spelled),
    }
}

impl Spelled {
    /// All tokens; ids that no token has stand for nothing.
    fn listed(&self, rows: usize) -> Result<Listed, GgufError> {
        let mut texts: Vec<Option<&str>> = vec![None; rows];
        let mut kinds = vec![Kind::Unused; rows];
        let mut put = |text: &'_ str, id: u32, kind: Kind| -> Result<usize, GgufError> {
            let at = id as usize;
            let slot = kinds.get_mut(at).ok_or_else(|| no_place(format!("token {id} ({text:?}) of a network with {rows} embeddings")))?;
            *slot = kind;
            Ok(at)
        };
        for (text, id) in &self.model.vocab {
            let byte = self.model.byte_fallback && is_byte(text);
            let at = put(text, *id, if byte { Kind::Byte } else { Kind::Normal })?;
            texts[at] = Some(text);
        }
        for added in &self.added_tokens {
            if !added.special && (added.single_word || added.lstrip || added.rstrip) {
                return Err(no_place(format!("the added token {:?}, which takes in the blanks beside it", added.content)));
            }
            let kind = match added.special {
                // a byte is text, whatever the file says
                _ if self.model.byte_fallback && is_byte(&added.content) => Kind::Byte,
                true => Kind::Control,
                false => Kind::UserDefined,
            };
            let at = put(&added.content, added.id, kind)?;
            texts[at] = Some(&added.content);
        }
        if let Some(unknown) = self.unknown() {
            put("", unknown, Kind::Unknown)?;
        }
        let texts = texts.iter().enumerate().map(|(id, text)| text.map_or_else(|| format!("[PAD{id}]"), str::to_owned));
        let listed = Listed { texts: texts.collect(), kinds };
        match twice(&listed.texts) {
            Some(text) => Err(no_place(format!("two tokens of the text {text:?}"))),
            None => Ok(listed),
        }
    }

    /// The id of the unknown token.
    fn unknown(&self) -> Option<u32> {
        self.model.unk_token.as_ref().and_then(|text| self.model.vocab.get(text)).copied()
    }

    /// Whether the tokenizer's own post-processor ends every text.
    fn ends_texts(&self) -> bool {
        let one = std::slice::from_ref(&self.post_processor);
        let steps = self.post_processor["processors"].as_array().map_or(one, Vec::as_slice);
        let last =
            |step: &Value| step["single"].as_array().and_then(|parts| parts.last()).is_some_and(|part| part.get("SpecialToken").is_some());
        steps.iter().any(last)
    }
}

/// `<0x00>` to `<0xFF>`.
fn is_byte(text: &str) -> bool {
    let digits = text.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && u8::from_str_radix(digits, 16).is_ok())
}

fn twice(texts: &[String]) -> Option<&str> {
    let mut seen = BTreeSet::new();
    texts.iter().map(String::as_str).find(|text| !seen.insert(*text))
}

/// The tokens with a role.
fn special(reading: &Reading, spelled: &Spelled, rows: usize) -> Result<Vec<(&'static str, Entry)>, GgufError> {
    if reading.ends.len() > END_KEYS.len() {
        let feature = format!("a network whose texts end with any of {} tokens", reading.ends.len());
        return Err(GgufError::NoPlace { feature, supported: format!("up to {}", END_KEYS.len()) });
    }
    let mut entries = vec![("tokenizer.ggml.add_bos_token", Entry::Bool(reading.starts))];
    if spelled.ends_texts() && !reading.ends.is_empty() {
        entries.push(("tokenizer.ggml.add_eos_token", Entry::Bool(true)));
    }
    let ids = [(START, reading.start), (UNKNOWN, spelled.unknown()), ("tokenizer.ggml.padding_token_id", reading.padding)];
    let ends = END_KEYS.iter().copied().zip(reading.ends.iter().copied().map(Some));
    let ids = ids.into_iter().chain(ends).filter_map(|(key, id)| Some((key, id?)));
    entries.extend(ids.filter(|(_, id)| (*id as usize) < rows).map(|(key, id)| (key, Entry::U32(id))));
    Ok(entries)
}

/// The usual template, and the names of further ones with their texts.
fn templates(templates: &[(String, String)]) -> Vec<(String, Entry)> {
    let (usual, others): (Vec<_>, Vec<_>) = templates.iter().partition(|(name, _)| name == "default");
    let mut entries: Vec<(String, Entry)> = usual.iter().map(|(_, text)| (TEMPLATE.to_owned(), Entry::Text(text.clone()))).collect();
    if !others.is_empty() {
        entries.push((format!("{TEMPLATE}s"), Entry::Texts(others.iter().map(|(name, _)| name.clone()).collect())));
    }
    entries.extend(others.iter().map(|(name, text)| (format!("{TEMPLATE}.{name}"), Entry::Text(text.clone()))));
    entries
}
