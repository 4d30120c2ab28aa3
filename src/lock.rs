//! `align.lock`: which content the outside files of a folder's recipes had when they were last run, and at which commit
//! the repositories of a hub that they name are read. A leaf: it knows no recipe.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::durable;

/// The file beside the recipe.
pub const LOCK: &str = "align.lock";

/// Length and hash of what a path names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Content {
    pub bytes: u64,
    pub blake3: String,
}

/// What a path as written in a recipe is pinned to.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Lock {
    contents: BTreeMap<String, Content>,
    commits: BTreeMap<String, String>,
}

/// How a line begins that says a commit.
const COMMIT: &str = "commit";

const HEADER: &str = "# Written by align: the outside files these recipes were last run with. Commit it.\n";

impl Lock {
    /// Reads the lock of a folder; none is an empty one.
    ///
    /// # Errors
    /// When it is there and not readable as a lock.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let text = match std::fs::read_to_string(folder.join(LOCK)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            text => text?,
        };
        let mut lock = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            if let Some((path, commit)) = commit(line) {
                lock.commits.insert(path, commit);
            } else {
                let (path, content) = entry(line).ok_or_else(|| io::Error::other(format!("`{line}` is no line of it")))?;
                lock.contents.insert(path, content);
            }
        }
        Ok(lock)
    }

    /// Writes the lock, sorted by path, if it is not there in these words already.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let mut text = HEADER.to_owned();
        for (path, content) in &self.contents {
            text += &format!("{} {} {path}\n", content.blake3, content.bytes);
        }
        for (path, commit) in &self.commits {
            text += &format!("{COMMIT} {commit} {path}\n");
        }
        let file = folder.join(LOCK);
        if std::fs::read_to_string(&file).is_ok_and(|old| old == text) { Ok(()) } else { durable::write(&file, text.as_bytes()) }
    }

    /// Pins a path's content.
    pub fn pin(&mut self, path: &str, content: Content) {
        self.contents.insert(path.to_owned(), content);
    }

    /// Pins the commit at which a repository is read. The content of another commit is no longer expected.
    pub fn pin_commit(&mut self, path: &str, commit: &str) {
        let before = self.commits.insert(path.to_owned(), commit.to_owned());
        if before.is_some_and(|before| before != commit) {
            self.contents.remove(path);
        }
    }

    /// The content that a path was pinned with.
    pub fn content(&self, path: &str) -> Option<&Content> {
        self.contents.get(path)
    }

    /// The commit at which a repository is read.
    pub fn commit(&self, path: &str) -> Option<&str> {
        self.commits.get(path).map(String::as_str)
    }

    /// Whether a path was pinned with other content.
    pub fn differs(&self, path: &str, content: &Content) -> bool {
        self.contents.get(path).is_some_and(|pinned| pinned != content)
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn commit(line: &str) -> Option<(String, String)> {
    let (commit, path) = line.strip_prefix(COMMIT)?.strip_prefix(' ')?.split_once(' ')?;
    is_hex(commit, 40).then(|| (path.to_owned(), commit.to_owned()))
}

fn entry(line: &str) -> Option<(String, Content)> {
    let (blake3, rest) = line.split_once(' ')?;
    let (bytes, path) = rest.split_once(' ')?;
    is_hex(blake3, 32).then_some(())?;
    Some((path.to_owned(), Content { bytes: bytes.parse().ok()?, blake3: blake3.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut lock = Lock::read(folder.path()).expect("none yet");
        let content = Content { bytes: 12, blake3: "0123456789abcdef0123456789abcdef".into() };
        let (first, second) = ("a".repeat(40), "b".repeat(40));
        lock.pin("data/a file.jsonl", content.clone());
        lock.pin("hf:owner/name", content.clone());
        lock.pin_commit("hf:owner/name", &first);
        lock.write(folder.path()).expect("written");
        let back = Lock::read(folder.path()).expect("readable");
        assert_eq!(back, lock);
        assert!(!back.differs("data/a file.jsonl", &content));
        assert!(back.differs("data/a file.jsonl", &Content { bytes: 13, ..content.clone() }));
        assert_eq!((back.commit("hf:owner/name"), back.commit("data/a file.jsonl")), (Some(&*first), None));
        lock.pin_commit("hf:owner/name", &first);
        assert_eq!(lock.content("hf:owner/name"), Some(&content));
        lock.pin_commit("hf:owner/name", &second);
        assert_eq!(lock.content("hf:owner/name"), None, "another commit has content of its own");
    }
}
