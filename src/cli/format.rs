//! `align fmt`

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use similar::TextDiff;

use crate::durable;
use crate::syntax::format as canonical;
use crate::world::Sources;

use super::Exit;
use super::args::FmtArgs;
use super::out;

pub(super) fn format(args: &FmtArgs) -> Exit {
    if args.paths == [PathBuf::from("-")] {
        return from_standard_input();
    }
    let mut exit = Exit::Done;
    for path in &args.paths {
        match recipes_under(path) {
            Ok(files) => {
                for file in files {
                    if !one(&file, args) {
                        exit = Exit::Failed;
                    }
                }
            }
            Err(error) => {
                out::error(&format!("`{}` cannot be read: {error}", path.display()));
                exit = Exit::Failed;
            }
        }
    }
    exit
}

fn from_standard_input() -> Exit {
    let mut text = String::new();
    if let Err(error) = io::stdin().read_to_string(&mut text) {
        out::error(&format!("standard input cannot be read: {error}"));
        return Exit::Failed;
    }
    match formatted("-", &text) {
        Some(new) => {
            out::print(&new);
            Exit::Done
        }
        None => Exit::Failed,
    }
}

/// Formats one file; false when it is wrong, or would change under `--check`.
fn one(path: &Path, args: &FmtArgs) -> bool {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            out::error(&format!("`{}` cannot be read: {error}", path.display()));
            return false;
        }
    };
    let Some(new) = formatted(&path.display().to_string(), &text) else { return false };
    if new == text {
        return true;
    }
    if args.diff {
        let name = path.display().to_string();
        out::print(&TextDiff::from_lines(&text, &new).unified_diff().header(&name, &name).to_string());
        return !args.check;
    }
    if args.check {
        out::line(&format!("{} would change", path.display()));
        return false;
    }
    match durable::write(path, new.as_bytes()) {
        Ok(()) => {
            out::line(&format!("{} formatted", path.display()));
            true
        }
        Err(error) => {
            out::error(&format!("`{}` cannot be written: {error}", path.display()));
            false
        }
    }
}

/// The canonical form; `None` once the mistakes have been shown: a broken file is left as it is.
fn formatted(name: &str, text: &str) -> Option<String> {
    let mut sources = Sources::default();
    let file = sources.add(name, text, None);
    match canonical(file, text) {
        Ok(new) => Some(new),
        Err(diagnostics) => {
            out::diagnostics(&diagnostics, &sources);
            None
        }
    }
}

/// A file, or every `.align` file of a folder, hidden ones aside.
fn recipes_under(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let (mut found, mut open) = (Vec::new(), vec![path.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (name, path) = (entry.file_name(), entry.path());
            if name.to_string_lossy().starts_with('.') {
                continue;
            }
            if entry.file_type()?.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "align") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
