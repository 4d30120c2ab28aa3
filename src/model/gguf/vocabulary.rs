//! The vocabulary in the metadata as the texts of `tokenizer.json` and `tokenizer_config.json`, and back.

mod byte_level;
mod outgoing;
mod pieces;
mod sentence_piece;

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::GgufError;
use super::config::END_KEYS;
use super::metadata::Metadata;

pub use outgoing::Reading;
pub(super) use outgoing::entries;

/// How a network reads and writes text, as the files of a Hugging Face folder have it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenizerTexts {
    /// `tokenizer.json`, for the `tokenizers` crate.
    pub tokenizer: String,
    /// `tokenizer_config.json`: the special tokens, whether text begins and ends with them, and the chat template.
    pub config: String,
}

/// What a token is (`tokenizer.ggml.token_type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Normal,
    Unknown,
    /// Never text.
    Control,
    /// Found in a text before anything else is split.
    UserDefined,
    Unused,
    /// One byte, spelled `<0x00>` to `<0xFF>`.
    Byte,
}

/// Kinds in the order of their numbers. 0 stands for what the writer did not say.
const KINDS: [Kind; 7] = [Kind::Normal, Kind::Normal, Kind::Unknown, Kind::Control, Kind::UserDefined, Kind::Unused, Kind::Byte];

/// The tokens of a file, by id.
struct Tokens {
    texts: Vec<String>,
    kinds: Vec<Kind>,
    ids: HashMap<String, u32>,
}

/// What a kind of vocabulary decides about `tokenizer.json`.
struct Parts {
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
    model: Value,
    /// Whether text begins with the start token where the file does not say.
    add_start: bool,
}

/// Makes the parts of one kind of vocabulary; may respell tokens as the model wants them.
type Build = fn(&Metadata, &mut Tokens) -> Result<Parts, GgufError>;

/// Kinds of vocabularies by `tokenizer.ggml.model`.
const MODELS: &[(&str, Build)] = &[("gpt2", byte_level::parts), ("llama", sentence_piece::parts)];

const MODEL: &str = "tokenizer.ggml.model";
const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";
const START: &str = "tokenizer.ggml.bos_token_id";
const UNKNOWN: &str = "tokenizer.ggml.unknown_token_id";

/// The named tokens of `tokenizer_config.json`.
const NAMED: &[(&str, &str)] =
    &[("bos_token", START), ("eos_token", END_KEYS[0]), ("unk_token", UNKNOWN), ("pad_token", "tokenizer.ggml.padding_token_id")];

const TEMPLATE: &str = "tokenizer.chat_template";

/// Both texts.
pub(super) fn texts(metadata: &Metadata) -> Result<TokenizerTexts, GgufError> {
    let model = metadata.need(MODEL, metadata.text(MODEL)?)?;
    let Some((_, build)) = MODELS.iter().find(|(name, _)| *name == model) else {
        let known: Vec<&str> = MODELS.iter().map(|(name, _)| *name).collect();
        return Err(metadata.unsupported(format!("vocabulary `{model}`"), known.join(", ")));
    };
    let mut tokens = Tokens::read(metadata)?;
    let parts = build(metadata, &mut tokens)?;
    let start = ends(metadata, &tokens, "tokenizer.ggml.add_bos_token", START, parts.add_start)?;
    let end = ends(metadata, &tokens, "tokenizer.ggml.add_eos_token", END_KEYS[0], false)?;
    let config = tokenizer_config(metadata, &tokens, start.is_some(), end.is_some())?;
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens(metadata, &tokens)?,
        "normalizer": parts.normalizer,
        "pre_tokenizer": parts.pre_tokenizer,
        "post_processor": template_processing(&tokens, start, end),
        "decoder": parts.decoder,
        "model": parts.model,
    });
    Ok(TokenizerTexts { tokenizer: tokenizer.to_string(), config: config.to_string() })
}

impl Tokens {
    fn read(metadata: &Metadata) -> Result<Self, GgufError> {
        let texts = metadata.need(TOKENS, metadata.texts(TOKENS)?)?;
        let kind = |value: super::Value| KINDS.get(usize::try_from(value.unsigned()?).ok()?).copied();
        let kinds = metadata.array(TYPES, "token types 0 to 6", kind)?;
        let kinds = kinds.unwrap_or_else(|| vec![Kind::Normal; texts.len()]);
        if kinds.len() != texts.len() {
            return Err(metadata.wrong(TYPES, format!("{} types for {} tokens", kinds.len(), texts.len())));
        }
        let mut tokens = Self { texts, kinds, ids: HashMap::new() };
        for id in 0..tokens.texts.len() {
            let id = u32::try_from(id).map_err(|_| metadata.wrong(TOKENS, "ids do not fit 32 bits"))?;
            if let Some(other) = tokens.ids.insert(tokens.text(id).to_owned(), id) {
                return Err(metadata.wrong(TOKENS, format!("tokens {other} and {id} are both {:?}", tokens.text(id))));
            }
        }
        Ok(tokens)
    }

    fn text(&self, id: u32) -> &str {
        &self.texts[id as usize]
    }

    /// Ids with their kinds.
    fn iter(&self) -> impl Iterator<Item = (u32, Kind)> {
        (0..).zip(self.kinds.iter().copied())
    }

    /// The id of a token of this text.
    fn id(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }

    /// The object of a model's vocabulary: text → id.
    fn vocabulary(&self) -> Map<String, Value> {
        (0_u32..).zip(&self.texts).map(|(id, text)| (text.clone(), json!(id))).collect()
    }

    /// The id under `key`, if the file has one; it must be a token's.
    fn named(&self, metadata: &Metadata, key: &str) -> Result<Option<u32>, GgufError> {
        match metadata.id(key)? {
            Some(id) if id as usize >= self.texts.len() => {
                Err(metadata.wrong(key, format!("token {id} is outside the {} tokens", self.texts.len())))
            }
            id => Ok(id),
        }
    }
}

/// Pairs by rank, if the file lists them. Both halves and the whole must be tokens.
fn merges(metadata: &Metadata, tokens: &Tokens) -> Result<Option<Vec<[String; 2]>>, GgufError> {
    let Some(lines) = metadata.texts(MERGES)? else { return Ok(None) };
    let pair = |(rank, line): (usize, String)| {
        let halves = line.split_once(' ').filter(|(left, right)| {
            let whole = [*left, *right].concat();
            [left, right, &whole.as_str()].iter().all(|text| tokens.id(text).is_some())
        });
        let Some((left, right)) = halves else {
            return Err(metadata.wrong(MERGES, format!("merge {rank}, {line:?}, does not join two tokens to a third")));
        };
        Ok([left.to_owned(), right.to_owned()])
    };
    lines.into_iter().enumerate().map(pair).collect::<Result<_, _>>().map(Some)
}

/// The token that every text gets at one end, if the file (or else `default`) says that it gets one.
fn ends(metadata: &Metadata, tokens: &Tokens, flag: &str, key: &str, default: bool) -> Result<Option<u32>, GgufError> {
    match metadata.flag(flag)?.unwrap_or(default) {
        true => metadata.need(key, tokens.named(metadata, key)?).map(Some),
        false => Ok(None),
    }
}

/// Tokens that are found in a text before it is split: control tokens and what ends a text, which are special, and
/// user-defined ones, which are text.
fn added_tokens(metadata: &Metadata, tokens: &Tokens) -> Result<Vec<Value>, GgufError> {
    let mut special = Vec::new();
    for key in [START].iter().chain(END_KEYS) {
        special.extend(tokens.named(metadata, key)?);
    }
    let is_special = |id, kind| matches!(kind, Kind::Control | Kind::Unknown) || special.contains(&id);
    let added = tokens.iter().filter(|(id, kind)| *kind == Kind::UserDefined || is_special(*id, *kind));
    Ok(added
        .map(|(id, kind)| {
            json!({
                "id": id,
                "content": tokens.text(id),
                "single_word": false,
                "lstrip": false,
                "rstrip": false,
                "normalized": false,
                "special": is_special(id, kind),
            })
        })
        .collect())
}

/// Puts the start and end tokens around a text; `null` without any.
fn template_processing(tokens: &Tokens, start: Option<u32>, end: Option<u32>) -> Value {
    if start.or(end).is_none() {
        return Value::Null;
    }
    let special = |id: Option<u32>| id.map(|id| json!({ "SpecialToken": { "id": tokens.text(id), "type_id": 0 } }));
    let around = |name: &str| {
        let text = json!({ "Sequence": { "id": name, "type_id": 0 } });
        special(start).into_iter().chain([text]).chain(special(end)).collect::<Vec<_>>()
    };
    let pair = [around("A"), around("B")].concat();
    let named = |id: u32| (tokens.text(id).to_owned(), json!({ "id": tokens.text(id), "ids": [id], "tokens": [tokens.text(id)] }));
    json!({
        "type": "TemplateProcessing",
        "single": around("A"),
        "pair": pair,
        "special_tokens": start.into_iter().chain(end).map(named).collect::<Map<_, _>>(),
    })
}

fn tokenizer_config(metadata: &Metadata, tokens: &Tokens, start: bool, end: bool) -> Result<Value, GgufError> {
    let mut config = Map::new();
    config.insert("tokenizer_class".into(), json!("PreTrainedTokenizerFast"));
    config.insert("add_bos_token".into(), json!(start));
    config.insert("add_eos_token".into(), json!(end));
    config.insert("clean_up_tokenization_spaces".into(), json!(false));
    for (field, key) in NAMED {
        if let Some(id) = tokens.named(metadata, key)? {
            config.insert((*field).into(), json!(tokens.text(id)));
        }
    }
    if let Some(template) = chat_template(metadata)? {
        config.insert("chat_template".into(), template);
    }
    Ok(Value::Object(config))
}

/// The template, or a list of named ones where the file has more than one.
fn chat_template(metadata: &Metadata) -> Result<Option<Value>, GgufError> {
    let default = metadata.text(TEMPLATE)?;
    let Some(names) = metadata.texts("tokenizer.chat_templates")? else { return Ok(default.map(Value::from)) };
    let mut templates: Vec<Value> = Vec::new();
    templates.extend(default.map(|template| json!({ "name": "default", "template": template })));
    for name in names {
        let key = format!("{TEMPLATE}.{name}");
        let template = metadata.need(&key, metadata.text(&key)?)?;
        templates.push(json!({ "name": name, "template": template }));
    }
    Ok(Some(json!(templates)))
}
