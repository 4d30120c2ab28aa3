//! `align report`: what a run came to, for people, for other programs, and for CI.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::report::{self, Folder, ReportError, compare, mlflow, tensorboard};
use crate::run::Store;

use super::Exit;
use super::args::{FailOn, ReportArgs};
use super::network::refuse;
use super::open::Planned;
use super::out;

pub(super) fn report(args: &ReportArgs) -> Exit {
    match asked(args) {
        Ok(exit) => exit,
        Err(error) => {
            refuse(&error.diagnostic());
            Exit::Failed
        }
    }
}

fn asked(args: &ReportArgs) -> Result<Exit, ReportError> {
    let (store, run) = place(args)?;
    if args.list {
        for name in report::runs(&store)? {
            out::line(&name);
        }
        return Ok(Exit::Done);
    }
    let run = found(&store, run.as_deref())?;
    if let Some(folder) = &args.tensorboard {
        let written = tensorboard::write(&Folder::read(&run)?, folder)?;
        out::line(&format!("{written} numbers in `{}`: `tensorboard --logdir {0}`", folder.display()));
    }
    if let Some(address) = &args.mlflow {
        out::line(&mlflow::send(&report::gather(&store, &run)?, address)?);
    }
    if let Some(against) = &args.against {
        let before = found(&store, Some(against))?;
        let differences = compare::compare(&report::gather(&store, &before)?, &report::gather(&store, &run)?);
        out::print(&if args.json { format!("{}\n", compare::json(&differences)) } else { compare::table(&differences) });
        let worse = differences.iter().any(|d| d.worse);
        return Ok(if worse && args.fail_on == Some(FailOn::New) { Exit::Failed } else { Exit::Done });
    }
    if args.json {
        out::line(&report::gather(&store, &run)?.to_string());
    } else if args.tensorboard.is_none() && args.mlflow.is_none() {
        out::line(&report::write(&store, &run)?.display().to_string());
    }
    Ok(Exit::Done)
}

/// The store, and the name of a run in it or of a recipe.
fn place(args: &ReportArgs) -> Result<(PathBuf, Option<String>), ReportError> {
    let Some(word) = &args.run else { return Ok((Store::new(&args.folder).root().to_owned(), None)) };
    let path = Path::new(word);
    let last = || path.file_name().map_or_else(|| word.clone(), |name| name.to_string_lossy().into_owned());
    if path.join("events.jsonl").is_file() {
        let path = path.canonicalize().map_err(|e| ReportError::Unreadable { path: path.to_owned(), what: e.to_string() })?;
        let store = path.parent().and_then(Path::parent).unwrap_or(&path);
        return Ok((store.to_owned(), Some(path.file_name().unwrap_or_default().to_string_lossy().into_owned())));
    }
    if path.extension().is_some_and(|e| e == "align") {
        return Ok((Store::new(crate::durable::parent(path)).root().to_owned(), Some(last())));
    }
    Ok((Store::new(&args.folder).root().to_owned(), Some(word.clone())))
}

/// A run by its name, or the last one of a recipe's file.
fn found(store: &Path, name: Option<&str>) -> Result<PathBuf, ReportError> {
    let Some(stem) = name.and_then(|name| name.strip_suffix(".align")) else { return report::find(store, name) };
    let runs = report::runs(store)?;
    for name in runs.iter().rev() {
        let folder = store.join("runs").join(name);
        let read = Folder::read(&folder)?;
        let source = read.plan["sources"][0]["name"].as_str().unwrap_or_default().to_owned();
        if Path::new(&source).file_stem().is_some_and(|s| s == stem) || read.recipe() == stem {
            return Ok(folder);
        }
    }
    report::find(store, Some(stem))
}

/// Writes the report of a run that has just ended. A report that cannot be written does not undo the run.
pub(super) fn written(planned: &Planned, run: &Path, quiet: bool) {
    match report::write(planned.store.root(), run) {
        // in a pipe the last line names the folder already
        Ok(_) if quiet || !std::io::stdout().is_terminal() => {}
        Ok(path) => {
            let here = std::env::current_dir().ok().and_then(|here| path.strip_prefix(&here).ok().map(Path::to_owned));
            out::line(&format!("report: {}", here.unwrap_or(path).display()));
        }
        Err(error) => {
            let wrong = error.diagnostic();
            let warning = Diagnostic::warning(wrong.code, wrong.message.clone());
            out::diagnostics(&[wrong.help.iter().fold(warning, |w, help| w.help(help))], &planned.sources);
        }
    }
}
