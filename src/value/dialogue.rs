//! What can be done with turns: transcripts, what two dialogues share, and the answers in one.

use std::sync::Arc;

use super::{Completion, Dialogue, Role, Turn};

/// What a transcript calls who speaks.
const SPEAKERS: [(&str, Role); 3] = [("System:", Role::System), ("Human:", Role::User), ("Assistant:", Role::Assistant)];

/// `Human: …`, a blank line, `Assistant: …`.
pub fn transcript(turns: &[Turn]) -> String {
    let name = |role| SPEAKERS.iter().find(|(_, r)| *r == role).expect("every role has a name").0;
    let parts: Vec<String> = turns.iter().map(|t| format!("{} {}", name(t.role), t.text)).collect();
    parts.join("\n\n")
}

/// Reads a transcript back: a turn begins where a speaker's name begins a paragraph. Texts lose the blanks at their
/// ends; what stands before the first name is a user turn.
pub fn from_transcript(text: &str) -> Dialogue {
    let mut turns: Dialogue = Vec::new();
    for paragraph in text.split("\n\n") {
        let begins = SPEAKERS.iter().find_map(|(name, role)| Some((*role, paragraph.trim_start().strip_prefix(name)?)));
        match (begins, turns.last_mut()) {
            (Some((role, rest)), _) => turns.push(Turn { role, text: rest.into() }),
            (None, Some(open)) => open.text = format!("{}\n\n{paragraph}", open.text).into(),
            (None, None) if paragraph.trim().is_empty() => {}
            (None, None) => turns.push(Turn { role: Role::User, text: paragraph.into() }),
        }
    }
    turns.iter_mut().for_each(|t| t.text = t.text.trim().into());
    turns
}

/// Whether a text is a transcript of a person and an assistant: it begins with one's name and has the other's.
pub fn is_transcript(text: &str) -> bool {
    text.trim_start().starts_with("Human:") && text.contains("\n\nAssistant:")
}

/// How many turns two dialogues begin with alike; each keeps at least one of its own.
pub fn shared_turns(a: &[Turn], b: &[Turn]) -> usize {
    let alike = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    alike.min(a.len().saturating_sub(1)).min(b.len().saturating_sub(1))
}

/// How many bytes two texts begin with alike; each keeps at least one character of its own. A space in front of the
/// first difference belongs to the words that differ.
pub fn shared_text(a: &str, b: &str) -> usize {
    let own = |text: &str| text.char_indices().last().map_or(0, |(at, _)| at);
    let alike = a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y).map(|((at, _), _)| at);
    match alike {
        Some(at) if a[..at].ends_with(' ') => at - 1,
        Some(at) => at,
        None => own(a).min(own(b)),
    }
}

/// Every assistant turn with the turns before it.
pub fn exchanges(turns: &[Turn]) -> impl Iterator<Item = (Dialogue, Completion)> + '_ {
    let answers = turns.iter().enumerate().filter(|(_, turn)| turn.role == Role::Assistant);
    answers.map(|(at, turn)| (turns[..at].to_vec(), Completion::written(turn.text.clone())))
}

impl Completion {
    /// A completion that a person or a file wrote: it has no tokens of its own, and is finished.
    pub fn written(text: impl Into<Arc<str>>) -> Self {
        Self { text: text.into(), tokens: None, finished: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(texts: &[&str]) -> Dialogue {
        let role = |at: usize| if at.is_multiple_of(2) { Role::User } else { Role::Assistant };
        texts.iter().enumerate().map(|(at, text)| Turn { role: role(at), text: (*text).into() }).collect()
    }

    #[test]
    fn a_transcript_reads_back() {
        let written = "Human: Why?\n\nAssistant: Because.\n\nAnd so on.\n\nHuman: Oh";
        assert_eq!(from_transcript(written), turns(&["Why?", "Because.\n\nAnd so on.", "Oh"]));
        assert_eq!(transcript(&from_transcript(written)), written);
        assert!(is_transcript(written) && is_transcript(&format!("\n\n{written}")) && !is_transcript("Human: Why?"));
    }

    #[test]
    fn both_sides_keep_a_turn() {
        let (a, b) = (turns(&["q", "good"]), turns(&["q", "bad"]));
        assert_eq!((shared_turns(&a, &b), shared_turns(&a, &a), shared_turns(&a, &a[..1]), shared_turns(&[], &b)), (1, 1, 0, 0));
        assert_eq!(shared_turns(&turns(&["q", "a", "r", "b"]), &turns(&["q", "x", "r", "b"])), 1);
    }

    #[test]
    fn texts_part_in_front_of_a_word() {
        let part = |a: &'static str, b: &'static str| a.split_at(shared_text(a, b));
        assert_eq!(part("The sky is blue.", "The sky is green."), ("The sky is", " blue."));
        assert_eq!(part("café", "cafè"), ("caf", "é"));
        assert_eq!(part("same", "same"), ("sam", "e"));
        assert_eq!(part("abc", "ab"), ("a", "bc"));
        assert_eq!(part("x", "y"), ("", "x"));
        assert_eq!(part("", "y"), ("", ""));
    }

    #[test]
    fn every_answer_has_its_prompt() {
        let found: Vec<_> = exchanges(&turns(&["q", "a", "r", "b", "s"])).map(|(d, c)| (d.len(), c.text.to_string())).collect();
        assert_eq!(found, [(1, "a".to_owned()), (3, "b".to_owned())]);
    }
}
