//! SentencePiece's BPE: pieces of characters have scores, the best merge comes first, and what is no piece is bytes.

use serde_json::{Value, json};

use super::super::GgufError;
use super::super::metadata::Metadata;
use super::super::writer::Entry;
use super::outgoing::{Listed, Spelled, no_place};
use super::pieces::scores;
use super::{Kind, MERGES, MODEL, Parts, Tokens, UNKNOWN, merges};

const SCORES: &str = "tokenizer.ggml.scores";

const PREFIX: &str = "tokenizer.ggml.add_space_prefix";

/// Stands for a space.
const SPACE: &str = "\u{2581}";

/// Longer pieces are damage: trainers stop at a few dozen bytes, and every split of every piece is tried.
const LONGEST: usize = 4096;

/// The parts of `tokenizer.json`.
pub(super) fn parts(metadata: &Metadata, tokens: &mut Tokens) -> Result<Parts, GgufError> {
    let prefix = metadata.flag(PREFIX)?.unwrap_or(true);
    let scores = metadata.array(SCORES, "scores", |value| value.number().filter(|x| !x.is_nan()))?;
    let scores = metadata.need(SCORES, scores)?;
    if scores.len() != tokens.texts.len() {
        return Err(metadata.wrong(SCORES, format!("{} scores for {} tokens", scores.len(), tokens.texts.len())));
    }
    spell_spaces(metadata, tokens)?;
    // A converter without SentencePiece's model knows merges and no scores.
    let merges = match merges(metadata, tokens)? {
        Some(merges) => merges,
        None => scored_merges(metadata, tokens, &scores)?,
    };
    Ok(Parts {
        normalizer: normalizer(prefix),
        pre_tokenizer: Value::Null,
        decoder: decoder(prefix),
        model: json!({
            "type": "BPE",
            "dropout": null,
            "unk_token": unknown(metadata, tokens)?,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": true,
            "byte_fallback": tokens.kinds.contains(&Kind::Byte),
            "ignore_merges": false,
            "vocab": tokens.vocabulary(),
            "merges": merges,
        }),
        add_start: true,
    })
}

/// User-defined pieces are found in the text as it is written, where a space is a space.
fn spell_spaces(metadata: &Metadata, tokens: &mut Tokens) -> Result<(), GgufError> {
    let defined: Vec<u32> = tokens.iter().filter(|(_, kind)| *kind == Kind::UserDefined).map(|(id, _)| id).collect();
    for id in defined {
        let spelled = tokens.text(id).replace(SPACE, " ");
        if spelled == tokens.text(id) {
            continue;
        }
        if let Some(other) = tokens.id(&spelled) {
            return Err(metadata.wrong("tokenizer.ggml.tokens", format!("tokens {other} and {id} are both {spelled:?}")));
        }
        tokens.ids.remove(&tokens.texts[id as usize]);
        tokens.ids.insert(spelled.clone(), id);
        tokens.texts[id as usize] = spelled;
    }
    Ok(())
}

fn unknown<'a>(metadata: &Metadata, tokens: &'a Tokens) -> Result<Option<&'a str>, GgufError> {
    let said = tokens.named(metadata, UNKNOWN)?;
    let id = said.or_else(|| tokens.iter().find(|(_, kind)| *kind == Kind::Unknown).map(|(id, _)| id));
    Ok(id.map(|id| tokens.text(id)))
}

/// A space in front where the file wants one, and all spaces spelled as in pieces.
fn normalizer(prefix: bool) -> Value {
    let replace = json!({ "type": "Replace", "pattern": { "String": " " }, "content": SPACE });
    match prefix {
        true => json!({ "type": "Sequence", "normalizers": [{ "type": "Prepend", "prepend": SPACE }, replace] }),
        false => replace,
    }
}

/// The way back: spaces, bytes, and the space in front taken away.
fn decoder(prefix: bool) -> Value {
    let mut steps = vec![
        json!({ "type": "Replace", "pattern": { "String": SPACE }, "content": " " }),
        json!({ "type": "ByteFallback" }),
        json!({ "type": "Fuse" }),
    ];
    if prefix {
        steps.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    json!({ "type": "Sequence", "decoders": steps })
}

/// Every way to make a piece of two others, best piece first. SentencePiece asks for the score of the piece a merge
/// makes, so ranks in this order choose the same merges. Only normal pieces take part: control tokens are never text,
/// user-defined ones are found before, and unused ones are split again.
fn scored_merges(metadata: &Metadata, tokens: &Tokens, scores: &[f64]) -> Result<Vec<[String; 2]>, GgufError> {
    let normal = |text: &str| tokens.id(text).filter(|id| tokens.kinds[*id as usize] == Kind::Normal);
    let mut ranked: Vec<(f64, u32, u32, u32)> = Vec::new();
    for (id, _) in tokens.iter().filter(|(_, kind)| *kind == Kind::Normal) {
        let text = tokens.text(id);
        if text.len() > LONGEST {
            let reason = format!("token {id} has {} bytes, expected at most {LONGEST}", text.len());
            return Err(metadata.wrong("tokenizer.ggml.tokens", reason));
        }
        for (at, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(at);
            if let (Some(left), Some(right)) = (normal(left), normal(right)) {
                ranked.push((scores[id as usize], id, left, right));
            }
        }
    }
    let pieces = ranked.iter().any(|(_, id, ..)| *id != ranked[0].1);
    if pieces && ranked.iter().all(|(score, ..)| *score == ranked[0].0) {
        return Err(metadata.wrong(SCORES, format!("all scores are equal, and the file has no `{MERGES}`")));
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (a.1, a.2, a.3).cmp(&(b.1, b.2, b.3))));
    Ok(ranked.into_iter().map(|(_, _, left, right)| [left, right].map(|id| tokens.text(id).to_owned())).collect())
}

/// What a file says of such a vocabulary alone. Scores say it without the list of merges: llama.cpp reads no other.
pub(super) fn entries(spelled: &Spelled, listed: &Listed) -> Result<Vec<(&'static str, Entry)>, GgufError> {
    let prefix = space_prefix(spelled).ok_or_else(|| no_place("a BPE that is neither SentencePiece's nor on bytes"))?;
    let bytes = listed.kinds.iter().filter(|kind| **kind == Kind::Byte).count();
    if bytes != 256 || spelled.model.ignore_merges {
        return Err(no_place(format!("a SentencePiece vocabulary with {bytes} of the 256 bytes")));
    }
    Ok(vec![
        (MODEL, Entry::Text("llama".into())),
        ("tokenizer.ggml.pre", Entry::Text("default".into())),
        (SCORES, Entry::Numbers(scores(&spelled.model.merges, listed)?)),
        (PREFIX, Entry::Bool(prefix)),
    ])
}

/// Whether a space is put in front of texts; `None` for what spells spaces otherwise.
fn space_prefix(spelled: &Spelled) -> Option<bool> {
    let (first, cut) = (&spelled.normalizer, &spelled.pre_tokenizer);
    if cut.is_null() {
        return [true, false].into_iter().find(|prefix| *first == normalizer(*prefix));
    }
    let whole = cut["type"] == "Metaspace" && cut["replacement"] == SPACE && cut["split"] == false;
    match cut["prepend_scheme"].as_str().filter(|_| whole && first.is_null())? {
        "always" | "first" => Some(true),
        _ => Some(false),
    }
}
