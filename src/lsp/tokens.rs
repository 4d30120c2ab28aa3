//! What each name means, for colours that a grammar cannot give.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::recipe::index::Meant;
use crate::syntax::span::Span;
use crate::syntax::tree::ExprKind;
use crate::syntax::walk::{self, Part};

use super::place::Lines;
use super::state::State;

const KINDS: [&str; 7] = ["function", "class", "type", "parameter", "variable", "property", "namespace"];
const MARKS: [&str; 2] = ["declaration", "defaultLibrary"];

pub(super) fn legend() -> Value {
    json!({ "tokenTypes": KINDS, "tokenModifiers": MARKS })
}

fn kind(meant: Meant) -> usize {
    match meant {
        Meant::Function | Meant::Stage => 0,
        Meant::Objective => 1,
        Meant::Type => 2,
        Meant::Param | Meant::Parameter => 3,
        Meant::Binding => 4,
        Meant::Recipe => 6,
    }
}

impl State {
    pub(super) fn tokens(&mut self, path: &Path) -> Option<Value> {
        let analysis = self.analysis(path)?;
        let mut found: BTreeMap<usize, (usize, usize, usize)> = BTreeMap::new();
        let mut add = |span: Span, kind: usize, marks: usize| {
            if span.file == analysis.file {
                let range = span.range();
                found.entry(range.start).or_insert((range.end, kind, marks));
            }
        };
        for (span, reference) in &analysis.index.references {
            let library = analysis.sources.get(reference.to.file).folder.is_none();
            add(*span, kind(reference.meant), if library { 2 } else { 0 });
        }
        for (span, meant) in analysis.definitions() {
            add(span, kind(meant), 1);
        }
        for item in &analysis.tree().items {
            walk::item(item, &mut |part| {
                if let Part::Expr(e) = part {
                    match &e.kind {
                        ExprKind::Column(name) | ExprKind::Member { name, .. } => add(name.span, 5, 0),
                        _ => {}
                    }
                }
            });
        }
        let lines = Lines::new(analysis.text(), self.units);
        let (mut data, mut last) = (Vec::new(), (0, 0));
        for (start, (end, kind, marks)) in found {
            let (line, column) = lines.line_column(start);
            let length = lines.length(&analysis.text()[start..end]);
            let ahead = if line == last.0 { column - last.1 } else { column };
            data.extend([line - last.0, ahead, length, kind, marks]);
            last = (line, column);
        }
        Some(json!({ "data": data }))
    }
}
