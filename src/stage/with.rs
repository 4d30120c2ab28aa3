//! `with`: adds or replaces columns, each seeing the ones before it.

use super::call::{Call, Columns};
use super::context::Context;
use super::cost::{Cost, Sizes};
use super::evaluate::Evaluator;
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::Product;
use super::sizes::same_rows;
use crate::formula::expr::Output;

/// The primitive.
#[derive(Debug)]
pub struct With;

impl Primitive for With {
    fn name(&self) -> &'static str {
        "with"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let mut table = (*context.table(&call.get::<Output>("data")?)?).clone();
        let mut evaluator = Evaluator::new(context);
        for (name, formula) in call.get::<Columns>("columns")? {
            let cells = evaluator.column(&formula, &table)?;
            table.put(&name, cells);
        }
        Ok(Product::table(table))
    }

    fn estimate(&self, call: &Call<'_>, inputs: &Sizes<'_>) -> Cost {
        same_rows(call, inputs)
    }
}
