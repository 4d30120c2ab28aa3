//! Models and data of a Hugging Face hub: `hf:owner/name@revision`.
//!
//! The cache is the one that Python's `huggingface_hub` keeps (`models--owner--name/{blobs,refs,snapshots}`), so what one
//! fetched the other finds. Two halves that never mix: [`path`], [`state`] and [`Repository`] look at the disk and nothing
//! else, and everything that checks, plans and runs uses those; [`fetch`] asks the network, and only commands call it.
//!
//! **Invariant:** a name of a branch is resolved to a commit once. From then on `align.lock` says it, and a branch that
//! moves changes nothing until somebody asks for it (`align run --update`).
//!
//! **Invariant:** a file that can be seen in a snapshot is whole: it was measured and, where its name is its hash, hashed.

mod cache;
mod client;
mod download;
mod error;
mod fetch;
mod reference;
mod settings;
mod want;

pub use cache::Repository;
pub use error::{CODES, HubError};
pub use fetch::{Extent, Fetched, Fetcher, Outstanding, Progress};
pub use reference::{Kind, Reference, is_reference};
pub use settings::Settings;
pub use want::{State, Want};

use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::lock::Lock;

/// Where a path of a recipe leads: a repository's files lie in the cache, everything else starts at the recipe's folder.
/// A reference whose commit nobody knows yet, or that is none, leads to where nothing is.
pub fn path(root: &Path, written: &str) -> PathBuf {
    match Reference::parse(written) {
        None => root.join(written),
        Some(Err(_)) => root.join(written),
        Some(Ok(reference)) => {
            let settings = Settings::from_environment();
            let repository = Repository::new(&settings, &reference);
            let commit = commit(root, &reference, &repository).unwrap_or_else(|| reference.revision.clone());
            reference.inside(&repository.snapshot(&commit))
        }
    }
}

/// The commit at which a reference is read: what the lock of the folder says, else what the cache last saw of its
/// revision.
pub fn commit(root: &Path, reference: &Reference, repository: &Repository) -> Option<String> {
    if reference.is_commit() {
        return Some(reference.revision.clone());
    }
    let locked = Lock::read(root).ok().and_then(|lock| lock.commit(&reference.written).map(str::to_owned));
    locked.or_else(|| repository.commit(&reference.revision))
}

/// The commit at which a path of a recipe is read, if it is of a hub and somebody knows.
pub fn commit_of(root: &Path, written: &str) -> Option<String> {
    let reference = Reference::parse(written)?.ok()?;
    commit(root, &reference, &Repository::new(&Settings::from_environment(), &reference))
}

/// The warning about a reference whose files are not on this machine.
pub fn not_here(written: &str) -> Diagnostic {
    Diagnostic::warning("align::hub::not_here", format!("`{written}` is not on this machine yet"))
        .help("`align run` fetches it; what depends on what it holds is checked then")
}

/// What of a reference is on this machine; `None` for a path that is no reference.
///
/// # Errors
/// When it is written wrongly.
pub fn state(root: &Path, written: &str, want: Want) -> Option<Result<State, HubError>> {
    let reference = match Reference::parse(written)? {
        Ok(reference) => reference,
        Err(error) => return Some(Err(error)),
    };
    let repository = Repository::new(&Settings::from_environment(), &reference);
    let state = commit(root, &reference, &repository).map_or(State::Nothing, |commit| want.state(&reference, &repository, &commit));
    Some(Ok(state))
}
