//! The index of a checkpoint that is cut into several files: which tensor lies in which of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use super::{ModelError, TensorFile, Tensors};

/// `model.safetensors.index.json`.
#[derive(Debug)]
pub(super) struct Index {
    path: PathBuf,
    /// Tensor → file.
    places: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Written {
    weight_map: Places,
}

struct Places(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Places {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Places;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tensor names and their files")
            }

            /// A map of Rust would keep the last of two equal names in silence.
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Places, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Places(pairs))
            }
        }
        from.deserialize_map(Pairs)
    }
}

impl Index {
    /// Reads an index; every file that it names lies beside it.
    ///
    /// # Errors
    /// When it cannot be read, names a tensor twice, or a file that is not there or in another folder.
    pub(super) fn read(path: &Path) -> Result<Self, ModelError> {
        let damaged = |reason: String| ModelError::Damaged { path: path.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(|e| ModelError::unreadable(path, &e))?;
        let written: Written = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
        let mut places = BTreeMap::new();
        for (tensor, file) in written.weight_map.0 {
            if file.contains(['/', '\\']) {
                return Err(damaged(format!("it names `{file}`, which is not in the same folder")));
            }
            if places.insert(tensor.clone(), file).is_some() {
                return Err(damaged(format!("it names tensor `{tensor}` twice")));
            }
        }
        let index = Self { path: path.to_owned(), places };
        let files = index.files();
        match files.iter().find(|file| !file.is_file()) {
            None if files.is_empty() => Err(damaged("it names no file".into())),
            None => Ok(index),
            Some(missing) => {
                let name = missing.file_name().unwrap_or_default().to_string_lossy();
                Err(damaged(format!("it names `{name}`, which is not beside it")))
            }
        }
    }

    /// The files, each once.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let names: BTreeSet<&String> = self.places.values().collect();
        names.into_iter().map(|name| self.path.with_file_name(name)).collect()
    }

    /// Whether every tensor lies where the index says.
    ///
    /// # Errors
    /// When one does not.
    pub(super) fn check(&self, tensors: &TensorFile) -> Result<(), ModelError> {
        let is_there = |tensor: &str, file: &str| {
            tensors.shape(tensor).is_some() && tensors.path_of(tensor).file_name().is_some_and(|name| name == file)
        };
        match self.places.iter().find(|(tensor, file)| !is_there(tensor, file)) {
            None => Ok(()),
            Some((tensor, file)) => {
                let reason = format!("it says that tensor `{tensor}` is in `{file}`, and it is not");
                Err(ModelError::Damaged { path: self.path.clone(), reason })
            }
        }
    }
}
