//! Content hashes of files, remembered by size and time of change, so that an unchanged file is read once.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::hash_file;

/// A file changed this shortly before it was hashed may change again without its time showing it.
const TICK: Duration = Duration::from_millis(100);

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Entry {
    bytes: u64,
    /// Nanoseconds since 1970.
    modified: u64,
    /// When it was read.
    hashed: u64,
    blake3: String,
}

/// Remembered hashes. Losing the file that keeps them costs time, never correctness.
#[derive(Debug)]
pub struct HashCache {
    kept_in: PathBuf,
    entries: BTreeMap<String, Entry>,
    changed: bool,
}

impl HashCache {
    /// Reads what an earlier run remembered; a missing or broken file is an empty memory.
    pub fn open(kept_in: &Path) -> Self {
        let entries = fs::read(kept_in).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Self { kept_in: kept_in.to_owned(), entries, changed: false }
    }

    /// The hash of a file's content.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn hash(&mut self, path: &Path) -> io::Result<(u64, String)> {
        let meta = fs::metadata(path)?;
        let modified = nanoseconds(meta.modified()?);
        let key = path.to_string_lossy().into_owned();
        if let Some(entry) = self.entries.get(&key) {
            let settled = entry.modified.saturating_add(u64::try_from(TICK.as_nanos()).unwrap_or(u64::MAX)) < entry.hashed;
            if entry.bytes == meta.len() && entry.modified == modified && settled {
                return Ok((entry.bytes, entry.blake3.clone()));
            }
        }
        let hashed = nanoseconds(SystemTime::now());
        let (bytes, blake3) = hash_file(path)?;
        self.entries.insert(key, Entry { bytes, modified, hashed, blake3: blake3.clone() });
        self.changed = true;
        Ok((bytes, blake3))
    }

    /// Takes a hash that the caller has just computed of a file that nobody will write to again.
    ///
    /// # Errors
    /// When the file is not there.
    pub fn remember(&mut self, path: &Path, bytes: u64, blake3: &str) -> io::Result<()> {
        let modified = nanoseconds(fs::metadata(path)?.modified()?);
        let settled = modified.saturating_add(2 * u64::try_from(TICK.as_nanos()).unwrap_or(u64::MAX));
        let entry = Entry { bytes, modified, hashed: settled, blake3: blake3.to_owned() };
        self.entries.insert(path.to_string_lossy().into_owned(), entry);
        self.changed = true;
        Ok(())
    }

    /// Keeps what was learnt for the next run.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.changed) {
            self.entries.retain(|path, _| Path::new(path).exists());
            super::write(&self.kept_in, &serde_json::to_vec(&self.entries)?)?;
        }
        Ok(())
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).ok().and_then(|d| u64::try_from(d.as_nanos()).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_has_another_hash_even_at_the_same_length() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (file, memory) = (folder.path().join("data"), folder.path().join("hashes.json"));
        fs::write(&file, b"one").expect("written");
        let mut cache = HashCache::open(&memory);
        let first = cache.hash(&file).expect("read");
        fs::write(&file, b"two").expect("written");
        assert_ne!(cache.hash(&file).expect("read"), first);
    }

    #[test]
    fn an_unchanged_file_is_not_read_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (file, memory) = (folder.path().join("data"), folder.path().join("hashes.json"));
        fs::write(&file, b"one").expect("written");
        let long_ago = SystemTime::now() - Duration::from_secs(60);
        fs::File::options().write(true).open(&file).and_then(|f| f.set_modified(long_ago)).expect("time set");
        let mut cache = HashCache::open(&memory);
        let first = cache.hash(&file).expect("read");
        cache.save().expect("kept");
        // same length, same time: only a cache would not see it
        fs::write(&file, b"two").expect("written");
        fs::File::options().write(true).open(&file).and_then(|f| f.set_modified(long_ago)).expect("time set");
        assert_eq!(HashCache::open(&memory).hash(&file).expect("known"), first);
    }
}
