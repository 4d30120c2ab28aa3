//! Finished artifacts, opened for the stages that read them: every byte verified once a run, tables read once. Numbers
//! are in the manifest, which is whole or refused; reading one does not read the network beside it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::durable::Damage;
use crate::formula::eval::{Call, Networks};
use crate::formula::expr::{Output, StageId};
use crate::formula::failure::Unanswered;
use crate::plan::Plan;
use crate::stage::service::Stopped;
use crate::stage::{Artifact, Failure, FromArg, NetworkAt};
use crate::value::{Cell, Table};

use super::store::{Object, Store};
use super::stored::{self, Stored};

/// Why an input cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("the stored result of `{name}` is damaged: {damage}")]
    Damaged { stage: StageId, name: String, damage: Damage },
    #[error("`{name}` has no part of that name")]
    NoPart { name: String },
}

impl From<Unreadable> for Failure {
    fn from(unreadable: Unreadable) -> Self {
        Self::new("align::run::damaged_artifact", unreadable.to_string()).help("check the disk")
    }
}

/// The artifacts of one run.
#[derive(Debug)]
pub(super) struct Artifacts<'a> {
    plan: &'a Plan,
    store: &'a Store,
    root: &'a Path,
    open: RefCell<BTreeMap<Output, Artifact>>,
    missing: RefCell<BTreeSet<StageId>>,
}

impl<'a> Artifacts<'a> {
    pub(super) fn new(plan: &'a Plan, store: &'a Store, root: &'a Path) -> Self {
        Self { plan, store, root, open: RefCell::default(), missing: RefCell::default() }
    }

    /// Says that a stage will not be made.
    pub(super) fn give_up(&self, stage: StageId) {
        self.missing.borrow_mut().insert(stage);
    }

    /// Forgets what was read: something is made again.
    pub(super) fn forget(&self) {
        self.open.borrow_mut().clear();
    }

    pub(super) fn is_missing(&self, stage: StageId) -> bool {
        self.missing.borrow().contains(&stage)
    }

    /// An output, ready to be read.
    pub(super) fn open(&self, output: &Output) -> Result<Artifact, Unreadable> {
        if self.is_missing(output.stage) {
            return Ok(Artifact::Missing);
        }
        if let Some(known) = self.open.borrow().get(output) {
            return Ok(known.clone());
        }
        let object = self.object(output.stage)?;
        let none = || Unreadable::NoPart { name: self.plan.shown(output) };
        let (stored, rest) = object.note.part(&output.path).ok_or_else(none)?;
        let found = self.artifact(output.stage, &object, stored, &rest)?;
        self.open.borrow_mut().insert(output.clone(), found.clone());
        Ok(found)
    }

    fn object(&self, stage: StageId) -> Result<Arc<Object>, Unreadable> {
        let node = self.plan.node(stage);
        self.store.object(&node.fingerprint).map_err(|damage| Unreadable::Damaged { stage, name: node.call.name.clone(), damage })
    }

    fn verify(&self, stage: StageId) -> Result<(), Unreadable> {
        let node = self.plan.node(stage);
        let verified = self.store.verified(&node.fingerprint);
        verified.map(|_| ()).map_err(|damage| Unreadable::Damaged { stage, name: node.call.name.clone(), damage })
    }

    fn artifact(&self, stage: StageId, object: &Object, stored: &Stored, rest: &[Arc<str>]) -> Result<Artifact, Unreadable> {
        let node = self.plan.node(stage);
        let damaged =
            |path: &str| Unreadable::Damaged { stage, name: node.call.name.clone(), damage: Damage::Content { path: path.to_owned() } };
        Ok(match stored {
            Stored::Network { path, .. } => {
                self.verify(stage)?;
                self.network(stage, path, object.folder.join(path))
            }
            Stored::Outside { argument } => {
                let written = node.call.args.get(argument.as_str()).and_then(PathBuf::from_arg).unwrap_or_default();
                self.network(stage, argument, crate::hub::path(self.root, &written.to_string_lossy()))
            }
            Stored::Table { path, .. } => {
                self.verify(stage)?;
                let file = File::open(object.folder.join(path)).map_err(|_| damaged(path))?;
                let table = Table::read_jsonl(BufReader::new(file)).map_err(|_| damaged(path))?;
                Artifact::Table(Arc::new(table))
            }
            Stored::Value(value) => {
                Artifact::Value(stored::cell(value, rest).ok_or_else(|| Unreadable::NoPart { name: node.call.name.clone() })?)
            }
            Stored::Figure { path } => Artifact::Value(Cell::text(object.folder.join(path).display().to_string())),
            Stored::Record(fields) => {
                let fields = fields.iter().map(|(name, stored)| Ok((name.clone(), self.artifact(stage, object, stored, &[])?)));
                Artifact::Record(fields.collect::<Result<_, Unreadable>>()?)
            }
            Stored::Same { place } => {
                let output = node.places.get(place).ok_or_else(|| damaged(crate::durable::MANIFEST))?;
                let path = output.path.iter().chain(rest).cloned().collect();
                self.open(&Output { stage: output.stage, path })?
            }
        })
    }

    fn network(&self, stage: StageId, part: &str, path: PathBuf) -> Artifact {
        let key = format!("{}/{part}", self.plan.node(stage).fingerprint);
        Artifact::Network(NetworkAt { key: key.into(), path })
    }

    /// The numbers that a stage gave, by the name under which a recipe would write them.
    pub(super) fn values(&self, stage: StageId) -> Vec<(String, Cell)> {
        let Ok(object) = self.object(stage) else { return Vec::new() };
        let mut found = Vec::new();
        collect(String::new(), &object.note.main, &mut found);
        for (name, stored) in &object.note.extras {
            collect(name.to_string(), stored, &mut found);
        }
        found
    }
}

fn collect(name: String, stored: &Stored, found: &mut Vec<(String, Cell)>) {
    match stored {
        Stored::Value(value) => found.extend(stored::cell(value, &[]).map(|cell| (name, cell))),
        Stored::Record(fields) => {
            for (field, stored) in fields {
                collect(if name.is_empty() { field.to_string() } else { format!("{name}.{field}") }, stored, found);
            }
        }
        _ => {}
    }
}

/// Formulas over artifacts only: expectations, conditions, late numbers and rows.
pub(super) struct Values<'a>(pub(super) &'a Artifacts<'a>);

impl Networks for Values<'_> {
    fn call(&mut self, call: Call<'_>, _: &[Vec<Cell>]) -> Result<Vec<Cell>, Unanswered> {
        Err(format!("`{}` asks a network about a row, and here is none", call.word).into())
    }

    fn lengths(&mut self, _: &[Cell]) -> Result<Vec<usize>, Unanswered> {
        Err("`length` counts a row's tokens, and here is no row".into())
    }

    fn artifact(&mut self, output: &Output) -> Result<Cell, Unanswered> {
        match self.0.open(output).map_err(|unreadable| Stopped(unreadable.into()))? {
            Artifact::Value(cell) => Ok(cell),
            Artifact::Table(table) => Ok(table.records()),
            Artifact::Missing => Err(format!("`{}` was not made", self.0.plan.shown(output)).into()),
            Artifact::Network(_) | Artifact::Record(_) => Err(format!("`{}` is no number", self.0.plan.shown(output)).into()),
        }
    }
}
