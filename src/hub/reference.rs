//! How a repository's files are named in a recipe and on the command line.

use std::path::{Path, PathBuf};

use super::HubError;

/// How a reference begins.
const SCHEME: &str = "hf:";

/// The branch of a reference that names none.
const MAIN: &str = "main";

/// What a repository holds; its folder in addresses and in the cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Model,
    Dataset,
}

/// `hf:owner/name@revision`, `hf:owner/name/file.gguf@revision`, `hf:datasets/owner/name/file.jsonl@revision`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference {
    /// As it was written: what `align.lock` calls it.
    pub written: String,
    pub kind: Kind,
    /// `owner/name`.
    pub repository: String,
    /// A branch, a tag, a commit, or `refs/pr/1`.
    pub revision: String,
    /// A file or folder inside the repository.
    pub file: Option<String>,
}

/// Whether a path is meant as a reference, rightly written or not.
pub fn is_reference(written: &str) -> bool {
    written.starts_with(SCHEME)
}

/// Whether a revision is a whole commit hash: nothing can move it.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit())
}

impl Reference {
    /// Reads a reference; `None` for a path that is none.
    ///
    /// # Errors
    /// When it begins as one and is not.
    pub fn parse(written: &str) -> Option<Result<Self, HubError>> {
        let rest = written.strip_prefix(SCHEME)?;
        Some(
            parts(written, rest.strip_prefix("//").unwrap_or(rest)).map_err(|why| HubError::Reference { written: written.to_owned(), why }),
        )
    }

    /// Whether its revision is a commit.
    pub fn is_commit(&self) -> bool {
        is_commit(&self.revision)
    }

    /// What it names, inside a snapshot.
    pub fn inside(&self, snapshot: &Path) -> PathBuf {
        self.file.as_ref().map_or_else(|| snapshot.to_owned(), |file| snapshot.join(file))
    }
}

fn parts(written: &str, rest: &str) -> Result<Reference, String> {
    let (kind, rest) = match rest.split_once('/') {
        Some(("datasets", rest)) => (Kind::Dataset, rest),
        Some(("models", rest)) => (Kind::Model, rest),
        Some(("spaces", _)) => return Err("a space is a program, not a model".into()),
        _ => (Kind::Model, rest),
    };
    let (owner, rest) = rest.split_once('/').ok_or("an owner and a name are needed")?;
    let end = rest.find(['/', '@']).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    for part in [owner, name] {
        is_name(part).then_some(()).ok_or_else(|| format!("`{part}` is no name of the hub"))?;
    }
    let (revision, file) = match rest.split_at_checked(1) {
        None => (MAIN.to_owned(), None),
        Some(("@", rest)) => revision_first(rest),
        Some((_, rest)) => match rest.rsplit_once('@') {
            Some((file, revision)) => (revision.to_owned(), Some(file.to_owned())),
            None => (MAIN.to_owned(), Some(rest.to_owned())),
        },
    };
    let revision = revision.replace("%2F", "/").replace("%2f", "/");
    if revision.is_empty() || !revision.split('/').all(is_part) {
        return Err(format!("`{revision}` is no revision"));
    }
    if let Some(file) = file.as_ref().filter(|file| !file.split('/').all(is_part)) {
        return Err(format!("`{file}` is no file of a repository"));
    }
    Ok(Reference { written: written.to_owned(), kind, repository: format!("{owner}/{name}"), revision, file })
}

/// `main/data/train.jsonl`: a revision ends at the first `/`, except that `refs/pr/1` is one.
fn revision_first(rest: &str) -> (String, Option<String>) {
    let segments: Vec<&str> = rest.split('/').collect();
    let length = if segments[0] == "refs" { segments.len().min(3) } else { 1 };
    let file = segments[length..].join("/");
    (segments[..length].join("/"), (!file.is_empty()).then_some(file))
}

/// The hub's own rule for owners and names.
fn is_name(name: &str) -> bool {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    let framed = name.starts_with(['.', '-']) || name.ends_with(['.', '-']);
    !name.is_empty() && name.len() <= 96 && plain && !framed && !name.contains("--") && !name.contains("..")
}

/// A part of a path that stays inside the folder it is joined to, on every system.
pub(super) fn is_part(part: &str) -> bool {
    !part.is_empty()
        && part != "."
        && part != ".."
        && !part.contains(['\\', ':', '?', '#', '"', '<', '>', '|', '*'])
        && !part.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(written: &str) -> (String, String, Option<String>) {
        let reference = Reference::parse(written).expect("a reference").expect("well written");
        (reference.repository, reference.revision, reference.file)
    }

    #[test]
    fn every_form_is_read() {
        let of =
            |repository: &str, revision: &str, file: Option<&str>| (repository.to_owned(), revision.to_owned(), file.map(str::to_owned));
        assert_eq!(read("hf:a/b"), of("a/b", "main", None));
        assert_eq!(read("hf://a/b@v1.0"), of("a/b", "v1.0", None));
        assert_eq!(read("hf:models/a/b.c@refs/pr/3"), of("a/b.c", "refs/pr/3", None));
        assert_eq!(read("hf:a/b/q8_0.gguf@feature/x"), of("a/b", "feature/x", Some("q8_0.gguf")));
        assert_eq!(read("hf:a/b@feature%2Fx/sub/q.gguf"), of("a/b", "feature/x", Some("sub/q.gguf")));
        assert_eq!(read("hf:datasets/a/b@main/data/x.jsonl"), of("a/b", "main", Some("data/x.jsonl")));
        assert_eq!(read("hf:datasets/a/b/data/x@2.jsonl@main"), of("a/b", "main", Some("data/x@2.jsonl")));
        assert!(Reference::parse("models/a/b").is_none());
    }

    #[test]
    fn what_names_no_repository_or_leaves_its_folder_is_refused() {
        for wrong in [
            "hf:",
            "hf:foo",
            "hf:a/",
            "hf:/b",
            "hf:a/b@",
            "hf:a/..",
            "hf:a/b/../../c",
            "hf:a/b@../x",
            "hf:a--b/c",
            "hf:a/b/",
            "hf:spaces/a/b",
            "hf:a/b\\c",
        ] {
            assert!(matches!(Reference::parse(wrong), Some(Err(HubError::Reference { .. }))), "{wrong}");
        }
    }
}
