//! Files and folders that are complete or absent, whatever kills the process in between.
//!
//! A leaf: it knows no stage and no store. **Invariant:** nothing is visible under its final name before every byte
//! of it, and the folder entry itself, has been asked of the disk (`fsync`).

mod hashes;
mod sealed;

pub use hashes::HashCache;
pub use sealed::{Damage, MANIFEST, Sealed, SealedFile, files_under, hash_file, seal};

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a file, or leaves the old one as it was.
///
/// # Errors
/// When the disk refuses.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = beside(path);
    let done = write_synced(&temporary, bytes).and_then(|()| rename(&temporary, path));
    if done.is_err() {
        // best effort: the first error is the one to report
        fs::remove_file(&temporary).ok();
    }
    done
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Renames within one folder tree and makes the new name durable.
///
/// # Errors
/// When the disk refuses.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(parent(to))
}

/// Removes a file or folder if it is there.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// A name next to `path` that no other process and no other call uses.
pub fn beside(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unique = NEXT.fetch_add(1, Ordering::Relaxed);
    parent(path).join(format!(".{name}.{}-{unique}.part", std::process::id()))
}

/// The folder that holds `path`; `.` for a bare name.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Asks the disk to keep a folder's entries. Windows has no such call and keeps them in its journal.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_whole_files_and_leaves_nothing_beside_them() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("lock");
        write(&path, b"one").expect("written");
        write(&path, b"two").expect("written");
        assert_eq!(fs::read(&path).expect("there"), b"two");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn removing_what_is_not_there_is_no_mistake() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        remove(&folder.path().join("nothing")).expect("no mistake");
    }
}
