//! From a file name to a checked recipe and its plan, with every mistake shown on the way.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, did_you_mean, reason};
use crate::durable::{self, HashCache};
use crate::plan::{Plan, Surroundings};
use crate::recipe::checked::Checked;
use crate::recipe::{self, Look, Memory, Options};
use crate::run::{Store, export_refusals};
use crate::stage::PRIMITIVES;
use crate::world::Sources;

use super::args::RecipeArgs;
use super::device::{Chosen, Wanted};
use super::fetch::{self, Brought, How, ToFetch};
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
    /// What is left at a hub until a run needs it.
    pub(super) to_fetch: Vec<ToFetch>,
}

/// Reads and checks a recipe, and fetches what it names of a hub. `Err`: the file itself cannot be read.
pub(super) fn open(args: &RecipeArgs, how: How) -> Result<Opened, String> {
    let root = durable::parent(&args.file).canonicalize().map_err(|error| unreadable(&args.file, &error))?;
    let mut memory = Memory::default();
    let (mut sources, mut look) = looked(args, &mut memory)?;
    let mut brought = Brought::default();
    if let Some(elaborated) = look.elaborated.as_ref().filter(|_| look.is_sound()) {
        let wanted = fetch::wanted(elaborated);
        if !wanted.is_empty() {
            brought = fetch::bring(&wanted, &root, how);
            // now against what is here
            (sources, look) = looked(args, &mut memory)?;
        }
    }
    let (checked, mut diagnostics) = (look.elaborated, look.diagnostics);
    // why it is not here is said already
    let said = |diagnostic: &Diagnostic| {
        diagnostic.code == NOT_HERE
            && brought.diagnostics.iter().any(|known| known.labels.first().map(|l| l.span) == diagnostic.labels.first().map(|l| l.span))
    };
    diagnostics.retain(|diagnostic| !said(diagnostic));
    diagnostics.splice(0..0, brought.diagnostics);
    if let Some(checked) = &checked {
        diagnostics.extend(export_refusals(&checked.exports, &root));
    }
    let checked = checked.filter(|_| !diagnostics.iter().any(Diagnostic::is_error));
    Ok(Opened { sources, root, checked, diagnostics, to_fetch: brought.to_fetch })
}

/// The code of what a hub has and this machine has not.
const NOT_HERE: &str = "align::hub::not_here";

fn looked(args: &RecipeArgs, memory: &mut Memory) -> Result<(Sources, Look), String> {
    let mut sources = Sources::default();
    let file = sources.read(&args.file).map_err(|error| unreadable(&args.file, &error))?;
    let settings = args.settings.clone();
    let options = Options { recipe: args.recipe.clone(), params: settings.params, profile: settings.profile };
    let look = recipe::look(&mut sources, file, &options, memory, None);
    Ok((sources, look))
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
    pub(super) to_fetch: Vec<ToFetch>,
}

/// Opens and plans, showing everything that is wrong; `None` when nothing may run. No driver is asked about devices
/// before the recipe is sound.
pub(super) fn planned(args: &RecipeArgs, wanted: Wanted, how: How) -> Option<Planned> {
    let opened = shown(args, how)?;
    let checked = opened.checked.as_ref()?;
    let store = Store::new(&opened.root);
    let planned = Chosen::new(wanted).map_err(|wrong| vec![wrong]).and_then(|device| {
        let plan = plan(checked, &opened.root, &store, &device)?;
        Ok((device, plan))
    });
    match planned {
        Ok((device, plan)) => Some(Planned { sources: opened.sources, root: opened.root, device, store, plan, to_fetch: opened.to_fetch }),
        Err(refused) => {
            out::diagnostics(&refused, &opened.sources);
            None
        }
    }
}

/// Opens, and shows what is wrong.
fn shown(args: &RecipeArgs, how: How) -> Option<Opened> {
    match open(args, how) {
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
