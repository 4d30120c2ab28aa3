//! `blank`: rows without columns, for tables that are made up from nothing.

use super::call::Call;
use super::context::Context;
use super::cost::{Cost, Size, Sizes};
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::Product;
use crate::value::Table;

/// The primitive.
#[derive(Debug)]
pub struct Blank;

impl Primitive for Blank {
    fn name(&self) -> &'static str {
        "blank"
    }

    fn run(&self, call: &Call<'_>, _: &Context<'_>) -> Result<Product, Failure> {
        let count = call.get::<usize>("count")?;
        Ok(Product::table(Table { columns: Vec::new(), rows: vec![Vec::new(); count] }))
    }

    fn estimate(&self, call: &Call<'_>, _: &Sizes<'_>) -> Cost {
        Cost::of(Size { rows: call.get::<u64>("count").ok(), ..Size::default() })
    }
}
