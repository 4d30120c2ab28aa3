//! What a name is, in a few lines of Markdown: hover, and the details of what may be completed.

use std::fmt::Write;
use std::sync::Arc;

use crate::plan::Shelf;
use crate::recipe::index::{Meant, Reference, Seen, kind_of};
use crate::recipe::library::item_name;
use crate::run::{Store, plain};
use crate::syntax::span::Span;
use crate::syntax::tree::{Binder, Field, Item, ItemKind, Statement, StatementKind};
use crate::syntax::walk::{self, Part};

use super::state::Analysis;

/// The head of an item, as its author wrote it: everything before its body.
pub(super) fn head(text: &str, item: &Item) -> String {
    let end = match &item.kind {
        ItemKind::Fn(f) => f.body.span.start,
        ItemKind::Objective(o) => o.body.first().map_or(item.span.end, |line| line.span.start),
        ItemKind::Stage(s) => s.binds.first().map_or(s.result.span.start, |bind| bind.name.span.start),
        ItemKind::Recipe(r) => r.body.first().map_or(item.span.end, |statement| statement.span.start),
        _ => item.span.end,
    };
    let whole = text.get(item.span.start as usize..end as usize).unwrap_or_default();
    let lines = whole.lines().filter(|line| !line.trim_start().starts_with("//"));
    let head = lines.collect::<Vec<_>>().join("\n");
    let head = head.trim();
    match &item.kind {
        ItemKind::Fn(_) => head.trim_end_matches('=').trim_end().to_owned(),
        ItemKind::Objective(_) | ItemKind::Stage(_) | ItemKind::Recipe(_) => head.trim_end_matches('{').trim_end().to_owned(),
        _ => head.to_owned(),
    }
}

fn code(text: &str) -> String {
    format!("```align\n{text}\n```\n")
}

impl Analysis {
    /// The item whose name stands at a place.
    pub(super) fn item_at(&self, name: Span) -> Option<&Item> {
        let module = &self.library.modules[self.module(name.file)?];
        module.tree.items.iter().find(|item| item_name(item).is_some_and(|found| found.span == name))
    }

    /// What the name at a byte of the file refers to, and the name's own place.
    pub(super) fn reference_at(&self, byte: usize) -> Option<(Span, Reference)> {
        let inside = |span: &Span| span.file == self.file && span.start as usize <= byte && byte <= span.end as usize;
        let used = self.index.references.iter().filter(|(span, _)| inside(span)).min_by_key(|(span, _)| span.end - span.start);
        used.map(|(span, reference)| (*span, *reference)).or_else(|| {
            let (span, meant) = self.definitions().into_iter().find(|(span, _)| inside(span))?;
            Some((span, Reference { to: span, meant }))
        })
    }

    /// Every name that this file defines.
    pub(super) fn definitions(&self) -> Vec<(Span, Meant)> {
        let mut found = Vec::new();
        for item in &self.tree().items {
            found.extend(item_name(item).zip(kind_of(item)).map(|(name, meant)| (name.span, meant)));
            if let ItemKind::Param(_) = item.kind {
                continue;
            }
            if let ItemKind::Stage(stage) = &item.kind {
                found.extend(stage.binds.iter().map(|bind| (bind.name.span, Meant::Binding)));
            }
            walk::item(item, &mut |part| match part {
                Part::Binder(binder) => found.push((binder.name.span, Meant::Parameter)),
                Part::Field(Field::Named { name, .. }) => found.push((name.span, Meant::Parameter)),
                Part::Statement(Statement { kind: StatementKind::Bind { name, .. }, .. }) => found.push((name.span, Meant::Binding)),
                _ => {}
            });
        }
        // names that only elaborating meets: lines of objectives, counters of loops
        let here = |span: &Span| span.file == self.file;
        found.extend(
            self.index.references.values().filter(|reference| here(&reference.to)).map(|reference| (reference.to, reference.meant)),
        );
        found.sort_by_key(|(span, _)| (span.start, span.end));
        found.dedup_by_key(|(span, _)| *span);
        found
    }

    /// A parameter or field of a record type, by its name's place.
    fn parameter(&self, name: Span) -> Option<(String, String)> {
        let module = &self.library.modules[self.module(name.file)?];
        let mut found = None;
        for item in &module.tree.items {
            walk::item(item, &mut |part| match part {
                Part::Binder(Binder { doc, span, name: own, .. }) if own.span == name => {
                    found = Some((self.slice(*span).to_owned(), doc.clone()));
                }
                Part::Field(Field::Named { doc, name: own, ty, default }) if own.span == name => {
                    let end = default.as_ref().map_or(ty.span, |default| default.span);
                    found = Some((self.slice(own.span.to(end)).to_owned(), doc.clone()));
                }
                _ => {}
            });
        }
        let (text, doc) = found?;
        let bare: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        Some((bare.join("\n").trim().to_owned(), doc))
    }

    /// The doc comment of a recipe's line, by its name's place.
    fn line_doc(&self, name: Span) -> Option<String> {
        let module = &self.library.modules[self.module(name.file)?];
        let mut found = None;
        for item in &module.tree.items {
            walk::item(item, &mut |part| {
                if let Part::Statement(Statement { doc, kind: StatementKind::Bind { name: own, .. }, .. }) = part {
                    if own.span == name && !doc.is_empty() {
                        found = Some(doc.clone());
                    }
                }
            });
        }
        found
    }

    /// What is known of a place: the name's meaning, else the type of the smallest expression around it.
    pub(super) fn hover(&self, byte: usize) -> Option<(Span, String)> {
        if let Some((span, reference)) = self.reference_at(byte) {
            if let Some(text) = self.described(span, reference) {
                return Some((span, text));
            }
        }
        let inside = |span: &Span| span.file == self.file && span.start as usize <= byte && byte < span.end as usize;
        let (span, seen) = self.index.values.iter().filter(|(span, _)| inside(span)).min_by_key(|(span, _)| span.end - span.start)?;
        let written = self.slice(*span);
        let name = if written.len() < 40 && !written.contains('\n') && seen.shown.as_deref() != Some(written) { written } else { "_" };
        Some((*span, self.typed(name, seen)))
    }

    fn described(&self, span: Span, reference: Reference) -> Option<String> {
        let name = self.slice(reference.to);
        match reference.meant {
            Meant::Binding => {
                let (_, seen) = self.index.bindings.get(&(reference.to.file.0, reference.to.start))?;
                let doc = self.line_doc(reference.to).map_or(String::new(), |doc| format!("\n{doc}\n"));
                Some(self.typed(name, seen) + &doc)
            }
            Meant::Parameter => {
                let (text, doc) = self.parameter(reference.to)?;
                let value = self.index.values.get(&span).and_then(|seen| seen.shown.as_ref());
                let value = value.map_or(String::new(), |value| format!("\nHere it is `{value}`.\n"));
                Some(code(&text) + &doc + &value)
            }
            _ => {
                let item = self.item_at(reference.to)?;
                let mut text = code(&head(&self.sources.get(reference.to.file).text, item));
                text += &item.doc;
                if let Some(value) =
                    self.index.values.get(&span).and_then(|seen| seen.shown.as_ref()).filter(|_| reference.meant == Meant::Param)
                {
                    write!(text, "\n\nHere it is `{value}`.").expect("a string takes every text");
                }
                let module = self.library.modules[self.module(reference.to.file)?].std;
                Some(text + &module.map_or(String::new(), |module| format!("\n\n_std.{module}_\n")))
            }
        }
    }

    fn typed(&self, name: &str, seen: &Seen) -> String {
        let mut line = format!("{name}: {}", seen.ty);
        if !seen.extras.is_empty() {
            let extras: Vec<String> = seen.extras.iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
            write!(line, " with {{ {} }}", extras.join(", ")).expect("a string takes every text");
        }
        if let Some(value) = &seen.shown {
            write!(line, " = {value}").expect("a string takes every text");
        }
        code(&line) + &self.last_run(seen)
    }

    /// The numbers of the last run of a binding's stage, if there was one.
    fn last_run(&self, seen: &Seen) -> String {
        let found = || {
            let checked = self.checked.first()?;
            let stage = checked.stages.get(seen.stage?)?;
            let store = Store::new(&self.path.parent()?.canonicalize().ok()?);
            let past = store.past(&checked.name, &stage.name)?;
            let number = |name: &Arc<str>| Some(format!("{name} {}", plain(&store.value(&past.fingerprint, std::slice::from_ref(name))?)));
            let mut numbers: Vec<String> = seen.extras.iter().filter_map(|(name, _)| number(name)).collect();
            numbers.extend(store.value(&past.fingerprint, &[]).map(|cell| plain(&cell)));
            let numbers = if numbers.is_empty() { String::new() } else { format!(": {}", numbers.join(", ")) };
            Some(format!("\nLast made {} in {:.1} s{numbers}\n", past.finished, past.seconds))
        };
        found().unwrap_or_default()
    }
}
