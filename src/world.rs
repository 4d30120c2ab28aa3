//! The outside: files and where they are. Only this module and `run::store` touch the disk for sources.
//!
//! The standard library is embedded; a folder given as override wins, so that a reader can edit a copy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::syntax::span::FileId;

/// Where a person's programs keep what can be made again, with a folder of our own; `None` where no variable says so.
pub fn cache_folder() -> Option<PathBuf> {
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = of("XDG_CACHE_HOME").or_else(|| of("HOME").map(|home| home.join(".cache"))).or_else(|| of("LOCALAPPDATA"));
    caches.map(|caches| caches.join("align"))
}

/// One source text.
#[derive(Clone, Debug)]
pub struct Source {
    /// As shown to people: `recipes/quickstart.align`, `std/harm.align`.
    pub name: String,
    pub text: Arc<str>,
    /// Where relative paths in it start; `None` for the embedded standard library.
    pub folder: Option<PathBuf>,
}

/// Every source file read so far, by [`FileId`].
#[derive(Clone, Default, Debug)]
pub struct Sources {
    files: Vec<Source>,
    /// What an editor shows of files, by path: it wins over the disk.
    open: Arc<BTreeMap<PathBuf, Arc<str>>>,
}

impl Sources {
    /// No files yet; those in `open` are read from there.
    pub fn with_open(open: Arc<BTreeMap<PathBuf, Arc<str>>>) -> Self {
        Self { files: Vec::new(), open }
    }

    /// Adds a text and returns its id.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>, folder: Option<PathBuf>) -> FileId {
        self.files.push(Source { name: name.into(), text: text.into(), folder });
        FileId(u32::try_from(self.files.len() - 1).expect("fewer than 2^32 files"))
    }

    /// Reads a file from disk.
    ///
    /// # Errors
    /// When the file cannot be read or is not UTF-8.
    pub fn read(&mut self, path: &Path) -> std::io::Result<FileId> {
        let text = self.text(path)?;
        let folder = path.parent().map(|p| if p.as_os_str().is_empty() { PathBuf::from(".") } else { p.to_owned() });
        Ok(self.add(path.display().to_string(), text, folder))
    }

    fn text(&self, path: &Path) -> std::io::Result<Arc<str>> {
        let same = |path: &Path| self.open.get(path).cloned();
        // `a/../b.align` is open under its own name
        let shown = same(path).or_else(|| if self.open.is_empty() { None } else { same(&path.canonicalize().ok()?) });
        shown.map_or_else(|| Ok(std::fs::read_to_string(path)?.into()), Ok)
    }

    /// The file of an id.
    pub fn get(&self, id: FileId) -> &Source {
        &self.files[id.0 as usize]
    }

    /// All files in the order they were read.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &Source)> {
        (0..).map(FileId).zip(&self.files)
    }
}
