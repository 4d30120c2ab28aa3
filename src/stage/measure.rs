//! `measure`: numbers about a table, each with a 95 % interval.
//!
//! - A number per row, or its `mean(…, over: all)`: Wilson's interval for a share, else ± 1.96 standard errors; with `by`,
//!   rows that agree in it are one draw (the effective number of cases for a share, the bootstrap otherwise).
//!   A number per group counts once per group, a number per token once per token with its row as the group.
//! - Anything else over all rows (`max`, a ratio, a difference of means): percentile bootstrap of the whole formula.
//! - `ece`, `auroc`, `spearman` alone and without `by`: the interval that the word itself gives.
//!
//! Two columns of one table are compared by their difference, `mean(.a - .b, over: all)`, which pairs them row by row.

use std::sync::Arc;

use super::call::{Call, Columns};
use super::context::Context;
use super::detail::Detail;
use super::evaluate::Evaluator;
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::{Item, Product};
use crate::formula::eval::Prepared;
use crate::formula::expr::{Axis, Expr, Formula, Kind, Output};
use crate::formula::program::children;
use crate::formula::shape::Shape;
use crate::formula::text::describe;
use crate::value::group::{groups, singles};
use crate::value::{Cell, Estimate, Table, bootstrap};

/// Resamples of a formula that is evaluated anew for each.
const DRAWS: u32 = 1000;
/// Resamples of a word that makes an interval of its own each time.
const FEW_DRAWS: u32 = 200;

/// The primitive.
#[derive(Debug)]
pub struct Measure;

impl Primitive for Measure {
    fn name(&self) -> &'static str {
        "measure"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let table = context.table(&call.get::<Output>("data")?)?;
        if table.is_empty() {
            return Err(Failure::new("align::data::nothing_to_measure", "there are no rows to measure")
                .help("look at the filter or split that makes them"));
        }
        let mut evaluator = Evaluator::new(context);
        let by = call.get::<Option<Formula>>("by")?;
        let by = by.map(|by| evaluator.column(&by, &table)).transpose()?.map(|cells| groups(&cells));
        let [high, low] = context.stage_key();
        let mut measure = Measured { table: &table, evaluator, by, seen: None, seed: u64::from(high) << 32 | u64::from(low) };
        let mut metrics = Vec::new();
        let mut detail = Detail::new("rows");
        for (name, formula) in call.get::<Columns>("metrics")? {
            let estimate = measure.metric(&formula)?;
            let values = measure.seen.take().unwrap_or_default();
            let share = values.iter().all(|x| *x == 0.0 || *x == 1.0);
            detail.put(&name, &values, share, None);
            metrics.push((name, Item::Value(Cell::Estimate(estimate))));
        }
        detail.write(context.folder())?;
        Ok(Product::record(metrics))
    }
}

struct Measured<'c> {
    table: &'c Table,
    evaluator: Evaluator<'c>,
    by: Option<Vec<Vec<usize>>>,
    /// What the last mean was taken of.
    seen: Option<Vec<f64>>,
    seed: u64,
}

impl Measured<'_> {
    fn metric(&mut self, formula: &Formula) -> Result<Estimate, Failure> {
        let each = mean_of(formula).unwrap_or(formula);
        let prepared = self.evaluator.prepare(each, self.table)?;
        match prepared.form().shape {
            Shape::Table | Shape::Step if Arc::ptr_eq(each, formula) => self.of_table(&prepared),
            Shape::Table | Shape::Step => {
                let prepared = self.evaluator.prepare(formula, self.table)?;
                self.of_table(&prepared)
            }
            Shape::Group(_) => {
                let rows = self.first_of_groups(each)?;
                self.of_rows(&prepared.column()?, rows)
            }
            Shape::Row | Shape::Token(_) | Shape::Ends => self.of_rows(&prepared.column()?, (0..self.table.len()).collect()),
        }
    }

    /// The mean of the numbers in some rows.
    fn of_rows(&mut self, cells: &[Cell], rows: Vec<usize>) -> Result<Estimate, Failure> {
        let (mut values, mut row_of) = (Vec::new(), Vec::new());
        for row in rows {
            let numbers = numbers(&cells[row]).ok_or_else(|| not_a_number(&cells[row], Some(row)))?;
            row_of.extend(std::iter::repeat_n(row, numbers.len()));
            values.extend(numbers);
        }
        let by = match &self.by {
            Some(by) => Some(regrouped(by, &row_of, self.table.len())),
            None if row_of.windows(2).any(|pair| pair[0] == pair[1]) => {
                Some(regrouped(&singles(self.table.len()), &row_of, self.table.len()))
            }
            None => None,
        };
        let estimate = Estimate::of_values(&values, by.as_deref(), self.seed);
        self.seen = Some(values);
        Ok(estimate)
    }

    /// A number over all rows.
    fn of_table(&self, prepared: &Prepared) -> Result<Estimate, Failure> {
        let whole = prepared.whole()?;
        let draws = match (&whole, &self.by) {
            (Cell::Estimate(estimate), None) => return Ok(*estimate),
            (Cell::Estimate(_), Some(_)) => FEW_DRAWS,
            _ => DRAWS,
        };
        let mean = whole.number().ok_or_else(|| not_a_number(&whole, None))?;
        let each = singles(if self.by.is_some() { 0 } else { self.table.len() });
        let groups = self.by.as_deref().unwrap_or(&each);
        let on = |rows: &[usize]| prepared.on(rows).ok().and_then(|cell| cell.number()).unwrap_or(f64::NAN);
        Ok(bootstrap::interval(mean, groups, self.seed, draws, on))
    }

    /// The first row of each group that the formula's `over:` columns make.
    fn first_of_groups(&mut self, formula: &Formula) -> Result<Vec<usize>, Failure> {
        let mut columns = Vec::new();
        group_columns(formula, &mut columns);
        let cells = columns.iter().map(|column| self.evaluator.column(column, self.table)).collect::<Result<Vec<_>, _>>()?;
        let together: Vec<Cell> =
            (0..self.table.len()).map(|row| Cell::List(cells.iter().map(|column| column[row].clone()).collect())).collect();
        Ok(groups(&together).into_iter().map(|rows| rows[0]).collect())
    }
}

/// What is averaged in `mean(…, over: all)`.
fn mean_of(formula: &Formula) -> Option<&Formula> {
    match &formula.kind {
        Kind::Over { word: "mean", args, axis: Axis::All } => args.first(),
        _ => None,
    }
}

fn group_columns(formula: &Formula, found: &mut Vec<Arc<Expr>>) {
    if let Kind::Over { axis: Axis::Columns(columns), .. } = &formula.kind {
        found.extend(columns.iter().cloned());
    }
    children(formula).iter().for_each(|child| group_columns(child, found));
}

/// Groups of rows as groups of the values that come from them.
fn regrouped(by: &[Vec<usize>], row_of: &[usize], rows: usize) -> Vec<Vec<usize>> {
    let mut group_of = vec![0; rows];
    by.iter().enumerate().for_each(|(group, rows)| rows.iter().for_each(|row| group_of[*row] = group));
    let mut groups = vec![Vec::new(); by.len()];
    row_of.iter().enumerate().for_each(|(value, row)| groups[group_of[*row]].push(value));
    groups.retain(|group| !group.is_empty());
    groups
}

fn numbers(cell: &Cell) -> Option<Vec<f64>> {
    match cell {
        Cell::Tokens(numbers) => Some(numbers.to_vec()),
        Cell::List(items) => items.iter().map(Cell::number).collect(),
        one => Some(vec![one.number()?]),
    }
}

fn not_a_number(cell: &Cell, row: Option<usize>) -> Failure {
    let failure = Failure::new("align::data::not_a_number", "a metric is a number").value(format!("found {}", describe(cell)));
    let failure = row.map_or(failure.clone(), |row| failure.row(row));
    if *cell == Cell::None { failure.help("leave out rows without a value: `.filter(… != none)`") } else { failure }
}
