//! Reads fields of a `config.json` with errors that name the file and the field.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::ModelError;

/// A JSON object and the file it came from.
#[derive(Clone, Debug)]
pub(super) struct Config {
    path: PathBuf,
    pub(super) object: Map<String, Value>,
}

impl Config {
    /// An object that stands for a file.
    pub(super) fn new(path: &Path, object: Map<String, Value>) -> Self {
        Self { path: path.to_owned(), object }
    }

    /// Reads `path`.
    pub(super) fn read(path: &Path) -> Result<Self, ModelError> {
        let bytes = std::fs::read(path).map_err(|e| ModelError::unreadable(path, &e))?;
        Self::parse(path, &bytes)
    }

    /// Parses what was read from `path`.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ModelError> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(object)) => Ok(Self { path: path.to_owned(), object }),
            Ok(_) => Err(ModelError::Damaged { path: path.to_owned(), reason: "it is not a JSON object".into() }),
            Err(e) => Err(ModelError::Damaged { path: path.to_owned(), reason: e.to_string() }),
        }
    }

    /// An object found inside this one, or an empty one.
    pub(super) fn inside(&self, object: Option<&Map<String, Value>>) -> Self {
        Self { path: self.path.clone(), object: object.cloned().unwrap_or_default() }
    }

    /// The file this came from.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The value of a field; an explicit `null` counts as absent, as `transformers` reads it.
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        self.object.get(name).filter(|v| !v.is_null())
    }

    /// A complaint about a field.
    pub(super) fn wrong(&self, field: &str, reason: impl Into<String>) -> ModelError {
        ModelError::Config { path: self.path.clone(), field: field.into(), reason: reason.into() }
    }

    /// A positive whole number up to 2^31.
    pub(super) fn optional_size(&self, field: &str) -> Result<Option<usize>, ModelError> {
        let Some(value) = self.field(field) else { return Ok(None) };
        match value.as_u64().and_then(|n| usize::try_from(n).ok()) {
            Some(n) if n > 0 && n < 1 << 31 => Ok(Some(n)),
            _ => Err(self.wrong(field, format!("expected a positive whole number, found {value}"))),
        }
    }

    /// A positive whole number that must be there.
    pub(super) fn size(&self, field: &str) -> Result<usize, ModelError> {
        self.optional_size(field)?.ok_or_else(|| self.wrong(field, "it is missing"))
    }

    /// A positive, finite number.
    pub(super) fn optional_positive(&self, field: &str) -> Result<Option<f64>, ModelError> {
        let Some(value) = self.field(field) else { return Ok(None) };
        match value.as_f64() {
            Some(x) if x.is_finite() && x > 0.0 => Ok(Some(x)),
            _ => Err(self.wrong(field, format!("expected a positive number, found {value}"))),
        }
    }

    /// A positive, finite number that must be there.
    pub(super) fn positive(&self, field: &str) -> Result<f64, ModelError> {
        self.optional_positive(field)?.ok_or_else(|| self.wrong(field, "it is missing"))
    }

    /// A boolean.
    pub(super) fn flag_or(&self, field: &str, absent: bool) -> Result<bool, ModelError> {
        match self.field(field) {
            None => Ok(absent),
            Some(Value::Bool(b)) => Ok(*b),
            Some(other) => Err(self.wrong(field, format!("expected true or false, found {other}"))),
        }
    }

    /// Token ids: one, a list, or none at all.
    pub(super) fn token_ids(&self, field: &str) -> Result<Vec<u32>, ModelError> {
        let one = |value: &Value| {
            let id = value.as_u64().and_then(|n| u32::try_from(n).ok());
            id.ok_or_else(|| self.wrong(field, format!("expected token ids, found {value}")))
        };
        match self.field(field) {
            None => Ok(Vec::new()),
            Some(Value::Array(ids)) => ids.iter().map(one).collect(),
            Some(id) => Ok(vec![one(id)?]),
        }
    }

    /// A text.
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.field(field).and_then(Value::as_str)
    }
}
