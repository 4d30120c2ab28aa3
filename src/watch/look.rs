//! One look at a recipe: its texts as they are now, what is wrong with them, and the checked recipe.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, reason};
use crate::hub::is_reference;
use crate::recipe::checked::Checked;
use crate::recipe::{Memory, Options, look};
use crate::run::export_refusals;
use crate::stage::{FromArg, PRIMITIVES};
use crate::world::Sources;

#[derive(Debug)]
pub(super) struct Look {
    pub(super) sources: Arc<Sources>,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Why the recipe's own file could not be read.
    pub(super) unreadable: Option<String>,
    /// There if the text could be worked out, right or wrong.
    elaborated: Option<Checked>,
    sound: bool,
    /// The files that were read, and the recipe's own even if it could not be.
    pub(super) texts: BTreeMap<PathBuf, Arc<str>>,
}

impl Look {
    /// Reads and checks.
    pub(super) fn new(file: &Path, root: &Path, options: &Options, memory: &mut Memory) -> Self {
        let mut sources = Sources::default();
        let id = match sources.read(file) {
            Ok(id) => id,
            Err(error) => {
                let unreadable = Some(reason(&error));
                let texts = [(absolute(file, root), "".into())].into();
                return Self { sources: Arc::new(sources), diagnostics: Vec::new(), unreadable, elaborated: None, sound: false, texts };
            }
        };
        let found = look(&mut sources, id, options, memory, None);
        let (elaborated, mut diagnostics) = (found.elaborated, found.diagnostics);
        if let Some(elaborated) = &elaborated {
            diagnostics.extend(export_refusals(&elaborated.exports, root));
        }
        let sound = !diagnostics.iter().any(Diagnostic::is_error);
        let read = sources.iter().filter(|(_, source)| source.folder.is_some());
        let texts = read.map(|(_, source)| (absolute(Path::new(&source.name), root), source.text.clone())).collect();
        Self { sources: Arc::new(sources), diagnostics, unreadable: None, elaborated, sound, texts }
    }

    /// The recipe, if nothing is wrong with it.
    pub(super) fn checked(&self) -> Option<&Checked> {
        self.elaborated.as_ref().filter(|_| self.sound)
    }

    /// A file is not there, or has nothing in it: somebody may be about to write it.
    pub(super) fn is_half_saved(&self) -> bool {
        let missing = |diagnostic: &Diagnostic| diagnostic.code == "align::recipe::unreadable_use";
        self.unreadable.is_some() || self.texts.values().any(|text| text.trim().is_empty()) || self.diagnostics.iter().any(missing)
    }

    /// A file that the recipe names was not there.
    pub(super) fn misses_a_file(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.code.ends_with("::missing_file"))
    }

    /// Files outside that the recipe names, there or not.
    pub(super) fn outside(&self, root: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for stage in self.elaborated.iter().flat_map(|recipe| &recipe.stages) {
            let Some(primitive) = PRIMITIVES.iter().find(|primitive| primitive.name() == &*stage.primitive) else { continue };
            for path in primitive.file_arguments().iter().filter_map(|argument| PathBuf::from_arg(stage.args.get(*argument)?)) {
                // a commit's files never change
                if is_reference(&path.to_string_lossy()) {
                    continue;
                }
                let path = root.join(path);
                found.extend(primitive.outside_files(&path).unwrap_or_default());
                found.push(path);
            }
        }
        found
    }
}

fn absolute(path: &Path, root: &Path) -> PathBuf {
    let found = path.canonicalize().ok();
    found.unwrap_or_else(|| root.join(path.file_name().unwrap_or_default()))
}
