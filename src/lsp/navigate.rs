//! From a name to where it is defined, to every place that means the same, and to another name.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::diagnostic::Diagnostic;
use crate::recipe::index::{Meant, kind_of};
use crate::recipe::library::item_name;
use crate::syntax::span::Span;
use crate::syntax::tree::{ItemKind, Name, StatementKind};

use super::place::{Lines, uri_of};
use super::same;
use super::state::{Analysis, State};

/// A place that outlives a look: a file and bytes of it.
type Place = (PathBuf, Range<usize>);

impl State {
    pub(super) fn hover(&mut self, path: &Path, byte: usize) -> Option<Value> {
        let analysis = self.analysis(path)?;
        let (span, text) = analysis.hover(byte)?;
        let lines = Lines::new(analysis.text(), self.units);
        Some(json!({ "contents": { "kind": "markdown", "value": text }, "range": lines.range(span.range()) }))
    }

    fn place(&self, analysis: &Analysis, span: Span) -> Option<Place> {
        Some((self.path_of(&analysis.sources, span.file)?, span.range()))
    }

    fn location(&self, analysis: &Analysis, span: Span) -> Option<Value> {
        let path = self.path_of(&analysis.sources, span.file)?;
        let lines = Lines::new(&analysis.sources.get(span.file).text, self.units);
        Some(json!({ "uri": uri_of(&path), "range": lines.range(span.range()) }))
    }

    pub(super) fn definition(&mut self, path: &Path, byte: usize) -> Option<Value> {
        let analysis = self.analysis(path)?;
        if let Some((_, reference)) = analysis.reference_at(byte) {
            return self.location(&analysis, reference.to);
        }
        // a file that is used by its path
        let at = |span: &Span| span.start as usize <= byte && byte <= span.end as usize;
        let used = analysis.tree().items.iter().find_map(|item| match &item.kind {
            ItemKind::Use(used) => match &used.source {
                crate::syntax::tree::UseSource::File { path, span } if at(span) => Some(path.clone()),
                _ => None,
            },
            _ => None,
        })?;
        let found = path.with_file_name("").join(used).canonicalize().ok()?;
        Some(json!({ "uri": uri_of(&found), "range": { "start": { "line": 0, "character": 0 }, "end": { "line": 0, "character": 0 } } }))
    }

    /// Every place that means what a byte of a file means, its definition among them, by file.
    fn everywhere(&mut self, path: &Path, byte: usize) -> Option<(Place, Meant, BTreeMap<PathBuf, BTreeSet<(usize, usize)>>)> {
        let analysis = self.analysis(path)?;
        let (_, reference) = analysis.reference_at(byte)?;
        let target = self.place(&analysis, reference.to)?;
        let mut found: BTreeMap<PathBuf, BTreeSet<(usize, usize)>> = BTreeMap::new();
        let mut add = |path: &Path, range: Range<usize>| _ = found.entry(path.to_owned()).or_default().insert((range.start, range.end));
        if analysis.sources.get(reference.to.file).folder.is_some() {
            add(&target.0, target.1.clone());
        }
        let mut files = self.files();
        files.retain(|file| !same(file, path));
        files.push(path.to_owned());
        for file in files {
            let Some(other) = self.analysis(&file) else { continue };
            for (span, reference) in &other.index.references {
                let means = self.place(&other, reference.to).is_some_and(|to| to.1 == target.1 && same(&to.0, &target.0));
                let place = if means { self.place(&other, *span) } else { None };
                if let Some((path, range)) = place {
                    add(&path, range);
                }
            }
        }
        Some((target, reference.meant, found))
    }

    fn text_of(&self, path: &Path) -> Option<String> {
        let open = self.open.iter().find(|(open, _)| same(open, path)).map(|(_, document)| document.text.to_string());
        open.or_else(|| std::fs::read_to_string(path).ok())
    }

    pub(super) fn references(&mut self, path: &Path, byte: usize) -> Option<Value> {
        let (_, _, found) = self.everywhere(path, byte)?;
        let mut places = Vec::new();
        for (path, ranges) in found {
            let text = self.text_of(&path)?;
            let lines = Lines::new(&text, self.units);
            places.extend(ranges.into_iter().map(|(start, end)| json!({ "uri": uri_of(&path), "range": lines.range(start..end) })));
        }
        Some(json!(places))
    }

    pub(super) fn highlights(&mut self, path: &Path, byte: usize) -> Option<Value> {
        let analysis = self.analysis(path)?;
        let (_, reference) = analysis.reference_at(byte)?;
        let lines = Lines::new(analysis.text(), self.units);
        let mut spans: BTreeSet<(u32, u32)> = BTreeSet::new();
        let uses = analysis.index.references.iter().filter(|(_, other)| other.to == reference.to).map(|(span, _)| *span);
        spans.extend(uses.chain([reference.to]).filter(|span| span.file == analysis.file).map(|span| (span.start, span.end)));
        Some(spans.into_iter().map(|(start, end)| json!({ "range": lines.range(start as usize..end as usize) })).collect())
    }

    /// The name at a byte, if it can be another.
    pub(super) fn may_rename(&mut self, path: &Path, byte: usize) -> Result<Option<Value>, String> {
        let Some(analysis) = self.analysis(path) else { return Ok(None) };
        let Some((span, reference)) = analysis.reference_at(byte) else { return Ok(None) };
        if analysis.sources.get(reference.to.file).folder.is_none() {
            return Err(format!("`{}` is the standard library's", analysis.slice(reference.to)));
        }
        let lines = Lines::new(analysis.text(), self.units);
        Ok(Some(json!({ "range": lines.range(span.range()), "placeholder": analysis.slice(span) })))
    }

    /// Gives what a byte means another name, in every file, if all files are as sound after it as before.
    pub(super) fn rename(&mut self, path: &Path, byte: usize, name: &str) -> Result<Value, String> {
        self.may_rename(path, byte)?.ok_or("there is no name here")?;
        let (_, meant, places) = self.everywhere(path, byte).ok_or("there is no name here")?;
        let upper = meant == Meant::Type;
        let begins = name.starts_with(|c: char| if upper { c.is_ascii_uppercase() } else { c.is_ascii_lowercase() || c == '_' });
        if !begins || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(format!("`{name}` is no name: one begins with {} letter", if upper { "an upper-case" } else { "a lower-case" }));
        }
        let (mut texts, mut edits) = (BTreeMap::new(), serde_json::Map::new());
        for (path, ranges) in &places {
            let text = self.text_of(path).ok_or_else(|| format!("`{}` cannot be read", path.display()))?;
            let lines = Lines::new(&text, self.units);
            let changes: Vec<Value> =
                ranges.iter().map(|(start, end)| json!({ "range": lines.range(*start..*end), "newText": name })).collect();
            edits.insert(uri_of(path), json!(changes));
            let mut new = text.clone();
            for (start, end) in ranges.iter().rev() {
                new.replace_range(*start..*end, name);
            }
            texts.insert(path.clone(), new);
        }
        let errors = |analysis: &Analysis| analysis.diagnostics.iter().filter(|d| d.is_error()).cloned().collect::<Vec<Diagnostic>>();
        let mut checked: Vec<PathBuf> = places.keys().cloned().collect();
        checked.extend(self.files().into_iter().filter(|file| !places.keys().any(|known| same(known, file))));
        for file in checked {
            let before = self.analysis(&file).map_or(0, |analysis| errors(&analysis).len());
            let after = self.trial(&file, &texts, false).map_or_else(Vec::new, |analysis| errors(&analysis));
            if before > 0 && places.contains_key(&file) {
                return Err(format!("`{}` has mistakes: mend them first, so that no use of the name is missed", file.display()));
            }
            if let Some(new) = after.last().filter(|_| after.len() > before) {
                return Err(format!("`{name}` would not do: {}", new.message));
            }
        }
        Ok(json!({ "changes": edits }))
    }

    pub(super) fn symbols(&mut self, path: &Path) -> Option<Value> {
        let analysis = self.analysis(path)?;
        let lines = Lines::new(analysis.text(), self.units);
        let symbol = |name: &Name, kind: u8, whole: Span, detail: &str, children: Vec<Value>| {
            // an editor wants the name inside the whole
            let whole = whole.to(name.span);
            json!({ "name": &*name.text, "kind": kind, "detail": detail, "range": lines.range(whole.range()), "selectionRange": lines.range(name.span.range()), "children": children })
        };
        let line = |name: &Name, whole: Span| {
            let seen = analysis.index.bindings.get(&(name.span.file.0, name.span.start));
            symbol(name, 13, whole, &seen.map_or(String::new(), |(_, seen)| seen.ty.to_string()), Vec::new())
        };
        let symbols = analysis.tree().items.iter().filter_map(|item| {
            let name = item_name(item)?;
            let children = match &item.kind {
                ItemKind::Recipe(recipe) => recipe
                    .body
                    .iter()
                    .filter_map(|s| if let StatementKind::Bind { name, .. } = &s.kind { Some(line(name, s.span)) } else { None })
                    .collect(),
                ItemKind::Stage(stage) => stage.binds.iter().map(|bind| line(&bind.name, bind.name.span.to(bind.value.span))).collect(),
                _ => Vec::new(),
            };
            let (kind, detail) = match kind_of(item) {
                Some(Meant::Function) => (12, "fn"),
                Some(Meant::Stage) => (12, "stage"),
                Some(Meant::Objective) => (5, "objective"),
                Some(Meant::Type) => (23, "type"),
                Some(Meant::Param) => (14, "param"),
                Some(Meant::Recipe) => (2, "recipe"),
                _ => (3, "profile"),
            };
            Some(symbol(name, kind, item.span, detail, children))
        });
        Some(symbols.collect())
    }

    pub(super) fn format(&mut self, path: &Path) -> Option<Value> {
        let analysis = self.analysis(path)?;
        let text = analysis.text();
        let new = crate::syntax::format(analysis.file, text).ok()?;
        if new == text {
            return Some(json!([]));
        }
        let lines = Lines::new(text, self.units);
        // only the lines that differ: a cursor elsewhere stays where it is
        let head =
            text.split_inclusive('\n').zip(new.split_inclusive('\n')).take_while(|(a, b)| a == b).map(|(a, _)| a.len()).sum::<usize>();
        let (old_rest, new_rest) = (&text[head..], &new[head..]);
        let tail: usize = old_rest
            .split_inclusive('\n')
            .rev()
            .zip(new_rest.split_inclusive('\n').rev())
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a.len())
            .sum();
        let edit = json!({ "range": lines.range(head..text.len() - tail), "newText": &new_rest[..new_rest.len() - tail] });
        Some(json!([edit]))
    }
}
