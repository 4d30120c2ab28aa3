//! Cells as JSON and back, exactly: `from_json(to_json(cell)) == cell` for every cell, without knowing its type.
//!
//! What people read most stays plain: a dialogue is a list of `{role, text}`, a completion is `{text, tokens, finished}`.
//! What JSON cannot say, or would say ambiguously, is an object with one key that starts with `$`:
//! `{"$float": "nan"}`, `{"$tokens": […]}`, `{"$sequence": {…}}`, and `$list`, `$record`, `$dialogue` for a value that
//! would otherwise be read as something else.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::{Cell, Completion, Dialogue, Estimate, Role, Sequence, Turn};

/// A stored value that this program did not write, or that was damaged.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected {expected}, found `{found}`")]
pub struct Unreadable {
    pub expected: &'static str,
    /// The JSON text, cut short.
    pub found: String,
}

const COMPLETION: [&str; 3] = ["text", "tokens", "finished"];
const ESTIMATE: [&str; 4] = ["mean", "n", "lower95", "upper95"];

impl Role {
    /// `system`, `user` or `assistant`.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }

    /// The role of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::System, Self::User, Self::Assistant].into_iter().find(|role| role.name() == name)
    }
}

impl Cell {
    /// The cell as JSON.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("every cell is a JSON value")
    }

    /// The cell that [`Cell::to_json`] wrote.
    ///
    /// # Errors
    /// When a `$` object holds something else than it says.
    pub fn from_json(value: Value) -> Result<Self, Unreadable> {
        match value {
            Value::Null => Ok(Self::None),
            Value::Bool(b) => Ok(Self::Bool(b)),
            Value::String(text) => Ok(Self::Text(text.into())),
            Value::Number(n) => Ok(n.as_i64().map_or_else(|| Self::Float(n.as_f64().unwrap_or(f64::NAN)), Self::Int)),
            Value::Array(items) if is_dialogue(&items) => Ok(Self::Dialogue(Arc::new(dialogue(&items)?))),
            Value::Array(items) => Ok(Self::List(cells(items)?)),
            Value::Object(map) => object(map),
        }
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => to.serialize_none(),
            Self::Bool(b) => to.serialize_bool(*b),
            Self::Int(i) => to.serialize_i64(*i),
            Self::Float(x) => Number(*x).serialize(to),
            Self::Text(text) => to.serialize_str(text),
            Self::List(items) if !items.is_empty() && items.iter().all(is_turn_record) => tagged(to, "$list", &items[..]),
            Self::List(items) => to.collect_seq(items.iter()),
            Self::Record(fields) if is_mistakable(fields) => tagged(to, "$record", &Fields(fields)),
            Self::Record(fields) => Fields(fields).serialize(to),
            Self::Dialogue(turns) if turns.is_empty() => tagged(to, "$dialogue", &Turns(turns)),
            Self::Dialogue(turns) => Turns(turns).serialize(to),
            Self::Completion(completion) => CompletionFields(completion).serialize(to),
            Self::Sequence(sequence) => tagged(to, "$sequence", &SequenceFields(sequence)),
            Self::Tokens(numbers) => tagged(to, "$tokens", &numbers.iter().map(|x| Number(*x)).collect::<Vec<_>>()),
            Self::Estimate(estimate) => EstimateFields(estimate).serialize(to),
        }
    }
}

fn tagged<S: Serializer>(to: S, tag: &str, value: &(impl Serialize + ?Sized)) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(1))?;
    map.serialize_entry(tag, value)?;
    map.end()
}

/// A float that may be infinite or not a number.
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            x if x.is_nan() => tagged(to, "$float", "nan"),
            f64::INFINITY => tagged(to, "$float", "inf"),
            f64::NEG_INFINITY => tagged(to, "$float", "-inf"),
            x => to.serialize_f64(x),
        }
    }
}

struct Fields<'a>(&'a [(Arc<str>, Cell)]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, cell)| (&**name, cell)))
    }
}

struct Turns<'a>(&'a [Turn]);

impl Serialize for Turns<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(TurnFields))
    }
}

struct TurnFields<'a>(&'a Turn);

impl Serialize for TurnFields<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map([("role", self.0.role.name()), ("text", &*self.0.text)])
    }
}

struct CompletionFields<'a>(&'a Completion);

impl Serialize for CompletionFields<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(3))?;
        map.serialize_entry("text", &*self.0.text)?;
        map.serialize_entry("tokens", &self.0.tokens.as_deref())?;
        map.serialize_entry("finished", &self.0.finished)?;
        map.end()
    }
}

struct SequenceFields<'a>(&'a Sequence);

impl Serialize for SequenceFields<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry("prompt", &Turns(&self.0.prompt))?;
        map.serialize_entry("completion", &self.0.completion.as_deref().map(CompletionFields))?;
        map.end()
    }
}

struct EstimateFields<'a>(&'a Estimate);

impl Serialize for EstimateFields<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(4))?;
        map.serialize_entry("mean", &Number(self.0.mean))?;
        map.serialize_entry("n", &self.0.n)?;
        map.serialize_entry("lower95", &Number(self.0.lower95))?;
        map.serialize_entry("upper95", &Number(self.0.upper95))?;
        map.end()
    }
}

/// Whether a record would be read back as something else.
fn is_mistakable(fields: &[(Arc<str>, Cell)]) -> bool {
    let has_keys = |keys: &[&str]| fields.len() == keys.len() && fields.iter().zip(keys).all(|((name, _), key)| &**name == *key);
    has_keys(&COMPLETION) || has_keys(&ESTIMATE) || matches!(fields, [(name, _)] if name.starts_with('$'))
}

fn is_turn_record(cell: &Cell) -> bool {
    matches!(cell, Cell::Record(fields)
        if matches!(&fields[..], [(a, Cell::Text(role)), (b, Cell::Text(_))]
            if &**a == "role" && &**b == "text" && Role::from_name(role).is_some()))
}

fn is_dialogue(items: &[Value]) -> bool {
    !items.is_empty() && items.iter().all(|item| turn(item).is_some())
}

fn turn(value: &Value) -> Option<Turn> {
    let map = value.as_object()?;
    let mut fields = map.iter();
    let (("role", role), ("text", text), None) = (name(fields.next()?), name(fields.next()?), fields.next()) else {
        return None;
    };
    Some(Turn { role: Role::from_name(role.as_str()?)?, text: text.as_str()?.into() })
}

fn name<'a>((name, value): (&'a String, &'a Value)) -> (&'a str, &'a Value) {
    (name.as_str(), value)
}

fn cells(items: Vec<Value>) -> Result<Arc<[Cell]>, Unreadable> {
    items.into_iter().map(Cell::from_json).collect()
}

fn record(map: Map<String, Value>) -> Result<Cell, Unreadable> {
    map.into_iter().map(|(name, value)| Ok((name.into(), Cell::from_json(value)?))).collect::<Result<_, _>>().map(Cell::Record)
}

fn object(mut map: Map<String, Value>) -> Result<Cell, Unreadable> {
    let has_keys = |keys: &[&str]| map.len() == keys.len() && map.keys().zip(keys).all(|(name, key)| name == key);
    if has_keys(&COMPLETION) {
        return Ok(Cell::Completion(Arc::new(completion(&map)?)));
    }
    if has_keys(&ESTIMATE) {
        return estimate(&map).map(Cell::Estimate);
    }
    let tag = map.keys().next().filter(|name| map.len() == 1 && name.starts_with('$')).cloned();
    match tag.and_then(|tag| map.swap_remove(&tag).map(|value| (tag, value))) {
        Some((tag, value)) => untagged(&tag, value),
        None => record(map),
    }
}

fn untagged(tag: &str, value: Value) -> Result<Cell, Unreadable> {
    match (tag, value) {
        ("$float", Value::String(text)) => not_finite(&text).map(Cell::Float),
        ("$list", Value::Array(items)) => items.into_iter().map(|item| untagged("$record", item)).collect::<Result<_, _>>().map(Cell::List),
        ("$record", Value::Object(map)) => record(map),
        ("$dialogue", Value::Array(items)) => Ok(Cell::Dialogue(Arc::new(dialogue(&items)?))),
        ("$tokens", Value::Array(items)) => items.iter().map(number).collect::<Result<_, _>>().map(Cell::Tokens),
        ("$sequence", Value::Object(map)) => sequence(&map).map(|s| Cell::Sequence(Arc::new(s))),
        (_, value) => Err(unreadable("a value that fits its `$` key", &value)),
    }
}

fn dialogue(items: &[Value]) -> Result<Dialogue, Unreadable> {
    items.iter().map(|item| turn(item).ok_or_else(|| unreadable("a turn", item))).collect()
}

fn sequence(map: &Map<String, Value>) -> Result<Sequence, Unreadable> {
    let prompt = match &map.get("prompt") {
        Some(Value::Array(items)) => Arc::new(dialogue(items)?),
        _ => return Err(unreadable("a sequence with its prompt", &Value::Object(map.clone()))),
    };
    let completion = match map.get("completion") {
        Some(Value::Object(fields)) => Some(Arc::new(completion(fields)?)),
        _ => None,
    };
    Ok(Sequence { prompt, completion })
}

fn completion(map: &Map<String, Value>) -> Result<Completion, Unreadable> {
    let whole = || unreadable("a completion", &Value::Object(map.clone()));
    let text = map.get("text").and_then(Value::as_str).ok_or_else(whole)?;
    let finished = map.get("finished").and_then(Value::as_bool).ok_or_else(whole)?;
    let tokens = match map.get("tokens") {
        None | Some(Value::Null) => None,
        Some(Value::Array(ids)) => Some(ids.iter().map(id).collect::<Option<_>>().ok_or_else(whole)?),
        Some(_) => return Err(whole()),
    };
    Ok(Completion { text: text.into(), tokens, finished })
}

fn id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

fn estimate(map: &Map<String, Value>) -> Result<Estimate, Unreadable> {
    let n = map["n"].as_u64().ok_or_else(|| unreadable("a count", &map["n"]))?;
    Ok(Estimate { mean: number(&map["mean"])?, n, lower95: number(&map["lower95"])?, upper95: number(&map["upper95"])? })
}

fn number(value: &Value) -> Result<f64, Unreadable> {
    match value {
        Value::Number(n) => n.as_f64().ok_or_else(|| unreadable("a number", value)),
        Value::Object(map) => match map.get("$float") {
            Some(Value::String(text)) => not_finite(text),
            _ => Err(unreadable("a number", value)),
        },
        _ => Err(unreadable("a number", value)),
    }
}

fn not_finite(text: &str) -> Result<f64, Unreadable> {
    match text {
        "nan" => Ok(f64::NAN),
        "inf" => Ok(f64::INFINITY),
        "-inf" => Ok(f64::NEG_INFINITY),
        _ => Err(Unreadable { expected: "`nan`, `inf` or `-inf`", found: text.to_owned() }),
    }
}

fn unreadable(expected: &'static str, value: &Value) -> Unreadable {
    let text = value.to_string();
    let found = if text.chars().count() > 80 { text.chars().take(79).chain(['…']).collect() } else { text };
    Unreadable { expected, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(role: Role, text: &str) -> Turn {
        Turn { role, text: text.into() }
    }

    fn back(cell: &Cell) -> Cell {
        let text = serde_json::to_string(cell).unwrap();
        Cell::from_json(serde_json::from_str(&text).unwrap()).unwrap()
    }

    fn record(fields: &[(&str, Cell)]) -> Cell {
        Cell::Record(fields.iter().map(|(name, cell)| (Arc::from(*name), cell.clone())).collect())
    }

    #[test]
    fn every_kind_comes_back() {
        let dialogue = Arc::new(vec![turn(Role::System, "be \"kind\"\n"), turn(Role::User, "hé\u{1F600}\u{0}")]);
        let sampled = Arc::new(Completion { text: "yes".into(), tokens: Some([1, 2, u32::MAX].into()), finished: false });
        let written = Arc::new(Completion { text: "".into(), tokens: None, finished: true });
        let cells = [
            Cell::None,
            Cell::Bool(true),
            Cell::Int(i64::MIN),
            Cell::Float(-0.0),
            Cell::Float(f64::INFINITY),
            Cell::text("5"),
            Cell::List([Cell::Int(1), Cell::Float(1.0), Cell::None].into()),
            Cell::List([].into()),
            Cell::Dialogue(dialogue.clone()),
            Cell::Dialogue(Arc::new(Vec::new())),
            Cell::Completion(sampled.clone()),
            Cell::Completion(written),
            Cell::Sequence(Arc::new(Sequence { prompt: dialogue.clone(), completion: Some(sampled) })),
            Cell::Sequence(Arc::new(Sequence { prompt: dialogue, completion: None })),
            Cell::Tokens([0.1, f64::NEG_INFINITY].into()),
            Cell::Tokens([].into()),
            Cell::Estimate(Estimate { mean: 0.5, n: 3, lower95: f64::NEG_INFINITY, upper95: 1.0 }),
        ];
        for cell in &cells {
            assert_eq!(&back(cell), cell);
        }
        let nested = record(&[("a", Cell::List(cells.into())), ("b", record(&[]))]);
        assert_eq!(back(&nested), nested);
    }

    #[test]
    fn look_alikes_stay_what_they_are() {
        let turns = Cell::List([record(&[("role", Cell::text("user")), ("text", Cell::text("hi"))])].into());
        let completion = record(&[("text", Cell::Int(1)), ("tokens", Cell::None), ("finished", Cell::None)]);
        let estimate = record(&[("mean", Cell::None), ("n", Cell::None), ("lower95", Cell::None), ("upper95", Cell::None)]);
        let tag = record(&[("$float", Cell::text("nan"))]);
        for cell in [turns, completion, estimate, tag] {
            assert_eq!(back(&cell), cell);
        }
    }

    #[test]
    fn floats_are_exact() {
        for x in [0.1, 1.0 / 3.0, f64::MIN_POSITIVE, f64::MAX, 5e-324, 1e22, 123_456_789.123_456_79] {
            let Cell::Float(y) = back(&Cell::Float(x)) else { panic!("a float stays one") };
            assert_eq!(x.to_bits(), y.to_bits());
        }
        assert!(matches!(back(&Cell::Float(f64::NAN)), Cell::Float(x) if x.is_nan()));
    }

    #[test]
    fn damage_is_an_error() {
        for text in [r#"{"$float":"x"}"#, r#"{"$tokens":["x"]}"#, r#"{"$sequence":{}}"#, r#"{"$what":1}"#] {
            assert!(Cell::from_json(serde_json::from_str(text).unwrap()).is_err(), "{text}");
        }
    }
}
