//! A file's rows as a table of the type that the recipe states.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::recipe::types::{Row, Type};
use crate::value::{Cell, Table};

use super::array::place;
use super::error::ReadError;
use super::fault::{Fault, Faults, Problem};
use super::fit::{Mismatch, field, fit, natural};
use super::format::{self, Record};

/// Reads the columns of `asked`, or all as they are when it is empty; at most `limit` rows.
///
/// # Errors
/// With every mistake in the file, when there is one.
pub fn read(path: &Path, asked: &Row, limit: Option<usize>) -> Result<Table, ReadError> {
    read_into(path, asked, limit, None)
}

fn read_into(path: &Path, asked: &Row, limit: Option<usize>, unfit: Option<&mut Faults>) -> Result<Table, ReadError> {
    let mut rows = Vec::new();
    let mut names: Vec<Arc<str>> = asked.keys().cloned().collect();
    let limit = limit.unwrap_or(usize::MAX);
    check(path, asked, unfit, |record, cells| {
        rows.push(if asked.is_empty() { as_they_are(record, &mut names) } else { cells });
        if rows.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    if asked.is_empty() {
        rows.iter_mut().for_each(|row| row.resize(names.len(), Cell::None));
    }
    Ok(Table { columns: names, rows })
}

/// The same without the rows that lack a column or have another type in it: how many those were, and the first of each
/// kind.
///
/// # Errors
/// When the file is damaged or a line broken, or no row fits.
pub fn read_fitting(path: &Path, asked: &Row, limit: Option<usize>) -> Result<(Table, Faults), ReadError> {
    let mut unfit = Faults::default();
    let table = read_into(path, asked, limit, Some(&mut unfit))?;
    if table.is_empty() {
        return Err(ReadError::Faults { path: path.to_owned(), faults: unfit, asked: asked.clone() });
    }
    Ok((table, unfit))
}

/// Everything that would keep [`read`], or with `unfit` [`read_fitting`], from reading the whole file; the caller adds
/// the place in the recipe.
pub fn validate(path: &Path, asked: &Row, unfit: bool) -> Vec<Diagnostic> {
    let refused = match unfit {
        true => read_fitting(path, asked, None).err(),
        false => check(path, asked, None, |_, _| ControlFlow::Continue(())).err(),
    };
    refused.map_or_else(Vec::new, |error| error.diagnostics(&path.display().to_string()))
}

/// Gives every sound row and its cells to `each`. Rows that do not fit are noted in `unfit` where it is given.
fn check(
    path: &Path,
    asked: &Row,
    mut unfit: Option<&mut Faults>,
    mut each: impl FnMut(&Record<'_>, Vec<Cell>) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let mut faults = Faults::default();
    format::rows(path, asked, &mut |record| {
        faults.rows += 1;
        let sound = record.map_err(|fault| vec![fault]).and_then(|record| Ok((cells(&record, asked)?, record)));
        match sound {
            Ok((cells, record)) if faults.is_empty() => each(&record, cells),
            Ok(_) => ControlFlow::Continue(()),
            Err(found) => {
                let into = match &mut unfit {
                    Some(unfit) if found.iter().all(|fault| fault.problem.is_of_type()) => {
                        unfit.rows += 1;
                        &mut **unfit
                    }
                    _ => &mut faults,
                };
                found.into_iter().for_each(|fault| into.add(fault));
                ControlFlow::Continue(())
            }
        }
    })?;
    match faults {
        faults if !faults.is_empty() => Err(ReadError::Faults { path: path.to_owned(), faults, asked: asked.clone() }),
        Faults { rows: 0, .. } => Err(ReadError::NoRows { path: path.to_owned() }),
        _ => Ok(()),
    }
}

/// The cells of the columns asked for, or everything that is wrong with them.
fn cells(record: &Record<'_>, asked: &Row) -> Result<Vec<Cell>, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut cells = Vec::with_capacity(asked.len());
    for (name, ty) in asked {
        match field(&record.fields, name) {
            Some(node) => match fit(node, ty) {
                Ok(cell) => cells.push(cell),
                Err(mismatch) => faults.push(wrong_type(record, name, mismatch)),
            },
            None if matches!(ty, Type::Optional(_)) => cells.push(Cell::None),
            None => faults.push(missing(record, name)),
        }
    }
    if faults.is_empty() { Ok(cells) } else { Err(faults) }
}

pub(super) fn wrong_type(record: &Record<'_>, name: &Arc<str>, mismatch: Mismatch) -> Fault {
    let Mismatch { at, inside, expected, found } = mismatch;
    let problem = Problem::WrongType { field: format!("{name}{inside}"), expected, found };
    match record.text.map(|text| place(text, at)) {
        Some((line, column)) => Fault { line: record.line + line - 1, column: Some(column), problem },
        None => Fault { line: record.line, column: None, problem },
    }
}

pub(super) fn missing(record: &Record<'_>, name: &Arc<str>) -> Fault {
    let has = record.has.map_or_else(|| record.fields.iter().map(|(name, _)| name.clone()).collect(), <[_]>::to_vec);
    let start = record.fields.first().map_or(0, |(_, node)| node.at);
    let line = record.text.map_or(0, |text| place(text, start).0 - 1);
    Fault { line: record.line + line, column: None, problem: Problem::Missing { column: name.clone(), has } }
}

/// The row's own values in the order of `names`, to which new names are added.
fn as_they_are(record: &Record<'_>, names: &mut Vec<Arc<str>>) -> Vec<Cell> {
    for (name, _) in &record.fields {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names.iter().map(|name| field(&record.fields, name).map_or(Cell::None, natural)).collect()
}
