//! A folder with a manifest that says what must be in it: sizes and hashes of every file, and a note of the owner's.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The manifest's file name.
pub const MANIFEST: &str = "manifest.json";

/// One file of a sealed folder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SealedFile {
    /// Relative, with `/` between parts.
    pub path: String,
    pub bytes: u64,
    pub blake3: String,
}

/// What a manifest says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sealed {
    pub files: Vec<SealedFile>,
    /// What the folder's owner wrote down.
    pub note: Value,
    /// Hash of the two above.
    seal: String,
}

/// Why a sealed folder is not to be trusted.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    #[error("its manifest is missing or broken")]
    Manifest,
    #[error("`{path}` is missing")]
    Missing { path: String },
    #[error("`{path}` has {found} bytes instead of {expected}")]
    Length { path: String, expected: u64, found: u64 },
    #[error("`{path}` has other content than when it was written")]
    Content { path: String },
    #[error("it cannot be read: {0}")]
    Disk(#[from] io::Error),
}

/// Writes the manifest of everything in `folder` and asks the disk to keep it all.
///
/// # Errors
/// When the disk refuses.
pub fn seal(folder: &Path, note: Value) -> io::Result<Sealed> {
    let mut files = Vec::new();
    for path in files_under(folder)? {
        let full = folder.join(&path);
        File::open(&full)?.sync_all()?;
        let (bytes, blake3) = hash_file(&full)?;
        files.push(SealedFile { path, bytes, blake3 });
    }
    let seal = seal_of(&files, &note);
    let sealed = Sealed { files, note, seal };
    let text = serde_json::to_vec_pretty(&sealed)?;
    super::write(&folder.join(MANIFEST), &text)?;
    sync_folders(folder)?;
    Ok(sealed)
}

impl Sealed {
    /// Reads a manifest and checks that it is whole and that every file has its length.
    ///
    /// # Errors
    /// When something is missing or damaged.
    pub fn open(folder: &Path) -> Result<Self, Damage> {
        let text = fs::read(folder.join(MANIFEST)).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Damage::Manifest,
            _ => Damage::Disk(e),
        })?;
        let sealed: Self = serde_json::from_slice(&text).map_err(|_| Damage::Manifest)?;
        if sealed.seal != seal_of(&sealed.files, &sealed.note) {
            return Err(Damage::Manifest);
        }
        for file in &sealed.files {
            file.check_length(folder)?;
        }
        Ok(sealed)
    }

    /// Reads every file and compares its hash.
    ///
    /// # Errors
    /// When something is missing or damaged.
    pub fn verify(&self, folder: &Path) -> Result<(), Damage> {
        self.files.iter().try_for_each(|file| file.check_content(folder))
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

impl SealedFile {
    fn check_length(&self, folder: &Path) -> Result<(), Damage> {
        let found = match fs::metadata(folder.join(&self.path)) {
            Ok(meta) => meta.len(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Damage::Missing { path: self.path.clone() }),
            Err(e) => return Err(Damage::Disk(e)),
        };
        if found == self.bytes { Ok(()) } else { Err(Damage::Length { path: self.path.clone(), expected: self.bytes, found }) }
    }

    /// Whether the file still has the content it was sealed with.
    ///
    /// # Errors
    /// When it has not.
    pub fn check_content(&self, folder: &Path) -> Result<(), Damage> {
        self.check_length(folder)?;
        let (_, blake3) = hash_file(&folder.join(&self.path))?;
        if blake3 == self.blake3 { Ok(()) } else { Err(Damage::Content { path: self.path.clone() }) }
    }
}

fn seal_of(files: &[SealedFile], note: &Value) -> String {
    let text = serde_json::to_vec(&(files, note)).expect("plain data becomes JSON");
    blake3::hash(&text).to_hex().to_string()
}

/// Every file under `folder` but its manifest, relative, sorted.
///
/// # Errors
/// When the folder cannot be read.
pub fn files_under(folder: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(inner) = open.pop() {
        for entry in fs::read_dir(folder.join(&inner))? {
            let entry = entry?;
            let path = inner.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                open.push(path);
            } else if !fs::metadata(folder.join(&path))?.is_dir() {
                // a link to a file counts as the file, a link to a folder may lead in a circle
                found.push(path.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.retain(|path| path != MANIFEST);
    found.sort();
    Ok(found)
}

fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_folders(&path)?;
        }
    }
    super::sync_folder(folder)
}

/// Length and hash of a file.
///
/// # Errors
/// When it cannot be read.
pub fn hash_file(path: &Path) -> io::Result<(u64, String)> {
    let mut hasher = blake3::Hasher::new();
    let mut file = File::open(path)?;
    let bytes = io::copy(&mut file, &mut hasher)?;
    Ok((bytes, hasher.finalize().to_hex().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("model")).expect("made");
        fs::write(folder.path().join("model/weights"), b"0123456789").expect("written");
        fs::write(folder.path().join("rows.jsonl"), b"{}\n").expect("written");
        seal(folder.path(), json!({ "made": 1.5 })).expect("sealed");
        folder
    }

    #[test]
    fn a_sealed_folder_opens_with_its_note() {
        let folder = folder();
        let sealed = Sealed::open(folder.path()).expect("whole");
        sealed.verify(folder.path()).expect("whole");
        assert_eq!(sealed.note, json!({ "made": 1.5 }));
        assert_eq!(sealed.files.iter().map(|f| &*f.path).collect::<Vec<_>>(), ["model/weights", "rows.jsonl"]);
    }

    #[test]
    fn every_kind_of_damage_is_seen_and_named() {
        let broken = |break_it: &dyn Fn(&Path)| {
            let folder = folder();
            break_it(folder.path());
            let seen = Sealed::open(folder.path()).and_then(|sealed| sealed.verify(folder.path()));
            seen.expect_err("damage is seen").to_string()
        };
        assert_eq!(
            broken(&|f| fs::write(f.join("rows.jsonl"), b"[]\n").expect("written")),
            "`rows.jsonl` has other content than when it was written"
        );
        assert_eq!(broken(&|f| fs::write(f.join("model/weights"), b"0").expect("written")), "`model/weights` has 1 bytes instead of 10");
        assert_eq!(broken(&|f| fs::remove_file(f.join("rows.jsonl")).expect("removed")), "`rows.jsonl` is missing");
        assert_eq!(broken(&|f| fs::write(f.join(MANIFEST), b"{}").expect("written")), "its manifest is missing or broken");
        let edited = broken(&|f| {
            let text = fs::read_to_string(f.join(MANIFEST)).expect("there");
            fs::write(f.join(MANIFEST), text.replace("1.5", "2.5")).expect("written");
        });
        assert_eq!(edited, "its manifest is missing or broken");
    }
}
