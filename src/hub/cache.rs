//! One repository in the cache, as `huggingface_hub` lays it out:
//!
//! ```text
//! models--owner--name/blobs/ETAG                       the files, named by the hash that the hub gives
//!                     snapshots/COMMIT/config.json     links to them
//!                     refs/main                        the commit that a branch was last seen at
//!                     .no_exist/COMMIT/merges.txt      what is known not to be there
//! .locks/models--owner--name/ETAG.lock                 held while a file is fetched
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::durable;

use super::reference::{Kind, Reference, is_commit};
use super::settings::Settings;

/// A repository's folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repository {
    folder: PathBuf,
    locks: PathBuf,
}

impl Repository {
    /// Where the cache has a reference's repository, there or not.
    pub fn new(settings: &Settings, reference: &Reference) -> Self {
        let kind = match reference.kind {
            Kind::Model => "models",
            Kind::Dataset => "datasets",
        };
        let name = format!("{kind}--{}", reference.repository.replace('/', "--"));
        Self { folder: settings.cache.join(&name), locks: settings.cache.join(".locks").join(&name) }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The commit that a revision was last seen at.
    pub fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let said = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        let said = said.trim();
        is_commit(said).then(|| said.to_owned())
    }

    /// The folder of a commit's files.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Whether a file of a commit is there.
    pub fn has(&self, commit: &str, file: &str) -> bool {
        // a link whose blob was cleared away leads nowhere
        self.snapshot(commit).join(file).is_file()
    }

    /// Whether it is known that a commit has no such file.
    pub fn has_no(&self, commit: &str, file: &str) -> bool {
        self.folder.join(".no_exist").join(commit).join(file).is_file()
    }

    /// Notes what a commit does not have.
    pub(super) fn note_absent(&self, commit: &str, file: &str) -> io::Result<()> {
        let path = self.folder.join(".no_exist").join(commit).join(file);
        fs::create_dir_all(durable::parent(&path))?;
        File::options().create(true).append(true).open(path).map(|_| ())
    }

    /// Notes the commit that a revision is at.
    pub(super) fn note_commit(&self, revision: &str, commit: &str) -> io::Result<()> {
        if is_commit(revision) || self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        fs::create_dir_all(durable::parent(&path))?;
        durable::write(&path, commit.as_bytes())
    }

    /// Where the file of an ETag lies.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// The file of an ETag before it is whole. Under this name earlier versions of `huggingface_hub` go on with it too.
    pub(super) fn partial(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(format!("{etag}.incomplete"))
    }

    /// Takes the lock of an ETag; `None` while somebody else has it.
    pub(super) fn lock(&self, etag: &str) -> io::Result<Option<File>> {
        fs::create_dir_all(&self.locks)?;
        let file = File::options().create(true).truncate(false).write(true).open(self.locks.join(format!("{etag}.lock")))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }

    /// Lets a commit's file be the file of an ETag.
    pub(super) fn point(&self, commit: &str, file: &str, etag: &str) -> io::Result<()> {
        let pointer = self.snapshot(commit).join(file);
        fs::create_dir_all(durable::parent(&pointer))?;
        if pointer.is_file() {
            return Ok(());
        }
        // made beside and renamed over, so that two who do so meet no half of it and a link that leads nowhere goes
        let beside = durable::beside(&pointer);
        let up = "../".repeat(2 + file.split('/').count() - 1);
        if link(&PathBuf::from(format!("{up}blobs/{etag}")), &beside).is_err() {
            fs::copy(self.blob(etag), &beside)?;
        }
        let placed = durable::rename(&beside, &pointer);
        if placed.is_err() {
            // the first error is the one to report
            fs::remove_file(&beside).ok();
        }
        placed
    }
}

#[cfg(unix)]
fn link(to: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, at)
}

/// Links need a right there that most people do not have: the file is then copied, as Python does.
#[cfg(windows)]
fn link(to: &Path, at: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(to.to_string_lossy().replace('/', "\\"), at)
}

#[cfg(not(any(unix, windows)))]
fn link(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(cache: &Path) -> Repository {
        let folder = cache.join("models--a--b");
        fs::create_dir_all(folder.join("blobs")).expect("made");
        Repository { folder, locks: cache.join(".locks/models--a--b") }
    }

    #[test]
    fn a_file_is_seen_once_it_is_pointed_at() {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let (repository, commit) = (repository(cache.path()), "c".repeat(40));
        fs::write(repository.blob("e"), "text").expect("written");
        assert!(!repository.has(&commit, "sub/x.json"));
        repository.point(&commit, "sub/x.json", "e").expect("pointed");
        repository.point(&commit, "sub/x.json", "e").expect("again");
        assert_eq!(fs::read(repository.snapshot(&commit).join("sub/x.json")).expect("read"), b"text");
        fs::remove_file(repository.blob("e")).expect("cleared away");
        if cfg!(unix) {
            assert!(!repository.has(&commit, "sub/x.json"), "a link that leads nowhere is no file");
        }
    }

    #[test]
    fn revisions_and_what_is_not_there_are_remembered() {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let (repository, commit) = (repository(cache.path()), "c".repeat(40));
        assert_eq!(repository.commit("main"), None);
        repository.note_commit("refs/pr/1", &commit).expect("noted");
        assert_eq!(repository.commit("refs/pr/1").as_ref(), Some(&commit));
        assert_eq!(repository.commit(&commit).as_ref(), Some(&commit));
        repository.note_absent(&commit, "x.json").expect("noted");
        assert!(repository.has_no(&commit, "x.json") && !repository.has_no(&commit, "y.json"));
        let held = repository.lock("e").expect("no error").expect("free");
        assert!(repository.lock("e").expect("no error").is_none());
        drop(held);
        assert!(repository.lock("e").expect("no error").is_some());
    }
}
