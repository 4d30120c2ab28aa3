//! One run at a time works on an artifact: a file lock that the system gives back when its holder dies.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

/// A held lock; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or `None` when someone else holds it.
    pub(super) fn try_take(path: &Path) -> io::Result<Option<Self>> {
        fs::create_dir_all(crate::durable::parent(path))?;
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_and_given_back() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("locks/x");
        let held = Lock::try_take(&path).expect("no error").expect("free");
        assert!(Lock::try_take(&path).expect("no error").is_none());
        drop(held);
        assert!(Lock::try_take(&path).expect("no error").is_some());
    }
}
