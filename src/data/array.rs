//! A JSON list of objects, over as many lines as it likes, by itself or as the one list of an object.

use std::io::BufRead;
use std::ops::ControlFlow;

use super::fault::{Fault, Problem};
use super::fit::{is_turns, shown};
use super::format::{Record, Sink, problem, unmarked};
use super::json::{self, Node, NodeKind};
use super::jsonl::{self, character};

/// Gives every object of the list to `sink`. What is no list is read as JSON lines.
pub(super) fn rows(mut reader: impl BufRead, sink: &mut Sink<'_>) {
    let mut bytes = Vec::new();
    let read = reader.read_to_end(&mut bytes);
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => unmarked(text),
        Err(error) => {
            let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
            let _ = sink(Err(Fault { line, column: None, problem: Problem::NotUtf8 { byte: error.valid_up_to() as u64 } }));
            return;
        }
    };
    if let Err(error) = read {
        let _ = sink(Err(Fault { line: place(text, text.len()).0, column: None, problem: problem(&error) }));
    } else if text.trim_start().starts_with('[') {
        items(text, sink);
    } else {
        object_or_lines(text, sink);
    }
}

fn items(text: &str, sink: &mut Sink<'_>) {
    let mut flow = ControlFlow::Continue(());
    let end = json::parse_items(text, |node| {
        flow = sink(row(text, node));
        flow
    });
    if let (Err(error), ControlFlow::Continue(())) = (end, flow) {
        let _ = sink(Err(fault(text, error.at, Problem::Broken(error.to_string()))));
    }
}

/// One object over several lines is one row, unless it is the wrapping of its rows.
fn object_or_lines(text: &str, sink: &mut Sink<'_>) {
    match json::parse(text) {
        Ok(node) => {
            let rows = wrapped(node).unwrap_or_else(|row| vec![row]);
            let _ = rows.into_iter().try_for_each(|node| sink(row(text, node)));
        }
        Err(_) => jsonl::rows(text.as_bytes(), sink),
    }
}

/// The rows in an object that is no row itself: beside its one list of objects it has at most numbers and texts about
/// them. A list of turns is a value of a row.
fn wrapped(node: Node) -> Result<Vec<Node>, Node> {
    let NodeKind::Object(fields) = &node.kind else { return Err(node) };
    let lists: Vec<usize> = (0..fields.len()).filter(|at| matches!(fields[*at].1.kind, NodeKind::List(_) | NodeKind::Object(_))).collect();
    let [only] = lists[..] else { return Err(node) };
    let is_object = |item: &Node| matches!(item.kind, NodeKind::Object(_));
    let holds_rows = match &fields[only].1.kind {
        NodeKind::List(items) if items.is_empty() => fields.len() == 1,
        NodeKind::List(items) => items.iter().all(is_object) && !is_turns(&fields[only].1),
        _ => false,
    };
    match node.kind {
        NodeKind::Object(mut fields) if holds_rows => match fields.swap_remove(only).1.kind {
            NodeKind::List(items) => Ok(items),
            _ => Ok(Vec::new()),
        },
        kind => Err(Node { kind, ..node }),
    }
}

fn row(text: &str, node: Node) -> Result<Record<'_>, Fault> {
    match node.kind {
        NodeKind::Object(fields) => Ok(Record { line: 1, text: Some(text), fields, has: None }),
        _ => Err(fault(text, node.at, Problem::NoRow { found: shown(&node) })),
    }
}

fn fault(text: &str, at: usize, problem: Problem) -> Fault {
    let (line, column) = place(text, at);
    Fault { line, column: Some(column), problem }
}

/// The line and the character of a byte of a text, 1 for the first.
pub(super) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    (before.iter().filter(|byte| **byte == b'\n').count() + 1, character(&text[start..], at - start))
}
