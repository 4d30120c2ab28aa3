//! Files that a recipe reads and did not make: their content takes part in fingerprints, `align.lock` pins it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::durable::{self, HashCache};

/// The file beside the recipe that says which content it was last run with.
pub const LOCK: &str = "align.lock";

/// What an argument's path stands for: the hash of the names and contents of all files that are read for it.
///
/// # Errors
/// When a file cannot be read; the path names it.
pub fn content(path: &Path, files: &[PathBuf], hashes: &mut HashCache) -> Result<Content, (PathBuf, io::Error)> {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = 0;
    for file in files {
        let (length, hash) = hashes.hash(file).map_err(|e| (file.clone(), e))?;
        bytes += length;
        // the file that was named may be renamed freely, the ones that go with it are found by name
        let name = if file == path { String::new() } else { name_beside(path, file) };
        hasher.update(format!("{name}\0{length}\0{hash}\n").as_bytes());
    }
    Ok(Content { bytes, blake3: hasher.finalize().to_hex()[..32].to_owned() })
}

fn name_beside(path: &Path, file: &Path) -> String {
    let inner = file.strip_prefix(path).or_else(|_| file.strip_prefix(durable::parent(path))).unwrap_or(file);
    inner.to_string_lossy().replace('\\', "/")
}

/// Length and hash of what a path names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Content {
    pub bytes: u64,
    pub blake3: String,
}

/// `align.lock`: path as written in a recipe → content.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Lock(BTreeMap<String, Content>);

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
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let entries = lines.map(|line| entry(line).ok_or_else(|| io::Error::other(format!("`{line}` is no line of it"))));
        Ok(Self(entries.collect::<io::Result<_>>()?))
    }

    /// Writes the lock, sorted by path, if it is not there in these words already.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let mut text = HEADER.to_owned();
        for (path, content) in &self.0 {
            text += &format!("{} {} {path}\n", content.blake3, content.bytes);
        }
        let file = folder.join(LOCK);
        if std::fs::read_to_string(&file).is_ok_and(|old| old == text) { Ok(()) } else { durable::write(&file, text.as_bytes()) }
    }

    /// Pins a path's content.
    pub fn pin(&mut self, path: &str, content: Content) {
        self.0.insert(path.to_owned(), content);
    }

    /// Whether a path was pinned with other content.
    pub fn differs(&self, path: &str, content: &Content) -> bool {
        self.0.get(path).is_some_and(|pinned| pinned != content)
    }
}

fn entry(line: &str) -> Option<(String, Content)> {
    let (blake3, rest) = line.split_once(' ')?;
    let (bytes, path) = rest.split_once(' ')?;
    let hex = blake3.len() == 32 && blake3.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then_some(())?;
    Some((path.to_owned(), Content { bytes: bytes.parse().ok()?, blake3: blake3.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_may_be_renamed_but_not_changed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut hashes = HashCache::open(&folder.path().join("hashes"));
        let mut of = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("written");
            content(&path, std::slice::from_ref(&path), &mut hashes).expect("read")
        };
        assert_eq!(of("a.jsonl", "{}"), of("b.jsonl", "{}"));
        assert_ne!(of("a.jsonl", "{}"), of("a.jsonl", "[]"));
    }

    #[test]
    fn a_lock_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut lock = Lock::read(folder.path()).expect("none yet");
        let content = Content { bytes: 12, blake3: "0123456789abcdef0123456789abcdef".into() };
        lock.pin("data/a file.jsonl", content.clone());
        lock.write(folder.path()).expect("written");
        let back = Lock::read(folder.path()).expect("readable");
        assert_eq!(back, lock);
        assert!(!back.differs("data/a file.jsonl", &content));
        assert!(back.differs("data/a file.jsonl", &Content { bytes: 13, ..content }));
    }
}
