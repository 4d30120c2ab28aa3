//! `mix`: several tables as one. Columns are those that all have, in the order of the first.
//!
//! With neither weights nor `count`, every row once. Weights say how large a part each table has; without `count` the
//! mixture is as large as it can be without repeating a row. A table that is too small for its part repeats: whole
//! passes first, then rows by chance. Each part keeps its rows' order; which rows are left out is chance by content.

use std::sync::Arc;

use super::call::Call;
use super::chosen;
use super::context::Context;
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::Product;
use crate::diagnostic::counted;
use crate::formula::expr::Output;
use crate::value::Table;

/// The primitive.
#[derive(Debug)]
pub struct Mix;

impl Primitive for Mix {
    fn name(&self) -> &'static str {
        "mix"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let outputs = call.get::<Vec<Output>>("data")?;
        let tables = outputs.iter().map(|output| context.table(output)).collect::<Result<Vec<_>, _>>()?;
        let weights: Vec<f64> = call.get("weights")?;
        let sizes: Vec<usize> = tables.iter().map(|table| table.len()).collect();
        let parts = parts(&sizes, &weights, call.get("count")?)?;
        let drawn = tables.iter().zip(&parts).map(|(table, part)| draw(table, *part, context.stage_key())).collect::<Vec<_>>();
        Ok(Product::table(union(&drawn)))
    }
}

/// How many rows each table gives.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "row counts stay far below 2^53")]
fn parts(sizes: &[usize], weights: &[f64], count: Option<usize>) -> Result<Vec<usize>, Failure> {
    let wrong = |message: String| Failure::new("align::data::weights", message).help("give one weight for each table, or none at all");
    if !weights.is_empty() && weights.len() != sizes.len() {
        return Err(wrong(format!("{} for {}", counted(weights.len(), "weight"), counted(sizes.len(), "table"))));
    }
    let even: Vec<f64> = sizes.iter().map(|size| *size as f64).collect();
    let weights = if weights.is_empty() { &even[..] } else { weights };
    let total: f64 = weights.iter().sum();
    if weights.iter().any(|weight| !(*weight >= 0.0 && weight.is_finite())) || (total <= 0.0 && sizes.iter().any(|size| *size > 0)) {
        return Err(wrong("weights must be 0 or more, and some more than 0".into()));
    }
    let whole = |share: f64, size: usize| (size as f64 / share * (1.0 + 1e-12)).floor() as usize;
    let shares: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
    let largest = sizes.iter().zip(&shares).filter(|(_, share)| **share > 0.0).map(|(size, share)| whole(*share, *size)).min();
    let count = count.unwrap_or(largest.unwrap_or(0));
    match sizes.iter().zip(&shares).position(|(size, share)| *size == 0 && *share > 0.0 && count > 0) {
        Some(empty) => Err(wrong(format!("table {} has a weight but no rows", empty + 1))),
        None => Ok(apportioned(&shares, count)),
    }
}

/// Whole numbers nearest to the shares of `count` that add up to it: largest remainders first.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "row counts stay far below 2^53")]
fn apportioned(shares: &[f64], count: usize) -> Vec<usize> {
    let exact: Vec<f64> = shares.iter().map(|share| share * count as f64).collect();
    let mut parts: Vec<usize> = exact.iter().map(|x| (x + 1e-9).floor() as usize).collect();
    let mut order: Vec<usize> = (0..shares.len()).filter(|place| shares[*place] > 0.0).collect();
    order.sort_by(|a, b| (exact[*b] - parts[*b] as f64).total_cmp(&(exact[*a] - parts[*a] as f64)).then(a.cmp(b)));
    let left = count.saturating_sub(parts.iter().sum());
    order.iter().cycle().take(if order.is_empty() { 0 } else { left }).for_each(|place| parts[*place] += 1);
    parts
}

/// `count` rows of a table: whole passes, then rows by chance in their own order.
fn draw(table: &Table, count: usize, key: [u32; 2]) -> Table {
    let size = table.len();
    if size == 0 || count == 0 {
        return table.pick([]);
    }
    let (passes, rest) = (count / size, count % size);
    let mut some = if rest == 0 { Vec::new() } else { chosen::shuffled(&chosen::rows(&table.rows), key)[..rest].to_vec() };
    some.sort_unstable();
    table.pick((0..passes).flat_map(|_| 0..size).chain(some))
}

/// The rows of all tables with the columns that they share.
fn union(tables: &[Table]) -> Table {
    let Some(first) = tables.first() else { return Table::default() };
    let columns: Vec<Arc<str>> =
        first.columns.iter().filter(|column| tables.iter().all(|table| table.position(column).is_some())).cloned().collect();
    let rows = tables.iter().flat_map(|table| {
        let places: Vec<usize> = columns.iter().filter_map(|column| table.position(column)).collect();
        table.rows.iter().map(move |row| places.iter().map(|place| row[*place].clone()).collect())
    });
    Table { rows: rows.collect(), columns }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Cell;

    fn table(columns: &[&str], rows: usize) -> Table {
        let row = |n: usize| columns.iter().map(|name| Cell::text(format!("{name}{n}"))).collect();
        Table { columns: columns.iter().map(|name| Arc::from(*name)).collect(), rows: (0..rows).map(row).collect() }
    }

    #[test]
    fn parts_follow_weights() {
        assert_eq!(parts(&[3, 5], &[], None), Ok(vec![3, 5]));
        assert_eq!(parts(&[3, 5], &[], Some(16)), Ok(vec![6, 10]));
        assert_eq!(parts(&[100, 100], &[3.0, 1.0], None), Ok(vec![100, 33]));
        assert_eq!(parts(&[10, 10], &[1.0, 1.0], Some(7)), Ok(vec![4, 3]));
        assert_eq!(parts(&[10, 10], &[1.0, 0.0], None), Ok(vec![10, 0]));
        assert_eq!(parts(&[7], &[1.0], None), Ok(vec![7]));
        assert_eq!(parts(&[], &[], None), Ok(vec![]));
        assert_eq!(parts(&[0, 0], &[], None), Ok(vec![0, 0]));
    }

    #[test]
    fn weights_that_make_no_sense_are_refused() {
        for weights in [vec![1.0], vec![0.0, 0.0], vec![-1.0, 2.0], vec![f64::NAN, 1.0]] {
            assert!(parts(&[3, 5], &weights, None).is_err(), "{weights:?}");
        }
        assert!(parts(&[0, 5], &[1.0, 1.0], Some(4)).is_err());
    }

    #[test]
    fn a_small_table_repeats_whole_passes_first() {
        let drawn = draw(&table(&["a"], 4), 10, [0, 0]);
        let count = |n| drawn.rows.iter().filter(|row| row[0] == Cell::text(format!("a{n}"))).count();
        assert!((0..4).all(|n| (2..=3).contains(&count(n))));
        assert_eq!(drawn.rows[..4], table(&["a"], 4).rows);
        assert_eq!(draw(&table(&["a"], 4), 0, [0, 0]).len(), 0);
    }

    #[test]
    fn shared_columns_are_found_by_name() {
        let both = union(&[table(&["a", "b"], 1), table(&["c", "b", "a"], 1)]);
        assert_eq!(both.columns, ["a".into(), "b".into()]);
        assert_eq!(both.rows, [[Cell::text("a0"), Cell::text("b0")], [Cell::text("a0"), Cell::text("b0")]]);
        assert_eq!(union(&[]), Table::default());
    }
}
