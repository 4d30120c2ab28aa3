//! What a process that checks again and again remembers: trees of texts that did not change, and files outside that
//! were found right. Forgetting costs time, never correctness.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::diagnostic::Diagnostic;
use crate::model::{ModelError, Network};
use crate::score::{FixedScorer, ScorerError};
use crate::syntax::span::FileId;
use crate::syntax::tree::File;

use super::types::Row;

/// A file changed this shortly ago may change again without its time showing it.
const TICK: Duration = Duration::from_millis(100);

/// Trees and files of earlier checks.
#[derive(Default, Debug)]
pub struct Memory {
    trees: HashMap<FileId, (Arc<str>, Arc<File>, Vec<Diagnostic>)>,
    networks: HashMap<PathBuf, (Stamp, Network)>,
    data: HashMap<PathBuf, (Stamp, (Row, bool), Vec<Diagnostic>)>,
    scorers: HashMap<PathBuf, Stamp>,
}

impl Memory {
    /// The tree of a text, and what is wrong with it.
    pub fn tree(&mut self, file: FileId, text: &Arc<str>) -> (Arc<File>, Vec<Diagnostic>) {
        match self.trees.get(&file) {
            Some((known, tree, diagnostics)) if known == text => (tree.clone(), diagnostics.clone()),
            _ => {
                let (tree, diagnostics) = crate::syntax::parse(file, text);
                let tree = Arc::new(tree);
                self.trees.insert(file, (text.clone(), tree.clone(), diagnostics.clone()));
                (tree, diagnostics)
            }
        }
    }

    /// A network's headers and tokenizer; with `outline`, without its weights.
    pub(super) fn network(&mut self, path: &Path, outline: bool) -> Result<Network, ModelError> {
        let stamp = Stamp::of(path);
        if let Some((_, network)) = self.networks.get(path).filter(|(known, _)| Some(known) == stamp.as_ref()) {
            return Ok(network.clone());
        }
        let network = if outline { Network::described(path)? } else { Network::open(path)? };
        if let Some(stamp) = stamp {
            self.networks.insert(path.to_owned(), (stamp, network.clone()));
        }
        Ok(network)
    }

    /// What is wrong with a data file that is to hold such rows; `unfit` are left out where that is asked for.
    pub(super) fn validated(&mut self, path: &Path, row: &Row, unfit: bool) -> Vec<Diagnostic> {
        let stamp = Stamp::of(path);
        let asked = (row.clone(), unfit);
        if let Some((.., found)) = self.data.get(path).filter(|(known, of, _)| Some(known) == stamp.as_ref() && *of == asked) {
            return found.clone();
        }
        let mut found = crate::data::validate(path, row, unfit);
        if let Some(last) = found.last_mut().filter(|_| !unfit && crate::data::validate(path, row, true).is_empty()) {
            let advice = "`load_data(…, unfit: drop)` leaves such rows out";
            last.help = Some(last.help.take().map_or(advice.to_owned(), |help| format!("{help}\n{advice}")));
        }
        if let Some(stamp) = stamp {
            self.data.insert(path.to_owned(), (stamp, asked, found.clone()));
        }
        found
    }

    /// Whether a fixed scorer can be read.
    pub(super) fn scorer(&mut self, path: &Path) -> Result<(), ScorerError> {
        let stamp = Stamp::of(path);
        if stamp.is_some() && self.scorers.get(path) == stamp.as_ref() {
            return Ok(());
        }
        FixedScorer::load(path)?;
        if let Some(stamp) = stamp {
            self.scorers.insert(path.to_owned(), stamp);
        }
        Ok(())
    }
}

/// Size and time of change of a file, or of every file of a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Stamp(Vec<(PathBuf, u64, SystemTime)>);

impl Stamp {
    /// `None` where something is missing, or was changed so lately that its time says nothing yet.
    fn of(path: &Path) -> Option<Self> {
        let mut paths = if path.is_dir() {
            fs::read_dir(path).ok()?.map(|entry| Some(entry.ok()?.path())).collect::<Option<Vec<_>>>()?
        } else {
            vec![path.to_owned()]
        };
        paths.sort();
        let now = SystemTime::now();
        let stamp = |path: PathBuf| {
            let meta = fs::metadata(&path).ok()?;
            let changed = meta.modified().ok()?;
            let settled = now.duration_since(changed).is_ok_and(|age| age > TICK);
            settled.then_some((path, meta.len(), changed))
        };
        paths.into_iter().map(stamp).collect::<Option<Vec<_>>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::types::Type;

    #[test]
    fn a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("rows.jsonl");
        let row = Row::from([("x".into(), Type::Float)]);
        let mut memory = Memory::default();
        fs::write(&path, "{\"x\": 1}\n").expect("written");
        let long_ago = SystemTime::now() - Duration::from_secs(60);
        fs::File::options().write(true).open(&path).and_then(|f| f.set_modified(long_ago)).expect("time set");
        assert_eq!(memory.validated(&path, &row, false), []);
        assert!(memory.data.contains_key(&path), "what is settled is remembered");
        fs::write(&path, "{\"x\": \"one\"}\n").expect("written");
        assert_eq!(memory.validated(&path, &row, false).len(), 1);
        let other = Row::from([("x".into(), Type::Text)]);
        assert_eq!(memory.validated(&path, &other, false), []);
    }

    #[test]
    fn a_tree_is_as_old_as_its_text() {
        let mut memory = Memory::default();
        let (one, two): (Arc<str>, Arc<str>) = ("param a: Int = 1\n".into(), "param a: Int =\n".into());
        let first = memory.tree(FileId(0), &one).0;
        assert!(Arc::ptr_eq(&first, &memory.tree(FileId(0), &one).0));
        assert_eq!(memory.tree(FileId(0), &two).1.len(), 1);
    }
}
