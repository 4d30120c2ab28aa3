//! Formulas over rows outside objectives: columns, filters, metrics, expectations.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::value::{Cell, Table};

use super::column::{Column, Numbers};
use super::eval::{Alone, Eval, Inputs, Networks, dependents};
use super::expr::Formula;
use super::failure::{Cause, EvalError};
use super::program::{Program, Slot};
use super::scope::Scope;
use super::shape::{self, Form, ShapeError, Under};

/// A formula over a table: a cell for every row.
///
/// # Errors
/// When the formula is refused, or a row has no value.
pub fn column(formula: &Formula, table: &Table, key: [u32; 2], networks: &mut dyn Networks) -> Result<Vec<Cell>, EvalError> {
    let column = over_table(formula, table, key, networks)?;
    Ok((0..table.len()).map(|row| column.cell(row)).collect())
}

/// A formula over no rows: an expectation, a gate, a number that depends on other stages.
///
/// # Errors
/// As [`column()`].
pub fn single(formula: &Formula, networks: &mut dyn Networks) -> Result<Cell, EvalError> {
    let column = over_table(formula, &Table::default(), [0; 2], networks)?;
    Ok(if column.per_row() { Cell::None } else { column.cell(0) })
}

fn over_table(formula: &Formula, table: &Table, key: [u32; 2], networks: &mut dyn Networks) -> Result<Arc<Column>, EvalError> {
    let (program, forms) = lowered(formula)?;
    let mut eval = Eval::new(&program, &forms, inputs(table, key), networks);
    eval.need(&program.roots);
    eval.get(program.roots[0], 0)
}

fn lowered(formula: &Formula) -> Result<(Program, Vec<Form>), EvalError> {
    let refused = |e: ShapeError| EvalError { span: e.span, row: None, cause: Cause::Unanswered(Box::new(e)) };
    let program = Program::lower(std::slice::from_ref(formula)).map_err(|e| refused(e.into()))?;
    let (forms, errors) = shape::forms(&program, Under::Rows);
    errors.into_iter().next().map_or(Ok((program, forms)), |first| Err(refused(first)))
}

/// A formula whose networks have been asked about every row, ready for the whole table or for resamples of its rows.
#[derive(Debug)]
pub struct Prepared {
    program: Program,
    forms: Vec<Form>,
    root: Scope,
    /// Slots whose values depend on which rows are at hand.
    across: Arc<[bool]>,
    table: Table,
    key: [u32; 2],
}

impl Prepared {
    /// Asks the networks, once, about every row.
    ///
    /// # Errors
    /// When the formula is refused, or a row has no value.
    pub fn new(formula: &Formula, table: &Table, key: [u32; 2], networks: &mut dyn Networks) -> Result<Self, EvalError> {
        let (program, forms) = lowered(formula)?;
        let across = dependents(&program, |slot| program.nodes[slot].crosses_rows());
        let mut eval = Eval::new(&program, &forms, inputs(table, key), networks);
        eval.need(&program.roots);
        let mut asked: Vec<Slot> = program.roots.clone();
        asked.extend((0..across.len()).filter(|&slot| across[slot]).flat_map(|slot| program.nodes[slot].reads().collect::<Vec<_>>()));
        for slot in asked.into_iter().filter(|&slot| !across[slot]) {
            eval.get(slot, 0)?;
        }
        let root = eval.into_scope();
        Ok(Self { root, program, forms, across: across.into(), table: table.clone(), key })
    }

    /// The shape of the result.
    pub fn form(&self) -> &Form {
        &self.forms[self.program.roots[0]]
    }

    /// One cell for every row.
    ///
    /// # Errors
    /// When a row has no value.
    pub fn column(&self) -> Result<Vec<Cell>, EvalError> {
        let rows: Vec<usize> = (0..self.table.len()).collect();
        let column = self.over(&rows)?;
        Ok(rows.into_iter().map(|row| column.cell(row)).collect())
    }

    /// The value over the whole table.
    ///
    /// # Errors
    /// When there is none.
    pub fn whole(&self) -> Result<Cell, EvalError> {
        self.on(&(0..self.table.len()).collect::<Vec<_>>())
    }

    /// The value over some rows, which may repeat: the second draw of a row is a row of its own, in groups of its own.
    ///
    /// # Errors
    /// When there is none.
    pub fn on(&self, rows: &[usize]) -> Result<Cell, EvalError> {
        let column = self.over(rows)?;
        if column.per_row() && rows.is_empty() {
            return Ok(Cell::None);
        }
        Ok(column.cell(0))
    }

    fn over(&self, rows: &[usize]) -> Result<Arc<Column>, EvalError> {
        let mut seen = vec![0_usize; self.table.len()];
        let mut copy = |&row: &usize| {
            seen[row] += 1;
            seen[row] - 1
        };
        let copies: Vec<usize> = rows.iter().map(&mut copy).collect();
        let mut alone = Alone;
        let mut eval = Eval::new(&self.program, &self.forms, inputs(&self.table, self.key), &mut alone);
        eval.scopes[0] = self.root.clone();
        let scope = eval.enter(Scope { copies: Some(copies.into()), ..Scope::inside(0, rows, self.across.clone()) });
        eval.get(self.program.roots[0], scope)
    }
}

fn inputs(table: &Table, key: [u32; 2]) -> Inputs<'_> {
    static NONE: BTreeMap<Arc<str>, f64> = BTreeMap::new();
    static NO_LISTS: BTreeMap<Arc<str>, Numbers> = BTreeMap::new();
    Inputs { table, key, states: &NONE, trained: &NO_LISTS }
}
