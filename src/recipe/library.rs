//! Every file that takes part in a check: the recipe, what it `use`s, and the standard library; and which names each sees.
//!
//! All files of the standard library see each other and the prelude. Any other file sees the prelude, its own items
//! and what its `use` lines name.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::syntax::span::{FileId, Span};
use crate::syntax::tree::{File, Item, ItemKind, Name, UseSource};
use crate::world::Sources;

use super::memory::Memory;
use super::mistake::Mistake;

/// The standard library's texts, embedded: name and text.
pub const STDLIB: &[(&str, &str)] = &[
    ("prelude", include_str!("../../stdlib/prelude.align")),
    ("data", include_str!("../../stdlib/data.align")),
    ("sft", include_str!("../../stdlib/sft.align")),
    ("reward", include_str!("../../stdlib/reward.align")),
    ("preference", include_str!("../../stdlib/preference.align")),
    ("rl", include_str!("../../stdlib/rl.align")),
    ("distill", include_str!("../../stdlib/distill.align")),
    ("constitutional", include_str!("../../stdlib/constitutional.align")),
    ("iterate", include_str!("../../stdlib/iterate.align")),
    ("active", include_str!("../../stdlib/active.align")),
    ("safe", include_str!("../../stdlib/safe.align")),
    ("values", include_str!("../../stdlib/values.align")),
    ("overopt", include_str!("../../stdlib/overopt.align")),
    ("harm", include_str!("../../stdlib/harm.align")),
    ("redteam", include_str!("../../stdlib/redteam.align")),
    ("judge", include_str!("../../stdlib/judge.align")),
    ("protocols", include_str!("../../stdlib/protocols.align")),
    ("evidence", include_str!("../../stdlib/evidence.align")),
    ("interpret", include_str!("../../stdlib/interpret.align")),
    ("release", include_str!("../../stdlib/release.align")),
];

/// The place of a file in [`Library::modules`].
pub type ModuleId = usize;

/// An item and the file it is in.
#[derive(Clone, Copy, Debug)]
pub struct ItemRef<'a> {
    pub module: ModuleId,
    pub item: &'a Item,
}

#[derive(Debug)]
pub struct Module {
    pub file: FileId,
    /// `Some("harm")` for `std.harm`.
    pub std: Option<&'static str>,
    pub tree: Arc<File>,
    /// Paths as written in its `use` lines.
    files: BTreeMap<String, ModuleId>,
    /// Name → module and place of the item, for everything this file can see.
    visible: BTreeMap<Arc<str>, (ModuleId, usize)>,
}

#[derive(Default, Debug)]
pub struct Library {
    pub modules: Vec<Module>,
    by_path: BTreeMap<PathBuf, ModuleId>,
    pub diagnostics: Vec<Diagnostic>,
}

/// The name an item goes by.
pub fn item_name(item: &Item) -> Option<&Name> {
    match &item.kind {
        ItemKind::Use(_) => None,
        ItemKind::Param(binder) => Some(&binder.name),
        ItemKind::Type(x) => Some(&x.name),
        ItemKind::Fn(x) => Some(&x.name),
        ItemKind::Objective(x) => Some(&x.name),
        ItemKind::Stage(x) => Some(&x.signature.name),
        ItemKind::ExternType { name, .. } => Some(name),
        ItemKind::ExternFn(x) | ItemKind::ExternStage(x) => Some(&x.name),
        ItemKind::Recipe(x) => Some(&x.name),
        ItemKind::Profile(x) => Some(&x.name),
    }
}

impl Library {
    /// Parses the standard library and `root` with everything it uses. The root is the last module.
    pub fn load(sources: &mut Sources, root: FileId, memory: &mut Memory) -> Self {
        let mut library = Self::default();
        for (name, text) in STDLIB {
            let file = sources.add(format!("std/{name}.align"), *text, None);
            library.parse(sources, file, Some(name), memory);
        }
        let name = PathBuf::from(&sources.get(root).name);
        let root = library.parse(sources, root, None, memory);
        library.by_path.insert(name.canonicalize().unwrap_or(name), root);
        library.follow(sources, root, &mut Vec::new(), memory);
        for module in 0..library.modules.len() {
            library.link(module);
        }
        library
    }

    /// The module of the recipe file.
    pub fn root(&self) -> ModuleId {
        STDLIB.len()
    }

    fn parse(&mut self, sources: &Sources, file: FileId, std: Option<&'static str>, memory: &mut Memory) -> ModuleId {
        let (tree, diagnostics) = memory.tree(file, &sources.get(file).text);
        self.diagnostics.extend(diagnostics);
        self.modules.push(Module { file, std, tree, files: BTreeMap::new(), visible: BTreeMap::new() });
        self.modules.len() - 1
    }

    /// Reads the files that `module` uses, depth first; `chain` holds the files being read, to name a cycle.
    fn follow(&mut self, sources: &mut Sources, module: ModuleId, chain: &mut Vec<ModuleId>, memory: &mut Memory) {
        chain.push(module);
        let files: Vec<(String, Span)> = uses(&self.modules[module].tree)
            .filter_map(|u| match &u.source {
                UseSource::File { path, span } => Some((path.clone(), *span)),
                UseSource::Path(_) => None,
            })
            .collect();
        for (path, span) in files {
            self.follow_one(sources, module, (&path, span), chain, memory);
        }
        chain.pop();
    }

    fn follow_one(
        &mut self,
        sources: &mut Sources,
        from: ModuleId,
        (path, span): (&str, Span),
        chain: &mut Vec<ModuleId>,
        memory: &mut Memory,
    ) {
        let folder = sources.get(self.modules[from].file).folder.clone().unwrap_or_default();
        let full = folder.join(path);
        let key = full.canonicalize().unwrap_or_else(|_| full.clone());
        if let Some(known) = self.by_path.get(&key).copied() {
            self.modules[from].files.insert(path.to_owned(), known);
            if let Some(at) = chain.iter().position(|m| *m == known) {
                let files = chain[at..].iter().map(|m| sources.get(self.modules[*m].file).name.clone()).collect();
                self.report(Mistake::UseCycle { files, span });
            }
            return;
        }
        match sources.read(&full) {
            Ok(file) => {
                let module = self.parse(sources, file, None, memory);
                self.by_path.insert(key, module);
                self.modules[from].files.insert(path.to_owned(), module);
                self.follow(sources, module, chain, memory);
            }
            Err(error) => self.report(Mistake::UnreadableUse { path: path.to_owned(), error: error.to_string(), span }),
        }
    }

    fn report(&mut self, mistake: Mistake) {
        self.diagnostics.push(mistake.diagnostic());
    }

    /// Works out what a module sees.
    fn link(&mut self, module: ModuleId) {
        let mut visible = BTreeMap::new();
        let is_std = self.modules[module].std.is_some();
        for (other, m) in self.modules.iter().enumerate().take(STDLIB.len()) {
            if is_std || m.std == Some("prelude") {
                visible.extend(own_items(&m.tree).map(|(name, at)| (name.text.clone(), (other, at))));
            }
        }
        let mut mistakes = Vec::new();
        for used in uses(&self.modules[module].tree) {
            self.import(&used.source, &used.names, module, &mut visible, &mut mistakes);
        }
        let mut seen: BTreeMap<Arc<str>, Span> = BTreeMap::new();
        for (name, at) in own_items(&self.modules[module].tree) {
            if let Some(first) = seen.insert(name.text.clone(), name.span) {
                mistakes.push(Mistake::DefinedTwice { name: name.text.clone(), span: name.span, first });
            }
            visible.insert(name.text.clone(), (module, at));
        }
        self.modules[module].visible = visible;
        for mistake in mistakes {
            self.report(mistake);
        }
    }

    fn import(
        &self,
        source: &UseSource,
        names: &[Name],
        module: ModuleId,
        visible: &mut BTreeMap<Arc<str>, (ModuleId, usize)>,
        mistakes: &mut Vec<Mistake>,
    ) {
        let (candidates, wanted): (Vec<ModuleId>, &[Name]) = match source {
            UseSource::File { path, .. } => match self.modules[module].files.get(path) {
                Some(id) => (vec![*id], names),
                None => return,
            },
            UseSource::Path(path) => match self.std_path(path, names) {
                Ok(found) => found,
                Err(mistake) => return mistakes.push(mistake),
            },
        };
        for name in wanted {
            let found = candidates
                .iter()
                .find_map(|m| own_items(&self.modules[*m].tree).find(|(n, _)| n.text == name.text).map(|(_, at)| (*m, at)));
            match found {
                Some(_) if name.text.starts_with('_') => mistakes.push(Mistake::PrivateItem { name: name.text.clone(), span: name.span }),
                Some(place) => {
                    visible.insert(name.text.clone(), place);
                }
                None => {
                    let names = candidates.iter().flat_map(|m| own_items(&self.modules[*m].tree)).map(|(n, _)| n.text.clone()).collect();
                    mistakes.push(Mistake::UnknownImport { name: name.text.clone(), span: name.span, known: names });
                }
            }
        }
    }

    /// `std.{a, b}`, `std.harm.{a}`, `std.harm.a`, `std.a`: the files to look in and the names to take.
    fn std_path<'p>(&self, path: &'p [Name], names: &'p [Name]) -> Result<(Vec<ModuleId>, &'p [Name]), Mistake> {
        let first = &path[0];
        if &*first.text != "std" {
            return Err(Mistake::UnknownModule { name: first.text.clone(), span: first.span });
        }
        let all: Vec<ModuleId> = (0..STDLIB.len()).collect();
        let module = |name: &Name| STDLIB.iter().position(|(n, _)| *n == &*name.text).map(|at| vec![at]);
        let (rest, wanted) =
            if names.is_empty() { (&path[1..path.len().max(2) - 1], &path[path.len() - 1..]) } else { (&path[1..], names) };
        match rest {
            [] if path.len() > 1 || !names.is_empty() => Ok((all, wanted)),
            [name] => module(name).map(|m| (m, wanted)).ok_or_else(|| Mistake::UnknownModule { name: name.text.clone(), span: name.span }),
            _ => Err(Mistake::UnknownModule { name: path[path.len() - 1].text.clone(), span: path[path.len() - 1].span }),
        }
    }

    /// The item that `module` means by `name`.
    pub fn find(&self, module: ModuleId, name: &str) -> Option<ItemRef<'_>> {
        let (module, at) = *self.modules[module].visible.get(name)?;
        Some(ItemRef { module, item: &self.modules[module].tree.items[at] })
    }

    /// Every name that `module` sees.
    pub fn names(&self, module: ModuleId) -> impl Iterator<Item = &Arc<str>> {
        self.modules[module].visible.keys()
    }

    /// Where the standard library has an item that `name` could mean: `std.preference`.
    pub fn in_std(&self, name: &str) -> Option<&'static str> {
        self.modules.iter().take(STDLIB.len()).find(|m| own_items(&m.tree).any(|(n, _)| &*n.text == name)).and_then(|m| m.std)
    }

    /// Whether a line that could not be read would have bound `name`: its loss was reported already.
    pub fn is_broken(&self, module: ModuleId, name: &str) -> bool {
        self.modules[module].tree.broken.iter().any(|n| &*n.text == name)
    }

    /// Whether a span lies in the standard library.
    pub fn is_std(&self, span: Span) -> bool {
        self.modules.iter().any(|m| m.file == span.file && m.std.is_some())
    }
}

fn uses(tree: &File) -> impl Iterator<Item = &crate::syntax::tree::Use> {
    tree.items.iter().filter_map(|item| match &item.kind {
        ItemKind::Use(u) => Some(u),
        _ => None,
    })
}

fn own_items(tree: &File) -> impl Iterator<Item = (&Name, usize)> {
    tree.items.iter().enumerate().filter_map(|(at, item)| item_name(item).map(|name| (name, at)))
}
