//! Texts and dialogues: what the text words make of one row's cells.
//!
//! `none` in gives `none` out. A plain text is a dialogue of one user turn; a completion is its text.

use std::collections::BTreeSet;
use std::sync::Arc;

use regex::Regex;
use thiserror::Error;

use crate::value::{Cell, Completion, Dialogue, Role, Sequence, Turn, dialogue};

/// Why a text word has no answer.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum TextError {
    #[error("expected {expected}, found {found}")]
    Expected { expected: &'static str, found: String },
    #[error("`{pattern}` is no regular expression: {reason}")]
    Pattern { pattern: String, reason: String },
    #[error("the {what} does not begin with what should be taken off it")]
    AnotherStart { what: &'static str },
}

type Answer = Result<Cell, TextError>;

/// What a cell is called in messages.
pub fn describe(cell: &Cell) -> String {
    match cell {
        Cell::None => "none".to_owned(),
        Cell::Bool(b) => b.to_string(),
        Cell::Int(i) => format!("the number {i}"),
        Cell::Float(x) => format!("the number {x}"),
        Cell::Text(_) => "a text".to_owned(),
        Cell::List(_) => "a list".to_owned(),
        Cell::Record(_) => "a record".to_owned(),
        Cell::Dialogue(_) => "a dialogue".to_owned(),
        Cell::Completion(_) => "a completion".to_owned(),
        Cell::Sequence(_) => "a sequence".to_owned(),
        Cell::Tokens(_) => "numbers per token".to_owned(),
        Cell::Estimate(_) => "an estimate".to_owned(),
    }
}

pub(super) fn expected(expected: &'static str, cell: &Cell) -> TextError {
    TextError::Expected { expected, found: describe(cell) }
}

/// The text of a text or completion.
pub fn text_of(cell: &Cell) -> Result<&Arc<str>, TextError> {
    match cell {
        Cell::Text(text) => Ok(text),
        Cell::Completion(completion) => Ok(&completion.text),
        other => Err(expected("a text", other)),
    }
}

/// The turns of a dialogue, a text, or a list of turn records.
pub fn dialogue_of(cell: &Cell) -> Result<Arc<Dialogue>, TextError> {
    match cell {
        Cell::Dialogue(turns) => Ok(turns.clone()),
        Cell::Text(_) | Cell::Completion(_) => Ok(Arc::new(vec![Turn { role: Role::User, text: text_of(cell)?.clone() }])),
        Cell::List(turns) => Ok(Arc::new(turns.iter().map(turn_of).collect::<Result<_, _>>()?)),
        other => Err(expected("a dialogue", other)),
    }
}

fn turn_of(cell: &Cell) -> Result<Turn, TextError> {
    let (Some(role), Some(text)) = (cell.field("role"), cell.field("text")) else { return Err(expected("a turn", cell)) };
    let role = match &**text_of(&role)? {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return Err(expected("`system`, `user` or `assistant`", &role)),
    };
    Ok(Turn { role, text: text_of(&text)?.clone() })
}

/// A turn as a record of role and text.
pub fn turn(turn: &Turn) -> Cell {
    let role = match turn.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    Cell::Record([("role".into(), Cell::text(role)), ("text".into(), Cell::Text(turn.text.clone()))].into())
}

fn one_turn(role: Role, args: &[Cell]) -> Answer {
    Ok(Cell::Dialogue(Arc::new(vec![Turn { role, text: text_of(&args[0])?.clone() }])))
}

pub(super) fn system(args: &[Cell]) -> Answer {
    one_turn(Role::System, args)
}

pub(super) fn user(args: &[Cell]) -> Answer {
    one_turn(Role::User, args)
}

pub(super) fn assistant(args: &[Cell]) -> Answer {
    one_turn(Role::Assistant, args)
}

/// `Human: …`, a blank line, `Assistant: …`.
pub(super) fn transcript(args: &[Cell]) -> Answer {
    Ok(Cell::text(dialogue::transcript(&dialogue_of(&args[0])?)))
}

/// Reads a transcript back.
pub(super) fn from_transcript(args: &[Cell]) -> Answer {
    Ok(turns(dialogue::from_transcript(text_of(&args[0])?)))
}

fn turns(turns: Dialogue) -> Cell {
    Cell::Dialogue(Arc::new(turns))
}

/// How many turns a dialogue has.
pub(super) fn turn_count(args: &[Cell]) -> Answer {
    Ok(Cell::Int(count(dialogue_of(&args[0])?.len())))
}

/// How many characters a text has.
pub(super) fn characters(args: &[Cell]) -> Answer {
    Ok(Cell::Int(count(text_of(&args[0])?.chars().count())))
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The turns that two dialogues begin with; each keeps at least one of its own.
pub(super) fn shared_turns(args: &[Cell]) -> Answer {
    let (a, b) = (dialogue_of(&args[0])?, dialogue_of(&args[1])?);
    Ok(turns(a[..dialogue::shared_turns(&a, &b)].to_vec()))
}

/// A dialogue without the turns that it begins with.
pub(super) fn turns_after(args: &[Cell]) -> Answer {
    let (whole, start) = (dialogue_of(&args[0])?, dialogue_of(&args[1])?);
    whole.strip_prefix(&start[..]).map(|rest| turns(rest.to_vec())).ok_or(TextError::AnotherStart { what: "dialogue" })
}

/// What two texts begin with; see [`dialogue::shared_text`].
pub(super) fn shared_text(args: &[Cell]) -> Answer {
    let (a, b) = (text_of(&args[0])?, text_of(&args[1])?);
    Ok(Cell::text(&a[..dialogue::shared_text(a, b)]))
}

/// A text without what it begins with.
pub(super) fn text_after(args: &[Cell]) -> Answer {
    let (whole, start) = (text_of(&args[0])?, text_of(&args[1])?);
    whole.strip_prefix(&**start).map(Cell::text).ok_or(TextError::AnotherStart { what: "text" })
}

/// Every assistant turn as the completion of the turns before it.
pub(super) fn exchanges(args: &[Cell]) -> Answer {
    let one = |(prompt, completion)| {
        Cell::Record([("prompt".into(), turns(prompt)), ("completion".into(), Cell::Completion(Arc::new(completion)))].into())
    };
    Ok(Cell::List(dialogue::exchanges(&dialogue_of(&args[0])?).map(one).collect()))
}

/// The last item of a list or turn of a dialogue; `none` where there is none.
pub(super) fn last(args: &[Cell]) -> Answer {
    Ok(match &args[0] {
        Cell::List(items) => items.last().cloned(),
        dialogue => dialogue_of(dialogue)?.last().map(turn),
    }
    .unwrap_or(Cell::None))
}

pub(super) fn but_last(args: &[Cell]) -> Answer {
    Ok(match &args[0] {
        Cell::List(items) => Cell::List(items[..items.len().saturating_sub(1)].into()),
        dialogue => {
            let turns = dialogue_of(dialogue)?;
            Cell::Dialogue(Arc::new(turns[..turns.len().saturating_sub(1)].to_vec()))
        }
    })
}

/// Whole numbers from the first up to below the second.
#[expect(clippy::cast_possible_truncation, reason = "bounds of lists are small whole numbers")]
pub(super) fn range(args: &[Cell]) -> Answer {
    let bound = |cell: &Cell| cell.number().map_or(0, |x| x as i64);
    Ok(Cell::List((bound(&args[0])..bound(&args[1])).map(Cell::Int).collect()))
}

pub(super) fn contains(args: &[Cell]) -> Answer {
    Ok(Cell::Bool(text_of(&args[0])?.contains(&**text_of(&args[1])?)))
}

/// Compiles a pattern of the `regex` crate: no look-around or back-references, and so never slow.
pub fn compile(pattern: &str) -> Result<Regex, TextError> {
    Regex::new(pattern).map_err(|e| TextError::Pattern {
        pattern: pattern.to_owned(),
        reason: e.to_string().lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned(),
    })
}

pub(super) fn matches(args: &[Cell]) -> Answer {
    Ok(Cell::Bool(compile(text_of(&args[1])?)?.is_match(text_of(&args[0])?)))
}

/// The first match's first group, or the whole match of a pattern without groups; `none` without a match.
pub(super) fn capture(args: &[Cell]) -> Answer {
    let pattern = compile(text_of(&args[1])?)?;
    let found = pattern.captures(text_of(&args[0])?);
    Ok(found.and_then(|c| c.get(usize::from(pattern.captures_len() > 1))).map_or(Cell::None, |m| Cell::text(m.as_str())))
}

/// The text read as a number, `none` when it is not one.
pub(super) fn number(args: &[Cell]) -> Answer {
    let text = text_of(&args[0])?.trim();
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    Ok(text.parse().ok().filter(|_| plain).map_or(Cell::None, Cell::Float))
}

pub(super) fn joined(args: &[Cell]) -> Answer {
    let Cell::List(parts) = &args[0] else { return Err(expected("a list of texts", &args[0])) };
    let parts = parts.iter().map(|p| text_of(p).map(|t| &**t)).collect::<Result<Vec<_>, _>>()?;
    Ok(Cell::text(parts.join(text_of(&args[1])?)))
}

/// The length of runs of words: at least 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 1, and a float cast saturates")]
pub(super) fn run_length(cell: &Cell) -> Result<usize, TextError> {
    cell.number().filter(|n| *n >= 1.0).map(|n| n as usize).ok_or_else(|| expected("a length of at least 1", cell))
}

/// The share of the runs of `n` words of some texts that are the first of their kind; 1 when there are none. No run
/// goes from one text into the next. Li et al. 2016 (distinct-n).
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(super) fn distinct_share(texts: &[&str], n: usize) -> f64 {
    let words: Vec<Vec<&str>> = texts.iter().map(|text| text.split_whitespace().collect()).collect();
    let runs = || words.iter().flat_map(|words| words.windows(n));
    let (kinds, all) = (runs().collect::<BTreeSet<_>>().len(), runs().count());
    if all == 0 { 1.0 } else { kinds as f64 / all as f64 }
}

/// The distinct runs of `n` words of a text, in lower case.
pub fn ngrams(text: &str, n: usize) -> BTreeSet<String> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    words.windows(n).map(|run| run.join(" ")).collect()
}

/// What two sets share of what they hold together; two empty sets are equal.
#[expect(clippy::cast_precision_loss, reason = "texts are short")]
pub fn jaccard(a: &BTreeSet<String>, b: &BTreeSet<String>) -> f64 {
    let shared = a.intersection(b).count();
    let all = a.len() + b.len() - shared;
    if all == 0 { 1.0 } else { shared as f64 / all as f64 }
}

/// `after(dialogue, completion)`: a plain text becomes a completion that ended.
pub(super) fn after(args: &[Cell]) -> Answer {
    let completion = match &args[1] {
        Cell::Completion(c) => c.clone(),
        other => Arc::new(Completion::written(text_of(other)?.clone())),
    };
    Ok(Cell::Sequence(Arc::new(Sequence { prompt: dialogue_of(&args[0])?, completion: Some(completion) })))
}

/// A text as a completion that goes on behind it.
pub(super) fn begun(args: &[Cell]) -> Answer {
    let text = text_of(&args[0])?.clone();
    Ok(Cell::Completion(Arc::new(Completion { finished: false, ..Completion::written(text) })))
}

/// A value inside a template.
pub fn in_template(cell: &Cell) -> Result<String, TextError> {
    Ok(match cell {
        Cell::None => "none".to_owned(),
        Cell::Bool(b) => b.to_string(),
        Cell::Int(i) => i.to_string(),
        Cell::Float(x) => x.to_string(),
        Cell::Text(_) | Cell::Completion(_) => text_of(cell)?.to_string(),
        Cell::Dialogue(turns) => dialogue::transcript(turns),
        Cell::Estimate(e) => e.mean.to_string(),
        Cell::List(items) => items.iter().map(in_template).collect::<Result<Vec<_>, _>>()?.join(", "),
        Cell::Record(_) | Cell::Sequence(_) | Cell::Tokens(_) => return Err(expected("something to write", cell)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(t: &str) -> Cell {
        Cell::text(t)
    }

    #[test]
    fn hh_pairs_part_at_the_last_turn() {
        let (a, b) = (text("\n\nHuman: Hi\n\nAssistant: A"), text("\n\nHuman: Hi\n\nAssistant: B"));
        let (a, b) = (from_transcript(&[a]).expect("a"), from_transcript(&[b]).expect("b"));
        assert_eq!(but_last(std::slice::from_ref(&a)), but_last(std::slice::from_ref(&b)));
        assert_ne!(last(&[a]), last(&[b]));
    }

    #[test]
    fn what_was_taken_off_must_be_there() {
        let (a, b) = (text("The sky is blue."), text("The sky is green."));
        let start = shared_text(&[a.clone(), b.clone()]).expect("texts");
        assert_eq!(text_after(&[b, start]), Ok(text(" green.")));
        assert_eq!(text_after(&[a, text("Sky")]), Err(TextError::AnotherStart { what: "text" }));
        let hi = user(&[text("hi")]).expect("a turn");
        assert_eq!(turns_after(&[hi, text("ho")]), Err(TextError::AnotherStart { what: "dialogue" }));
    }

    #[test]
    fn patterns() {
        let question = [text("1. Why me? Because."), text(r"^(.*?\?)")];
        assert_eq!(capture(&question), Ok(text("1. Why me?")));
        assert_eq!(capture(&[text("none here"), text(r"\?")]), Ok(Cell::None));
        assert_eq!(matches(&[text("abc"), text("b+")]), Ok(Cell::Bool(true)));
        assert!(matches!(matches(&[text("abc"), text("(")]), Err(TextError::Pattern { .. })));
    }

    #[test]
    fn numbers_are_not_guessed() {
        assert_eq!(number(&[text(" 4.5\n")]), Ok(Cell::Float(4.5)));
        for no in ["4 of 5", "inf", "nan", ""] {
            assert_eq!(number(&[text(no)]), Ok(Cell::None), "{no}");
        }
    }

    #[test]
    fn distinct_two() {
        assert_eq!(distinct_share(&["a b a b a"], 2), 0.5);
        assert_eq!(distinct_share(&["one"], 2), 1.0);
        assert_eq!(distinct_share(&["a b c", "a b d"], 2), 0.75);
        assert!(run_length(&Cell::Int(0)).is_err());
    }

    #[test]
    fn likeness_is_what_two_texts_share() {
        assert_eq!(jaccard(&ngrams("a b c d", 1), &ngrams("b c d e", 1)), 0.6);
        assert_eq!(jaccard(&ngrams("", 1), &ngrams("", 1)), 1.0);
    }

    #[test]
    fn templates_show_dialogues() {
        assert_eq!(in_template(&user(&[text("hi")]).expect("a turn")), Ok("Human: hi".to_owned()));
        assert_eq!(in_template(&Cell::Float(3.0)), Ok("3".to_owned()));
    }
}
