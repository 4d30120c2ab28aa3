//! Questions to networks: all rows of a table in one call, and all columns that are asked about alike; equal questions once,
//! chance by the row's name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::value::{Cell, Table};

use super::column::Column;
use super::eval::{Call, Eval};
use super::failure::{Cause, EvalError};
use super::key::{self, Key};
use super::program::{Op, Slot};
use super::text::describe;
use super::words::{Kind, Layout, Network as Gives};

impl Eval<'_> {
    pub(super) fn call(&mut self, slot: Slot, scope: usize) -> Result<Column, EvalError> {
        let slots = self.alike(slot, scope);
        let answers = match self.ask(&slots, scope) {
            // what went wrong, and with which of them, shows when they are asked one by one
            Err(_) if slots.len() > 1 => self.ask(&slots[..1], scope)?,
            answers => answers?,
        };
        let mut answers = answers.into_iter();
        let own = answers.next().expect("a column for every slot");
        for (&slot, column) in slots[1..].iter().zip(answers) {
            self.scopes[scope].values[slot] = Some(Arc::new(column));
        }
        Ok(own)
    }

    /// A call and those that put the same question to the same network about other texts of the rows. Asked at once, a
    /// text that two of them begin with is read once.
    fn alike(&self, slot: Slot, scope: usize) -> Vec<Slot> {
        let (nodes, values) = (&self.program.nodes, &self.scopes[scope].values);
        let is_alike = |&other: &Slot| {
            let (a, b) = (&nodes[slot], &nodes[other]);
            self.certain[other] && values[other].is_none() && a.op == b.op && a.args.len() == b.args.len()
        };
        let others = (0..nodes.len()).filter(|&other| scope == 0 && self.certain[slot] && other != slot);
        [slot].into_iter().chain(others.filter(is_alike)).collect()
    }

    /// The answers to calls that differ in their arguments alone, a column for each.
    fn ask(&mut self, slots: &[Slot], scope: usize) -> Result<Vec<Column>, EvalError> {
        let program = self.program;
        let node = &program.nodes[slots[0]];
        let Op::Call { word, network, other, when } = &node.op else { unreachable!("only calls are asked") };
        let Kind::Network(gives) = word.kind else { unreachable!("only network words are calls") };
        let mut columns = Vec::with_capacity(slots.len());
        for &slot in slots {
            let (per_row, mut asked) = self.cells(&program.nodes[slot].args, scope)?;
            if !per_row {
                asked = vec![asked.pop().expect("one row for all"); self.rows(scope)];
            }
            columns.push(asked);
        }
        // row by row, as what is asked of one row often begins alike
        let asked: Vec<&Vec<Cell>> = (0..self.rows(scope)).flat_map(|row| columns.iter().map(move |asked| &asked[row])).collect();
        let chance = gives == Gives::Sample;
        let names = if chance { self.row_names(scope) } else { vec![0; asked.len()] };
        let keys: Vec<Key> = asked.iter().map(|asked| key::cells(*asked)).collect();
        let (distinct, place) = if chance { ((0..asked.len()).collect(), (0..asked.len()).collect()) } else { distinct(&keys) };
        let rows: Vec<Vec<Cell>> = distinct.iter().map(|&at| asked[at].clone()).collect();
        let names: Vec<u64> = distinct.iter().map(|&at| names[at]).collect();
        let answers = if rows.is_empty() {
            Vec::new()
        } else {
            let (word, other, when, key) = (word.name, other.as_ref(), *when, self.inputs.key);
            let call = Call { word, network, other, when, key, names: &names, span: node.span };
            self.networks.call(call, &rows).map_err(|e| self.error(slots[0], scope, None, e))?
        };
        if let Some(wrong) = answers.iter().position(|a| !fits(gives, a)).or((answers.len() != rows.len()).then_some(answers.len())) {
            let found = answers.get(wrong).map_or_else(|| format!("{} answers to {} questions", answers.len(), rows.len()), describe);
            let row = distinct.get(wrong).map(|at| at / slots.len());
            return Err(self.error(slots[0], scope, row, Cause::WrongAnswer { word: word.name, expected: expected(gives), found }));
        }
        let of_slot = |at: usize| {
            let cells = place.iter().skip(at).step_by(slots.len()).map(|&i: &usize| answers[i].clone());
            Column::from_cells(cells.collect(), true)
        };
        Ok((0..slots.len()).map(of_slot).collect())
    }

    pub(super) fn layout(&mut self, slot: Slot, scope: usize, word: Layout) -> Result<Column, EvalError> {
        if word == Layout::Finished {
            return self.map_cells(slot, scope, |cells| finished(&cells[0]));
        }
        let (per_row, rows) = self.cells(&self.program.nodes[slot].args, scope)?;
        let cells: Vec<Cell> = rows.into_iter().flatten().collect();
        let cell = |length: usize| Cell::Int(i64::try_from(length).unwrap_or(i64::MAX));
        let lengths = self.lengths(slot, scope, &cells)?;
        Ok(Column::from_cells(lengths.into_iter().map(cell).collect(), per_row))
    }

    /// Items of lists, scored tokens of sequences.
    pub(super) fn lengths(&mut self, slot: Slot, scope: usize, cells: &[Cell]) -> Result<Vec<usize>, EvalError> {
        let keys: Vec<Key> = cells.iter().map(key::cell).collect();
        let (first, place) = distinct(&keys);
        let (mut lengths, mut asked) = (vec![0; first.len()], Vec::new());
        for (i, &row) in first.iter().enumerate() {
            match items(&cells[row]) {
                Some(items) => lengths[i] = items,
                None => asked.push(i),
            }
        }
        let sequences: Vec<Cell> = asked.iter().map(|&i| cells[first[i]].clone()).collect();
        if !sequences.is_empty() {
            let found = self.networks.lengths(&sequences).map_err(|e| self.error(slot, scope, None, e))?;
            asked.iter().zip(found).for_each(|(&i, length)| lengths[i] = length);
        }
        Ok(place.into_iter().map(|i| lengths[i]).collect())
    }

    /// The name of every row of a scope.
    pub(super) fn row_names(&mut self, scope: usize) -> Vec<u64> {
        let Some(parent) = self.scopes[scope].parent else {
            let table = self.inputs.table;
            return self.names.get_or_insert_with(|| names(table).into()).to_vec();
        };
        let outer = self.row_names(parent);
        self.scopes[scope].rows.iter().map(|&row| outer[row]).collect()
    }
}

/// A name of each row that does not depend on the order of rows: its content, and which of its equals it is.
pub fn names(table: &Table) -> Vec<u64> {
    let mut seen: HashMap<Key, usize> = HashMap::new();
    let name = |row: &Vec<Cell>| {
        let mut writer = key::Writer::new("row");
        table.columns.iter().zip(row).for_each(|(name, cell)| {
            writer.text(name).cell(cell);
        });
        let content = writer.finish();
        let copy = seen.entry(content).or_default();
        let name = key::short(&writer.count(*copy).finish());
        *copy += 1;
        name
    };
    table.rows.iter().map(name).collect()
}

/// The first place of each distinct key, and for every key its place among those.
fn distinct(keys: &[Key]) -> (Vec<usize>, Vec<usize>) {
    let mut number: HashMap<&Key, usize> = HashMap::new();
    let (mut first, mut place) = (Vec::new(), Vec::with_capacity(keys.len()));
    for (row, key) in keys.iter().enumerate() {
        let next = first.len();
        let i = *number.entry(key).or_insert(next);
        if i == next {
            first.push(row);
        }
        place.push(i);
    }
    (first, place)
}

fn fits(gives: Gives, answer: &Cell) -> bool {
    match gives {
        Gives::PerToken | Gives::Lens | Gives::Divergence => matches!(answer, Cell::Tokens(_)),
        Gives::Inside | Gives::Scores | Gives::Choose => matches!(answer, Cell::List(_)),
        Gives::Score => answer.number().is_some(),
        Gives::Sample => matches!(answer, Cell::Completion(_)),
    }
}

fn expected(gives: Gives) -> &'static str {
    match gives {
        Gives::PerToken | Gives::Lens | Gives::Divergence => "numbers per token",
        Gives::Inside | Gives::Scores | Gives::Choose => "a list",
        Gives::Score => "a number",
        Gives::Sample => "a completion",
    }
}

/// How many items there are, where no tokenizer is needed to know.
fn items(cell: &Cell) -> Option<usize> {
    match cell {
        Cell::None => Some(0),
        Cell::List(items) => Some(items.len()),
        Cell::Tokens(xs) => Some(xs.len()),
        _ => None,
    }
}

/// Whether an answer ended by itself. What a file or person wrote did.
fn finished(cell: &Cell) -> Result<Cell, Cause> {
    match cell {
        Cell::Completion(c) => Ok(Cell::Bool(c.finished)),
        Cell::Sequence(s) => Ok(Cell::Bool(s.completion.as_ref().is_none_or(|c| c.finished))),
        Cell::Text(_) | Cell::Dialogue(_) => Ok(Cell::Bool(true)),
        Cell::None => Ok(Cell::None),
        other => Err(Cause::WrongAnswer { word: "finished", expected: "a completion", found: describe(other) }),
    }
}
