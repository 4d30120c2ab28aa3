//! Files that a recipe reads and did not make: their content takes part in fingerprints, [`crate::lock`] pins it.

use std::io;
use std::path::{Path, PathBuf};

use crate::durable::{self, HashCache};
use crate::hub;
use crate::lock::{Content, Lock};
use crate::stage::Primitive;

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

/// What is read for an argument of a primitive's call that was written so.
///
/// # Errors
/// As [`content`].
pub fn named(primitive: &dyn Primitive, written: &str, root: &Path, hashes: &mut HashCache) -> Result<Content, (PathBuf, io::Error)> {
    let path = hub::path(root, written);
    let mut read = primitive.outside_files(&path).map_err(|e| (path.clone(), e))?;
    if let Some(Ok(reference)) = hub::Reference::parse(written) {
        read.retain(|file| primitive.want().reads(&reference, file));
    }
    content(&path, &read, hashes)
}

fn name_beside(path: &Path, file: &Path) -> String {
    let inner = file.strip_prefix(path).or_else(|_| file.strip_prefix(durable::parent(path))).unwrap_or(file);
    inner.to_string_lossy().replace('\\', "/")
}

/// The content that something will have once it is fetched, as the lock has it; where nobody knows it yet, one that
/// nothing else has.
pub fn expected(written: &str, root: &Path) -> Content {
    let pinned = Lock::read(root).ok().and_then(|lock| lock.content(written).cloned());
    pinned.unwrap_or_else(|| Content { bytes: 0, blake3: blake3::hash(format!("absent\0{written}").as_bytes()).to_hex()[..32].to_owned() })
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
}
