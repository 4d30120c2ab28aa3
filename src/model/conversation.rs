//! Dialogues for a network with a chat template: prompts, completions behind them, and dialogues whose assistant turns
//! are scored, in token ids.
//!
//! A completion is what the template writes between the prompt's end and the token that ends the turn, that token
//! included; what it writes behind (a line break, usually) belongs to the next turn.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::chat::{ChatTemplate, DialogueError, Encoder, Options, Part, Token, assistant_spans};
use crate::value::{Role, Turn};

use super::ModelError;
use super::tokenizer_files::{SideFile, side_config};

/// The special tokens that templates may name.
const NAMED: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// A chat template and the tokenizer that reads its renderings.
#[derive(Debug)]
pub(super) struct Conversation {
    source: String,
    template: ChatTemplate,
    encoder: Encoder,
    content: Content,
}

/// How a template wants the text of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Content {
    Text,
    /// A list of parts, as templates of models that also see pictures have it: they leave out a plain text in silence.
    Parts,
}

/// Ids, and which of them the assistant said.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Said {
    pub(super) ids: Vec<u32>,
    pub(super) assistant: Vec<bool>,
}

impl Conversation {
    /// The template among a network's files, if there is one: `chat_template.jinja`, or else what `tokenizer_config.json`
    /// holds.
    ///
    /// # Errors
    /// When it is no template.
    pub(super) fn read(files: &[SideFile], folder: &Path, tokenizer: &tokenizers::Tokenizer) -> Result<Option<Self>, ModelError> {
        let config = side_config(files, "tokenizer_config.json", folder)?.map(|config| config.object).unwrap_or_default();
        let file = files.iter().find(|(name, _)| *name == "chat_template.jinja");
        let source = match file {
            Some((_, bytes)) => Some(String::from_utf8_lossy(bytes).into_owned()),
            None => config.get("chat_template").and_then(default_template),
        };
        let Some(source) = source else { return Ok(None) };
        let path = folder.join(file.map_or("tokenizer_config.json", |(name, _)| name));
        let wrong = |reason: String| ModelError::ChatTemplate { path: path.clone(), reason };
        let template = ChatTemplate::new(&source, specials(&config)).map_err(|error| wrong(error.to_string()))?;
        let encoder = Encoder::new(tokenizer).map_err(|error| wrong(error.to_string()))?;
        let mut found = Self { source, template, encoder, content: Content::Text };
        if !found.shows_text() {
            found.content = Content::Parts;
        }
        Ok(Some(found))
    }

    /// Whether a rendering shows what a message says, or cannot be had.
    fn shows_text(&self) -> bool {
        let probe = "probe";
        let rendering = self.template.render(&self.messages(&[Turn { role: Role::User, text: probe.into() }]), &Options::default());
        rendering.is_err() || rendering.is_ok_and(|rendering| rendering.text.contains(probe))
    }

    /// `messages` of the template.
    fn messages(&self, dialogue: &[Turn]) -> Vec<Value> {
        let content = |turn: &Turn| match self.content {
            Content::Text => json!(&*turn.text),
            Content::Parts => json!([{ "type": "text", "text": &*turn.text }]),
        };
        dialogue.iter().map(|turn| json!({ "role": turn.role.name(), "content": content(turn) })).collect()
    }

    /// The template's text.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// A dialogue, and the opening of the assistant's next turn; a last turn of the assistant's own is left open.
    pub(super) fn prompt(&self, dialogue: &[Turn]) -> Result<Vec<u32>, DialogueError> {
        let rendering = self.template.render(&self.messages(dialogue), &opening(dialogue))?;
        Ok(self.encoder.encode(&rendering)?.iter().map(|token| token.id).collect())
    }

    /// The ids of `text` behind a prompt, up to and with the first of `end`; without that one unless it is `finished`.
    pub(super) fn completion(&self, prompt: &[Turn], text: &str, finished: bool, end: &[u32]) -> Result<Vec<u32>, DialogueError> {
        let mut whole = prompt.to_vec();
        match whole.last_mut().filter(|turn| turn.role == Role::Assistant) {
            Some(open) => open.text = format!("{}{text}", open.text).into(),
            None => whole.push(Turn { role: Role::Assistant, text: text.into() }),
        }
        let before = self.template.render(&self.messages(prompt), &opening(prompt))?.text;
        let rendering = self.template.render(&self.messages(&whole), &Options::default())?;
        if !rendering.text.starts_with(&before) {
            return Err(unstable(whole.len() - 1, &before, &rendering.text));
        }
        let tokens = self.encoder.encode(&rendering)?;
        let mut ids: Vec<u32> = tokens.iter().filter(|token| token.start >= before.len()).map(|token| token.id).collect();
        if let Some(at) = ids.iter().position(|id| end.contains(id)) {
            ids.truncate(if finished { at + 1 } else { at });
        }
        Ok(ids)
    }

    /// A whole dialogue and what the assistant says in it: each turn up to and with the first of `end`.
    pub(super) fn dialogue(&self, dialogue: &[Turn], end: &[u32]) -> Result<Said, DialogueError> {
        let messages = self.messages(dialogue);
        let rendering = self.template.render(&messages, &Options::default())?;
        let spans = assistant_spans(&self.template, &messages, &Options::default(), &rendering)?;
        let tokens = self.encoder.encode(&rendering)?;
        let mut assistant = vec![false; tokens.len()];
        for span in spans {
            let inside = |token: &Token| span.contains(&token.start);
            let first = tokens.iter().position(inside).unwrap_or(tokens.len());
            for (flag, token) in assistant[first..].iter_mut().zip(&tokens[first..]).take_while(|(_, token)| inside(token)) {
                *flag = true;
                if end.contains(&token.id) {
                    break;
                }
            }
        }
        Ok(Said { ids: tokens.iter().map(|token| token.id).collect(), assistant })
    }

    /// The control token that ends an assistant's turn, as far as the template has one.
    pub(super) fn end_of_turn(&self, is_control: impl Fn(u32) -> bool) -> Option<u32> {
        let turn = |role| Turn { role, text: "a".into() };
        let said = self.dialogue(&[turn(Role::User), turn(Role::Assistant)], &[]).ok()?;
        let from = said.assistant.iter().position(|&said| said)?;
        said.ids[from..].iter().copied().find(|id| is_control(*id))
    }
}

/// How a dialogue is rendered as a prompt.
fn opening(dialogue: &[Turn]) -> Options {
    let continued = dialogue.last().is_some_and(|turn| turn.role == Role::Assistant);
    Options { add_generation_prompt: !continued, continue_final_message: continued.then(|| "content".to_owned()), ..Options::default() }
}

fn unstable(turn: usize, before: &str, whole: &str) -> DialogueError {
    let same = before.chars().zip(whole.chars()).take_while(|(a, b)| a == b).count();
    let shown = |text: &str| text.chars().skip(same).take(24).collect();
    DialogueError::Unstable { turn, part: Part::BeforeTurn, found: shown(before), expected: shown(whole) }
}

/// The only template, or the one that is called `default`.
fn default_template(said: &Value) -> Option<String> {
    match said {
        Value::String(source) => Some(source.clone()),
        Value::Array(named) => {
            let of_name = |one: &&Value| one["name"] == "default";
            Some(named.iter().find(of_name).or(named.first())?["template"].as_str()?.to_owned())
        }
        _ => None,
    }
}

fn specials(config: &serde_json::Map<String, Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().or_else(|| value["content"].as_str()).map(str::to_owned);
    NAMED.iter().filter_map(|name| Some(((*name).to_owned(), text(config.get(*name)?)?))).collect()
}
