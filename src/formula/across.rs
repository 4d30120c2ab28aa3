//! Words that look at other rows: reductions, ranks, dice, near-duplicates and aggregates.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::chance;
use crate::value::{Cell, Estimate};

use super::aggregate::Aggregate;
use super::column::{Column, Layout, Numbers, Within};
use super::eval::Eval;
use super::failure::{Cause, EvalError};
use super::key;
use super::likeness;
use super::number::Scalar;
use super::program::{Along, Slot};
use super::reduce::Reduction;
use super::scope::Groups;
use super::shape::Shape;
use super::text::{distinct_share, jaccard, ngrams, run_length, text_of};
use super::words::{Kind, Rows, Word};

/// Which numbers are reduced together, and where the result goes.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Segments {
    /// `places[starts[s]..starts[s + 1]]` are segment `s`'s.
    pub starts: Vec<usize>,
    pub places: Vec<usize>,
    /// The segment of each number of the result.
    pub of: Vec<usize>,
    pub layout: Layout,
}

impl Segments {
    fn new(count: usize, members: &[(usize, std::ops::Range<usize>)], of: Vec<usize>, layout: Layout) -> Self {
        let mut starts = vec![0; count + 1];
        members.iter().for_each(|(s, range)| starts[s + 1] += range.len());
        (0..count).for_each(|s| starts[s + 1] += starts[s]);
        let (mut next, mut places) = (starts.clone(), vec![0; starts[count]]);
        for (s, range) in members {
            for place in range.clone() {
                places[next[*s]] = place;
                next[*s] += 1;
            }
        }
        Self { starts, places, of, layout }
    }

    pub fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The places of one segment.
    pub fn segment(&self, s: usize) -> &[usize] {
        &self.places[self.starts[s]..self.starts[s + 1]]
    }
}

impl Eval<'_> {
    /// The groups of a scope's rows by some columns.
    pub(super) fn groups(&mut self, columns: &[Slot], scope: usize) -> Result<Arc<Groups>, EvalError> {
        if let Some(known) = self.scopes[scope].groups.get(columns) {
            return Ok(known.clone());
        }
        let groups = match self.scopes[scope].parent {
            Some(parent) => {
                let outer = self.groups(columns, parent)?;
                let here = &self.scopes[scope];
                outer.of_rows(&here.rows, here.copies.as_deref())
            }
            None => {
                let (per_row, cells) = self.cells(columns, scope)?;
                let row = |row: usize| key::cells(&cells[if per_row { row } else { 0 }]);
                Groups::new((0..self.rows(scope)).map(|r| (row(r), row(r))))
            }
        };
        let groups = Arc::new(groups);
        self.scopes[scope].groups.insert(columns.to_vec(), groups.clone());
        Ok(groups)
    }

    /// What `over:` joins of an argument's numbers. A value per group counts once per group.
    pub(super) fn segments(&mut self, arg: Slot, numbers: &Layout, along: &Along, scope: usize) -> Result<Segments, EvalError> {
        let rows = self.rows(scope);
        let counted = match (&self.forms[arg].shape, along) {
            (Shape::Group(own), Along::Columns(axis)) if !axis.iter().all(|c| own.contains(c)) => None,
            (Shape::Group(own), _) if numbers.per_row => Some(own.clone()),
            _ => None,
        };
        let counted: Vec<usize> = match counted {
            Some(own) => self.groups(&own, scope)?.first.clone(),
            None => (0..rows).collect(),
        };
        let Along::Columns(columns) = along else {
            let members: Vec<_> = counted.iter().map(|&row| (0, numbers.range(row))).collect();
            return Ok(Segments::new(1, &members, vec![0], Layout::ONCE));
        };
        let groups = self.groups(columns, scope)?;
        let members: Vec<_> = counted.iter().map(|&row| (groups.of[row], numbers.range(row))).collect();
        Ok(Segments::new(groups.first.len(), &members, groups.of.clone(), Layout::ROWS))
    }

    pub(super) fn over(&mut self, slot: Slot, scope: usize, word: &'static Word, along: &Along) -> Result<Column, EvalError> {
        match word.kind {
            Kind::Reduction(reduction) => self.reduce(slot, scope, word, &reduction, along),
            Kind::Rows(Rows::Count) => self.count(scope, along),
            Kind::Rows(Rows::Rank) => self.rank(slot, scope, along),
            Kind::Rows(Rows::ArgMax | Rows::Shifted) => {
                let from = self.sources(slot, scope)?;
                let column = self.get(self.program.nodes[slot].args[0], scope)?;
                let per_row = !matches!((word.kind, along), (Kind::Rows(Rows::ArgMax), Along::Batch | Along::All));
                if per_row || from.is_empty() {
                    return Ok(if column.per_row() { column.of_rows(&from) } else { (*column).clone() });
                }
                Ok(Column::once(column.cell(from[0])))
            }
            Kind::Rows(Rows::Dice) => self.dice(slot, scope, along),
            Kind::Rows(Rows::DistinctNgrams) => self.distinct_ngrams(slot, scope, along),
            Kind::Rows(Rows::Gathered) => self.gathered(slot, scope, along),
            Kind::Rows(Rows::Centroid) => self.centroid(slot, scope, along),
            Kind::Rows(Rows::SelfBleu) => self.self_bleu(slot, scope, along),
            _ => unreachable!("only reductions and row words take `over:`"),
        }
    }

    fn reduce(&mut self, slot: Slot, scope: usize, word: &Word, reduction: &Reduction, along: &Along) -> Result<Column, EvalError> {
        let columns = self.args(slot, scope)?;
        let numbers = self.all_numbers(&columns, slot, scope)?;
        let x = &numbers[0];
        if *along == Along::Tokens && !matches!(x.layout.within, Within::Many { .. }) && x.layout.outer(self.rows(scope)) > 0 {
            return Err(self.error(slot, scope, None, Cause::NotAList));
        }
        let ddof = numbers.get(1).map_or(0.0, |d| d.values[0]);
        let scalar = reduction.gives.scalar(std::iter::once(x.scalar));
        let reduced = |members: &[f64]| (reduction.empty || !members.is_empty()).then(|| (reduction.value)(members, ddof));
        if *along == Along::Tokens {
            let values = (0..x.layout.outer(self.rows(scope))).map(|row| reduced(x.row(row))).collect::<Option<Vec<f64>>>();
            let values = values.ok_or_else(|| self.error(slot, scope, None, Cause::Empty { word: word.name }))?;
            let layout = Layout { per_row: x.layout.per_row, within: Within::One };
            return Ok(Column::Numbers(Numbers { values, layout, scalar }));
        }
        let segments = self.segments(self.program.nodes[slot].args[0], &x.layout, along, scope)?;
        let members = |s: usize| segments.segment(s).iter().map(|&i| x.values[i]).collect::<Vec<f64>>();
        let values = (0..segments.count()).map(|s| reduced(&members(s))).collect::<Option<Vec<f64>>>();
        let values = values.ok_or_else(|| self.error(slot, scope, None, Cause::Empty { word: word.name }))?;
        let values = segments.of.iter().map(|&s| values[s]).collect();
        Ok(Column::Numbers(Numbers { values, layout: segments.layout, scalar }))
    }

    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn count(&mut self, scope: usize, along: &Along) -> Result<Column, EvalError> {
        let Along::Columns(columns) = along else {
            return Ok(Column::Numbers(Numbers::once(self.rows(scope) as f64, Scalar::Int)));
        };
        let groups = self.groups(columns, scope)?;
        let mut sizes = vec![0.0; groups.first.len()];
        groups.of.iter().for_each(|&g| sizes[g] += 1.0);
        Ok(Column::Numbers(Numbers::rows(groups.of.iter().map(|&g| sizes[g]).collect(), Scalar::Int)))
    }

    /// The rows of each group, or all rows.
    fn members(&mut self, scope: usize, along: &Along) -> Result<Vec<Vec<usize>>, EvalError> {
        let Along::Columns(columns) = along else { return Ok(vec![(0..self.rows(scope)).collect()]) };
        let groups = self.groups(columns, scope)?;
        let mut members = vec![Vec::new(); groups.first.len()];
        groups.of.iter().enumerate().for_each(|(row, &g)| members[g].push(row));
        Ok(members)
    }

    /// Ascending places, 0 first; equal numbers in the order of their rows.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn rank(&mut self, slot: Slot, scope: usize, along: &Along) -> Result<Column, EvalError> {
        let columns = self.args(slot, scope)?;
        let numbers = self.all_numbers(&columns, slot, scope)?;
        let mut ranks = vec![0.0; self.rows(scope)];
        for mut members in self.members(scope, along)? {
            members.sort_by(|&a, &b| numbers[0].row(a)[0].total_cmp(&numbers[0].row(b)[0]));
            members.iter().enumerate().for_each(|(place, &row)| ranks[row] = place as f64);
        }
        Ok(Column::Numbers(Numbers::rows(ranks, Scalar::Int)))
    }

    /// From which row each row of `arg_max` and `shifted` takes its value.
    pub(super) fn sources(&mut self, slot: Slot, scope: usize) -> Result<Vec<usize>, EvalError> {
        let program = self.program;
        let super::program::Op::Over { word, along } = &program.nodes[slot].op else { unreachable!("a row word") };
        let column = self.get(program.nodes[slot].args[1], scope)?;
        let by = self.numbers(&column, program.nodes[slot].args[1], scope)?;
        let mut from = vec![0; self.rows(scope)];
        for members in self.members(scope, along)? {
            let largest = members.iter().copied().rev().max_by(|&a, &b| by.row(a)[0].total_cmp(&by.row(b)[0]));
            for (place, &row) in members.iter().enumerate() {
                #[expect(clippy::cast_possible_truncation, reason = "a shift by rows")]
                let steps = || (by.row(row)[0] as i64).rem_euclid(i64::try_from(members.len()).expect("fewer than 2^63 rows"));
                from[row] = match word.kind {
                    Kind::Rows(Rows::ArgMax) => largest.expect("a group has rows"),
                    _ => members[(place + usize::try_from(steps()).expect("not negative")) % members.len()],
                };
            }
        }
        Ok(from)
    }

    fn dice(&mut self, slot: Slot, scope: usize, along: &Along) -> Result<Column, EvalError> {
        let columns = self.args(slot, scope)?;
        let sides = self.all_numbers(&columns, slot, scope)?;
        let names: Vec<u64> = match along {
            Along::Columns(columns) => {
                let groups = self.groups(columns, scope)?;
                groups.of.iter().map(|&g| key::short(&groups.names[g])).collect()
            }
            Along::Row | Along::Tokens => self.row_names(scope),
            Along::Batch | Along::All => vec![0],
        };
        let mut values = Vec::with_capacity(names.len());
        for (row, name) in names.iter().enumerate() {
            let n = sides[0].row(row)[0];
            if n < 1.0 || n.is_nan() {
                return Err(self.error(slot, scope, Some(row), Cause::NotPositive { word: "dice", found: n }));
            }
            values.push(throw(n, self.inputs.key, *name));
        }
        let layout = if matches!(along, Along::Batch | Along::All) { Layout::ONCE } else { Layout::ROWS };
        Ok(Column::Numbers(Numbers { values, layout, scalar: Scalar::Int }))
    }

    /// How varied each text is, or all texts of each group together.
    fn distinct_ngrams(&mut self, slot: Slot, scope: usize, along: &Along) -> Result<Column, EvalError> {
        let (per_row, cells) = self.cells(&self.program.nodes[slot].args, scope)?;
        let rows = self.rows(scope);
        let members = match along {
            Along::Row | Along::Tokens => (0..rows).map(|row| vec![row]).collect(),
            Along::Columns(_) | Along::Batch | Along::All => self.members(scope, along)?,
        };
        let mut shares = vec![1.0; rows];
        for members in members {
            let mut texts = Vec::with_capacity(members.len());
            let mut n = 1;
            for &row in &members {
                let args = &cells[if per_row { row } else { 0 }];
                let read = text_of(&args[0]).and_then(|text| Ok((text, run_length(&args[1])?)));
                let (text, length) = read.map_err(|e| self.error(slot, scope, Some(row), e))?;
                texts.push(&**text);
                n = length;
            }
            let share = distinct_share(&texts, n);
            members.iter().for_each(|&row| shares[row] = share);
        }
        if matches!(along, Along::Batch | Along::All) {
            return Ok(Column::once(Cell::Float(shares.first().copied().unwrap_or(1.0))));
        }
        Ok(Column::Numbers(Numbers::rows(shares, Scalar::Float)))
    }

    /// The values of each group's rows, or of all rows, in a list.
    fn gathered(&mut self, slot: Slot, scope: usize, along: &Along) -> Result<Column, EvalError> {
        let column = self.get(self.program.nodes[slot].args[0], scope)?;
        let list = |members: &[usize]| Cell::List(members.iter().map(|&row| column.cell(row)).collect());
        let members = self.members(scope, along)?;
        let Along::Columns(columns) = along else { return Ok(Column::once(list(&members[0]))) };
        let (groups, lists) = (self.groups(columns, scope)?, members.iter().map(|m| list(m)).collect::<Vec<Cell>>());
        Ok(Column::from_cells(groups.of.iter().map(|&g| lists[g].clone()).collect(), true))
    }

    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn centroid(&mut self, slot: Slot, scope: usize, along: &Along) -> Result<Column, EvalError> {
        let columns = self.args(slot, scope)?;
        let numbers = self.all_numbers(&columns, slot, scope)?;
        let (rows, members) = (self.rows(scope), self.members(scope, along)?);
        let mut of = vec![Cell::None; rows];
        for members in members.iter().filter(|m| !m.is_empty()) {
            let mut sums = vec![0.0; numbers[0].row(members[0]).len()];
            for &row in members {
                if numbers[0].row(row).len() != sums.len() {
                    return Err(self.error(slot, scope, Some(row), Cause::NotAList));
                }
                sums.iter_mut().zip(numbers[0].row(row)).for_each(|(sum, x)| *sum += x);
            }
            let mean = Cell::List(sums.iter().map(|sum| Cell::Float(sum / members.len() as f64)).collect());
            members.iter().for_each(|&row| of[row] = mean.clone());
        }
        if matches!(along, Along::Columns(_)) {
            return Ok(Column::from_cells(of, true));
        }
        Ok(Column::once(of.pop().unwrap_or_else(|| Cell::List([].into()))))
    }

    fn self_bleu(&mut self, slot: Slot, scope: usize, along: &Along) -> Result<Column, EvalError> {
        let (per_row, cells) = self.cells(&self.program.nodes[slot].args, scope)?;
        let mut bleu = vec![0.0; self.rows(scope)];
        for members in self.members(scope, along)? {
            let (mut texts, mut n) = (Vec::with_capacity(members.len()), 1);
            for &row in &members {
                let args = &cells[if per_row { row } else { 0 }];
                let read = text_of(&args[0]).and_then(|text| Ok((text, run_length(&args[1])?)));
                let (text, longest) = read.map_err(|e| self.error(slot, scope, Some(row), e))?;
                texts.push(&**text);
                n = longest;
            }
            let found = likeness::bleu_against_others(&texts, n);
            members.iter().zip(found).for_each(|(&row, x)| bleu[row] = x);
        }
        Ok(Column::Numbers(Numbers::rows(bleu, Scalar::Float)))
    }

    /// The cluster of every row's list of numbers.
    pub(super) fn cluster(&mut self, slot: Slot, scope: usize) -> Result<Column, EvalError> {
        let columns = self.args(slot, scope)?;
        let numbers = self.all_numbers(&columns, slot, scope)?;
        let rows = self.rows(scope);
        let vectors: Vec<&[f64]> = (0..rows).map(|row| numbers[0].row(row)).collect();
        if let Some(row) = vectors.iter().position(|v| v.len() != vectors[0].len()) {
            return Err(self.error(slot, scope, Some(row), Cause::NotAList));
        }
        let count = numbers[1].values.first().copied().unwrap_or(1.0);
        if count < 1.0 || count.is_nan() {
            return Err(self.error(slot, scope, None, Cause::NotPositive { word: "cluster", found: count }));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 1, and a float cast saturates")]
        let found = likeness::clusters(&vectors, count as usize, self.inputs.key);
        let cell = |cluster: usize| Cell::Int(i64::try_from(cluster).unwrap_or(i64::MAX));
        Ok(Column::from_cells(found.into_iter().map(cell).collect(), true))
    }

    pub(super) fn aggregate(&mut self, slot: Slot, scope: usize, aggregate: Aggregate) -> Result<Column, EvalError> {
        let columns = self.args(slot, scope)?;
        let numbers = self.all_numbers(&columns, slot, scope)?;
        let rows = self.rows(scope);
        let (mut layout, _) = self.broadcast(slot, scope, &numbers)?;
        layout = layout.join(&Layout::ROWS, rows);
        let spread = |n: &Numbers| {
            let places = n.layout.places(&layout, rows).expect("lengths were compared");
            (0..layout.size(rows)).map(|i| n.values[places.of(i)]).collect::<Vec<f64>>()
        };
        let estimate: Estimate = aggregate(&spread(&numbers[0]), &spread(&numbers[1]));
        Ok(Column::once(Cell::Estimate(estimate)))
    }

    /// Which rows of the table a word keeps, by the list of numbers in each.
    pub(super) fn kept(&mut self, slot: Slot, scope: usize, keep: fn(&[Vec<f64>]) -> Vec<bool>) -> Result<Column, EvalError> {
        let column = self.args(slot, scope)?.swap_remove(0);
        let numbers = self.numbers(&column, slot, scope)?;
        let lists: Vec<Vec<f64>> = (0..self.rows(scope)).map(|row| numbers.row(row).to_vec()).collect();
        if let Some(row) = lists.iter().position(|list| list.len() != lists[0].len() || list.iter().any(|x| !x.is_finite())) {
            return Err(self.error(slot, scope, Some(row), Cause::NotAList));
        }
        Ok(Column::from_cells(keep(&lists).into_iter().map(Cell::Bool).collect(), true))
    }

    /// True for the first of texts that share this much of their words.
    pub(super) fn distinct(&mut self, slot: Slot, scope: usize) -> Result<Column, EvalError> {
        let (per_row, rows) = self.cells(&self.program.nodes[slot].args, scope)?;
        let mut kept: Vec<BTreeSet<String>> = Vec::new();
        let mut cells = Vec::with_capacity(self.rows(scope));
        for row in 0..self.rows(scope) {
            let args = &rows[if per_row { row } else { 0 }];
            let text = if args[0] == Cell::None { Ok("".into()) } else { text_of(&args[0]).cloned() };
            let text = text.map_err(|e| self.error(slot, scope, Some(row), e))?;
            let share = args[1].number().unwrap_or(f64::NAN);
            let words = ngrams(&text, 1);
            let new = args[0] != Cell::None && !kept.iter().any(|other| jaccard(other, &words) >= share);
            if new {
                kept.push(words);
            }
            cells.push(Cell::Bool(new));
        }
        Ok(Column::from_cells(cells, true))
    }
}

/// A whole number below `sides` for a name.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "at least one side, far fewer than 2^53"
)]
fn throw(sides: f64, key: [u32; 2], name: u64) -> f64 {
    let [high, low] = chance::halves(name);
    let word = chance::uniform(key, [high, low, 0x6469_6365, 0]);
    chance::below(sides as u64, word[0], word[1]) as f64
}
