//! `explode`: one row for every item of a list, in the column `item`.

use std::sync::Arc;

use super::call::Call;
use super::context::Context;
use super::cost::{Cost, Size, Sizes};
use super::evaluate::Evaluator;
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::Product;
use super::sizes::rows;
use crate::formula::expr::{Formula, Kind, Output};
use crate::formula::text::turn;
use crate::value::{Cell, Table};

/// The primitive.
#[derive(Debug)]
pub struct Explode;

impl Primitive for Explode {
    fn name(&self) -> &'static str {
        "explode"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let table = context.table(&call.get::<Output>("data")?)?;
        let items = Evaluator::new(context).column(&call.get::<Formula>("items")?, &table)?;
        Ok(Product::table(exploded(&table, &items)?))
    }

    fn estimate(&self, call: &Call<'_>, inputs: &Sizes<'_>) -> Cost {
        let each = match call.get::<Formula>("items").ok().as_deref().map(|formula| &formula.kind) {
            Some(Kind::Const(Cell::List(items))) => Some(items.len() as u64),
            Some(Kind::List(items)) => Some(items.len() as u64),
            _ => None,
        };
        let rows = rows(call, inputs).zip(each).map(|(rows, each)| rows * each);
        Cost::of(Size { rows, alike: each, ..Size::default() })
    }
}

/// Every row as often as its list is long.
fn exploded(table: &Table, items: &[Cell]) -> Result<Table, Failure> {
    let (mut rows, mut found) = (Vec::new(), Vec::new());
    for (row, cell) in items.iter().enumerate() {
        let items = list(cell).ok_or_else(|| Failure::mistake("there is no list to explode").row(row))?;
        rows.extend(std::iter::repeat_n(row, items.len()));
        found.extend(items);
    }
    let mut exploded = table.pick(rows);
    exploded.put(&Arc::from("item"), found);
    Ok(exploded)
}

fn list(cell: &Cell) -> Option<Vec<Cell>> {
    match cell {
        Cell::List(items) => Some(items.to_vec()),
        Cell::Tokens(numbers) => Some(numbers.iter().map(|x| Cell::Float(*x)).collect()),
        Cell::Dialogue(turns) => Some(turns.iter().map(turn).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_has_its_row() {
        let table = Table { columns: vec!["a".into()], rows: vec![vec![Cell::text("x")], vec![Cell::text("y")], vec![Cell::text("z")]] };
        let list = |items: &[i64]| Cell::List(items.iter().map(|i| Cell::Int(*i)).collect());
        let exploded = exploded(&table, &[list(&[1, 2]), list(&[]), list(&[3])]).unwrap();
        assert_eq!(exploded.columns, ["a".into(), "item".into()]);
        let row = |a: &str, i| vec![Cell::text(a), Cell::Int(i)];
        assert_eq!(exploded.rows, [row("x", 1), row("x", 2), row("z", 3)]);
    }

    #[test]
    fn what_is_no_list_is_named() {
        let table = Table { columns: vec![], rows: vec![vec![], vec![]] };
        let failure = exploded(&table, &[Cell::List([].into()), Cell::Int(3)]).unwrap_err();
        assert_eq!(failure, Failure::mistake("there is no list to explode").row(1));
    }
}
