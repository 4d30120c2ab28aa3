//! Mistakes that can be mended without thinking: what a diagnostic's help says to write, written.

use std::path::Path;

use serde_json::{Value, json};

use crate::diagnostic::Diagnostic;

use super::place::{Lines, uri_of};
use super::state::{Analysis, State};

impl State {
    pub(super) fn actions(&mut self, path: &Path, params: &Value) -> Option<Value> {
        let analysis = self.analysis(path)?;
        let lines = Lines::new(analysis.text(), self.units);
        let (from, to) = (lines.byte(params.pointer("/range/start")?)?, lines.byte(params.pointer("/range/end")?)?);
        let mut actions = Vec::new();
        for diagnostic in &analysis.diagnostics {
            let Some(label) = diagnostic.labels.iter().find(|label| label.span.file == analysis.file) else { continue };
            let range = label.span.range();
            if range.end < from || to < range.start {
                continue;
            }
            let Some((title, at, text)) = fix(diagnostic, &analysis) else { continue };
            let edit = json!({ "range": lines.range(at), "newText": text });
            let mut changes = serde_json::Map::new();
            changes.insert(uri_of(path), json!([edit]));
            let shown = json!({ "range": lines.range(range), "code": diagnostic.code, "source": "align", "message": diagnostic.message });
            actions.push(
                json!({ "title": title, "kind": "quickfix", "isPreferred": true, "diagnostics": [shown], "edit": { "changes": changes } }),
            );
        }
        Some(json!(actions))
    }
}

/// What to do about a mistake: in words, where, and the text that goes there.
fn fix(diagnostic: &Diagnostic, analysis: &Analysis) -> Option<(String, std::ops::Range<usize>, String)> {
    let help = diagnostic.help.as_deref()?;
    let at = diagnostic.labels.iter().find(|label| label.span.file == analysis.file)?.span;
    let written = analysis.slice(at);
    let quoted = |before: &str| {
        let rest = help.split_once(before)?.1;
        rest.split_once('`').map(|(name, _)| name.to_owned())
    };
    if let Some(near) = quoted("did you mean `") {
        // the label may stand on `.name` or on `name`
        let near = match (written.starts_with('.'), near.strip_prefix('.')) {
            (false, Some(bare)) => bare.to_owned(),
            (true, None) => format!(".{near}"),
            _ => near,
        };
        let range = at.range();
        let range = if let Some(inner) = path_in(written, &near) { range.start + inner.start..range.start + inner.end } else { range };
        return Some((format!("write `{near}`"), range, near));
    }
    if let Some(import) = quoted("add `use ") {
        return Some((format!("add `use {import}`"), 0..0, format!("use {import}\n")));
    }
    if let Some(column) = quoted("columns are written with a dot: `") {
        return Some((format!("write `{column}`"), at.range(), column));
    }
    match diagnostic.code {
        "align::recipe::item_without_call" => Some((format!("call it: `{written}()`"), at.range(), format!("{written}()"))),
        _ => None,
    }
}

/// The text of a path inside the place that a diagnostic marks: `"data/x.jsonl"` inside `load_data("data/x.jsonl")`.
fn path_in(written: &str, near: &str) -> Option<std::ops::Range<usize>> {
    let start = written.find('"')? + 1;
    let end = start + written[start..].find('"')?;
    let file = written[start..end].rfind('/').map_or(start, |at| start + at + 1);
    (!near.contains('/')).then_some(file..end)
}
