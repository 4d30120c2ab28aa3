//! Which network is meant by a word of the command line: a folder or file, or a stage of a recipe that has run.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::hub::{Want, is_reference};
use crate::model::{Engine, NetId, Network};
use crate::plan::{Plan, State};
use crate::run;
use crate::stage::Artifact;
use crate::world::Sources;

use super::args::{DeviceArgs, FromArgs, RecipeArgs};
use super::device::Chosen;
use super::fetch::{self, How};
use super::open::{planned, recipes_in};
use super::out;

/// A network that was asked for.
#[derive(Debug)]
pub(super) enum Found {
    At(PathBuf),
    /// As a stage that has not ended was training it.
    Begun(Network),
}

impl Found {
    /// Its headers.
    ///
    /// # Errors
    /// When its files are not those of a network.
    pub(super) fn open(&self) -> Result<Network, Diagnostic> {
        match self {
            Self::At(path) => Network::open(path).map_err(|error| error.diagnostic()),
            Self::Begun(network) => Ok(network.clone()),
        }
    }
}

/// The network of a word. `None` once it has been said why there is none.
pub(super) fn find(word: &str, from: &FromArgs, device: &DeviceArgs) -> Option<Found> {
    let path = Path::new(word);
    if is_reference(word) {
        return fetch::word(path, Want::Model).map(Found::At);
    }
    if path.exists() {
        return Some(Found::At(path.to_owned()));
    }
    let file = match &from.from {
        Some(file) => file.clone(),
        None => match &recipes_in(Path::new("."))[..] {
            [one] => PathBuf::from(one),
            recipes => {
                let where_else = if recipes.is_empty() { "" } else { "; a stage of a recipe is found with `--from RECIPE.align`" };
                out::error(&format!("`{word}` is no file or folder{where_else}"));
                return None;
            }
        },
    };
    let planned = planned(&RecipeArgs { file: file.clone(), recipe: None, settings: from.settings.clone() }, device.device, How::LOOK)?;
    let plan = &planned.plan;
    let Some(stage) = plan.last_of(word).or_else(|| plan.named(word)) else {
        let near = did_you_mean(word, plan.names()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        out::error(&format!("`{word}` is no file or folder, and `{}` has no stage of that name{near}", file.display()));
        return None;
    };
    if let State::Resume(_) = plan.node(stage).state {
        match run::begun(plan, &planned.store, &planned.root, stage) {
            Ok(Some((step, network))) => {
                out::error(&format!("`{word}` has not ended: this is what it was after step {step}"));
                return Some(Found::Begun(network));
            }
            Ok(None) => {}
            Err(failure) => {
                out::error(&failure.to_string());
                return None;
            }
        }
    }
    if plan.node(stage).state != State::Cached {
        out::error(&format!("`{word}` has not been made yet, or `{}` was changed since: `align run {0}` makes it", file.display()));
        return None;
    }
    match run::made(plan, &planned.store, &planned.root, stage) {
        Ok(Artifact::Network(network)) => Some(Found::At(network.path)),
        Ok(_) => {
            out::error(&format!("`{word}` is no network{}", networks(plan)));
            None
        }
        Err(failure) => {
            out::error(&failure.to_string());
            None
        }
    }
}

/// What else there is to talk to.
fn networks(plan: &Plan) -> String {
    let are = ["load_model", "train", "rl"];
    let names: Vec<&str> = plan.nodes.iter().filter(|n| are.contains(&&*n.call.primitive)).map(|n| n.call.name.as_str()).collect();
    if names.is_empty() { String::new() } else { format!("; networks are {}", names.join(", ")) }
}

/// Networks on one device.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) engine: Engine,
    pub(super) nets: Vec<NetId>,
}

/// Opens networks. `None` once it has been said what is wrong.
pub(super) fn load(found: &[Found], device: &DeviceArgs) -> Option<Open> {
    match try_load(found, device) {
        Ok(open) => Some(open),
        Err(wrong) => {
            refuse(&wrong);
            None
        }
    }
}

fn try_load(found: &[Found], device: &DeviceArgs) -> Result<Open, Diagnostic> {
    let networks = found.iter().map(Found::open).collect::<Result<Vec<_>, _>>()?;
    let mut engine = Engine::new(Chosen::new(device.device)?.open()?);
    let nets = networks.iter().map(|network| engine.load(network, false)).collect::<Result<_, _>>().map_err(|e| e.diagnostic())?;
    Ok(Open { engine, nets })
}

/// Shows what is wrong with no place in a file.
pub(super) fn refuse(wrong: &Diagnostic) {
    out::diagnostics(std::slice::from_ref(wrong), &Sources::default());
}
