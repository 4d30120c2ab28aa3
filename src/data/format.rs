//! Formats: which one a file has, and how its rows come out. A new format is a variant here and a function beside
//! [`super::jsonl`]; what follows sees only [`Record`]s.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::recipe::types::Row;

use super::error::ReadError;
use super::fault::{Fault, Problem};
use super::json::{Node, NodeKind};
use super::unpack::{Packing, Wanted, open};
use super::{array, jsonl, parquet, separated};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// One JSON object a line.
    JsonLines,
    /// A JSON list of objects, or an object with one; a file of JSON lines with this ending is read too.
    Json,
    /// Columns between separators, their names in the first line.
    Separated(u8),
    /// Every line that is not blank is a row with one column.
    Lines,
    Parquet,
}

/// Endings and what they promise.
const ENDINGS: &[(&str, Format)] = &[
    ("jsonl", Format::JsonLines),
    ("ndjson", Format::JsonLines),
    ("json", Format::Json),
    ("csv", Format::Separated(b',')),
    ("tsv", Format::Separated(b'\t')),
    ("txt", Format::Lines),
    ("parquet", Format::Parquet),
];

/// One row as its format gives it.
#[derive(Debug)]
pub struct Record<'a> {
    /// The line on which `text` starts; in Parquet, which has no lines, the row.
    pub line: usize,
    /// What the places in the fields refer to, if they do.
    pub text: Option<&'a str>,
    pub fields: Vec<(Arc<str>, Node)>,
    /// The columns of the whole file, where it says them: `fields` are those that were asked for.
    pub has: Option<&'a [Arc<str>]>,
}

/// Takes the rows of a file, or what is wrong with them, in order; may stop early.
pub type Sink<'a> = dyn FnMut(Result<Record<'_>, Fault>) -> ControlFlow<()> + 'a;

impl Format {
    /// The format that a file's name promises, and how it says the file is packed.
    pub fn of(path: &Path) -> Option<(Self, Option<Packing>)> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let (name, packing) = Packing::of(&name);
        let ending = name.rsplit_once('.')?.1;
        ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, format)| (*format, packing))
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::JsonLines => "JSON lines",
            Self::Json => "JSON",
            Self::Separated(b'\t') => "TSV",
            Self::Separated(_) => "CSV",
            Self::Lines => "plain text",
            Self::Parquet => "Parquet",
        }
    }

    /// What a row's number counts.
    pub fn unit(self) -> &'static str {
        if self == Self::Parquet { "row" } else { "line" }
    }
}

/// Gives every row of a file to `sink`; `asked` are the columns that matter, or none of them if all do.
///
/// # Errors
/// When there is nothing to read at all; mistakes inside go to `sink`.
pub fn rows(path: &Path, asked: &Row, sink: &mut Sink<'_>) -> Result<(), ReadError> {
    if !path.exists() {
        return Err(ReadError::NoFile { path: path.to_owned() });
    }
    if path.is_dir() {
        return Err(ReadError::Disk { path: path.to_owned(), error: std::io::ErrorKind::IsADirectory.into() });
    }
    let (format, packing) = Format::of(path).ok_or_else(|| ReadError::UnknownFormat { path: path.to_owned() })?;
    let bytes = |wanted| open(path, packing, wanted).map(|opened| opened.bytes);
    match format {
        Format::JsonLines => jsonl::rows(bytes(Wanted::Rows)?, sink),
        Format::Json => array::rows(bytes(Wanted::Rows)?, sink),
        Format::Separated(separator) => separated::rows(bytes(Wanted::Rows)?, separator, sink),
        Format::Lines => {
            let column = only_column(asked);
            jsonl::lines(bytes(Wanted::Lines)?, &mut |line, text| match text {
                Ok(text) => {
                    let node = Node { at: 0, kind: NodeKind::Text(text.into()) };
                    sink(Ok(Record { line, text: Some(text), fields: vec![(column.clone(), node)], has: None }))
                }
                Err(problem) => sink(Err(Fault { line, column: None, problem })),
            });
        }
        Format::Parquet => parquet::rows(path, packing, asked, sink)?,
    }
    Ok(())
}

/// What the column of a plain text file is called: the one that is asked for, else `text`.
fn only_column(asked: &Row) -> Arc<str> {
    match asked.keys().next() {
        Some(only) if asked.len() == 1 => only.clone(),
        _ => "text".into(),
    }
}

/// A text without the mark that some editors put in front.
pub(super) fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// What a failed read means: unpacking tells damage apart from the disk's own errors.
pub(super) fn problem(error: &std::io::Error) -> Problem {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Problem::Cut,
        _ => Problem::Damaged(error.to_string()),
    }
}
