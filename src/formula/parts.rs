//! Lists, items and fields: putting values together and taking them apart.

use crate::value::Cell;

use super::column::{Column, Layout, Numbers, Within};
use super::eval::Eval;
use super::failure::{Cause, EvalError};
use super::number::Scalar;
use super::program::Slot;
use super::text::{describe, dialogue_of, turn};
use super::words::Items;

/// A field of a record, turn, completion or estimate; of `none`, `none`.
pub(super) fn field(cell: &Cell, name: &str) -> Result<Cell, Cause> {
    let found = match (cell, name) {
        (Cell::None, _) => Some(Cell::None),
        (Cell::Completion(completion), "text") => Some(Cell::Text(completion.text.clone())),
        // a text where a completion may stand is one that ended
        (Cell::Text(_), "text") => Some(cell.clone()),
        (Cell::Text(_), "finished") => Some(Cell::Bool(true)),
        (Cell::Completion(completion), "finished") => Some(Cell::Bool(completion.finished)),
        _ => cell.field(name),
    };
    found.ok_or_else(|| Cause::NoField { field: name.to_owned(), found: describe(cell) })
}

/// An item of a list or a turn of a dialogue.
fn item(of: &Cell, index: &Cell) -> Result<Cell, Cause> {
    let place = index.number().ok_or_else(|| Cause::NotANumber { found: describe(index) })?;
    let items: Vec<Cell> = match of {
        Cell::None => return Ok(Cell::None),
        Cell::List(items) => return at(place, items.len()).map(|i| items[i].clone()),
        Cell::Tokens(xs) => xs.iter().map(|x| Cell::Float(*x)).collect(),
        other => dialogue_of(other)?.iter().map(turn).collect(),
    };
    at(place, items.len()).map(|i| items[i].clone())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be a place")]
fn at(place: f64, length: usize) -> Result<usize, Cause> {
    if place >= 0.0 && place.fract() == 0.0 && (place as usize) < length {
        return Ok(place as usize);
    }
    Err(Cause::NoItem { index: place as i64, length })
}

impl Eval<'_> {
    /// A list of numbers where every item is one number per row, else of cells.
    pub(super) fn list(&mut self, slot: Slot, scope: usize) -> Result<Column, EvalError> {
        let columns = self.args(slot, scope)?;
        let one = |c: &Column| matches!(c, Column::Numbers(n) if n.layout.within == Within::One);
        if columns.is_empty() || !columns.iter().all(|c| one(c)) {
            return self.map_cells(slot, scope, |cells| Ok(Cell::List(cells.into())));
        }
        let numbers = self.all_numbers(&columns, slot, scope)?;
        let per_row = numbers.iter().any(|n| n.layout.per_row);
        let outer = if per_row { self.rows(scope) } else { 1 };
        let values = (0..outer).flat_map(|row| numbers.iter().map(move |n| n.row(row)[0])).collect();
        let layout = Layout { per_row, ..Layout::many(std::iter::repeat_n(numbers.len(), outer), false) };
        Ok(Column::Numbers(Numbers { values, layout, scalar: numbers.iter().map(|n| n.scalar).max().unwrap_or(Scalar::Float) }))
    }

    pub(super) fn index(&mut self, slot: Slot, scope: usize) -> Result<Column, EvalError> {
        let columns = self.args(slot, scope)?;
        let Column::Numbers(list) = &*columns[0] else { return self.map_cells(slot, scope, |cells| item(&cells[0], &cells[1])) };
        let (per_row, places) = self.indexed(slot, scope, list, &columns[1])?;
        let values = places.into_iter().map(|i| list.values[i]).collect();
        Ok(Column::Numbers(Numbers { values, layout: Layout { per_row, within: Within::One }, scalar: list.scalar }))
    }

    /// Where the item of each row stands among a list's numbers.
    pub(super) fn indexed(&self, slot: Slot, scope: usize, list: &Numbers, index: &Column) -> Result<(bool, Vec<usize>), EvalError> {
        let index = self.numbers(index, self.program.nodes[slot].args[1], scope)?;
        let per_row = list.layout.per_row || index.layout.per_row;
        let mut places = Vec::new();
        for row in 0..(if per_row { self.rows(scope) } else { 1 }) {
            let range = list.layout.range(row);
            let place = at(index.row(row)[0], range.len()).map_err(|cause| self.error(slot, scope, per_row.then_some(row), cause))?;
            places.push(range.start + place);
        }
        Ok((per_row, places))
    }

    pub(super) fn items(&mut self, slot: Slot, scope: usize, word: Items) -> Result<Column, EvalError> {
        let columns = self.args(slot, scope)?;
        let numbers = self.all_numbers(&columns, slot, scope)?;
        let (layout, places) = self.broadcast(slot, scope, &numbers)?;
        // of no rows nobody can say whether they would hold lists
        if !matches!(layout.within, Within::Many { .. }) && layout.outer(self.rows(scope)) > 0 {
            return Err(self.error(slot, scope, None, Cause::NotAList));
        }
        let outer = layout.outer(self.rows(scope));
        let at = |k: usize, i: usize| numbers[k].values[places[k].of(i)];
        let one = Layout { within: Within::One, ..layout };
        let (values, scalar) = match word {
            Items::Dot => ((0..outer).map(|row| layout.range(row).map(|i| at(0, i) * at(1, i)).sum()).collect(), Scalar::Float),
            Items::IndexOfMax => {
                let largest = |row: usize| {
                    let range = layout.range(row);
                    let start = range.start;
                    range.rev().max_by(|&i, &j| at(0, i).total_cmp(&at(0, j))).map_or(0, |i| i - start)
                };
                #[expect(clippy::cast_precision_loss, reason = "lists are short")]
                ((0..outer).map(|row| largest(row) as f64).collect(), Scalar::Int)
            }
        };
        Ok(Column::Numbers(Numbers { values, layout: one, scalar }))
    }
}
