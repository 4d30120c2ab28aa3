//! Byte-level BPE: text is cut by a regular expression, then pieces of its bytes are merged by rank.

use serde_json::{Value, json};

use super::super::GgufError;
use super::super::metadata::Metadata;
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
        normalizer: if pre.composed { json!({ "type": "NFC" }) } else { Value::Null },
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
