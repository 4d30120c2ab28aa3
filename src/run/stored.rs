//! A stage's result as the store keeps it: files for tables and networks, everything small in the manifest's note.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diagnostic::Diagnostic;
use crate::formula::expr::Output;
use crate::plan::Key;
use crate::stage::{Failure, Item, LETTERS, Product, Size};
use crate::value::{Cell, Table};

/// What the manifest of an artifact says beside its files.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Note {
    pub key: Key,
    /// What the stage was called when it ran.
    pub stage: String,
    pub main: Stored,
    /// In the order in which the stage gave them.
    pub extras: Parts,
    pub warnings: Vec<Warning>,
    pub seconds: f64,
    pub finished: String,
}

/// Named parts of a result, in order.
pub type Parts = Vec<(Arc<str>, Stored)>;

/// A part of a result.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stored {
    /// A folder or file inside the artifact.
    Network {
        path: String,
        bytes: u64,
    },
    /// The file that an argument of the call names, outside the store.
    Outside {
        argument: String,
    },
    Table {
        path: String,
        rows: u64,
        bytes: u64,
        /// Of a row's longest reading, on average and about.
        tokens: f64,
    },
    Figure {
        path: String,
    },
    /// A cell as [`Cell::to_json`] writes it.
    Value(Value),
    Record(Parts),
    /// What stands at this place of the key.
    Same {
        place: String,
    },
}

/// Something the stage said that its reader should hear again when the artifact is used.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Warning {
    pub code: String,
    pub message: String,
    pub help: Option<String>,
}

impl Warning {
    pub(super) fn of(diagnostic: &Diagnostic) -> Self {
        Self { code: diagnostic.code.to_owned(), message: diagnostic.message.clone(), help: diagnostic.help.clone() }
    }
}

impl Note {
    /// The part of the result that a path names; `Err` holds the rest of the path, which leads on from another place.
    pub fn part(&self, path: &[Arc<str>]) -> Option<(&Stored, Vec<Arc<str>>)> {
        let Some((first, rest)) = path.split_first() else { return Some((&self.main, Vec::new())) };
        let beside = || self.extras.iter().find(|(name, _)| name == first).map(|(_, stored)| stored);
        match self.main.field(first).or_else(beside) {
            Some(found) => found.part(rest),
            None => self.main.part(path),
        }
    }
}

impl Stored {
    fn field(&self, name: &str) -> Option<&Stored> {
        match self {
            Self::Record(fields) => fields.iter().find(|(n, _)| &**n == name).map(|(_, stored)| stored),
            _ => None,
        }
    }

    /// Follows a path as far as records go; what is left leads into a value or on from another place.
    fn part(&self, path: &[Arc<str>]) -> Option<(&Stored, Vec<Arc<str>>)> {
        match (self, path.split_first()) {
            (_, None) | (Self::Same { .. } | Self::Value(_), _) => Some((self, path.to_vec())),
            (_, Some((first, rest))) => self.field(first)?.part(rest),
        }
    }

    /// What is known of its size.
    pub(super) fn size(&self) -> Size {
        match self {
            Self::Table { rows, bytes, tokens, .. } => {
                Size { rows: Some(*rows), tokens_per_row: Some(*tokens), bytes: Some(*bytes), ..Size::default() }
            }
            Self::Network { bytes, .. } => Size { bytes: Some(*bytes), ..Size::default() },
            _ => Size::default(),
        }
    }
}

/// Reads a stored value and walks into it.
pub(super) fn cell(value: &Value, path: &[Arc<str>]) -> Option<Cell> {
    let cell = Cell::from_json(value.clone()).ok()?;
    path.iter().try_fold(cell, |cell, name| cell.field(name))
}

/// Writes a product's tables and figures into `folder`, where its networks already are.
pub(super) fn write(product: &Product, folder: &Path, places: &BTreeMap<String, Output>) -> Result<(Stored, Parts), Failure> {
    let writer = Writer { folder, places };
    let main = writer.item("", &product.main)?;
    let extras = product.extras.iter().map(|(name, item)| Ok((name.clone(), writer.item(name, item)?)));
    Ok((main, extras.collect::<Result<_, Failure>>()?))
}

struct Writer<'a> {
    folder: &'a Path,
    places: &'a BTreeMap<String, Output>,
}

impl Writer<'_> {
    fn item(&self, name: &str, item: &Item) -> Result<Stored, Failure> {
        Ok(match item {
            Item::Network(path) => Stored::Network { bytes: self.network(path)?, path: path.to_string_lossy().replace('\\', "/") },
            Item::Outside(argument) => Stored::Outside { argument: (*argument).to_owned() },
            Item::Table(table) => {
                let (path, file) = self.create(name, "rows", "jsonl")?;
                let mut to = BufWriter::new(file);
                table.write_jsonl(&mut to)?;
                to.flush()?;
                let bytes = self.folder.join(&path).metadata()?.len();
                Stored::Table { path, rows: table.len() as u64, bytes, tokens: tokens(table) }
            }
            Item::Figure(drawing) => {
                let (path, file) = self.create(name, "figure", "json")?;
                serde_json::to_writer(BufWriter::new(file), drawing).map_err(std::io::Error::from)?;
                Stored::Figure { path }
            }
            Item::Value(cell) => Stored::Value(cell.to_json()),
            Item::Record(fields) => {
                let inner = |field: &str| if name.is_empty() { field.to_owned() } else { format!("{name}.{field}") };
                let fields = fields.iter().map(|(field, item)| Ok((field.clone(), self.item(&inner(field), item)?)));
                Stored::Record(fields.collect::<Result<_, Failure>>()?)
            }
            Item::Same(output) => {
                let place = self.places.iter().find(|(_, there)| *there == output).map(|(place, _)| place.clone());
                Stored::Same { place: place.ok_or_else(|| wrong("another stage's output that is no input of this call"))? }
            }
        })
    }

    /// A new file named for its part of the result.
    fn create(&self, name: &str, main: &str, extension: &str) -> Result<(String, File), Failure> {
        let path = format!("{}.{extension}", if name.is_empty() { main } else { name });
        let file = File::create_new(self.folder.join(&path))?;
        Ok((path, file))
    }

    /// The bytes of a network that must be there by now.
    fn network(&self, path: &PathBuf) -> Result<u64, Failure> {
        let full = self.folder.join(path);
        if path.is_absolute() || !full.exists() {
            return Err(wrong("a network that is not in the stage's folder"));
        }
        if full.is_file() {
            return Ok(full.metadata()?.len());
        }
        let files = crate::durable::files_under(&full)?;
        let weights = files.iter().filter(|file| file.ends_with(".safetensors"));
        Ok(weights.map(|file| full.join(file).metadata().map(|meta| meta.len())).sum::<std::io::Result<u64>>()?)
    }
}

/// Tokens of a row's texts, on average.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn tokens(table: &Table) -> f64 {
    let letters = |text: &str| text.len() as f64 / LETTERS;
    let of = |cell: &Cell| match cell {
        Cell::Text(text) => letters(text),
        Cell::Dialogue(turns) => turns.iter().map(|turn| letters(&turn.text)).sum(),
        Cell::Completion(c) => c.tokens.as_ref().map_or_else(|| letters(&c.text), |tokens| tokens.len() as f64),
        _ => 0.0,
    };
    table.rows.iter().flatten().map(of).sum::<f64>() / table.len().max(1) as f64
}

fn wrong(what: &str) -> Failure {
    Failure::new("align::run::product", format!("the stage returned {what}")).help("this is a mistake in align itself")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(parts: &[&str]) -> Vec<Arc<str>> {
        parts.iter().map(|p| Arc::from(*p)).collect()
    }

    #[test]
    fn parts_are_found_by_path() {
        let table = Stored::Table { path: "train.jsonl".into(), rows: 2, bytes: 10, tokens: 3.0 };
        let estimate = Stored::Value(serde_json::json!({ "mean": 0.5, "n": 2, "lower95": 0.1, "upper95": 0.9 }));
        let main = Stored::Record(vec![("train".into(), table.clone()), ("kept".into(), Stored::Same { place: "candidates.1".into() })]);
        let key = serde_json::from_value(serde_json::json!({ "primitive": "split", "version": 1, "arguments": {}, "inputs": {}, "files": {}, "seed": 0, "numerics": null })).expect("a key");
        let note = Note {
            key,
            stage: "x".into(),
            main,
            extras: vec![("accuracy".into(), estimate.clone())],
            warnings: vec![],
            seconds: 0.0,
            finished: String::new(),
        };
        assert_eq!(note.part(&path(&["train"])), Some((&table, vec![])));
        assert_eq!(note.part(&path(&["accuracy", "mean"])), Some((&estimate, path(&["mean"]))));
        assert_eq!(note.part(&path(&["kept", "rm"])), Some((&Stored::Same { place: "candidates.1".into() }, path(&["rm"]))));
        assert_eq!(note.part(&path(&["nothing"])), None);
        assert_eq!(
            cell(&serde_json::json!({ "mean": 0.5, "n": 2, "lower95": 0.1, "upper95": 0.9 }), &path(&["mean"])),
            Some(Cell::Float(0.5))
        );
    }
}
