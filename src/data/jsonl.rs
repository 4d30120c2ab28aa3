//! JSON lines: one object a line. Blank lines are passed over; a mistake costs its line only.

use std::io::BufRead;
use std::ops::ControlFlow;

use super::fault::{Fault, Problem};
use super::fit::shown;
use super::format::{Record, Sink, problem, unmarked};
use super::json::{self, NodeKind};

/// Gives every line's object to `sink`.
pub(super) fn rows(reader: impl BufRead, sink: &mut Sink<'_>) {
    lines(reader, &mut |line, text| sink(text.map_err(|problem| Fault { line, column: None, problem }).and_then(|text| row(line, text))));
}

/// The object in one line.
fn row(line: usize, text: &str) -> Result<Record<'_>, Fault> {
    let fault = |at, problem| Fault { line, column: Some(character(text, at)), problem };
    let node = json::parse(text).map_err(|error| fault(error.at, Problem::Broken(error.to_string())))?;
    match node.kind {
        NodeKind::Object(fields) => Ok(Record { line, text: Some(text), fields, has: None }),
        _ => Err(fault(node.at, Problem::NoRow { found: shown(&node) })),
    }
}

/// Takes the number and the text of a line; may stop early.
type Lines<'a> = dyn FnMut(usize, Result<&str, Problem>) -> ControlFlow<()> + 'a;

/// Gives every line that is not blank to `each`, without its end, until that stops or the data does.
pub(super) fn lines(mut reader: impl BufRead, each: &mut Lines<'_>) {
    let (mut bytes, mut start) = (Vec::new(), 0_u64);
    for line in 1.. {
        bytes.clear();
        let read = match reader.read_until(b'\n', &mut bytes) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) => {
                let _ = each(line - 1, Err(problem(&error)));
                return;
            }
        };
        let text = std::str::from_utf8(&bytes).map_err(|error| Problem::NotUtf8 { byte: start + error.valid_up_to() as u64 });
        start += read as u64;
        let text = text.map(|text| if line == 1 { unmarked(text) } else { text }.trim_end_matches(['\n', '\r']));
        let is_blank = text.as_ref().is_ok_and(|text| text.trim().is_empty());
        if !is_blank && each(line, text).is_break() {
            return;
        }
    }
}

/// The character that a byte of a line belongs to, 1 for the first.
pub(super) fn character(text: &str, at: usize) -> usize {
    text.char_indices().take_while(|(place, _)| *place < at).count() + 1
}
