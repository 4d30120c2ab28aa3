//! Typed access to the metadata, with errors that name the key.

use std::collections::BTreeMap;
use std::path::Path;

use super::GgufError;
use super::reader::Reader;
use super::value::{Value, ValueType};

/// The metadata of an open file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metadata<'a> {
    pub(super) path: &'a Path,
    pub(super) bytes: &'a [u8],
    pub(super) entries: &'a BTreeMap<String, Value>,
}

impl<'a> Metadata<'a> {
    /// A complaint about a key.
    pub(super) fn wrong(&self, key: &str, reason: impl Into<String>) -> GgufError {
        GgufError::Key { path: self.path.to_owned(), key: key.into(), reason: reason.into() }
    }

    /// A complaint about something that the file asks for.
    pub(super) fn unsupported(&self, feature: impl Into<String>, supported: impl Into<String>) -> GgufError {
        GgufError::Unsupported { path: self.path.to_owned(), feature: feature.into(), supported: supported.into() }
    }

    /// What was found under `key`, or an error that names it.
    pub(super) fn need<T>(&self, key: &str, found: Option<T>) -> Result<T, GgufError> {
        found.ok_or_else(|| GgufError::MissingKey { path: self.path.to_owned(), key: key.into() })
    }

    fn typed<T>(&self, key: &str, expected: &str, convert: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>, GgufError> {
        let Some(value) = self.entries.get(key) else { return Ok(None) };
        match convert(value) {
            Some(found) => Ok(Some(found)),
            None => Err(self.wrong(key, format!("expected {expected}, found {}", value.describe()))),
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, GgufError> {
        self.typed(key, "a text", |value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, GgufError> {
        self.typed(key, "a boolean", |value| match value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        })
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, GgufError> {
        self.typed(key, "a finite number", |value| value.number().filter(|x| x.is_finite()))
    }

    /// A token id.
    pub(super) fn id(&self, key: &str) -> Result<Option<u32>, GgufError> {
        self.typed(key, "a token id", |value| value.unsigned().and_then(|n| u32::try_from(n).ok()))
    }

    /// A positive whole number. An array with one number a layer counts if all are equal.
    pub(super) fn size(&self, key: &str) -> Result<Option<u64>, GgufError> {
        let said = match self.entries.get(key) {
            Some(Value::Array(_)) => {
                let sizes = self.array(key, "whole numbers", |value| value.unsigned())?.unwrap_or_default();
                if sizes.windows(2).any(|pair| pair[0] != pair[1]) {
                    return Err(self.unsupported(format!("`{key}` that differs between layers"), "one number for all layers"));
                }
                sizes.first().copied()
            }
            _ => self.typed(key, "a positive whole number", Value::unsigned)?,
        };
        match said {
            Some(0) => Err(self.wrong(key, "expected a positive whole number, found 0")),
            said => Ok(said),
        }
    }

    /// All elements of an array.
    pub(super) fn array<T>(&self, key: &str, expected: &str, convert: impl Fn(Value) -> Option<T>) -> Result<Option<Vec<T>>, GgufError> {
        let array = self.typed(key, &format!("an array of {expected}"), |value| match value {
            Value::Array(array) => Some(*array),
            _ => None,
        })?;
        let Some(array) = array else { return Ok(None) };
        let mut reader = Reader::new(self.path, self.bytes, array.begin, &format!("metadata key `{key}`"));
        let one = |_| convert(reader.value(array.elements)?).ok_or_else(|| self.wrong(key, mixed(expected, array.elements)));
        (0..array.count).map(one).collect::<Result<_, _>>().map(Some)
    }

    /// All elements of an array of texts.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<String>>, GgufError> {
        self.array(key, "texts", |value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        })
    }
}

fn mixed(expected: &str, elements: ValueType) -> String {
    format!("expected an array of {expected}, found one of {}", elements.name())
}
