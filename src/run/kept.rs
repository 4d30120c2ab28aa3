//! The networks of an earlier run, found through its `plan.json`: for looking at them when the recipe has changed since.
//!
//! **Invariant:** a name is compared with those of the plan and never becomes a path; what is opened lies in the store,
//! or is what `load_model` read, if it still is that.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::diagnostic::reason;
use crate::durable::{Damage, HashCache};
use crate::hub;
use crate::model::{Head, Network};
use crate::plan::{Fingerprint, Found, Shelf, outside};
use crate::stage::{NetworkAt, primitive};

use super::store::Store;
use super::stored::Stored;

/// Why a stage of a run gives no network.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    #[error("the run has no stage `{name}`")]
    NoStage { name: String },
    #[error("`{name}` has not been made")]
    NotMade { name: String },
    #[error("`{name}` has not ended: its last checkpoint is that of step {step}")]
    Begun { name: String, step: u64 },
    #[error("`{name}` made no network")]
    NoNetwork { name: String },
    #[error("the stored result of `{name}` is damaged: {damage}")]
    Damaged { name: String, damage: String },
    #[error("`{written}`, which `{name}` read, cannot be read any more: {reason}")]
    Gone { name: String, written: String, reason: String },
    #[error("`{written}` has other content than when `{name}` read it")]
    Changed { name: String, written: String },
}

/// A network that writes text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Speaker {
    pub name: String,
    /// The stage whose network it was trained from.
    pub parent: Option<String>,
    /// Whether it can be opened; one that is being trained cannot yet.
    pub made: bool,
}

/// The stages of one run: `plan` is its `plan.json`, `root` the recipe's folder.
#[derive(Debug)]
pub struct Kept<'a> {
    store: &'a Store,
    root: &'a Path,
    plan: &'a Value,
}

/// What holds a stage's network.
struct Place<'a> {
    name: &'a str,
    fingerprint: Fingerprint,
    /// Inside the artifact, or as the recipe wrote it.
    at: At,
}

enum At {
    Inside(String),
    Outside { argument: String, written: String, content: String },
}

impl<'a> Kept<'a> {
    /// The stages that `plan` names, made or not.
    pub fn new(store: &'a Store, root: &'a Path, plan: &'a Value) -> Self {
        Self { store, root, plan }
    }

    /// Every stage whose network writes text, and those that train one and have not ended.
    pub fn speakers(&self) -> Vec<Speaker> {
        let named = self.stages().filter_map(|stage| Some((stage, stage["name"].as_str()?)));
        let each = named.filter_map(|(stage, name)| {
            let made = match self.place(name) {
                Ok(place) => Network::head_at(&self.path(&place)).is_ok_and(|head| head == Head::Language).then_some(true),
                Err(Lost::NotMade { .. } | Lost::Begun { .. }) => stage["network"].is_string().then_some(false),
                Err(_) => None,
            };
            Some(Speaker { name: name.to_owned(), parent: self.parent(name), made: made? })
        });
        each.collect()
    }

    /// The network of a stage, every byte of it as it was made or read.
    ///
    /// # Errors
    /// When there is none, or it is not what it was.
    pub fn network(&self, name: &str) -> Result<NetworkAt, Lost> {
        let place = self.place(name)?;
        let path = self.path(&place);
        let part = match &place.at {
            At::Inside(part) => {
                self.store.verified(&place.fingerprint).map_err(|damage| damaged(place.name, &damage))?;
                part
            }
            At::Outside { argument, written, content } => {
                self.unchanged(place.name, argument, written, content)?;
                argument
            }
        };
        Ok(NetworkAt { key: format!("{}/{part}", place.fingerprint).into(), path })
    }

    /// The stage whose network the stage of a name went on from, if it did.
    pub fn parent(&self, name: &str) -> Option<String> {
        // what was kept of several rounds was trained as the round was
        let own = self.place(name).map_or(name, |place| place.name);
        let stage = self.stage(own)?;
        let above = stage["network"].as_str().or_else(|| self.named(stage["inputs"]["base"].as_str()?));
        above.map(str::to_owned)
    }

    fn stages(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.plan["stages"].as_array().into_iter().flatten()
    }

    fn stage(&self, name: &str) -> Option<&'a Value> {
        self.stages().find(|stage| stage["name"] == name)
    }

    /// The stage that an input belongs to: `part.split` of `part.split.train`.
    fn named(&self, shown: &'a str) -> Option<&'a str> {
        let mut name = shown;
        while self.stage(name).is_none() {
            name = name.rsplit_once('.')?.0;
        }
        Some(name)
    }

    fn place(&self, name: &str) -> Result<Place<'a>, Lost> {
        let stage = self.stage(name).ok_or_else(|| Lost::NoStage { name: name.to_owned() })?;
        let name = stage["name"].as_str().unwrap_or_default();
        let no_network = || Lost::NoNetwork { name: name.to_owned() };
        let fingerprint = stage["fingerprint"].as_str().and_then(Fingerprint::from_text).ok_or_else(no_network)?;
        match self.store.find(&fingerprint) {
            Found::Whole => {}
            Found::Nothing => return Err(Lost::NotMade { name: name.to_owned() }),
            Found::Partial(step) => return Err(Lost::Begun { name: name.to_owned(), step }),
            Found::Damaged(damage) => return Err(Lost::Damaged { name: name.to_owned(), damage }),
        }
        let object = self.store.object(&fingerprint).map_err(|damage| damaged(name, &damage))?;
        let at = match &object.note.main {
            Stored::Network { path, .. } => At::Inside(path.clone()),
            Stored::Outside { argument } => {
                let written = stage["args"][argument].as_str().ok_or_else(no_network)?.to_owned();
                At::Outside {
                    content: object.note.key.files.get(argument).cloned().unwrap_or_default(),
                    argument: argument.clone(),
                    written,
                }
            }
            // inputs stand before what they go into, so this ends
            Stored::Same { place } => {
                let input = stage["inputs"][place].as_str().and_then(|shown| self.named(shown)).filter(|input| *input != name);
                return self.place(input.ok_or_else(no_network)?);
            }
            _ => return Err(no_network()),
        };
        Ok(Place { name, fingerprint, at })
    }

    fn path(&self, place: &Place<'_>) -> PathBuf {
        match &place.at {
            At::Inside(part) => self.store.root().join("objects").join(place.fingerprint.as_str()).join(part),
            At::Outside { written, .. } => hub::path(self.root, written),
        }
    }

    /// Whether what a stage read outside the store is still what it was.
    fn unchanged(&self, name: &str, argument: &str, written: &str, content: &str) -> Result<(), Lost> {
        let stage = self.stage(name);
        let read_by = stage.and_then(|stage| primitive(stage["primitive"].as_str()?)).filter(|p| p.file_arguments().contains(&argument));
        let read_by = read_by.ok_or_else(|| Lost::NoNetwork { name: name.to_owned() })?;
        let mut hashes = HashCache::open(&self.store.root().join("outside.json"));
        let gone = |(_, error): (PathBuf, std::io::Error)| Lost::Gone {
            name: name.to_owned(),
            written: written.to_owned(),
            reason: reason(&error),
        };
        let now = outside::named(read_by, written, self.root, &mut hashes).map_err(gone)?;
        match now.blake3 == content {
            true => Ok(()),
            false => Err(Lost::Changed { name: name.to_owned(), written: written.to_owned() }),
        }
    }
}

fn damaged(name: &str, damage: &Damage) -> Lost {
    Lost::Damaged { name: name.to_owned(), damage: damage.to_string() }
}
