//! A network answers a dialogue, and its text is heard as it comes: what the command line and the browser share.
//!
//! Comes in: a loaded network, a prompt in its tokens, how to sample, and somebody who hears. Goes out: the answer.
//! **Invariant:** what was heard is the answer's text, piece by piece; nothing is ever taken back.

use std::ops::ControlFlow;

use serde_json::Value;

use crate::model::{Engine, Extras, ModelError, NetId, Request, Sample, Sampling};
use crate::value::{Dialogue, Role, Turn};

/// A turn of a dialogue.
pub fn turn(role: Role, text: &str) -> Turn {
    Turn { role, text: text.into() }
}

/// Samples one answer. `hear` is called with every new piece of its text, also with none when a token adds nothing that
/// can be shown yet; where it breaks, the answer ends. What may be part of a stop text or of a character is held back.
///
/// # Errors
/// As [`Engine::generate`].
pub fn answer(
    engine: &mut Engine,
    net: NetId,
    prompt: Vec<u32>,
    sampling: &Sampling,
    key: u64,
    hear: &mut dyn FnMut(&str) -> ControlFlow<()>,
) -> Result<Sample, ModelError> {
    let tokenizer = engine.tokenizer(net).clone();
    let mut shown = 0;
    let held = sampling.stop.iter().map(String::len).max().unwrap_or(0);
    let mut said = |_: usize, tokens: &[u32]| {
        let text = tokenizer.decode_completion(&prompt, tokens);
        let whole = text.trim_end_matches('\u{fffd}');
        let stopped = sampling.stop.iter().filter_map(|stop| whole.find(stop.as_str())).min();
        let until = stopped.unwrap_or_else(|| whole.floor_char_boundary(whole.len().saturating_sub(held))).max(shown);
        let piece = whole.get(shown..until).unwrap_or_default();
        shown += piece.len();
        hear(piece)
    };
    let request = Request { prompt: prompt.clone().into(), key };
    let extras = Extras { said: Some(&mut said), ..Extras::default() };
    let sample = engine.generate(net, &[request], sampling, extras)?.remove(0);
    if let Some(rest) = sample.text.get(shown..).filter(|rest| !rest.is_empty()) {
        // whoever breaks now has heard all of it
        let _ = hear(rest);
    }
    Ok(sample)
}

/// The dialogue that a JSON value is: a text, a list of messages, or an object whose `prompt` or `messages` is one of
/// these.
///
/// # Errors
/// In words, when it is none.
pub fn dialogue(value: &Value) -> Result<Dialogue, String> {
    let inner = value.get("prompt").or_else(|| value.get("messages")).unwrap_or(value);
    match inner {
        Value::String(text) => Ok(vec![turn(Role::User, text)]),
        Value::Array(messages) if !messages.is_empty() => messages.iter().map(message).collect(),
        _ => Err("expected a text, a list of messages, or an object with `prompt` or `messages`".to_owned()),
    }
}

fn message(value: &Value) -> Result<Turn, String> {
    let role = value["role"].as_str().and_then(Role::from_name).ok_or("a message has a `role`: system, user or assistant")?;
    let text = value["content"].as_str().or_else(|| value["text"].as_str()).ok_or("a message has a text as `content`")?;
    Ok(turn(role, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_dialogue() {
        let hello = vec![turn(Role::User, "Hello")];
        for text in ["\"Hello\"", "{\"prompt\": \"Hello\"}", "{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}"] {
            assert_eq!(dialogue(&serde_json::from_str(text).expect("JSON")), Ok(hello.clone()), "{text}");
        }
        for text in ["7", "[]", "{\"text\": 1}", "[{\"role\": \"tool\", \"content\": \"x\"}]", "[{\"role\": \"user\"}]"] {
            assert!(dialogue(&serde_json::from_str(text).expect("JSON")).is_err(), "{text}");
        }
    }
}
