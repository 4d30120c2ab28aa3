//! `split`: rows in two, no value of `by` on both sides.
//!
//! Which side a value goes to depends on the values and the seed, never on the order of rows. Values are taken in a
//! random order as long as each brings the test side nearer to its share; so the share is as near as the values allow.

use super::call::Call;
use super::chosen;
use super::context::Context;
use super::cost::{Cost, Size, Sizes};
use super::evaluate::Evaluator;
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::{Item, Product};
use super::sizes::rows;
use crate::data::overlap::leak;
use crate::diagnostic::{counted, grouped, verb};
use crate::formula::expr::{Formula, Output};
use crate::value::group::groups;
use crate::value::{Cell, Table};

/// The primitive.
#[derive(Debug)]
pub struct Split;

impl Primitive for Split {
    fn name(&self) -> &'static str {
        "split"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let table = context.table(&call.get::<Output>("data")?)?;
        let by = Evaluator::new(context).column(&call.get::<Formula>("by")?, &table)?;
        let is_test = assign(&by, call.get("test")?, context.stage_key()).ok_or_else(|| {
            Failure::new("align::data::one_group", "all rows have the same `by`, and rows that share it stay on one side")
                .help("split by a column that differs between rows")
        })?;
        let side = |test: bool| table.pick((0..table.len()).filter(|row| is_test[*row] == test));
        let (train, test) = (side(false), side(true));
        warn_of_leaks(context, &train, &test, ["train", "test"]);
        Ok(Product::record([("train", train), ("test", test)].map(|(name, table)| (name.into(), Item::Table(table.into())))))
    }

    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate of rows")]
    fn estimate(&self, call: &Call<'_>, inputs: &Sizes<'_>) -> Cost {
        let test = rows(call, inputs).zip(call.get::<f64>("test").ok()).map(|(rows, share)| (rows as f64 * share).round() as u64);
        let size = |rows| Size { rows, ..Size::default() };
        let train = rows(call, inputs).zip(test).map(|(rows, test)| rows - test);
        Cost { outputs: [("train", train), ("test", test)].map(|(name, rows)| (vec![name.into()], size(rows))).into(), ..Cost::default() }
    }
}

/// Which rows are tested, or `None` when there are fewer than two values of `by`.
#[expect(clippy::cast_precision_loss, reason = "row counts stay far below 2^53")]
fn assign(by: &[Cell], share: f64, key: [u32; 2]) -> Option<Vec<bool>> {
    let groups = groups(by);
    if groups.len() < 2 {
        return None;
    }
    let names: Vec<u64> = groups.iter().map(|rows| chosen::name(&by[rows[0]].key())).collect();
    let order = chosen::shuffled(&names, key);
    let wanted = share * by.len() as f64;
    let (mut taken, mut tested) = (0, Vec::new());
    for group in &order {
        let with = taken + groups[*group].len();
        if (with as f64 - wanted).abs() < (taken as f64 - wanted).abs() {
            taken = with;
            tested.push(*group);
        }
    }
    keep_both_sides(&mut tested, &order, &groups);
    let mut is_test = vec![false; by.len()];
    tested.iter().flat_map(|group| &groups[*group]).for_each(|row| is_test[*row] = true);
    Some(is_test)
}

/// An empty side gets the smallest group, the first of these by chance.
fn keep_both_sides(tested: &mut Vec<usize>, order: &[usize], groups: &[Vec<usize>]) {
    let smallest = order.iter().copied().min_by_key(|group| groups[*group].len());
    match smallest {
        Some(smallest) if tested.is_empty() => tested.push(smallest),
        Some(smallest) if tested.len() == groups.len() => tested.retain(|group| *group != smallest),
        _ => {}
    }
}

/// Warns about prompts that are in both tables, called `names` in the recipe: results on them would show memory.
pub(super) fn warn_of_leaks(context: &Context<'_>, train: &Table, test: &Table, names: [&str; 2]) {
    let Some((a, b)) = train.column("prompt").zip(test.column("prompt")) else { return };
    if let Some(leak) = leak(&a, &b) {
        let message = format!(
            "{} of {} {} in both `{}` and `{}`",
            grouped(leak.shared),
            counted(leak.of, "prompt"),
            verb(leak.shared, "is", "are"),
            names[0],
            names[1]
        );
        let help = "case and punctuation do not count; split by `.prompt`, or drop near copies with `.filter(distinct(…))`";
        context.warn("align::data::leak", message, Some(help.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u32; 2] = [7, 0];

    fn cells(values: impl IntoIterator<Item = usize>) -> Vec<Cell> {
        values.into_iter().map(|n| Cell::text(format!("prompt {n}"))).collect()
    }

    fn tested(by: &[Cell], share: f64, key: [u32; 2]) -> usize {
        assign(by, share, key).unwrap().iter().filter(|test| **test).count()
    }

    #[test]
    fn no_value_is_on_both_sides_and_the_share_is_exact_where_it_can_be() {
        let by = cells((0..1000).map(|n| n % 137));
        let is_test = assign(&by, 0.1, KEY).unwrap();
        for rows in groups(&by) {
            assert!(rows.iter().all(|row| is_test[*row] == is_test[rows[0]]));
        }
        assert!(tested(&by, 0.1, KEY).abs_diff(100) <= 3);
        assert_eq!(tested(&cells(0..200), 0.1, KEY), 20);
        assert_eq!(tested(&cells(0..200), 0.5, KEY), 100);
    }

    #[test]
    fn order_of_rows_does_not_matter_and_the_seed_does() {
        let by = cells((0..300).map(|n| n % 50));
        let mut reversed = by.clone();
        reversed.reverse();
        let mut mirrored = assign(&reversed, 0.2, KEY).unwrap();
        mirrored.reverse();
        assert_eq!(assign(&by, 0.2, KEY).unwrap(), mirrored);
        assert_ne!(assign(&by, 0.2, [8, 0]).unwrap(), mirrored);
    }

    #[test]
    fn both_sides_have_rows() {
        for share in [0.0, 0.001, 0.999, 1.0] {
            let count = tested(&cells([0, 0, 0, 1, 1, 2]), share, KEY);
            assert!((1..6).contains(&count), "{share}: {count}");
        }
        assert_eq!(assign(&cells([0, 0]), 0.5, KEY), None);
    }
}
