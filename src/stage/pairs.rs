//! `pairs`: two answers to one prompt whose `by` differs, the higher one chosen. Ties make no pair.

use std::sync::Arc;

use super::call::Call;
use super::context::Context;
use super::evaluate::Evaluator;
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::Product;
use crate::chance;
use crate::diagnostic::{counted, grouped};
use crate::formula::expr::{Formula, Output};
use crate::formula::text::describe;
use crate::value::group::groups;
use crate::value::{Cell, Table};

/// The primitive.
#[derive(Debug)]
pub struct Pairs;

impl Primitive for Pairs {
    fn name(&self) -> &'static str {
        "pairs"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let table = context.table(&call.get::<Output>("data")?)?;
        let by = numbers(&Evaluator::new(context).column(&call.get::<Formula>("by")?, &table)?)?;
        let take = Take::from_name(&call.get::<Arc<str>>("take")?);
        let prompts = column(&table, "prompt")?;
        let answers = column(&table, "completion")?;
        let found = find(&prompts, &by, take, context.stage_key());
        if found.tied > 0 {
            let message = format!("no pair from {} of {}: the answers tie", grouped(found.tied), counted(found.prompts, "prompt"));
            context.warn(
                "align::data::tied",
                message,
                (found.pairs.is_empty()).then(|| "sample more answers a prompt, or compare them by something finer".into()),
            );
        }
        Ok(Product::table(table_of(&table, &prompts, &answers, &by, &found.pairs)))
    }
}

/// Which of a prompt's pairs are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Take {
    All,
    /// The highest against the lowest.
    Extremes,
    /// One by chance.
    Random,
}

impl Take {
    fn from_name(name: &str) -> Self {
        match name {
            "all" => Self::All,
            "random" => Self::Random,
            _ => Self::Extremes,
        }
    }
}

/// Chosen and rejected rows.
type Pair = (usize, usize);

#[derive(Debug)]
struct Found {
    pairs: Vec<Pair>,
    prompts: usize,
    /// Prompts with several answers that all tie.
    tied: usize,
}

/// The pairs, prompts in the order of their first row.
fn find(prompts: &[Cell], by: &[f64], take: Take, key: [u32; 2]) -> Found {
    let groups = groups(prompts);
    let mut found = Found { pairs: Vec::new(), prompts: groups.len(), tied: 0 };
    for rows in &groups {
        let pairs = untied(rows, by);
        found.tied += usize::from(pairs.is_empty() && rows.len() > 1);
        match take {
            Take::All => found.pairs.extend(pairs),
            Take::Extremes => found.pairs.extend(extremes(rows, by)),
            Take::Random => found.pairs.extend(pairs.get(draw(pairs.len(), &prompts[rows[0]], key))),
        }
    }
    found
}

fn untied(rows: &[usize], by: &[f64]) -> Vec<Pair> {
    let ordered = |a: usize, b: usize| if by[a] > by[b] { (a, b) } else { (b, a) };
    let later = rows.iter().enumerate().flat_map(|(place, a)| rows[place + 1..].iter().map(move |b| (*a, *b)));
    later.filter(|(a, b)| by[*a] != by[*b]).map(|(a, b)| ordered(a, b)).collect()
}

/// The first of the highest and the first of the lowest rows.
fn extremes(rows: &[usize], by: &[f64]) -> Option<Pair> {
    let first = |better: fn(&f64, &f64) -> bool| rows.iter().copied().reduce(|a, b| if better(&by[b], &by[a]) { b } else { a });
    let (high, low) = (first(f64::gt)?, first(f64::lt)?);
    (by[high] > by[low]).then_some((high, low))
}

/// A place below `count`, by the prompt's own name.
#[expect(clippy::cast_possible_truncation, reason = "the draw is below a length")]
fn draw(count: usize, prompt: &Cell, key: [u32; 2]) -> usize {
    let name = super::chosen::name(&prompt.key());
    let [high, low] = chance::halves(name);
    let word = chance::uniform(key, [high, low, 0, 0]);
    chance::below(count.max(1) as u64, word[0], word[1]) as usize
}

fn table_of(table: &Table, prompts: &[Cell], answers: &[Cell], by: &[f64], pairs: &[Pair]) -> Table {
    let record = |row: usize| Cell::Record(table.row(row).map(|(name, cell)| (name.clone(), cell.clone())).collect());
    let row = |&(chosen, rejected): &Pair| {
        let gap = Cell::Float(by[chosen] - by[rejected]);
        vec![prompts[chosen].clone(), answers[chosen].clone(), answers[rejected].clone(), gap, record(chosen), record(rejected)]
    };
    let columns = ["prompt", "chosen", "rejected", "gap", "first", "second"].map(Arc::from).to_vec();
    Table { columns, rows: pairs.iter().map(row).collect() }
}

fn column(table: &Table, name: &str) -> Result<Vec<Cell>, Failure> {
    table.column(name).ok_or_else(|| Failure::mistake(format!("the rows have no `.{name}`")))
}

fn numbers(cells: &[Cell]) -> Result<Vec<f64>, Failure> {
    let number = |(row, cell): (usize, &Cell)| {
        cell.number().filter(|x| !x.is_nan()).ok_or_else(|| {
            Failure::new("align::data::not_a_number", "rows are compared by numbers").row(row).value(format!("`by` is {}", describe(cell)))
        })
    };
    cells.iter().enumerate().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u32; 2] = [1, 2];

    fn prompts(names: &str) -> Vec<Cell> {
        names.chars().map(|c| Cell::text(c.to_string())).collect()
    }

    #[test]
    fn all_pairs_of_a_prompt_but_ties() {
        let found = find(&prompts("abaab"), &[1.0, 0.0, 3.0, 1.0, 0.0], Take::All, KEY);
        assert_eq!(found.pairs, [(2, 0), (2, 3)]);
        assert_eq!((found.prompts, found.tied), (2, 1));
    }

    #[test]
    fn extremes_are_the_first_of_the_highest_and_lowest() {
        let found = find(&prompts("aaaab"), &[0.5, 2.0, 0.5, 2.0, 9.0], Take::Extremes, KEY);
        assert_eq!(found.pairs, [(1, 0)]);
        assert_eq!(found.tied, 0, "one answer alone does not tie");
    }

    #[test]
    fn a_random_pair_depends_on_the_prompt_not_on_its_place() {
        let by = [0.0, 1.0, 2.0, 3.0];
        let alone = find(&prompts("aaaa"), &by, Take::Random, KEY).pairs;
        let mut shifted = vec![9.0];
        shifted.extend(by);
        let later = find(&prompts("zaaaa"), &shifted, Take::Random, KEY).pairs;
        assert_eq!(later, alone.iter().map(|(a, b)| (a + 1, b + 1)).collect::<Vec<_>>());
        let drawn: std::collections::BTreeSet<_> = (0..50).map(|k| find(&prompts("aaaa"), &by, Take::Random, [k, 0]).pairs).collect();
        assert!(drawn.len() > 4 && drawn.iter().all(|pairs| pairs.len() == 1 && pairs[0].0 > pairs[0].1));
    }

    #[test]
    fn a_pair_keeps_both_rows() {
        let columns = ["prompt", "completion", "n"].map(Arc::from).to_vec();
        let row = |n| vec![Cell::text("p"), Cell::text(format!("answer {n}")), Cell::Int(n)];
        let table = Table { columns, rows: vec![row(0), row(1)] };
        let pairs = table_of(&table, &prompts("pp"), &table.column("completion").unwrap(), &[0.0, 0.5], &[(1, 0)]);
        assert_eq!(pairs.rows[0][..4], [Cell::text("p"), Cell::text("answer 1"), Cell::text("answer 0"), Cell::Float(0.5)]);
        assert_eq!(pairs.rows[0][4].field("n"), Some(Cell::Int(1)));
        assert_eq!(pairs.rows[0][5].field("n"), Some(Cell::Int(0)));
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        assert!(numbers(&[Cell::Float(1.0), Cell::Float(f64::NAN)]).is_err());
        assert!(numbers(&[Cell::None]).is_err());
    }
}
