//! JSON with places: every value knows the byte it starts at, so that a mistake in a row can be shown where it stands.
//!
//! Stricter than many readers, because what they repair in silence is data lost: a key written twice, `NaN`, a number
//! that no 64-bit float holds and half a surrogate pair are errors.

use std::sync::Arc;

/// A value and the byte of the text that it starts at.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    pub at: usize,
    pub kind: NodeKind,
}

#[derive(Clone, PartialEq, Debug)]
pub enum NodeKind {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    List(Vec<Node>),
    Object(Vec<(Arc<str>, Node)>),
    /// A text without quotes, from a CSV field: it may be meant as any type.
    Bare(Arc<str>),
}

/// What is wrong with a JSON text, and at which byte.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{problem}")]
pub struct JsonError {
    pub at: usize,
    pub problem: JsonProblem,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JsonProblem {
    #[error("expected {expected}, found {found}")]
    Expected { expected: &'static str, found: String },
    #[error("expected {expected}, but the text ends")]
    Ends { expected: &'static str },
    #[error("JSON has no `{0}`: write `null`")]
    NotJson(String),
    #[error("`{0}` is too large for a 64-bit float")]
    TooLarge(String),
    #[error("`{0}` is not a JSON number")]
    Number(String),
    #[error("`\\{0}` is no escape")]
    Escape(char),
    #[error("`\\u{0}` is half of a surrogate pair")]
    Surrogate(String),
    #[error("a control character in a text: write `\\u{0:04x}`")]
    Control(u32),
    #[error("key `{0}` is written twice")]
    KeyTwice(String),
    #[error("nested deeper than {DEPTH} levels")]
    TooDeep,
}

/// How deep lists and objects may nest.
pub const DEPTH: usize = 64;

/// Reads one value that fills the whole text.
///
/// # Errors
/// At the first byte that is not JSON.
pub fn parse(text: &str) -> Result<Node, JsonError> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let node = parser.value()?;
    parser.space();
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.expected("the end")),
    }
}

/// Reads a list item by item, so that one item at a time is in memory; `each` gets every item.
///
/// # Errors
/// At the first byte that is not JSON, or is no list.
pub fn parse_items(text: &str, mut each: impl FnMut(Node) -> std::ops::ControlFlow<()>) -> Result<(), JsonError> {
    let mut parser = Parser { text, at: 0, depth: 1 };
    parser.space();
    parser.eat(b'[', "a list of rows, `[…]`")?;
    let mut stopped = false;
    parser.sequence(b']', "`,` or `]`", |parser| {
        let item = parser.value()?;
        stopped = stopped || each(item).is_break();
        Ok(stopped)
    })?;
    parser.space();
    match parser.peek() {
        Some(_) if !stopped => Err(parser.expected("the end")),
        _ => Ok(()),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn error(&self, at: usize, problem: JsonProblem) -> JsonError {
        JsonError { at, problem }
    }

    fn expected(&self, expected: &'static str) -> JsonError {
        let problem = match self.text[self.at..].chars().next() {
            Some(found) => JsonProblem::Expected { expected, found: format!("`{found}`") },
            None => JsonProblem::Ends { expected },
        };
        self.error(self.at, problem)
    }

    fn eat(&mut self, byte: u8, expected: &'static str) -> Result<(), JsonError> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.expected(expected))
        }
    }

    fn value(&mut self) -> Result<Node, JsonError> {
        self.space();
        let at = self.at;
        let kind = match self.peek() {
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::list)?,
            Some(b'"') => NodeKind::Text(self.string()?.into()),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Node { at, kind })
    }

    fn nested(&mut self, inside: impl FnOnce(&mut Self) -> Result<NodeKind, JsonError>) -> Result<NodeKind, JsonError> {
        if self.depth == DEPTH {
            return Err(self.error(self.at, JsonProblem::TooDeep));
        }
        self.depth += 1;
        self.at += 1;
        let kind = inside(self)?;
        self.depth -= 1;
        Ok(kind)
    }

    /// Items with commas between up to `end`; stops early when `item` says true.
    fn sequence(
        &mut self,
        end: u8,
        expected: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<bool, JsonError>,
    ) -> Result<(), JsonError> {
        self.space();
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(());
        }
        loop {
            if item(self)? {
                return Ok(());
            }
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == end => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.expected(expected)),
            }
        }
    }

    fn list(&mut self) -> Result<NodeKind, JsonError> {
        let mut items = Vec::new();
        self.sequence(b']', "`,` or `]`", |parser| {
            items.push(parser.value()?);
            Ok(false)
        })?;
        Ok(NodeKind::List(items))
    }

    fn object(&mut self) -> Result<NodeKind, JsonError> {
        let (mut fields, mut places) = (Vec::new(), Vec::new());
        self.sequence(b'}', "`,` or `}`", |parser| {
            parser.space();
            places.push(parser.at);
            if parser.peek() != Some(b'"') {
                return Err(parser.expected("a key in quotes"));
            }
            let key: Arc<str> = parser.string()?.into();
            parser.space();
            parser.eat(b':', "`:`")?;
            fields.push((key, parser.value()?));
            Ok(false)
        })?;
        match twice(&fields) {
            Some(place) => Err(self.error(places[place], JsonProblem::KeyTwice(fields[place].0.to_string()))),
            None => Ok(NodeKind::Object(fields)),
        }
    }

    /// `true`, `false`, `null`, and a good answer to what other languages write.
    fn word(&mut self) -> Result<NodeKind, JsonError> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let word = &rest[..end];
        let kind = match word {
            "true" => NodeKind::Bool(true),
            "false" => NodeKind::Bool(false),
            "null" => NodeKind::Null,
            "NaN" | "nan" | "Infinity" | "inf" | "None" | "undefined" => {
                return Err(self.error(self.at, JsonProblem::NotJson(word.to_owned())));
            }
            _ => return Err(self.expected("a value")),
        };
        self.at += end;
        Ok(kind)
    }

    fn number(&mut self) -> Result<NodeKind, JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        let text = &self.text[start..self.at];
        if text == "-" && self.text[self.at..].starts_with("Infinity") {
            return Err(self.error(start, JsonProblem::NotJson("-Infinity".into())));
        }
        let wrong = |problem: fn(String) -> JsonProblem| JsonError { at: start, problem: problem(text.to_owned()) };
        if !is_number(text) {
            return Err(wrong(JsonProblem::Number));
        }
        if let Ok(whole) = text.parse::<i64>() {
            return Ok(NodeKind::Int(whole));
        }
        match text.parse::<f64>() {
            Ok(x) if x.is_finite() => Ok(NodeKind::Float(x)),
            _ => Err(wrong(JsonProblem::TooLarge)),
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let stop = rest.find(|c: char| c == '"' || c == '\\' || c < ' ');
            let Some(stop) = stop else {
                return Err(self.error(self.text.len(), JsonProblem::Ends { expected: "`\"`" }));
            };
            text.push_str(&rest[..stop]);
            self.at += stop;
            match rest.as_bytes()[stop] {
                b'"' => {
                    self.at += 1;
                    return Ok(text);
                }
                b'\\' => text.push(self.escape()?),
                control => return Err(self.error(self.at, JsonProblem::Control(u32::from(control)))),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let at = self.at;
        self.at += 1;
        let Some(escaped) = self.text[self.at..].chars().next() else {
            return Err(self.error(self.at, JsonProblem::Ends { expected: "`\"`" }));
        };
        self.at += escaped.len_utf8();
        match escaped {
            '"' | '\\' | '/' => Ok(escaped),
            'b' => Ok('\u{8}'),
            'f' => Ok('\u{c}'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'u' => self.unicode(at),
            other => Err(self.error(at, JsonProblem::Escape(other))),
        }
    }

    /// `\uXXXX`, or two of them for a character outside the basic plane; `at` is where the first began.
    fn unicode(&mut self, at: usize) -> Result<char, JsonError> {
        let first = self.hex(at)?;
        let half = || JsonError { at, problem: JsonProblem::Surrogate(format!("{first:04x}")) };
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first).ok_or_else(half);
        }
        if first >= 0xdc00 || !self.text[self.at..].starts_with("\\u") {
            return Err(half());
        }
        self.at += 2;
        let second = self.hex(at)?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(half());
        }
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or_else(half)
    }

    fn hex(&mut self, at: usize) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at..self.at + 4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.at += 4;
        code.ok_or_else(|| self.error(at, JsonProblem::Escape('u')))
    }
}

/// The grammar of JSON numbers: no `+1`, `.5`, `1.`, `01`.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

/// The place of the first key that was there before.
fn twice(fields: &[(Arc<str>, Node)]) -> Option<usize> {
    let mut order: Vec<usize> = (0..fields.len()).collect();
    order.sort_by(|a, b| fields[*a].0.cmp(&fields[*b].0));
    order.windows(2).filter(|pair| fields[pair[0]].0 == fields[pair[1]].0).map(|pair| pair[1]).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> NodeKind {
        parse(text).unwrap().kind
    }

    fn problem(text: &str) -> (usize, String) {
        let error = parse(text).unwrap_err();
        (error.at, error.to_string())
    }

    #[test]
    fn values_are_read_exactly() {
        assert_eq!(kind(" -0.1e-2 "), NodeKind::Float(-0.001));
        assert_eq!(kind("9223372036854775807"), NodeKind::Int(i64::MAX));
        assert_eq!(kind("9223372036854775808"), NodeKind::Float(9_223_372_036_854_775_808.0));
        assert_eq!(kind(r#""a\n\"\u00e9\ud83d\ude00/""#), NodeKind::Text("a\n\"é😀/".into()));
        assert_eq!(kind("[]"), NodeKind::List(vec![]));
        let NodeKind::Object(fields) = kind(r#"{"a": [1, true], "b": null}"#) else { panic!("an object") };
        assert_eq!(fields[1].1, Node { at: 22, kind: NodeKind::Null });
    }

    #[test]
    fn it_agrees_with_another_reader() {
        for text in [r#"{"a":[1.5,-2,0,1e3,"x\\y",{"b":[[]]}],"c":"\u0000"}"#, "0", "-0.0", "\"\u{7f}é\"", "[null,false]", "1E+2"] {
            assert!(serde_json::from_str::<serde_json::Value>(text).is_ok() && parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "01",
            "1.",
            ".5",
            "+1",
            "--1",
            "1e",
            "[1,]",
            "{,}",
            "{\"a\"}",
            "{a:1}",
            "'a'",
            "tru",
            "1 2",
            "\"a",
            "\"\\x\"",
            "\"\t\"",
            "\"\\ud800\"",
            "1e999",
            "[",
            "{\"a\":",
        ] {
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err() && parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mistakes_say_what_and_where() {
        assert_eq!(problem(r#"{"a": 1 "b": 2}"#), (8, "expected `,` or `}`, found `\"`".into()));
        assert_eq!(problem(r#"{"a": "x"#), (8, "expected `\"`, but the text ends".into()));
        assert_eq!(problem(r#"{"a": NaN}"#), (6, "JSON has no `NaN`: write `null`".into()));
        assert_eq!(problem(r#"{"a": -Infinity}"#), (6, "JSON has no `-Infinity`: write `null`".into()));
        assert_eq!(problem(r#"{"a": 1e999}"#), (6, "`1e999` is too large for a 64-bit float".into()));
        assert_eq!(problem(r#"{"a": 1, "b": 2, "a": 3}"#), (17, "key `a` is written twice".into()));
        assert_eq!(problem(r#"{"a": "\ud83d"}"#), (7, "`\\ud83d` is half of a surrogate pair".into()));
        assert_eq!(problem(&"[".repeat(100_000)), (DEPTH, "nested deeper than 64 levels".into()));
    }

    #[test]
    fn items_come_one_by_one() {
        let mut seen = Vec::new();
        parse_items(" [1, 2, 3] ", |node| {
            seen.push(node.at);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(seen, [2, 5, 8]);
        assert!(parse_items("[1, 2] x", |_| std::ops::ControlFlow::Continue(())).is_err());
        assert!(parse_items("[1, }", |_| std::ops::ControlFlow::Break(())).is_ok());
        assert!(parse_items("{}", |_| std::ops::ControlFlow::Continue(())).is_err());
    }
}
