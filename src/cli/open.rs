//! From a file name to a checked recipe and its plan, with every mistake shown on the way.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, did_you_mean, reason};
use crate::durable::{self, HashCache};
use crate::plan::{Plan, Surroundings};
use crate::recipe::checked::Checked;
use crate::recipe::{self, Options};
use crate::run::{Store, export_refusals};
use crate::stage::PRIMITIVES;
use crate::world::Sources;

use super::args::RecipeArgs;
use super::device::{Chosen, Wanted};
use super::out;

/// A recipe file that has been looked at.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) sources: Sources,
    /// The recipe's folder, absolute: where paths start and where the store is.
    pub(super) root: PathBuf,
    /// There if nothing is wrong.
    pub(super) checked: Option<Checked>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// Reads and checks a recipe. `Err`: the file itself cannot be read.
pub(super) fn open(args: &RecipeArgs) -> Result<Opened, String> {
    let unreadable = |error: std::io::Error| unreadable(&args.file, &error);
    let mut sources = Sources::default();
    let file = sources.read(&args.file).map_err(unreadable)?;
    let root = durable::parent(&args.file).canonicalize().map_err(unreadable)?;
    let settings = args.settings.clone();
    let options = Options { recipe: args.recipe.clone(), params: settings.params, profile: settings.profile };
    let (checked, mut diagnostics) = recipe::check(&mut sources, file, &options);
    if let Some(checked) = &checked {
        diagnostics.extend(export_refusals(&checked.exports, &root));
    }
    let checked = checked.filter(|_| !diagnostics.iter().any(Diagnostic::is_error));
    Ok(Opened { sources, root, checked, diagnostics })
}

/// Why a recipe's file cannot be read, and which one may have been meant.
pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> String {
    let wrong = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let known = recipes_in(durable::parent(path));
    let near = did_you_mean(&wrong, known.iter().map(|name| name.trim_end_matches(".align")));
    let near = near.map(|name| path.with_file_name(format!("{name}.align")));
    let near = near.map_or_else(String::new, |name| format!("; did you mean `{}`?", name.display()));
    let what = match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        std::io::ErrorKind::IsADirectory => "is a folder, not a recipe".to_owned(),
        std::io::ErrorKind::InvalidData => "is not a text".to_owned(),
        _ => format!("cannot be read: {}", reason(error)),
    };
    format!("`{}` {what}{near}", path.display())
}

/// Names of the recipe files in a folder, sorted.
pub(super) fn recipes_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    // the store is a folder called `.align`
    let files = entries.filter(|entry| !entry.path().is_dir());
    let names = files.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".align")).collect();
    names.sort();
    names
}

/// A recipe that may run, its device, its store and its plan.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) sources: Sources,
    pub(super) root: PathBuf,
    pub(super) device: Chosen,
    pub(super) store: Store,
    pub(super) plan: Plan,
}

/// Opens and plans, showing everything that is wrong; `None` when nothing may run. No driver is asked about devices
/// before the recipe is sound.
pub(super) fn planned(args: &RecipeArgs, wanted: Wanted) -> Option<Planned> {
    let opened = shown(args)?;
    let checked = opened.checked.as_ref()?;
    let store = Store::new(&opened.root);
    let planned = Chosen::new(wanted).map_err(|wrong| vec![wrong]).and_then(|device| {
        let plan = plan(checked, &opened.root, &store, &device)?;
        Ok((device, plan))
    });
    match planned {
        Ok((device, plan)) => Some(Planned { sources: opened.sources, root: opened.root, device, store, plan }),
        Err(refused) => {
            out::diagnostics(&refused, &opened.sources);
            None
        }
    }
}

/// Opens, and shows what is wrong.
fn shown(args: &RecipeArgs) -> Option<Opened> {
    match open(args) {
        Ok(opened) => {
            out::diagnostics(&opened.diagnostics, &opened.sources);
            Some(opened)
        }
        Err(message) => {
            out::error(&message);
            None
        }
    }
}

fn plan(checked: &Checked, root: &Path, store: &Store, device: &Chosen) -> Result<Plan, Vec<Diagnostic>> {
    let mut hashes = HashCache::open(&store.root().join("outside.json"));
    let mut around = Surroundings { root, numerics: device.numerics(), primitives: PRIMITIVES, shelf: store, hashes: &mut hashes };
    let plan = Plan::new(checked, &mut around)?;
    if store.root().exists() {
        // a memory that cannot be kept costs time at the next run, nothing else
        hashes.save().ok();
        store.save_hashes().ok();
    }
    Ok(plan)
}
