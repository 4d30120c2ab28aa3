//! What Python and `transformers` have and the engine has not: functions, filters and methods.

use minijinja::filters;
use minijinja::value::{Kwargs, Tuple, Value, ValueKind, from_args};
use minijinja::{Environment, Error, ErrorKind, State};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::dialect::{GENERATION, STEPPED};
use super::error::raised;
use super::json;

/// The name under which a rendering finds the two characters that stand around what `{% generation %}` prints.
pub(super) const MARKS: &str = "__marks";

/// Puts everything into an environment.
pub(super) fn install(env: &mut Environment<'_>) {
    env.set_unknown_method_callback(method);
    env.set_formatter(|out, state, value| match f64::try_from(value.clone()) {
        Ok(x) if value.is_number() && !value.is_integer() => out.write_str(&json::float(x)).map_err(Error::from),
        _ => minijinja::escape_formatter(out, state, value),
    });
    env.add_function("raise_exception", |message: Value| Err::<Value, Error>(raised(message.to_string())));
    env.add_filter(GENERATION, generated);
    env.add_filter("tojson", json::tojson);
    for name in ["default", "d"] {
        env.add_filter(name, default);
    }
    for name in ["length", "count"] {
        env.add_filter(name, |value: &Value| if value.is_undefined() { Ok(0) } else { filters::length(value) });
    }
    env.add_filter("replace", |text: String, old: &str, new: &str, count: Option<usize>| match count {
        Some(count) => text.replacen(old, new, count),
        None => text.replace(old, new),
    });
    env.add_filter("int", |state: &State, value: &Value, default: Option<Value>, base: Option<u32>, options: Kwargs| {
        filters::int(state, value, Some(default.unwrap_or(Value::from(0))), base, options)
    });
    env.add_filter("float", |state: &State, value: &Value, default: Option<Value>, options: Kwargs| {
        filters::float(state, value, Some(default.unwrap_or(Value::from(0.0))), options)
    });
    env.add_test("callable", |value: &Value| value.kind() == ValueKind::Plain);
    env.add_test("iterable", |value: &Value| {
        use ValueKind::{Iterable, Map, Seq, String, Undefined};
        matches!(value.kind(), Undefined | String | Seq | Map | Iterable)
    });
    env.add_test("sequence", |value: &Value| {
        use ValueKind::{Iterable, Map, Seq, String, Undefined};
        matches!(value.kind(), Undefined | String | Seq | Map) || (value.kind() == Iterable && value.len().is_some())
    });
}

/// Marks the text between `{% generation %}` and `{% endgeneration %}`.
fn generated(state: &State, text: &str) -> Result<String, Error> {
    let marks = state.lookup(MARKS).unwrap_or_default();
    Ok(format!("{}{text}{}", marks.get_item_by_index(0)?, marks.get_item_by_index(1)?))
}

fn default(value: &Value, other: Option<Value>, lax: Option<bool>, options: Kwargs) -> Result<Value, Error> {
    let other = other.or(options.get("default_value")?).unwrap_or_else(|| Value::from(""));
    let lax = lax.or(options.get("boolean")?).unwrap_or(false);
    options.assert_all_used()?;
    Ok(if value.is_undefined() || (lax && !value.is_true()) { other } else { value.clone() })
}

/// A moment in local time, given in seconds since 1970, written with Python's `strftime` codes.
pub(super) fn strftime(now: i64, format: &str) -> Result<String, Error> {
    let moment = jiff::Timestamp::from_second(now).map_err(|e| failure(e.to_string()))?;
    let moment = jiff::tz::Offset::UTC.to_datetime(moment);
    jiff::fmt::strtime::format(format, moment).map_err(|e| failure(e.to_string()))
}

/// Methods that the engine's own set lacks; the others are its.
fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    match (value.as_str(), name) {
        (_, STEPPED) => stepped(value, args),
        (Some(text), "split" | "rsplit") => split(state, value, text, name, args),
        (Some(text), "partition" | "rpartition") => {
            let (at,): (&str,) = from_args(args)?;
            let is_last = name == "rpartition";
            let found = if is_last { text.rsplit_once(at) } else { text.split_once(at) };
            let parts = match found {
                Some((before, behind)) => [before, at, behind],
                None if is_last => ["", "", text],
                None => [text, "", ""],
            };
            Ok(Value::from(Tuple::from(parts.map(Value::from))))
        }
        (Some(text), "removeprefix") => from_args(args).map(|(part,): (&str,)| Value::from(text.strip_prefix(part).unwrap_or(text))),
        (Some(text), "removesuffix") => from_args(args).map(|(part,): (&str,)| Value::from(text.strip_suffix(part).unwrap_or(text))),
        (Some(text), "index") => {
            let (part,): (&str,) = from_args(args)?;
            let at = text.find(part).ok_or_else(|| failure("substring not found"))?;
            Ok(Value::from(text[..at].chars().count()))
        }
        (Some(text), "title") => from_args(args).map(|()| Value::from(title(text))),
        _ => unknown_method_callback(state, value, name, args),
    }
}

/// Python's `split` and `rsplit`.
fn split(state: &mut State, value: &Value, text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, most, options): (Option<String>, Option<i64>, Kwargs) = from_args(args)?;
    let (separator, most) = (separator.or(options.get("sep")?), most.or(options.get("maxsplit")?));
    options.assert_all_used()?;
    let most = most.and_then(|most| usize::try_from(most).ok());
    match (name, most, &separator) {
        (_, _, Some(separator)) if separator.is_empty() => Err(failure("empty separator")),
        ("rsplit", Some(most), Some(separator)) => {
            let mut parts: Vec<&str> = text.rsplitn(most.saturating_add(1), separator.as_str()).collect();
            parts.reverse();
            Ok(parts.into_iter().map(Value::from).collect())
        }
        ("rsplit", Some(most), None) => {
            let (mut rest, mut parts) = (text.trim_end(), Vec::new());
            while let (true, Some((before, last))) = (parts.len() < most, rest.rsplit_once(char::is_whitespace)) {
                parts.push(last);
                rest = before.trim_end();
            }
            parts.extend((!rest.is_empty()).then_some(rest));
            parts.reverse();
            Ok(parts.into_iter().map(Value::from).collect())
        }
        // without a limit both ends are the same
        _ => unknown_method_callback(state, value, "split", &[Value::from(separator), Value::from(most)]),
    }
}

/// Python's `title`: every run of letters begins with a capital.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut is_inside = false;
    for c in text.chars() {
        match is_inside {
            true => out.extend(c.to_lowercase()),
            false => out.extend(c.to_uppercase()),
        }
        is_inside = c.is_alphabetic();
    }
    out
}

/// Python's `value[start:stop:step]`.
fn stepped(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let (start, stop, step): (Option<i64>, Option<i64>, Option<i64>) = from_args(args)?;
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(failure("slice step cannot be zero"));
    }
    let items: Vec<Value> = match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => value.try_iter()?.collect(),
        ValueKind::String => value.as_str().unwrap_or_default().chars().map(Value::from).collect(),
        kind => return Err(failure(format!("a value of type {kind} cannot be sliced"))),
    };
    let len = i64::try_from(items.len()).unwrap_or(i64::MAX);
    // The first index past either end that a bound may mean.
    let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let bound = |bound: Option<i64>, default: i64| match bound {
        None => default,
        Some(at) if at < 0 => at.saturating_add(len).max(low),
        Some(at) => at.min(high),
    };
    let (first, last) = if step > 0 { (low, high) } else { (high, low) };
    let (mut at, stop) = (bound(start, first), bound(stop, last));
    let mut out = Vec::new();
    while if step > 0 { at < stop } else { at > stop } {
        out.extend(usize::try_from(at).ok().and_then(|at| items.get(at)).cloned());
        at = at.saturating_add(step);
    }
    Ok(match value.kind() {
        ValueKind::String => Value::from(out.iter().filter_map(Value::as_str).collect::<String>()),
        _ => Value::from(out),
    })
}

fn failure(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.into())
}
