//! A data file that cannot be read, and how the recipe's author hears of it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, counted, grouped, nowhere, reason};
use crate::recipe::types::{Row, Type};

use super::fault::{Fault, Faults, Group, Problem, listed};
use super::format::Format;
use super::synonym::meant;
use super::unpack::{Kind, Packing};

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("`{}` does not exist", path.display())]
    NoFile { path: PathBuf },
    #[error("`{}` cannot be read: {}", path.display(), reason(error))]
    Disk { path: PathBuf, error: std::io::Error },
    #[error("`{}` has no format that can be read", path.display())]
    UnknownFormat { path: PathBuf },
    #[error("`{}` is not {} data, whatever its name says", path.display(), packing.name())]
    NotPacked { path: PathBuf, packing: Packing },
    #[error("`{}` is {}", path.display(), kind.told().0)]
    Other { path: PathBuf, kind: Kind },
    /// Before the first row.
    #[error("`{}`: {problem}", path.display())]
    Parquet { path: PathBuf, problem: Problem },
    #[error("column `.{column}` of `{}` has {found}", path.display())]
    Column { path: PathBuf, column: String, found: String },
    #[error("`{}` has no rows", path.display())]
    NoRows { path: PathBuf },
    #[error("`{}` has {}", path.display(), counted(faults.groups.iter().map(|group| group.count).sum::<usize>() + faults.untold, "mistake"))]
    Faults { path: PathBuf, faults: Faults, asked: Row },
}

const AGAIN: &str = "copy or download the file again";

impl ReadError {
    /// Every mistake, for a caller who knows the place in the recipe; the file is called `shown`.
    pub fn diagnostics(&self, shown: &str) -> Vec<Diagnostic> {
        let one = Diagnostic::error;
        let diagnostic = match self {
            Self::NoFile { path } => one("align::data::missing_file", format!("`{shown}` does not exist")).help(nowhere(path)),
            Self::Disk { error, .. } => one("align::data::unreadable", format!("`{shown}` cannot be read: {}", reason(error))),
            Self::UnknownFormat { .. } => one("align::data::unknown_format", format!("`{shown}` has no format that can be read"))
                .help("`.jsonl`, `.json`, `.csv`, `.tsv`, `.parquet` and `.txt` are read, each also as `.gz` and `.zst`"),
            Self::NotPacked { packing, .. } => {
                one("align::data::damaged", format!("`{shown}` is not {} data, whatever its name says", packing.name()))
            }
            Self::Other { kind: Kind::Utf16, .. } => {
                let (what, help) = Kind::Utf16.told();
                one("align::data::not_utf8", format!("`{shown}` is {what}")).help(help)
            }
            Self::Other { kind, .. } => {
                let (what, help) = kind.told();
                one("align::data::other_content", format!("`{shown}` is {what}")).help(help)
            }
            Self::Parquet { problem: Problem::Cut, .. } => {
                one("align::data::cut_short", format!("`{shown}` ends early: the description of its columns, at its end, is not there"))
                    .help(AGAIN)
            }
            Self::Parquet { problem, .. } => {
                one("align::data::damaged", format!("`{shown}` cannot be read as Parquet: {problem}")).help(AGAIN)
            }
            Self::Column { column, found, .. } => one("align::data::wrong_type", format!("column `.{column}` of `{shown}` has {found}"))
                .help("state the columns to read after `as`, without this one, or write the file anew"),
            Self::NoRows { .. } => one("align::data::no_rows", format!("`{shown}` has no rows")),
            Self::Faults { path, faults, asked } => {
                let unit = Format::of(path).map_or("line", |(format, _)| format.unit());
                return of_faults(faults, asked, shown, unit);
            }
        };
        vec![diagnostic]
    }
}

fn of_faults(faults: &Faults, asked: &Row, shown: &str, unit: &str) -> Vec<Diagnostic> {
    let everywhere = faults.missing_everywhere();
    let mut diagnostics: Vec<Diagnostic> = missing_columns(&everywhere, asked, shown).into_iter().collect();
    let is_told = |group: &&Group| matches!(&group.first.problem, Problem::Missing { column, .. } if everywhere.iter().any(|(name, _)| *name == column));
    diagnostics.extend(faults.groups.iter().filter(|group| !is_told(group)).map(|group| of_group(group, shown, unit)));
    if faults.untold > 0 {
        let message = format!("`{shown}` has {} of other kinds", counted(faults.untold, "more mistake"));
        diagnostics.push(Diagnostic::error("align::data::broken_line", message));
    }
    diagnostics
}

/// Columns that no row has: most likely they go by other names.
fn missing_columns(missing: &[(&Arc<str>, &[Arc<str>])], asked: &Row, shown: &str) -> Option<Diagnostic> {
    let has = missing.first()?.1;
    let names: Vec<String> = missing.iter().map(|(name, _)| format!("`.{name}`")).collect();
    let (noun, verb) = if names.len() == 1 { ("column", "is") } else { ("columns", "are") };
    let message = format!("{noun} {} {verb} missing in `{shown}`; it has {}", names.join(" and "), listed(has));
    let help =
        renaming(asked, has).unwrap_or_else(|| "state the columns that it has after `as`, then build the others with `.select(…)`".into());
    Some(Diagnostic::error("align::data::missing_column", message).help(help))
}

/// How to get the columns asked for out of those there are.
fn renaming(asked: &Row, has: &[Arc<str>]) -> Option<String> {
    let found: Vec<(&Arc<str>, &Type, &Arc<str>)> =
        asked.iter().map(|(name, ty)| Some((name, ty, meant(name, has)?))).collect::<Option<_>>()?;
    let states: Vec<String> = found.iter().map(|(_, ty, column)| format!("{column}: {ty}")).collect();
    let selects: Vec<String> = found.iter().map(|(name, _, column)| format!("{name}: .{column}")).collect();
    Some(format!("read it `as {{ {} }}` and add `.select({})`", states.join(", "), selects.join(", ")))
}

fn of_group(group: &Group, shown: &str, unit: &str) -> Diagnostic {
    let Fault { line, column, problem } = &group.first;
    let line = grouped(*line);
    let column = column.map_or(String::new(), |column| format!(" at column {}", grouped(column)));
    let (code, message) = match problem {
        Problem::Missing { .. } => ("align::data::missing_value", format!("{unit} {line} of `{shown}`: {problem}")),
        Problem::WrongType { field, .. } => {
            ("align::data::wrong_type", format!("`.{field}` on {unit} {line} of `{shown}`{column}: {problem}"))
        }
        Problem::NotUtf8 { .. } => ("align::data::not_utf8", format!("{unit} {line} of `{shown}` is not UTF-8 text: {problem}")),
        Problem::Cut => ("align::data::cut_short", format!("`{shown}` ends early, after {unit} {line}: {problem}")),
        Problem::Damaged(_) => ("align::data::damaged", format!("`{shown}` breaks off after {unit} {line}: {problem}")),
        Problem::Broken(_) | Problem::NoRow { .. } => {
            ("align::data::broken_line", format!("{unit} {line} of `{shown}` is broken{column}: {problem}"))
        }
    };
    let advice = match problem {
        Problem::Cut | Problem::Damaged(_) => Some(AGAIN.to_owned()),
        Problem::NotUtf8 { .. } => Some("save the file as UTF-8".to_owned()),
        _ => None,
    };
    let same = group.further_lines(unit).map(|lines| format!("the same on {lines}"));
    let diagnostic = Diagnostic::error(code, message);
    match same.into_iter().chain(advice).collect::<Vec<_>>() {
        help if help.is_empty() => diagnostic,
        help => diagnostic.help(help.join("\n")),
    }
}
