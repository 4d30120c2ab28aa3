//! Numbers and JSON as Python writes them: `tojson` is `json.dumps(value, ensure_ascii=False)`.

use std::io::{self, Write};

use minijinja::value::{Kwargs, Value};
use minijinja::{Error, ErrorKind};
use serde::Serialize;
use serde_json::ser::Formatter;

/// Python's `repr` of a float: the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
pub(super) fn float(x: f64) -> String {
    let scientific = format!("{x:e}");
    match scientific.split_once('e').map(|(digits, exponent)| (digits, exponent.parse::<i32>())) {
        Some((digits, Ok(exponent))) if !(-4..16).contains(&exponent) => {
            format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
        }
        _ if x.is_nan() => "nan".into(),
        _ if x.is_infinite() => if x > 0.0 { "inf" } else { "-inf" }.into(),
        _ if x.fract() == 0.0 => format!("{x:.1}"),
        _ => format!("{x}"),
    }
}

/// The filter `tojson`.
pub(super) fn tojson(value: &Value, indent: Option<Value>, options: Kwargs) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(failure("an undefined value has no JSON"));
    }
    let indent = match indent.or(options.get("indent")?).filter(|indent| !indent.is_none()) {
        None => None,
        Some(indent) => match (indent.to_str(), indent.as_usize()) {
            (Some(text), _) => Some(text.to_string()),
            (_, Some(n)) => Some(" ".repeat(n.min(100))),
            _ => return Err(failure("`indent` of `tojson` is neither a number nor text")),
        },
    };
    let between = if indent.is_some() { "," } else { ", " };
    let [between, behind_key] = match options.get::<Option<Vec<String>>>("separators")? {
        None => [between.to_owned(), ": ".to_owned()],
        Some(pair) => pair.try_into().map_err(|_| failure("`separators` of `tojson` are two texts"))?,
    };
    let flag = |name| Ok::<_, Error>(options.get::<Option<bool>>(name)?.unwrap_or(false));
    let (ascii, is_sorted) = (flag("ensure_ascii")?, flag("sort_keys")?);
    options.assert_all_used()?;
    let refused = |error: serde_json::Error| failure(format!("`tojson` cannot write this value: {error}"));
    let mut json = serde_json::to_value(value).map_err(refused)?;
    if is_sorted {
        json.sort_all_objects();
    }
    let mut out = Vec::new();
    let style = Style { ascii, indent, between, behind_key, depth: 0, is_empty: false };
    json.serialize(&mut serde_json::Serializer::with_formatter(&mut out, style)).map_err(refused)?;
    String::from_utf8(out).map_err(|error| failure(error.to_string()))
}

/// Python's style of writing.
struct Style {
    ascii: bool,
    /// What one level is indented by; everything stands on one line without.
    indent: Option<String>,
    between: String,
    behind_key: String,
    depth: usize,
    /// Whether nothing was written since the last bracket was opened.
    is_empty: bool,
}

impl Style {
    fn open<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &str) -> io::Result<()> {
        self.depth += 1;
        self.is_empty = true;
        out.write_all(bracket.as_bytes())
    }

    fn close<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &str) -> io::Result<()> {
        self.depth -= 1;
        if !std::mem::take(&mut self.is_empty) {
            self.line(out)?;
        }
        out.write_all(bracket.as_bytes())
    }

    fn item<W: ?Sized + Write>(&mut self, out: &mut W, is_first: bool) -> io::Result<()> {
        self.is_empty = false;
        out.write_all(if is_first { b"" } else { self.between.as_bytes() })?;
        self.line(out)
    }

    fn line<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        match &self.indent {
            Some(indent) => write!(out, "\n{}", indent.repeat(self.depth)),
            None => Ok(()),
        }
    }
}

impl Formatter for Style {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, "[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, "]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, is_first: bool) -> io::Result<()> {
        self.item(out, is_first)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, "{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, "}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, is_first: bool) -> io::Result<()> {
        self.item(out, is_first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(self.behind_key.as_bytes())
    }

    fn write_f64<W: ?Sized + Write>(&mut self, out: &mut W, x: f64) -> io::Result<()> {
        out.write_all(float(x).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        for c in text.chars() {
            match self.ascii && !c.is_ascii() {
                true => c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))?,
                false => write!(out, "{c}")?,
            }
        }
        Ok(())
    }
}

fn failure(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.into())
}
