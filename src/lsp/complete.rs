//! What could stand at a cursor. A name that nobody writes is put there and the file is checked: the checker itself
//! says which names, columns, fields and words it would have taken.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::recipe::index::{CURSOR, Meant, Wanted, kind_of, takes};
use crate::recipe::library::{STDLIB, item_name};
use crate::recipe::types::Type;
use crate::syntax::tree::{Binder, Field, Item, ItemKind, TypeKind};

use super::around::{Around, word_at, word_before};
use super::describe::head;
use super::state::{Analysis, State};

/// Kinds of completions, by the protocol's numbers.
mod kind {
    pub const FUNCTION: u8 = 3;
    pub const FIELD: u8 = 5;
    pub const VARIABLE: u8 = 6;
    pub const CLASS: u8 = 7;
    pub const PROPERTY: u8 = 10;
    pub const KEYWORD: u8 = 14;
    pub const FILE: u8 = 17;
    pub const WORD: u8 = 20;
}

const ITEMS: &[&str] = &["use", "param", "type", "fn", "objective", "stage", "recipe", "profile"];
const STATEMENTS: &[&str] = &["expect", "export", "gate", "loss", "metric", "state", "limit", "repeat", "sweep"];

/// A list of completions in the making: a name stands in it once.
#[derive(Default)]
struct List {
    seen: BTreeSet<String>,
    items: Vec<Value>,
}

impl List {
    fn add(&mut self, label: &str, kind: u8, detail: &str, doc: &str, insert: &str) {
        if label != CURSOR && self.seen.insert(label.to_owned()) {
            let order = format!("{:04}", self.items.len());
            let doc = json!({ "kind": "markdown", "value": doc });
            self.items.push(
                json!({ "label": label, "kind": kind, "detail": detail, "documentation": doc, "insertText": insert, "sortText": order }),
            );
        }
    }

    fn plain(&mut self, label: &str, kind: u8, detail: &str) {
        self.add(label, kind, detail, "", label);
    }
}

impl State {
    /// Completions at a byte of a file.
    pub(super) fn complete(&mut self, path: &Path, byte: usize) -> Option<Value> {
        let analysis = self.analysis(path)?;
        let text = analysis.text().to_owned();
        let around = Around::new(&text, byte);
        let mut list = List::default();
        if around.comment {
            return Some(json!([]));
        }
        if let Some(start) = around.text {
            files(path, &text, start, byte, &around, &mut list);
            return Some(json!(list.items));
        }
        let word = word_at(&text, byte);
        let line = text[..word.start].rfind('\n').map_or(0, |at| at + 1);
        if text[line..word.start].trim_start().starts_with("use ") {
            imports(&analysis, &text[line..word.start], &mut list);
            return Some(json!(list.items));
        }
        if columns_of_file(path, &text, word.start, &around, &mut list) {
            return Some(json!(list.items));
        }
        let trial = format!("{}{CURSOR}{}", &text[..word.start], &text[word.end..]);
        let trial = self.trial(path, &BTreeMap::from([(path.to_owned(), trial)]), true)?;
        let before = text[..word.start].trim_end();
        let begins = text[line..word.start].trim().is_empty();
        let nothing = trial.index.wanted.is_none();
        let wants_type = nothing && (before.ends_with([':', '<']) || before.ends_with("->") || word_before(&text, word.start) == "as");
        arguments(&trial, &mut list);
        match &trial.index.wanted {
            _ if wants_type => types(&trial, &mut list),
            Some(Wanted::Column(row)) => row.iter().for_each(|(name, ty)| list.plain(name, kind::FIELD, &ty.to_string())),
            Some(Wanted::Member { of, fields, module }) => members(&trial, of, fields, *module, &mut list),
            Some(Wanted::Value { names, words, module }) => {
                words.iter().for_each(|word| list.plain(word, kind::WORD, "one of the words asked for here"));
                for (name, ty) in names {
                    let ty = ty.clone().or_else(|| binding_type(&trial, name));
                    list.plain(name, kind::VARIABLE, &ty.map_or(String::new(), |ty| ty.to_string()));
                }
                values(&trial, *module, &mut list);
            }
            None if before.ends_with('.') => {}
            None => {
                if around.open.is_empty() && begins {
                    ITEMS.iter().for_each(|word| list.plain(word, kind::KEYWORD, ""));
                } else {
                    if begins {
                        STATEMENTS.iter().for_each(|word| list.plain(word, kind::KEYWORD, ""));
                    }
                    for (name, seen) in trial.index.bindings.values() {
                        list.plain(name, kind::VARIABLE, &seen.ty.to_string());
                    }
                    values(&trial, trial.library.root(), &mut list);
                }
            }
        }
        Some(json!(list.items))
    }

    /// The head of the call around a byte, and which of its parameters is being written.
    pub(super) fn signature(&mut self, path: &Path, byte: usize) -> Option<Value> {
        let analysis = self.analysis(path)?;
        let text = analysis.text();
        let around = Around::new(text, byte);
        let (name, open) = around.call(text)?;
        let found = analysis.library.find(analysis.library.root(), name)?;
        let params = params(found.item)?;
        let file = analysis.library.modules[found.module].file;
        let source = &analysis.sources.get(file).text;
        let head = head(source, found.item);
        let labels: Vec<Value> = params
            .iter()
            .map(|param| {
                let written = analysis.slice(param.span);
                let bare: Vec<&str> = written.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
                json!({ "label": bare.join("\n").trim(), "documentation": param.doc })
            })
            .collect();
        let before = text[..open.at - name.len()].trim_end();
        let receiver = usize::from(before.ends_with('.'));
        let argument = text.get(open.argument..byte).unwrap_or_default().trim_start();
        let named = argument.split_once(':').map(|(name, _)| name.trim());
        let named = named.filter(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        let rest = params.iter().position(|param| param.rest);
        let active = match named {
            Some(name) => params.iter().position(|param| *param.name.text == *name).or(rest),
            None => Some(open.commas + receiver).filter(|at| params.get(*at).is_some_and(|param| !param.rest)).or(rest),
        };
        let doc = json!({ "kind": "markdown", "value": found.item.doc });
        let signature = json!({ "label": head, "documentation": doc, "parameters": labels, "activeParameter": active });
        Some(json!({ "signatures": [signature], "activeSignature": 0, "activeParameter": active }))
    }
}

/// The parameters of what can be called.
pub(super) fn params(item: &Item) -> Option<&[Binder]> {
    match &item.kind {
        ItemKind::Fn(x) => Some(&x.params),
        ItemKind::Objective(x) => Some(&x.params),
        ItemKind::Stage(x) => Some(&x.signature.params),
        ItemKind::ExternFn(x) | ItemKind::ExternStage(x) => Some(&x.params),
        _ => None,
    }
}

/// Names of the call's parameters and options that were not given yet.
fn arguments(trial: &Analysis, list: &mut List) {
    let Some((declared, given)) = &trial.index.call else { return };
    let Some(item) = trial.item_at(*declared) else { return };
    let Some(module) = trial.module(declared.file) else { return };
    let mut add = |name: &Arc<str>, ty: &str, doc: &str| {
        if !given.contains(name) {
            list.add(&format!("{name}:"), kind::PROPERTY, ty, doc, &format!("{name}: "));
        }
    };
    for param in params(item).into_iter().flatten() {
        let Some(ty) = &param.ty else { continue };
        if !param.rest {
            add(&param.name.text, trial.slice(ty.span), &param.doc);
            continue;
        }
        for (home, field) in options(trial, module, ty) {
            if let Field::Named { name, ty, doc, .. } = field {
                let file = trial.library.modules[home].file;
                add(&name.text, trial.sources.get(file).text.get(ty.span.range()).unwrap_or_default(), doc);
            }
        }
    }
}

/// The fields of an options record.
fn options<'t>(trial: &'t Analysis, module: usize, ty: &'t crate::syntax::tree::TypeExpr) -> Vec<(usize, &'t Field)> {
    match &ty.kind {
        TypeKind::Record(fields) => fields.iter().map(|field| (module, field)).collect(),
        TypeKind::Named { name, .. } => match trial.library.find(module, &name.text) {
            Some(found) => match &found.item.kind {
                ItemKind::Type(alias) => options(trial, found.module, &alias.ty),
                _ => Vec::new(),
            },
            None => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The type of a binding whose line was worked out, though not yet when the cursor was met.
fn binding_type(trial: &Analysis, name: &Arc<str>) -> Option<Type> {
    trial.index.bindings.values().find(|(found, _)| found == name).map(|(_, seen)| seen.ty.clone())
}

/// Params, functions, stages and objectives that a module sees, and the words of the language.
fn values(trial: &Analysis, module: usize, list: &mut List) {
    for name in trial.library.names(module) {
        let Some(found) = trial.library.find(module, name) else { continue };
        let source = &trial.sources.get(trial.library.modules[found.module].file).text;
        match kind_of(found.item) {
            Some(Meant::Param) => list.add(name, kind::VARIABLE, &head(source, found.item), &found.item.doc, name),
            Some(Meant::Function | Meant::Stage | Meant::Objective) => {
                list.add(name, kind::FUNCTION, &head(source, found.item), &found.item.doc, name);
            }
            _ => {}
        }
    }
    ["if", "not", "none", "true", "false"].iter().for_each(|word| list.plain(word, kind::KEYWORD, ""));
}

/// What may follow a dot: fields, and functions that take the value first.
fn members(trial: &Analysis, of: &Type, fields: &[(Arc<str>, Type)], module: usize, list: &mut List) {
    fields.iter().for_each(|(name, ty)| list.plain(name, kind::FIELD, &ty.to_string()));
    for name in trial.library.names(module) {
        let Some(found) = trial.library.find(module, name) else { continue };
        let first = params(found.item).and_then(|params| params.first()).and_then(|param| param.ty.as_ref());
        if first.is_some_and(|first| takes(&trial.library, found, first, of)) {
            let source = &trial.sources.get(trial.library.modules[found.module].file).text;
            list.add(name, kind::FUNCTION, &head(source, found.item), &found.item.doc, name);
        }
    }
}

fn types(trial: &Analysis, list: &mut List) {
    let module = trial.library.root();
    for name in trial.library.names(module) {
        let Some(found) = trial.library.find(module, name) else { continue };
        if kind_of(found.item) == Some(Meant::Type) {
            let source = &trial.sources.get(trial.library.modules[found.module].file).text;
            list.add(name, kind::CLASS, &head(source, found.item), &found.item.doc, name);
        }
    }
}

/// Behind `use`: modules and items of the standard library, or the items of a file.
fn imports(analysis: &Analysis, before: &str, list: &mut List) {
    let wanted = before.trim_start().trim_start_matches("use").trim_start();
    let only = STDLIB.iter().position(|(name, _)| wanted.starts_with(&format!("std.{name}.")));
    let file = wanted.strip_prefix('"').and_then(|rest| rest.split_once('"')).map(|(path, _)| path);
    let root = &analysis.library.modules[analysis.library.root()];
    for (at, module) in analysis.library.modules.iter().enumerate() {
        let named = analysis.sources.get(module.file).name.as_str();
        let included = match (file, only) {
            (Some(path), _) => module.std.is_none() && module.file != root.file && Path::new(named).ends_with(path),
            (None, Some(only)) => at == only,
            (None, None) => module.std.is_some_and(|std| std != "prelude"),
        };
        if !included {
            continue;
        }
        let text = &analysis.sources.get(module.file).text;
        for item in &module.tree.items {
            if let Some(name) = item_name(item).filter(|name| !name.text.starts_with('_')) {
                list.add(&name.text, kind::FUNCTION, &head(text, item), &item.doc, &name.text);
            }
        }
        if let (None, None, Some(std)) = (file, only, module.std) {
            list.plain(std, kind::CLASS, "a file of the standard library");
        }
    }
    if wanted.is_empty() {
        list.plain("std", kind::CLASS, "the standard library");
    }
}

/// Columns of the actual file behind `load_data("…") as {`.
fn columns_of_file(path: &Path, text: &str, at: usize, around: &Around, list: &mut List) -> bool {
    let Some(open) = around.open.last().filter(|open| open.bracket == '{') else { return false };
    let before = text[..open.at].trim_end();
    let Some(before) = before.strip_suffix("as").map(str::trim_end) else { return false };
    let Some(quoted) = before.strip_suffix(')').and_then(|rest| rest.rsplit_once("load_data(")).map(|(_, quoted)| quoted.trim()) else {
        return false;
    };
    if text[open.argument..at].contains(':') {
        return false;
    }
    let Some(name) = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let Ok(row) = crate::data::schema(&path.with_file_name("").join(name)) else { return false };
    for (name, ty) in row {
        list.add(&name, kind::FIELD, &ty.to_string(), "", &format!("{name}: {ty}"));
    }
    true
}

/// Files, inside a text that is a path.
fn files(path: &Path, text: &str, start: usize, byte: usize, around: &Around, list: &mut List) {
    let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let is_use = text[line..start].trim_start().starts_with("use ");
    let loads = around.call(text).is_some_and(|(name, _)| name.starts_with("load_"));
    if !is_use && !loads {
        return;
    }
    let written = &text[start..byte];
    let folder = written.rsplit_once('/').map_or("", |(folder, _)| folder);
    let entries = std::fs::read_dir(path.with_file_name("").join(folder)).into_iter().flatten().flatten();
    let mut names: Vec<(String, bool)> =
        entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path().is_dir())).collect();
    names.sort();
    for (name, is_folder) in names.into_iter().filter(|(name, _)| !name.starts_with('.')) {
        if is_folder || !is_use || name.ends_with(".align") {
            list.plain(&if is_folder { format!("{name}/") } else { name }, kind::FILE, "");
        }
    }
}
