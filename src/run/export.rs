//! Results leave the store as plain files: whole or not at all, and never over what somebody else put there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::diagnostic::{Diagnostic, reason};
use crate::durable::{self, HashCache};
use crate::model::{Container, Form, ModelError, Network, gguf_at};
use crate::plan::Plan;
use crate::recipe::checked::Export;
use crate::stage::{Artifact, NetworkAt};
use crate::value::{Cell, Table};

use super::artifacts::Artifacts;
use super::outcome::Run;
use super::store::{FOLDER, HASHES};

/// What was exported to a path, so that it may be replaced.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Ours {
    /// The artifact: its fingerprint and the part of it.
    of: String,
    /// Hash of all names and contents as they were written.
    tree: String,
}

fn ledger_path(root: &Path) -> PathBuf {
    root.join(FOLDER).join("exports.json")
}

fn ledger(root: &Path) -> BTreeMap<String, Ours> {
    fs::read(ledger_path(root)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// Exports of a recipe in `root` that would overwrite what align did not write, or what was changed since.
pub fn refusals(exports: &[Export], root: &Path) -> Vec<Diagnostic> {
    let (ours, mut hashes) = (ledger(root), HashCache::open(&root.join(FOLDER).join(HASHES)));
    let mut refused = |export: &&Export| !may_replace(&root.join(&export.path), ours.get(&key(&export.path)), &mut hashes);
    exports.iter().filter(|export| refused(export)).map(refusal).collect()
}

fn key(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn may_replace(target: &Path, ours: Option<&Ours>, hashes: &mut HashCache) -> bool {
    let empty = fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_none());
    !target.exists() || empty || ours.is_some_and(|ours| tree(target, hashes).is_ok_and(|found| found == ours.tree))
}

fn refusal(export: &Export) -> Diagnostic {
    Diagnostic::error("align::run::export_exists", format!("`{}` exists, and is not what align last exported there", export.path.display()))
        .at(export.span, "would be overwritten")
        .help("move it away or export to another path")
}

/// What an export is of: an artifact, and the form that it is asked for in.
fn reference(plan: &Plan, export: &Export) -> String {
    let of = plan.reference(&export.what);
    match export.form {
        Some(form) => format!("{of} as {}", form.numbers.word()),
        None => of,
    }
}

/// Exports one output. Returns whether it was there already, unchanged.
pub(super) fn export(run: &Run<'_>, export: &Export, artifacts: &Artifacts<'_>) -> Result<bool, Diagnostic> {
    let broken = |error: io::Error| {
        Diagnostic::error("align::run::disk", format!("`{}` cannot be written: {}", export.path.display(), reason(&error)))
            .at(export.span, "exported here")
    };
    let (target, of) = (run.root.join(&export.path), reference(run.plan, export));
    let mut ours = ledger(run.root);
    let known = ours.get(&key(&export.path)).filter(|ours| ours.of == of);
    if known.is_some_and(|ours| may_replace(&target, Some(ours), &mut run.store.hashes()) && target.exists()) {
        return Ok(true);
    }
    let artifact = artifacts
        .open(&export.what)
        .map_err(|e| Diagnostic::error("align::run::damaged_artifact", e.to_string()).at(export.span, "exported here"))?;
    fs::create_dir_all(durable::parent(&target)).map_err(|error| broken(no_folder(export, error)))?;
    let making = durable::beside(&target);
    let written = write(&artifact, &making, run.plan, export).map_err(|unwritten| match unwritten {
        Unwritten::Disk(error) => broken(error),
        Unwritten::Network(error) => error.diagnostic().at(export.span, "exported here"),
    });
    let written = written.and_then(|()| tree(&making, &mut run.store.hashes()).map_err(broken));
    let placed = written.and_then(|tree| {
        let ours = ours.get(&key(&export.path));
        place(export, ours, &making, &target, &tree, &mut run.store.hashes()).map(|unchanged| (unchanged, tree))
    });
    // whatever happened, nothing half-made stays
    durable::remove(&making).map_err(broken)?;
    let (unchanged, tree) = placed?;
    ours.insert(key(&export.path), Ours { of, tree });
    let text = serde_json::to_vec_pretty(&ours).expect("plain data becomes JSON");
    durable::write(&ledger_path(run.root), &text).map_err(broken)?;
    Ok(unchanged)
}

/// Why the folder of an export cannot be made.
fn no_folder(export: &Export, error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            io::Error::new(error.kind(), format!("`{}` is a file, not a folder", durable::parent(&export.path).display()))
        }
        _ => error,
    }
}

/// Puts what was made at its path, unless it is there already or something else is. Returns whether it was there.
fn place(
    export: &Export,
    ours: Option<&Ours>,
    making: &Path,
    target: &Path,
    new: &str,
    hashes: &mut HashCache,
) -> Result<bool, Diagnostic> {
    let broken = |error: io::Error| {
        Diagnostic::error("align::run::disk", format!("`{}` cannot be written: {}", export.path.display(), reason(&error)))
            .at(export.span, "exported here")
    };
    if target.exists() && tree(target, hashes).map_err(broken)? == new {
        return Ok(true);
    }
    if !may_replace(target, ours, hashes) {
        return Err(refusal(export));
    }
    replace(making, target).map_err(broken)?;
    Ok(false)
}

/// Puts the new in the old one's place. A folder cannot be renamed over another one, so the old one steps aside first:
/// killed in between, the old stands beside the path under a hidden name.
fn replace(making: &Path, target: &Path) -> io::Result<()> {
    if !target.is_dir() {
        return durable::rename(making, target);
    }
    let aside = durable::beside(target);
    durable::rename(target, &aside)?;
    durable::rename(making, target)?;
    durable::remove(&aside)
}

/// Hash of the names and contents of a file or of all files in a folder.
fn tree(path: &Path, hashes: &mut HashCache) -> io::Result<String> {
    if path.is_file() {
        return Ok(hashes.hash(path)?.1);
    }
    let mut hasher = blake3::Hasher::new();
    for file in durable::files_under(path)? {
        let (bytes, blake3) = hashes.hash(&path.join(&file))?;
        hasher.update(format!("{file}\0{bytes}\0{blake3}\n").as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Why what is exported was not written.
enum Unwritten {
    Disk(io::Error),
    Network(ModelError),
}

impl From<io::Error> for Unwritten {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

fn write(artifact: &Artifact, to: &Path, plan: &Plan, export: &Export) -> Result<(), Unwritten> {
    match artifact {
        Artifact::Network(at) => network(at, to, export)?,
        Artifact::Table(table) => synced(to, |file| rows(table, file))?,
        Artifact::Value(cell) => synced(to, |file| writeln!(file, "{:#}", value(cell)))?,
        Artifact::Record(parts) => {
            fs::create_dir(to)?;
            for (name, part) in parts {
                let extension = match part {
                    Artifact::Table(_) => ".jsonl",
                    Artifact::Value(_) => ".json",
                    Artifact::Network(_) | Artifact::Record(_) | Artifact::Missing => "",
                };
                write(part, &to.join(format!("{name}{extension}")), plan, export)?;
            }
        }
        Artifact::Missing => return Err(io::Error::other(format!("`{}` was not made", plan.shown(&export.what))).into()),
    }
    Ok(())
}

/// A network in the form that is asked for. Without one: what is a folder as it is, and one file as a folder, for the
/// files beside it would be missing. A scorer without a network is one file.
fn network(at: &NetworkAt, to: &Path, export: &Export) -> Result<(), Unwritten> {
    let usual = Form { container: Container::Folder, numbers: Container::Folder.usual() };
    let as_it_is = export.form.is_none() && (gguf_at(&at.path).is_none() && at.path.is_dir() || at.is_fixed_scorer());
    if as_it_is {
        return Ok(copy(at, to)?);
    }
    let name = export.path.file_stem().map(|name| name.to_string_lossy());
    let written = Network::open(&at.path).and_then(|network| network.export(to, export.form.unwrap_or(usual), name.as_deref()));
    written.map_err(Unwritten::Network)
}

fn copy(network: &NetworkAt, to: &Path) -> io::Result<()> {
    if network.path.is_file() {
        let mut from = File::open(&network.path)?;
        return synced(to, |file| io::copy(&mut from, file).map(|_| ()));
    }
    for inner in durable::files_under(&network.path)? {
        let path = to.join(&inner);
        fs::create_dir_all(durable::parent(&path))?;
        let mut from = File::open(network.path.join(&inner))?;
        synced(&path, |file| io::copy(&mut from, file).map(|_| ()))?;
    }
    Ok(())
}

fn synced(path: &Path, fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create_new(path)?);
    fill(&mut file)?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// Rows as other programs read them: completions as text, dialogues as lists of `{role, content}`.
fn rows(table: &Table, file: &mut impl Write) -> io::Result<()> {
    for row in &table.rows {
        let fields: Map<String, Value> = table.columns.iter().zip(row).map(|(name, cell)| (name.to_string(), value(cell))).collect();
        writeln!(file, "{}", Value::Object(fields))?;
    }
    Ok(())
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Completion(completion) => json!(*completion.text),
        Cell::Dialogue(turns) => turns.iter().map(|turn| json!({ "role": turn.role.name(), "content": *turn.text })).collect(),
        Cell::Sequence(s) => json!({
            "prompt": value(&Cell::Dialogue(s.prompt.clone())),
            "completion": s.completion.as_ref().map(|c| json!(*c.text)),
        }),
        Cell::List(items) => items.iter().map(value).collect(),
        Cell::Record(fields) => Value::Object(fields.iter().map(|(name, cell)| (name.to_string(), value(cell))).collect()),
        Cell::Tokens(numbers) => json!(numbers),
        Cell::Estimate(estimate) => json!(estimate),
        Cell::None => Value::Null,
        Cell::Bool(b) => json!(b),
        Cell::Int(i) => json!(i),
        Cell::Float(x) => json!(x),
        Cell::Text(text) => json!(**text),
    }
}
