//! What is open, and what the checker says of it: one look at a file for each state of the open texts.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::durable::{self, HashCache};
use crate::recipe::library::{Library, STDLIB};
use crate::recipe::{Index, Look, Memory, Options, look};
use crate::run::Store;
use crate::syntax::span::{FileId, Span};
use crate::syntax::tree::{File, ItemKind};
use crate::world::{Sources, cache_folder};

use super::place::Units;

/// An open text.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) text: Arc<str>,
    pub(super) version: i64,
}

/// The server's memory.
#[derive(Debug)]
pub(super) struct State {
    pub(super) units: Units,
    pub(super) open: BTreeMap<PathBuf, Document>,
    /// Where the editor works.
    pub(super) folders: Vec<PathBuf>,
    /// Where the standard library's files were written, so that an editor can open them.
    library: Option<PathBuf>,
    memories: HashMap<PathBuf, Memory>,
    cursor_memory: Memory,
    known: HashMap<PathBuf, Rc<Analysis>>,
    /// By a recipe's folder: what was made there, and what is known of files outside.
    stores: HashMap<PathBuf, (Store, HashCache)>,
}

/// One file and everything that it uses, looked at.
#[derive(Debug)]
pub(super) struct Analysis {
    pub(super) path: PathBuf,
    pub(super) sources: Sources,
    pub(super) file: FileId,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) index: Index,
    pub(super) library: Library,
    /// One for every recipe of the file that is sound.
    pub(super) checked: Vec<crate::recipe::checked::Checked>,
}

impl Analysis {
    /// The text that was looked at.
    pub(super) fn text(&self) -> &str {
        &self.sources.get(self.file).text
    }

    pub(super) fn tree(&self) -> &File {
        &self.library.modules[self.library.root()].tree
    }

    /// The module of a file.
    pub(super) fn module(&self, file: FileId) -> Option<usize> {
        self.library.modules.iter().position(|module| module.file == file)
    }

    /// The text of a place.
    pub(super) fn slice(&self, span: Span) -> &str {
        self.sources.get(span.file).text.get(span.range()).unwrap_or_default()
    }
}

impl State {
    pub(super) fn new(units: Units, folders: Vec<PathBuf>) -> Self {
        Self {
            units,
            open: BTreeMap::new(),
            folders,
            library: write_library(),
            memories: HashMap::new(),
            cursor_memory: Memory::default(),
            known: HashMap::new(),
            stores: HashMap::new(),
        }
    }

    /// Something was opened, changed, saved or closed: what was known may be no more.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// The store of a recipe's folder, kept open.
    pub(super) fn store(&mut self, root: &Path) -> &mut (Store, HashCache) {
        self.stores.entry(root.to_owned()).or_insert_with(|| {
            let store = Store::new(root);
            let hashes = HashCache::open(&store.root().join("outside.json"));
            (store, hashes)
        })
    }

    fn texts(&self) -> Arc<BTreeMap<PathBuf, Arc<str>>> {
        Arc::new(self.open.iter().map(|(path, document)| (path.clone(), document.text.clone())).collect())
    }

    /// What is known of a file now.
    pub(super) fn analysis(&mut self, path: &Path) -> Option<Rc<Analysis>> {
        if let Some(known) = self.known.get(path) {
            return Some(known.clone());
        }
        let mut memory = self.memories.remove(path).unwrap_or_default();
        let analysis = analyse(path, self.texts(), &mut memory, false).map(Rc::new);
        self.memories.insert(path.to_owned(), memory);
        self.known.insert(path.to_owned(), analysis.clone()?);
        analysis
    }

    /// The same with other texts in place of some: nothing of it is kept.
    pub(super) fn trial(&mut self, path: &Path, texts: &BTreeMap<PathBuf, String>, cursor: bool) -> Option<Analysis> {
        let mut open = BTreeMap::clone(&self.texts());
        open.extend(texts.iter().map(|(path, text)| (path.clone(), text.as_str().into())));
        let mut memory = std::mem::take(&mut self.cursor_memory);
        let analysis = analyse(path, Arc::new(open), &mut memory, cursor);
        self.cursor_memory = memory;
        analysis
    }

    /// The file that an editor can open for a source: its own, or the copy of one of the standard library.
    pub(super) fn path_of(&self, sources: &Sources, file: FileId) -> Option<PathBuf> {
        let source = sources.get(file);
        match source.folder {
            Some(_) => Some(Path::new(&source.name).canonicalize().unwrap_or_else(|_| PathBuf::from(&source.name))),
            None => Some(self.library.as_ref()?.join(Path::new(&source.name).file_name()?)),
        }
    }

    /// Recipes of the editor's folders, open or not, and what is open beside them.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        const MOST: usize = 500;
        let mut found: Vec<PathBuf> = self.open.keys().cloned().collect();
        let mut folders = self.folders.clone();
        folders.extend(self.open.keys().map(|path| durable::parent(path).to_owned()));
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let (path, name) = (entry.path(), entry.file_name());
                if found.len() > MOST || name.to_string_lossy().starts_with('.') || found.contains(&path) {
                    continue;
                }
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() && name != "target" && name != "node_modules" => folders.push(path),
                    Ok(kind) if kind.is_file() && path.extension().is_some_and(|e| e == "align") => found.push(path),
                    _ => {}
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }
}

fn analyse(path: &Path, open: Arc<BTreeMap<PathBuf, Arc<str>>>, memory: &mut Memory, cursor: bool) -> Option<Analysis> {
    let read = |open: &Arc<_>| {
        let mut sources = Sources::with_open(Arc::clone(open));
        let file = sources.read(path).ok()?;
        Some((sources, file))
    };
    let (mut sources, mut file) = read(&open)?;
    let (tree, _) = memory.tree(file, &sources.get(file).text);
    let recipes: Vec<String> = tree
        .items
        .iter()
        .filter_map(|item| if let ItemKind::Recipe(r) = &item.kind { Some(r.name.text.to_string()) } else { None })
        .collect();
    // a file of functions has none, and that is no mistake of its own
    let choices: Vec<Option<String>> = if recipes.len() < 2 { vec![None] } else { recipes.iter().cloned().map(Some).collect() };
    let (mut diagnostics, mut index, mut checked, mut library) = (Vec::new(), Index::default(), Vec::new(), None);
    for recipe in choices {
        (sources, file) = read(&open)?;
        let options = Options { recipe, ..Options::default() };
        let found: Look = look(&mut sources, file, &options, memory, Some(index));
        let sound = found.is_sound();
        index = found.index.unwrap_or_default();
        let new = found
            .diagnostics
            .into_iter()
            .filter(|diagnostic| recipes.is_empty().then_some("align::recipe::no_recipe") != Some(diagnostic.code));
        for diagnostic in new {
            if !diagnostics.contains(&diagnostic) {
                diagnostics.push(diagnostic);
            }
        }
        checked.extend(found.elaborated.filter(|_| sound));
        library = Some(found.library);
        if cursor && index.wanted.is_some() {
            break;
        }
    }
    Some(Analysis { path: path.to_owned(), sources, file, diagnostics, index, library: library?, checked })
}

/// Writes the standard library where an editor can open it. An editor without it still has everything else.
fn write_library() -> Option<PathBuf> {
    let mut hasher = blake3::Hasher::new();
    STDLIB.iter().for_each(|(_, text)| _ = hasher.update(text.as_bytes()));
    let content = hasher.finalize().to_hex()[..12].to_owned();
    let cache = cache_folder().unwrap_or_else(|| std::env::temp_dir().join("align"));
    let folder = cache.join(format!("std-{content}"));
    std::fs::create_dir_all(&folder).ok()?;
    for (name, text) in STDLIB {
        let path = folder.join(format!("{name}.align"));
        if std::fs::read_to_string(&path).ok().as_deref() != Some(text) {
            durable::write(&path, text.as_bytes()).ok()?;
        }
    }
    folder.canonicalize().ok()
}
