//! What a file holds, read as the type that the recipe states.
//!
//! A text fits where a dialogue (one user turn) or a completion is asked. Turns are `{role, text}`, `{role, content}` or
//! `{from, value}`; one assistant turn, alone or in a list, is a completion too.

use std::sync::Arc;

use crate::recipe::types::{Row, Type};
use crate::value::{Cell, Completion, Dialogue, Estimate, Role, Sequence, Turn};

use super::json::{self, Node, NodeKind};

/// A value that is not of the type asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mismatch {
    /// The byte of the row's text at which the value starts.
    pub at: usize,
    /// Where in the column: `[2].role`, or nothing for the column's own value.
    pub inside: String,
    pub expected: String,
    pub found: String,
}

/// The value as a cell of type `ty`.
///
/// # Errors
/// With the innermost value that does not fit.
pub fn fit(node: &Node, ty: &Type) -> Result<Cell, Mismatch> {
    match (ty, &node.kind) {
        (Type::Optional(_), NodeKind::Null) => Ok(Cell::None),
        (Type::Optional(_), NodeKind::Bare(text)) if text.is_empty() => Ok(Cell::None),
        (Type::Optional(ty), _) => fit(node, ty),
        (Type::Unknown, _) => Ok(natural(node)),
        (_, NodeKind::Bare(text)) => bare(node, text, ty),
        (Type::Bool, NodeKind::Bool(b)) => Ok(Cell::Bool(*b)),
        (Type::Int, _) => whole(node).map(Cell::Int).ok_or_else(|| wrong(node, ty)),
        (Type::Float, _) => float(node).map(Cell::Float).ok_or_else(|| wrong(node, ty)),
        (Type::Text | Type::Path, NodeKind::Text(text)) => Ok(Cell::Text(text.clone())),
        (Type::Words(words), NodeKind::Text(text)) if words.contains(text) => Ok(Cell::Text(text.clone())),
        (Type::List(ty), NodeKind::List(items)) => list(items, |item| fit(item, ty)).map(|cells| Cell::List(cells.into())),
        (Type::Record(row), NodeKind::Object(fields)) => record(node, fields, row),
        (Type::Dialogue, _) => dialogue(node).map(|turns| Cell::Dialogue(Arc::new(turns))),
        (Type::Completion, _) => completion(node).map(|completion| Cell::Completion(Arc::new(completion))),
        (Type::Sequence, _) => sequence(node).map(|sequence| Cell::Sequence(Arc::new(sequence))),
        (Type::Tokens, NodeKind::List(items)) => {
            list(items, |item| float(item).ok_or_else(|| wrong(item, &Type::Float))).map(|numbers| Cell::Tokens(numbers.into()))
        }
        (Type::Estimate, NodeKind::Object(fields)) => estimate(fields).map(Cell::Estimate).ok_or_else(|| wrong(node, ty)),
        _ => Err(wrong(node, ty)),
    }
}

/// The value as it is, when nothing is known about what it should be.
pub fn natural(node: &Node) -> Cell {
    match &node.kind {
        NodeKind::Null => Cell::None,
        NodeKind::Bool(b) => Cell::Bool(*b),
        NodeKind::Int(i) => Cell::Int(*i),
        NodeKind::Float(x) => Cell::Float(*x),
        NodeKind::Text(text) | NodeKind::Bare(text) => Cell::Text(text.clone()),
        NodeKind::List(items) => Cell::List(items.iter().map(natural).collect()),
        NodeKind::Object(fields) => Cell::Record(fields.iter().map(|(name, node)| (name.clone(), natural(node))).collect()),
    }
}

/// A value as it was written, cut short.
pub fn shown(node: &Node) -> String {
    let cut = |text: &str| match text.char_indices().nth(40) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    };
    match &node.kind {
        NodeKind::Null => "null".into(),
        NodeKind::Bool(b) => b.to_string(),
        NodeKind::Int(i) => i.to_string(),
        NodeKind::Float(x) => x.to_string(),
        NodeKind::Text(text) | NodeKind::Bare(text) => cut(text),
        NodeKind::List(items) if items.len() > 1 && items.iter().all(|item| turn(item).is_ok()) => {
            format!("a dialogue of {} turns", items.len())
        }
        NodeKind::List(items) => format!("a list of {}", items.len()),
        NodeKind::Object(fields) => {
            let names: Vec<&str> = fields.iter().take(4).map(|(name, _)| &**name).collect();
            format!("{{{}{}}}", names.join(", "), if fields.len() > 4 { ", …" } else { "" })
        }
    }
}

fn wrong(node: &Node, ty: &Type) -> Mismatch {
    let expected = match ty {
        Type::Dialogue => "a text or a list of turns".into(),
        Type::Completion => "a text or one turn of the assistant".into(),
        Type::Words(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
        _ => ty.to_string(),
    };
    Mismatch { at: node.at, inside: String::new(), expected, found: shown(node) }
}

/// Puts a step in front of the place of a mismatch.
fn under(step: impl FnOnce() -> String) -> impl FnOnce(Mismatch) -> Mismatch {
    |mismatch| Mismatch { inside: step() + &mismatch.inside, ..mismatch }
}

fn list<T>(items: &[Node], fit: impl Fn(&Node) -> Result<T, Mismatch>) -> Result<Vec<T>, Mismatch> {
    items.iter().enumerate().map(|(place, item)| fit(item).map_err(under(|| format!("[{place}]")))).collect()
}

fn record(node: &Node, fields: &[(Arc<str>, Node)], row: &Row) -> Result<Cell, Mismatch> {
    let field = |name: &Arc<str>, ty: &Type| match field(fields, name) {
        Some(value) => fit(value, ty).map_err(under(|| format!(".{name}"))),
        None if matches!(ty, Type::Optional(_)) => Ok(Cell::None),
        None => Err(Mismatch { inside: format!(".{name}"), found: "nothing".into(), ..wrong(node, ty) }),
    };
    row.iter().map(|(name, ty)| Ok((name.clone(), field(name, ty)?))).collect::<Result<_, _>>().map(Cell::Record)
}

pub(super) fn field<'a>(fields: &'a [(Arc<str>, Node)], name: &str) -> Option<&'a Node> {
    fields.iter().find(|(key, _)| &**key == name).map(|(_, value)| value)
}

/// A CSV field: a text as it is, turns and everything else as JSON.
fn bare(node: &Node, text: &Arc<str>, ty: &Type) -> Result<Cell, Mismatch> {
    let quoted = || Node { at: node.at, kind: NodeKind::Text(text.clone()) };
    let value = json::parse(text).ok().map(|value| Node { at: node.at, ..value });
    let is_structured = value.as_ref().is_some_and(|value| matches!(value.kind, NodeKind::List(_) | NodeKind::Object(_)));
    match ty {
        Type::Text | Type::Path | Type::Words(_) => fit(&quoted(), ty),
        Type::Dialogue | Type::Completion | Type::Sequence if !is_structured => fit(&quoted(), ty),
        Type::Bool if text.eq_ignore_ascii_case("true") => Ok(Cell::Bool(true)),
        Type::Bool if text.eq_ignore_ascii_case("false") => Ok(Cell::Bool(false)),
        _ => fit(&value.ok_or_else(|| wrong(node, ty))?, ty).map_err(|mismatch| Mismatch { at: node.at, ..mismatch }),
    }
}

/// A whole number, also one that was written as `3.0`.
fn whole(node: &Node) -> Option<i64> {
    match node.kind {
        NodeKind::Int(i) => Some(i),
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        NodeKind::Float(x) if x.fract() == 0.0 && x.abs() < 9e15 => Some(x as i64),
        _ => None,
    }
}

fn float(node: &Node) -> Option<f64> {
    match node.kind {
        #[expect(clippy::cast_precision_loss, reason = "a number asked for as a float")]
        NodeKind::Int(i) => Some(i as f64),
        NodeKind::Float(x) => Some(x),
        _ => None,
    }
}

fn dialogue(node: &Node) -> Result<Dialogue, Mismatch> {
    match &node.kind {
        NodeKind::Text(text) => Ok(vec![Turn { role: Role::User, text: text.clone() }]),
        NodeKind::List(turns) => list(turns, turn),
        _ => Err(wrong(node, &Type::Dialogue)),
    }
}

/// Whether a value is meant as turns, sound or not.
pub(super) fn is_turns(node: &Node) -> bool {
    let has_speaker = |item: &Node| match &item.kind {
        NodeKind::Object(fields) => ["role", "from"].iter().any(|name| field(fields, name).is_some()),
        _ => false,
    };
    matches!(&node.kind, NodeKind::List(items) if !items.is_empty() && items.iter().all(has_speaker))
}

/// Who speaks, in the words of data sets in circulation.
const SPEAKERS: &[(&str, Role)] = &[
    ("human", Role::User),
    ("gpt", Role::Assistant),
    ("chatgpt", Role::Assistant),
    ("model", Role::Assistant),
    ("bot", Role::Assistant),
    ("developer", Role::System),
];

/// The fields that a turn's text may be in.
const SAID: [&str; 3] = ["content", "text", "value"];
/// Fields that make a turn more than its text.
const CALLS: [&str; 2] = ["tool_calls", "function_call"];

/// One turn. What its text would not say (a call, a picture, a tool's answer) is refused, never left out.
fn turn(node: &Node) -> Result<Turn, Mismatch> {
    let no_turn = |expected: &str| Mismatch { expected: expected.into(), ..wrong(node, &Type::Dialogue) };
    let NodeKind::Object(fields) = &node.kind else { return Err(no_turn("a turn, `{role, content}`")) };
    let is_there = |name: &&str| field(fields, name).is_some_and(|value| !matches!(&value.kind, NodeKind::Null));
    let value = |name: &str| field(fields, name).expect("it is there");
    let speaker = ["role", "from"].into_iter().find(|name| is_there(name)).ok_or_else(|| no_turn("a turn, `{role, content}`"))?;
    let call = CALLS.into_iter().find(|name| is_there(name) && !matches!(&value(name).kind, NodeKind::List(calls) if calls.is_empty()));
    if let Some(call) = call {
        let found = format!("`{call}`: calls of tools are not read");
        return Err(Mismatch { expected: "a turn that is text".into(), found, at: value(call).at, inside: format!(".{call}") });
    }
    let role = role(value(speaker)).map_err(under(|| format!(".{speaker}")))?;
    let said = SAID.into_iter().find(|name| is_there(name)).or_else(|| SAID.into_iter().find(|name| field(fields, name).is_some()));
    let said = said.ok_or_else(|| no_turn("a turn, `{role, content}`"))?;
    Ok(Turn { role, text: said_in(value(said)).map_err(under(|| format!(".{said}")))? })
}

fn role(node: &Node) -> Result<Role, Mismatch> {
    let known = |name: &str| {
        let name = name.to_lowercase();
        Role::from_name(&name).or_else(|| SPEAKERS.iter().find(|(known, _)| *known == name).map(|(_, role)| *role))
    };
    let found = match &node.kind {
        NodeKind::Text(name) => known(name),
        _ => None,
    };
    found.ok_or_else(|| Mismatch { expected: "`system`, `user` or `assistant`".into(), ..wrong(node, &Type::Text) })
}

/// A turn's text; parts of text follow one another.
fn said_in(node: &Node) -> Result<Arc<str>, Mismatch> {
    let part = |item: &Node| match &item.kind {
        NodeKind::Object(fields) => match field(fields, "text").map(|text| &text.kind) {
            Some(NodeKind::Text(text)) => Ok(text.to_string()),
            _ => Err(Mismatch { expected: "a part that is text".into(), ..wrong(item, &Type::Text) }),
        },
        _ => Err(Mismatch { expected: "a part that is text".into(), ..wrong(item, &Type::Text) }),
    };
    match &node.kind {
        NodeKind::Text(text) => Ok(text.clone()),
        NodeKind::List(parts) if !parts.is_empty() => Ok(list(parts, part)?.concat().into()),
        _ => Err(wrong(node, &Type::Text)),
    }
}

fn completion(node: &Node) -> Result<Completion, Mismatch> {
    match &node.kind {
        NodeKind::Text(text) => Ok(Completion::written(text.clone())),
        NodeKind::Object(fields) if ["role", "from"].iter().any(|name| field(fields, name).is_some()) => match turn(node)? {
            Turn { role: Role::Assistant, text } => Ok(Completion::written(text)),
            Turn { role, .. } => Err(Mismatch { found: format!("a turn of the {}", role.name()), ..wrong(node, &Type::Completion) }),
        },
        NodeKind::Object(fields) => stored(fields).ok_or_else(|| wrong(node, &Type::Completion)),
        NodeKind::List(turns) => match &turns[..] {
            [one] if matches!(one.kind, NodeKind::Object(_)) => completion(one).map_err(under(|| "[0]".into())),
            _ => Err(wrong(node, &Type::Completion)),
        },
        _ => Err(wrong(node, &Type::Completion)),
    }
}

/// A completion as tables are stored: `{text, tokens, finished}`.
fn stored(fields: &[(Arc<str>, Node)]) -> Option<Completion> {
    let NodeKind::Text(text) = &field(fields, "text")?.kind else { return None };
    let tokens = match field(fields, "tokens").map(|node| &node.kind) {
        None | Some(NodeKind::Null) => None,
        Some(NodeKind::List(ids)) => Some(ids.iter().map(|id| u32::try_from(whole(id)?).ok()).collect::<Option<Arc<[u32]>>>()?),
        Some(_) => return None,
    };
    let finished = match field(fields, "finished").map(|node| &node.kind) {
        None => true,
        Some(NodeKind::Bool(finished)) => *finished,
        Some(_) => return None,
    };
    Some(Completion { text: text.clone(), tokens, finished })
}

/// A dialogue whose assistant turns are scored, or `{prompt, completion}`.
fn sequence(node: &Node) -> Result<Sequence, Mismatch> {
    let NodeKind::Object(fields) = &node.kind else {
        return Ok(Sequence { prompt: Arc::new(dialogue(node)?), completion: None });
    };
    let prompt = field(fields, "prompt").ok_or_else(|| wrong(node, &Type::Sequence))?;
    let completion = field(fields, "completion").map(completion).transpose()?;
    Ok(Sequence { prompt: Arc::new(dialogue(prompt)?), completion: completion.map(Arc::new) })
}

fn estimate(fields: &[(Arc<str>, Node)]) -> Option<Estimate> {
    let number = |name: &str| field(fields, name).and_then(float);
    let n = u64::try_from(whole(field(fields, "n")?)?).ok()?;
    Some(Estimate { mean: number("mean")?, n, lower95: number("lower95")?, upper95: number("upper95")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, ty: &Type) -> Result<Cell, Mismatch> {
        fit(&json::parse(text).unwrap(), ty)
    }

    fn turns(text: &str) -> Vec<(Role, String)> {
        let Cell::Dialogue(turns) = read(text, &Type::Dialogue).unwrap() else { panic!("a dialogue") };
        turns.iter().map(|turn| (turn.role, turn.text.to_string())).collect()
    }

    fn answer(text: &str) -> Completion {
        let Cell::Completion(completion) = read(text, &Type::Completion).unwrap() else { panic!("a completion") };
        (*completion).clone()
    }

    #[test]
    fn a_text_is_a_dialogue_or_a_completion() {
        assert_eq!(turns(r#""hi""#), [(Role::User, "hi".into())]);
        let both = [(Role::User, "hi".to_owned()), (Role::Assistant, "yo".to_owned())];
        assert_eq!(turns(r#"[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]"#), both);
        assert_eq!(turns(r#"[{"from":"human","value":"hi"},{"from":"gpt","value":"yo"}]"#), both);
        assert_eq!(answer(r#""yo""#), Completion { text: "yo".into(), tokens: None, finished: true });
        assert_eq!(&*answer(r#"[{"role":"assistant","content":"yo"}]"#).text, "yo");
        assert_eq!(&*answer(r#"{"from":"gpt","value":"yo"}"#).text, "yo");
        assert!(read(r#"{"from":"human","value":"yo"}"#, &Type::Completion).is_err());
        assert_eq!(
            answer(r#"{"text":"yo","tokens":[1],"finished":false}"#),
            Completion { text: "yo".into(), tokens: Some([1].into()), finished: false }
        );
    }

    #[test]
    fn turns_are_their_text_or_nothing() {
        assert_eq!(
            turns(r#"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]"#),
            [(Role::User, "ab".into())]
        );
        assert_eq!(turns(r#"[{"from":"Human","value":"a","content":null,"tool_calls":[]}]"#), [(Role::User, "a".into())]);
        for (turn, inside, found) in [
            (r#"{"role":"assistant","content":null}"#, "[0].content", "null"),
            (
                r#"{"role":"assistant","content":null,"tool_calls":[{"id":"1"}]}"#,
                "[0].tool_calls",
                "`tool_calls`: calls of tools are not read",
            ),
            (r#"{"role":"tool","content":"42"}"#, "[0].role", "\"tool\""),
            (r#"{"role":"user","content":[{"type":"image_url","image_url":"x"}]}"#, "[0].content[0]", "{type, image_url}"),
            (r#"{"role":"user"}"#, "[0]", "{role}"),
            (r#"{"content":"x"}"#, "[0]", "{content}"),
            ("3", "[0]", "3"),
        ] {
            let error = read(&format!("[{turn}]"), &Type::Dialogue).unwrap_err();
            assert_eq!((&*error.inside, &*error.found), (inside, found), "{turn}");
        }
        assert_eq!(read(r#"{"from":"human","value":"yo"}"#, &Type::Completion).unwrap_err().found, "a turn of the user");
    }

    #[test]
    fn numbers_fit_where_nothing_is_lost() {
        assert_eq!(read("3", &Type::Float), Ok(Cell::Float(3.0)));
        assert_eq!(read("3.0", &Type::Int), Ok(Cell::Int(3)));
        assert!(read("3.5", &Type::Int).is_err());
        assert!(read("1e30", &Type::Int).is_err());
        assert!(read("true", &Type::Float).is_err());
        assert!(read("\"3\"", &Type::Int).is_err());
        assert_eq!(read("null", &Type::Optional(Box::new(Type::Int))), Ok(Cell::None));
    }

    #[test]
    fn a_mismatch_says_where() {
        let error = read(r#"[{"role":"user","content":"a"},{"role":"robot","content":"b"}]"#, &Type::Dialogue).unwrap_err();
        assert_eq!((error.at, &*error.inside, &*error.found), (39, "[1].role", "\"robot\""));
        let row = Row::from([("a".into(), Type::List(Box::new(Type::Int)))]);
        let error = read(r#"{"a":[1,"two"]}"#, &Type::Record(row.clone())).unwrap_err();
        assert_eq!((&*error.inside, &*error.expected, &*error.found), (".a[1]", "Int", "\"two\""));
        assert_eq!(read("{}", &Type::Record(row)).unwrap_err().found, "nothing");
        let long = read(&format!("\"{}\"", "é".repeat(100)), &Type::Int).unwrap_err();
        assert_eq!(long.found.chars().count(), 43);
    }

    #[test]
    fn csv_fields_are_read_as_what_is_asked() {
        let csv = |text: &str, ty: Type| fit(&Node { at: 0, kind: NodeKind::Bare(text.into()) }, &ty);
        assert_eq!(csv("12", Type::Int), Ok(Cell::Int(12)));
        assert_eq!(csv("12", Type::Text), Ok(Cell::text("12")));
        assert_eq!(csv("True", Type::Bool), Ok(Cell::Bool(true)));
        assert_eq!(csv("1e-3", Type::Float), Ok(Cell::Float(0.001)));
        assert_eq!(csv("", Type::Optional(Box::new(Type::Int))), Ok(Cell::None));
        assert!(csv("", Type::Int).is_err());
        assert!(csv("nan", Type::Float).is_err());
        assert!(matches!(csv("[brackets] are text, too", Type::Text), Ok(Cell::Text(_))));
        assert!(matches!(csv("[INST] hello", Type::Dialogue), Ok(Cell::Dialogue(turns)) if turns.len() == 1));
        let turns = r#"[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]"#;
        assert!(matches!(csv(turns, Type::Dialogue), Ok(Cell::Dialogue(turns)) if turns.len() == 2));
    }
}
