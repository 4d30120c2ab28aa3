//! `bag_of_words`: word weights fitted to preferences, the baseline that no reward model should lose to.

use std::sync::Arc;

use super::call::Call;
use super::context::Context;
use super::cost::{Cost, NetworkSize, Size, Sizes};
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::Product;
use crate::diagnostic::counted;
use crate::formula::expr::Output;
use crate::score::FixedScorer;
use crate::score::bag_of_words::fit;
use crate::value::{Cell, Table};

/// The primitive.
#[derive(Debug)]
pub struct BagOfWords;

impl Primitive for BagOfWords {
    fn name(&self) -> &'static str {
        "bag_of_words"
    }

    fn estimate(&self, _: &Call<'_>, _: &Sizes<'_>) -> Cost {
        Cost::of(Size { network: Some(NetworkSize::default()), ..Size::default() })
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let table = context.table(&call.get::<Output>("prefs")?)?;
        let (chosen, rejected) = (texts(&table, "chosen")?, texts(&table, "rejected")?);
        let pairs: Vec<(&str, &str)> = chosen.iter().zip(&rejected).map(|(a, b)| (&**a, &**b)).collect();
        let scorer = fit(&pairs, call.get("decay")?).ok_or_else(|| {
            Failure::new(
                "align::data::too_few_pairs",
                format!("the texts of {} share no words to learn from", counted(pairs.len(), "pair")),
            )
        })?;
        let file = FixedScorer::Linear(scorer).save(context.folder())?;
        Ok(Product::network(file))
    }
}

fn texts(table: &Table, column: &str) -> Result<Vec<Arc<str>>, Failure> {
    let missing = || Failure::mistake(format!("the rows have no texts in `.{column}`"));
    let text = |cell: &Cell| match cell {
        Cell::Completion(completion) => Ok(completion.text.clone()),
        Cell::Text(text) => Ok(text.clone()),
        _ => Err(missing()),
    };
    table.column(column).ok_or_else(missing)?.iter().map(text).collect()
}
