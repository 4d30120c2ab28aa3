//! Formats: which one a file has, and how its rows come out. A new format is a variant here and a function beside
//! [`super::jsonl`]; what follows sees only [`Record`]s.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use super::error::ReadError;
use super::fault::{Fault, Problem};
use super::json::{Node, NodeKind};
use super::{array, jsonl, separated};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// One JSON object a line.
    JsonLines,
    /// A JSON list of objects; a file of JSON lines with this ending is read too.
    Json,
    /// Columns between separators, their names in the first line.
    Separated(u8),
    /// Every line that is not blank is a row with one column.
    Lines,
}

/// One row as its format gives it.
#[derive(Debug)]
pub struct Record<'a> {
    /// The line on which `text` starts.
    pub line: usize,
    /// What the places in the fields refer to, if they do.
    pub text: Option<&'a str>,
    pub fields: Vec<(Arc<str>, Node)>,
}

/// Takes the rows of a file, or what is wrong with them, in order; may stop early.
pub type Sink<'a> = dyn FnMut(Result<Record<'_>, Fault>) -> ControlFlow<()> + 'a;

impl Format {
    /// The format that a file's name promises, and whether it is packed.
    pub fn of(path: &Path) -> Option<(Self, bool)> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let (name, packed) = match name.strip_suffix(".gz") {
            Some(name) => (name, true),
            None => (&*name, false),
        };
        let format = match name.rsplit_once('.')?.1 {
            "jsonl" | "ndjson" => Self::JsonLines,
            "json" => Self::Json,
            "csv" => Self::Separated(b','),
            "tsv" => Self::Separated(b'\t'),
            "txt" => Self::Lines,
            _ => return None,
        };
        Some((format, packed))
    }
}

/// Gives every row of a file to `sink`. In a plain text file the column is called `column`.
///
/// # Errors
/// When there is nothing to read at all; mistakes inside go to `sink`.
pub fn rows(path: &Path, column: &Arc<str>, sink: &mut Sink<'_>) -> Result<(), ReadError> {
    if !path.exists() {
        return Err(ReadError::NoFile { path: path.to_owned() });
    }
    if path.is_dir() {
        return Err(ReadError::Disk { path: path.to_owned(), error: std::io::ErrorKind::IsADirectory.into() });
    }
    let (format, packed) = Format::of(path).ok_or_else(|| ReadError::UnknownFormat { path: path.to_owned() })?;
    let reader = open(path, packed)?;
    match format {
        Format::JsonLines => jsonl::rows(reader, sink),
        Format::Json => array::rows(reader, sink),
        Format::Separated(separator) => separated::rows(reader, separator, sink),
        Format::Lines => jsonl::lines(reader, &mut |line, text| match text {
            Ok(text) => {
                let node = Node { at: 0, kind: NodeKind::Text(text.into()) };
                sink(Ok(Record { line, text: Some(text), fields: vec![(column.clone(), node)] }))
            }
            Err(problem) => sink(Err(Fault { line, column: None, problem })),
        }),
    }
    Ok(())
}

/// The unpacked bytes. Packed data is known by its first bytes too.
fn open(path: &Path, packed: bool) -> Result<Box<dyn BufRead>, ReadError> {
    let disk = |error| ReadError::Disk { path: path.to_owned(), error };
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(disk)?);
    let mut head = Vec::new();
    file.by_ref().take(2).read_to_end(&mut head).map_err(disk)?;
    let is_gzip = head == [0x1f, 0x8b];
    if packed && !is_gzip && !head.is_empty() {
        return Err(ReadError::NotGzip { path: path.to_owned() });
    }
    let file = Cursor::new(head).chain(file);
    Ok(if is_gzip { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) })
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
