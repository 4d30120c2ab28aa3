//! CSV and TSV: names in the first line, texts in quotes where they hold separators or line feeds. RFC 4180.

use std::io::BufRead;
use std::sync::Arc;

use csv::{ByteRecord, ReaderBuilder};

use super::fault::{Fault, Problem};
use super::format::{Record, Sink, problem, unmarked};
use super::json::{Node, NodeKind};

/// Gives every row after the first to `sink`.
pub(super) fn rows(reader: impl BufRead, separator: u8, sink: &mut Sink<'_>) {
    let mut reader = ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(reader);
    let names = match names(&mut reader) {
        Ok(names) => names,
        Err(problem) => {
            let _ = sink(Err(Fault { line: 1, column: None, problem }));
            return;
        }
    };
    let mut record = ByteRecord::new();
    let mut line = 1;
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(false) => return,
            Ok(true) => {
                line = record.position().map_or(line, |place| usize::try_from(place.line()).unwrap_or(usize::MAX));
                let row = fields(&names, &record).map_err(|problem| Fault { line, column: None, problem });
                if sink(row.map(|fields| Record { line, text: None, fields, has: None })).is_break() {
                    return;
                }
            }
            Err(error) => {
                let _ = sink(Err(Fault { line, column: None, problem: broken(error) }));
                return;
            }
        }
    }
}

fn names(reader: &mut csv::Reader<impl BufRead>) -> Result<Vec<Arc<str>>, Problem> {
    let header = reader.byte_headers().map_err(broken)?;
    let mut names: Vec<Arc<str>> = Vec::with_capacity(header.len());
    for bytes in header {
        let name: Arc<str> = unmarked(utf8(bytes, 0)?).trim().into();
        if names.contains(&name) {
            return Err(Problem::Broken(format!("two columns are called `{name}`")));
        }
        names.push(name);
    }
    Ok(names)
}

fn fields(names: &[Arc<str>], record: &ByteRecord) -> Result<Vec<(Arc<str>, Node)>, Problem> {
    if names.len() != record.len() {
        return Err(Problem::Broken(format!("{} fields under {} column names", record.len(), names.len())));
    }
    let start = record.position().map_or(0, csv::Position::byte);
    names
        .iter()
        .zip(record)
        .map(|(name, bytes)| Ok((name.clone(), Node { at: 0, kind: NodeKind::Bare(utf8(bytes, start)?.into()) })))
        .collect()
}

/// A field's text. Where a field that is not UTF-8 starts is not known, only where its row does.
fn utf8(bytes: &[u8], start: u64) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|_| Problem::NotUtf8 { byte: start })
}

fn broken(error: csv::Error) -> Problem {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => problem(&error),
        other => Problem::Broken(format!("{other:?}")),
    }
}
