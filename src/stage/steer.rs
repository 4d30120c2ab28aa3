//! `steer`: a network that writes more or less along one direction, the mean of a formula over rows.

use crate::formula::column::Column;
use crate::formula::expr::{Formula, Output};
use crate::model::Network;

use super::call::Call;
use super::context::Context;
use super::evaluate::Evaluator;
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::Product;

/// The primitive.
#[derive(Debug)]
pub struct Steer;

impl Primitive for Steer {
    fn name(&self) -> &'static str {
        "steer"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let base = Network::open(&context.network(&call.get::<Output>("base")?)?.path)?;
        let table = context.table(&call.get::<Output>("data")?)?;
        if table.is_empty() {
            return Err(Failure::new("align::data::nothing_to_measure", "there are no rows to take a direction from"));
        }
        let cells = Evaluator::new(context).column(&call.get::<Formula>("direction")?, &table)?;
        let steered = base.along(&mean(Column::from_cells(cells, true), table.len())?, call.get("scale")?)?;
        steered.save(&context.folder().join("network"))?;
        Ok(Product::network("network"))
    }
}

/// The mean of the rows' lists, place by place.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn mean(column: Column, rows: usize) -> Result<Vec<f64>, Failure> {
    let uneven = |row| Failure::new("align::model::direction", "a direction is a list of as many numbers in every row").row(row);
    let numbers = column.numbers().map_err(|(row, _)| uneven(row))?;
    let mut sums = vec![0.0; numbers.row(0).len()];
    for row in 0..rows {
        if numbers.row(row).len() != sums.len() {
            return Err(uneven(row));
        }
        sums.iter_mut().zip(numbers.row(row)).for_each(|(sum, x)| *sum += x);
    }
    Ok(sums.into_iter().map(|sum| sum / rows as f64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Cell;

    #[test]
    fn means_go_place_by_place() {
        let list = |x: &[f64]| Cell::List(x.iter().map(|x| Cell::Float(*x)).collect());
        let column = |cells: Vec<Cell>| Column::from_cells(cells, true);
        assert_eq!(mean(column(vec![list(&[1.0, 2.0]), list(&[3.0, -2.0])]), 2).unwrap(), [2.0, 0.0]);
        assert!(mean(column(vec![list(&[1.0]), list(&[3.0, -2.0])]), 2).is_err());
    }
}
