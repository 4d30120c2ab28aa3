//! `filter`: the rows for which a formula is true. `none` is not true.

use super::call::Call;
use super::context::Context;
use super::evaluate::Evaluator;
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::Product;
use crate::formula::expr::{Formula, Output};
use crate::value::Cell;

/// The primitive.
#[derive(Debug)]
pub struct Filter;

impl Primitive for Filter {
    fn name(&self) -> &'static str {
        "filter"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let table = context.table(&call.get::<Output>("data")?)?;
        let kept = Evaluator::new(context).column(&call.get::<Formula>("where")?, &table)?;
        let kept = table.pick((0..table.len()).filter(|row| holds(&kept[*row])));
        if kept.is_empty() && !table.is_empty() {
            let message = format!("none of {} rows passes this filter", table.len());
            context.warn("align::data::nothing_left", message, None);
        }
        Ok(Product::table(kept))
    }
}

fn holds(cell: &Cell) -> bool {
    cell.number().is_some_and(|x| x != 0.0 && !x.is_nan())
}
