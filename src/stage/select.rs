//! `select`: rows of these columns only, all computed from the rows as they were.

use super::call::{Call, Columns};
use super::context::Context;
use super::cost::{Cost, Sizes};
use super::evaluate::Evaluator;
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::Product;
use super::sizes::same_rows;
use crate::formula::expr::Output;
use crate::value::Table;

/// The primitive.
#[derive(Debug)]
pub struct Select;

impl Primitive for Select {
    fn name(&self) -> &'static str {
        "select"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let table = context.table(&call.get::<Output>("data")?)?;
        let mut evaluator = Evaluator::new(context);
        let mut selected = Table { columns: Vec::new(), rows: vec![Vec::new(); table.len()] };
        for (name, formula) in call.get::<Columns>("columns")? {
            selected.put(&name, evaluator.column(&formula, &table)?);
        }
        Ok(Product::table(selected))
    }

    fn estimate(&self, call: &Call<'_>, inputs: &Sizes<'_>) -> Cost {
        same_rows(call, inputs)
    }
}
