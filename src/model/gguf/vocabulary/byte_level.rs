//! Byte-level BPE: text is cut by a regular expression, then pieces of its bytes are merged by rank.

use serde_json::{Value, json};

use super::super::GgufError;
use super::super::metadata::Metadata;
use super::outgoing::{Spelled, no_place};
use super::{MERGES, Parts, Tokens, merges};

/// How a text is cut before merging.
#[derive(Clone, Copy)]
enum Cut {
    /// GPT-2's expression, which the byte-level step has built in.
    Gpt2,
    /// Every digit alone, then GPT-2's expression.
    Digits,
    /// An expression of its own.
    Regex(&'static str),
}

/// One pre-tokenizer of `tokenizer.ggml.pre`.
struct PreTokenizer {
    names: &'static [&'static str],
    cut: Cut,
    /// Whether text is composed (NFC) first.
    composed: bool,
    /// Whether a piece that is a token is taken as it is, whatever the merges say.
    ignore_merges: bool,
    /// Whether text begins with the start token where the file does not say.
    add_start: bool,
}

/// The expressions and switches of the networks' own `tokenizer.json`; names and defaults as llama.cpp has them.
const PRE_TOKENIZERS: &[PreTokenizer] = &[
    PreTokenizer { names: &["gpt-2", "phi-2"], cut: Cut::Gpt2, composed: false, ignore_merges: false, add_start: false },
    PreTokenizer { names: &["smollm", "starcoder"], cut: Cut::Digits, composed: false, ignore_merges: false, add_start: false },
    PreTokenizer {
        names: &["llama-bpe", "llama3", "llama-v3"],
        cut: Cut::Regex(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
        composed: false,
        ignore_merges: true,
        add_start: true,
    },
    PreTokenizer {
        names: &["qwen2"],
        cut: Cut::Regex(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"),
        composed: true,
        ignore_merges: false,
        add_start: false,
    },
    PreTokenizer {
        names: &["tekken"],
        cut: Cut::Regex(concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|",
            r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        )),
        composed: false,
        ignore_merges: true,
        add_start: true,
    },
];

/// The parts of `tokenizer.json`.
pub(super) fn parts(metadata: &Metadata, tokens: &mut Tokens) -> Result<Parts, GgufError> {
    let pre = pre_tokenizer(metadata)?;
    Ok(Parts {
        normalizer: if pre.composed { composed() } else { Value::Null },
        pre_tokenizer: cut(pre.cut),
        decoder: bytes(true),
        model: json!({
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": pre.ignore_merges,
            "vocab": tokens.vocabulary(),
            "merges": metadata.need(MERGES, merges(metadata, tokens)?)?,
        }),
        add_start: pre.add_start,
    })
}

/// The pre-tokenizer that the file names. A guess would cut most texts rightly and some wrongly: there is none.
fn pre_tokenizer(metadata: &Metadata) -> Result<&'static PreTokenizer, GgufError> {
    const KEY: &str = "tokenizer.ggml.pre";
    let name = metadata.need(KEY, metadata.text(KEY)?)?;
    let known = || PRE_TOKENIZERS.iter().flat_map(|p| p.names).copied().collect::<Vec<_>>().join(", ");
    let found = PRE_TOKENIZERS.iter().find(|p| p.names.contains(&name));
    found.ok_or_else(|| metadata.unsupported(format!("pre-tokenizer `{name}`"), known()))
}

/// The step that turns bytes into the printable characters the vocabulary is spelled with.
fn bytes(use_regex: bool) -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex })
}

fn cut(cut: Cut) -> Value {
    let steps = match cut {
        Cut::Gpt2 => return bytes(true),
        Cut::Digits => json!([{ "type": "Digits", "individual_digits": true }, bytes(true)]),
        Cut::Regex(regex) => {
            json!([{ "type": "Split", "pattern": { "Regex": regex }, "behavior": "Isolated", "invert": false }, bytes(false)])
        }
    };
    json!({ "type": "Sequence", "pretokenizers": steps })
}

/// The name of the rules by which a tokenizer cuts text, if it works on bytes.
pub(super) fn named(spelled: &Spelled) -> Result<Option<&'static str>, GgufError> {
    if !works_on_bytes(&spelled.pre_tokenizer) {
        return Ok(None);
    }
    if spelled.model.byte_fallback {
        return Err(no_place("a byte-level BPE with further tokens for bytes"));
    }
    let cuts_alike = |pre: &&PreTokenizer| same_cut(&cut(pre.cut), &spelled.pre_tokenizer);
    let found = PRE_TOKENIZERS.iter().find(cuts_alike).ok_or_else(|| no_place("a byte-level BPE that cuts text in its own way"))?;
    let composed = spelled.normalizer == composed();
    if composed != found.composed || !composed && !spelled.normalizer.is_null() {
        return Err(no_place(format!("the normalizer of a tokenizer that cuts text as `{}`", found.names[0])));
    }
    if spelled.model.ignore_merges != found.ignore_merges {
        return Err(no_place(format!(
            "`ignore_merges: {}` of a tokenizer that cuts text as `{}`",
            spelled.model.ignore_merges, found.names[0]
        )));
    }
    Ok(Some(found.names[0]))
}

fn composed() -> Value {
    json!({ "type": "NFC" })
}

fn works_on_bytes(pre_tokenizer: &Value) -> bool {
    let is_bytes = |step: &Value| step["type"] == "ByteLevel";
    is_bytes(pre_tokenizer) || pre_tokenizer["pretokenizers"].as_array().is_some_and(|steps| steps.iter().any(is_bytes))
}

/// Whether two steps cut alike; where a token says it stands in the text is none of it.
fn same_cut(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let counts = |name: &&String| *name != "trim_offsets";
            let same = |name: &String| a.get(name).zip(b.get(name)).is_some_and(|(a, b)| same_cut(a, b));
            a.keys().filter(counts).count() == b.keys().filter(counts).count() && a.keys().filter(counts).all(same)
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_cut(a, b)),
        _ => a == b,
    }
}
