//! Conversations to token ids, and which of them the assistant said.
//!
//! Where a template marks what the assistant says with `{% generation %}`, those marks decide; else a turn is what its
//! message adds to the rendering of the messages before it and the generation prompt. That needs renderings that only
//! grow with the conversation; where a template looks ahead or drops earlier text the turn at fault is named.

use std::ops::Range;

use serde_json::Value as Json;

use super::encoder::{Encoder, Token};
use super::error::TemplateError;
use super::template::{ChatTemplate, Options, Rendering};

/// Token ids of a conversation.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Encoded {
    pub ids: Vec<u32>,
    /// For each id whether the assistant said it: whether its text begins inside one of the assistant's spans.
    pub assistant: Vec<bool>,
}

/// Why a conversation has no token ids.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DialogueError {
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("the tokenizer cannot encode the conversation: {reason}")]
    Encode { reason: String },
    #[error("a message spells the control token `{token}`, and the tokenizer has no other ids for this text")]
    Forged { token: String },
    #[error("a message spells the control token `{token}`, and the chat template looks at it: the two cannot be told apart")]
    Untraced { token: String },
    /// Turns count from 0. Both texts begin where the renderings part.
    #[error(
        "turn {turn} of the conversation cannot be told apart: the rendering {part} is no prefix of what follows (`{found}` against `{expected}`)"
    )]
    Unstable { turn: usize, part: Part, found: String, expected: String },
}

/// Which rendering breaks a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The messages before a turn, with the generation prompt.
    BeforeTurn,
    /// The messages up to and including a turn.
    ThroughTurn,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::BeforeTurn => "of the messages before it with the generation prompt",
            Self::ThroughTurn => "of the messages up to it",
        })
    }
}

/// Renders a conversation and encodes it, as `transformers` does with `tokenize=True`: control tokens are the
/// template's, and nothing is put in front or behind.
///
/// # Errors
/// Those of [`ChatTemplate::render`], [`assistant_spans`] and [`Encoder::encode`].
pub fn encode(template: &ChatTemplate, encoder: &Encoder, messages: &[Json], options: &Options) -> Result<Encoded, DialogueError> {
    let rendering = template.render(messages, options)?;
    let spans = assistant_spans(template, messages, options, &rendering)?;
    let tokens = encoder.encode(&rendering)?;
    let is_inside = |token: &Token| spans.iter().any(|span| span.contains(&token.start));
    Ok(Encoded { ids: tokens.iter().map(|token| token.id).collect(), assistant: tokens.iter().map(is_inside).collect() })
}

/// The byte ranges of `rendering` that the assistant said.
///
/// # Errors
/// [`DialogueError::Unstable`] when the template has no `{% generation %}` and its renderings do more than grow.
pub fn assistant_spans(
    template: &ChatTemplate,
    messages: &[Json],
    options: &Options,
    rendering: &Rendering,
) -> Result<Vec<Range<usize>>, DialogueError> {
    if template.marks_generation() {
        return Ok(rendering.assistant.clone());
    }
    let is_assistant = |message: &Json| message.get("role").and_then(Json::as_str) == Some("assistant");
    let alone = |messages: &[Json], add_generation_prompt| {
        let options = Options { add_generation_prompt, continue_final_message: None, ..options.clone() };
        template.render(messages, &options).map(|rendering| rendering.text)
    };
    let mut spans = Vec::new();
    for turn in (0..messages.len()).filter(|&turn| is_assistant(&messages[turn])) {
        let is_whole = turn + 1 == messages.len() && !options.add_generation_prompt;
        let through = if is_whole { rendering.text.clone() } else { alone(&messages[..=turn], false)? };
        let before = alone(&messages[..turn], true)?;
        prefix(turn, Part::ThroughTurn, &through, &rendering.text)?;
        prefix(turn, Part::BeforeTurn, &before, &through)?;
        spans.push(before.len()..through.len());
    }
    Ok(spans)
}

/// How much of two texts that part is shown.
const SHOWN: usize = 24;

fn prefix(turn: usize, part: Part, short: &str, long: &str) -> Result<(), DialogueError> {
    if long.starts_with(short) {
        return Ok(());
    }
    let same = short.chars().zip(long.chars()).take_while(|(a, b)| a == b).count();
    let shown = |text: &str| text.chars().skip(same).take(SHOWN).collect();
    Err(DialogueError::Unstable { turn, part, found: shown(short), expected: shown(long) })
}
