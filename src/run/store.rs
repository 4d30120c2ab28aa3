//! The content-addressed store beside a recipe, `.align/`:
//!
//! ```text
//! objects/<fingerprint>/   an artifact and its manifest; complete or absent
//! partial/<fingerprint>/   making/: an artifact in the making; checkpoints/: where a killed stage goes on
//! locks/<fingerprint>      held while a run works on the artifact
//! damaged/                 artifacts that were not what they had been, out of the way
//! past/<recipe>/<stage>    what the stage of that name last was
//! runs/<time>-<recipe>/    what every run said and measured
//! ```

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::durable::{self, Damage, HashCache, Sealed};
use crate::formula::expr::Output;
use crate::plan::{Fingerprint, Found, Key, Past, Shelf};
use crate::stage::{Checkpoints, Size};
use crate::value::Cell;

use super::clock::utc;
use super::lock::Lock;
use super::stored::{self, Note, Stored};

/// The store's folder.
pub(super) const FOLDER: &str = ".align";
/// What it remembers of files' contents.
pub(super) const HASHES: &str = "hashes.json";

/// Artifacts, checkpoints and memories of the recipes in one folder. Safe for several processes at once.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    hashes: RefCell<HashCache>,
    /// Manifests that have been read and whose files have been found as they were.
    open: RefCell<BTreeMap<Fingerprint, Arc<Object>>>,
    /// Artifacts whose every byte has been read and compared by this process.
    verified: RefCell<BTreeSet<Fingerprint>>,
}

/// A whole artifact.
#[derive(Clone, PartialEq, Debug)]
pub struct Object {
    pub folder: PathBuf,
    pub sealed: Sealed,
    pub note: Note,
}

impl Store {
    /// The store of the recipes in `folder`. Nothing is written before [`Store::prepare`].
    pub fn new(folder: &Path) -> Self {
        let root = folder.join(FOLDER);
        let hashes = RefCell::new(HashCache::open(&root.join(HASHES)));
        Self { root, hashes, open: RefCell::default(), verified: RefCell::default() }
    }

    /// Makes the folders.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn prepare(&self) -> io::Result<()> {
        for part in ["objects", "partial", "locks", "past", "runs"] {
            fs::create_dir_all(self.root.join(part))?;
        }
        // neither version control nor backups want it
        let marks = [(".gitignore", "*\n"), ("CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n")];
        for (name, text) in marks {
            let path = self.root.join(name);
            if !path.exists() {
                durable::write(&path, text.as_bytes())?;
            }
        }
        Ok(())
    }

    /// The store's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What is known of files' contents.
    pub(super) fn hashes(&self) -> RefMut<'_, HashCache> {
        self.hashes.borrow_mut()
    }

    fn object_folder(&self, fingerprint: &Fingerprint) -> PathBuf {
        self.root.join("objects").join(fingerprint.as_str())
    }

    fn partial_folder(&self, fingerprint: &Fingerprint) -> PathBuf {
        self.root.join("partial").join(fingerprint.as_str())
    }

    /// An artifact: its manifest is whole, and no file has changed since it was written as far as size and time tell.
    ///
    /// # Errors
    /// When something is missing or damaged; [`Damage::Manifest`] also when there is no artifact.
    pub fn object(&self, fingerprint: &Fingerprint) -> Result<Arc<Object>, Damage> {
        if let Some(object) = self.open.borrow().get(fingerprint) {
            return Ok(object.clone());
        }
        let folder = self.object_folder(fingerprint);
        let sealed = Sealed::open(&folder)?;
        for file in &sealed.files {
            let (_, blake3) = self.hashes().hash(&folder.join(&file.path))?;
            if blake3 != file.blake3 {
                return Err(Damage::Content { path: file.path.clone() });
            }
        }
        let note: Note = serde_json::from_value(sealed.note.clone()).map_err(|_| Damage::Manifest)?;
        if note.key.fingerprint() != *fingerprint {
            return Err(Damage::Manifest);
        }
        let object = Arc::new(Object { folder, sealed, note });
        self.open.borrow_mut().insert(fingerprint.clone(), object.clone());
        Ok(object)
    }

    /// The same, every byte read and compared: before anything is made from it.
    ///
    /// # Errors
    /// As [`Store::object`].
    pub fn verified(&self, fingerprint: &Fingerprint) -> Result<Arc<Object>, Damage> {
        let object = self.object(fingerprint)?;
        if !self.verified.borrow().contains(fingerprint) {
            if let Err(damage) = object.sealed.verify(&object.folder) {
                self.open.borrow_mut().remove(fingerprint);
                return Err(damage);
            }
            self.verified.borrow_mut().insert(fingerprint.clone());
        }
        Ok(object)
    }

    /// Takes the right to make an artifact, or `None` while another process has it.
    pub(super) fn lock(&self, fingerprint: &Fingerprint) -> io::Result<Option<Lock>> {
        Lock::try_take(&self.root.join("locks").join(fingerprint.as_str()))
    }

    /// An empty folder to make an artifact in. What a killed run left there is removed: the caller holds the lock.
    pub(super) fn begin(&self, fingerprint: &Fingerprint) -> io::Result<PathBuf> {
        let making = self.partial_folder(fingerprint).join("making");
        durable::remove(&making)?;
        fs::create_dir_all(&making)?;
        Ok(making)
    }

    /// The checkpoints of an artifact in the making.
    pub fn checkpoints(&self, fingerprint: &Fingerprint, every: Duration) -> Checkpoints {
        Checkpoints::new(self.partial_folder(fingerprint).join("checkpoints"), every)
    }

    /// Seals what was made and gives it its name; checkpoints go.
    pub(super) fn finish(&self, fingerprint: &Fingerprint, note: Note) -> io::Result<Arc<Object>> {
        let (making, folder) = (self.partial_folder(fingerprint).join("making"), self.object_folder(fingerprint));
        let sealed = durable::seal(&making, serde_json::to_value(&note)?)?;
        fs::create_dir_all(durable::parent(&folder))?;
        durable::rename(&making, &folder)?;
        for file in &sealed.files {
            self.hashes().remember(&folder.join(&file.path), file.bytes, &file.blake3)?;
        }
        durable::remove(&self.partial_folder(fingerprint))?;
        let object = Arc::new(Object { folder, sealed, note });
        self.open.borrow_mut().insert(fingerprint.clone(), object.clone());
        self.verified.borrow_mut().insert(fingerprint.clone());
        Ok(object)
    }

    /// Puts a damaged artifact out of the way, if there is one. The caller holds the lock.
    pub(super) fn set_aside(&self, fingerprint: &Fingerprint) -> io::Result<Option<PathBuf>> {
        let folder = self.object_folder(fingerprint);
        if !folder.exists() {
            return Ok(None);
        }
        let damaged = self.root.join("damaged");
        fs::create_dir_all(&damaged)?;
        let name = format!("{fingerprint}-{}", utc(SystemTime::now()).replace(':', "-"));
        let mut aside = damaged.join(&name);
        for more in 2.. {
            if !aside.exists() {
                break;
            }
            aside = damaged.join(format!("{name}-{more}"));
        }
        durable::rename(&folder, &aside)?;
        self.open.borrow_mut().remove(fingerprint);
        Ok(Some(aside))
    }

    /// Removes what a killed run left of an artifact that has been finished since.
    pub(super) fn tidy(&self, fingerprint: &Fingerprint) -> io::Result<()> {
        let partial = self.partial_folder(fingerprint);
        match partial.exists().then(|| self.lock(fingerprint)).transpose()? {
            Some(Some(_lock)) => durable::remove(&partial),
            // nothing is left, or somebody is working there
            _ => Ok(()),
        }
    }

    /// Remembers what the stage of a name was when it last finished.
    pub(super) fn remember(&self, recipe: &str, stage: &str, past: &Past) -> io::Result<()> {
        let path = self.past_file(recipe, stage);
        fs::create_dir_all(durable::parent(&path))?;
        durable::write(&path, &serde_json::to_vec(past)?)
    }

    fn past_file(&self, recipe: &str, stage: &str) -> PathBuf {
        self.root.join("past").join(recipe).join(format!("{stage}.json"))
    }

    /// Keeps what was learnt about files for the next run.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save_hashes(&self) -> io::Result<()> {
        if self.root.exists() { self.hashes().save() } else { Ok(()) }
    }

    /// Every whole artifact that `keep` does not name, with its size: what could be collected.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn unused(&self, keep: &BTreeSet<Fingerprint>) -> io::Result<Vec<(Fingerprint, u64)>> {
        let folder = self.root.join("objects");
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            let Some(fingerprint) = name.to_str().and_then(Fingerprint::from_text) else { continue };
            if !keep.contains(&fingerprint) {
                let bytes = self.object(&fingerprint).map_or(0, |object| object.sealed.bytes());
                found.push((fingerprint, bytes));
            }
        }
        found.sort();
        Ok(found)
    }

    /// The part of an artifact that a path names, following [`Stored::Same`] from artifact to artifact.
    fn part(&self, fingerprint: &Fingerprint, path: &[Arc<str>]) -> Option<(Stored, Vec<Arc<str>>)> {
        let object = self.object(fingerprint).ok()?;
        let (stored, rest) = object.note.part(path)?;
        let Stored::Same { place } = stored else { return Some((stored.clone(), rest)) };
        let (next, mut full) = reference(&object.note.key, place)?;
        full.extend(rest);
        self.part(&next, &full)
    }
}

/// What stands at a place of a key.
fn reference(key: &Key, place: &str) -> Option<(Fingerprint, Vec<Arc<str>>)> {
    let mut parts = key.inputs.get(place)?.split('.');
    let fingerprint = Fingerprint::from_text(parts.next()?)?;
    Some((fingerprint, parts.map(Arc::from).collect()))
}

impl Shelf for Store {
    fn find(&self, fingerprint: &Fingerprint) -> Found {
        let folder = self.object_folder(fingerprint);
        if !folder.exists() {
            let step = self.checkpoints(fingerprint, Duration::ZERO).step();
            return step.map_or(Found::Nothing, Found::Partial);
        }
        match self.object(fingerprint) {
            Ok(_) => Found::Whole,
            Err(damage) => Found::Damaged(damage.to_string()),
        }
    }

    fn value(&self, fingerprint: &Fingerprint, path: &[Arc<str>]) -> Option<Cell> {
        match self.part(fingerprint, path)? {
            (Stored::Value(value), rest) => stored::cell(&value, &rest),
            _ => None,
        }
    }

    fn size(&self, fingerprint: &Fingerprint, path: &[Arc<str>]) -> Size {
        self.part(fingerprint, path).map_or_else(Size::default, |(stored, _)| stored.size())
    }

    fn past(&self, recipe: &str, stage: &str) -> Option<Past> {
        serde_json::from_slice(&fs::read(self.past_file(recipe, stage)).ok()?).ok()
    }
}

/// How an input of a stage is called, by place: for [`Past::names`].
pub(super) fn names(places: &BTreeMap<String, Output>, shown: impl Fn(&Output) -> String) -> BTreeMap<String, String> {
    places.iter().map(|(place, output)| (place.clone(), shown(output))).collect()
}
