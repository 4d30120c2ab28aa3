//! Words that go element by element or along the tokens of one row, and `if`.

use std::borrow::Cow;
use std::sync::Arc;

use crate::value::Cell;

use super::apply;
use super::column::{Column, Layout, Numbers, Places, Within};
use super::eval::Eval;
use super::failure::{Cause, EvalError};
use super::number::{Args, Number, Scalar, holds};
use super::program::{Op, Slot};
use super::scope::Scope;
use super::shape::{Changes, Shape};
use super::words::{Token, Word};

impl Eval<'_> {
    pub(super) fn number(&mut self, slot: Slot, scope: usize, word: &Word, number: &Number) -> Result<Column, EvalError> {
        let columns = self.args(slot, scope)?;
        let plain = columns.iter().all(|c| matches!(&**c, Column::Numbers(_)));
        if !plain && matches!(word.name, "+" | "==" | "!=") && !lists(&columns) {
            return self.map_cells(slot, scope, |cells| Ok(apply::number_on_cells(word.name, number, cells)?));
        }
        let numbers = self.all_numbers(&columns, slot, scope)?;
        let (layout, places) = self.broadcast(slot, scope, &numbers)?;
        let size = layout.size(self.rows(scope));
        let spread = spread(&numbers, &places, size);
        let values = (0..size).map(|i| (number.value)(at(&spread, i))).collect();
        let scalar = number.gives.scalar(numbers.iter().map(|n| n.scalar));
        Ok(Column::Numbers(Numbers { values, layout, scalar }))
    }

    /// The joint layout of several numbers and each one's places in it.
    pub fn broadcast(&self, slot: Slot, scope: usize, numbers: &[Cow<'_, Numbers>]) -> Result<(Layout, Vec<Places>), EvalError> {
        let rows = self.rows(scope);
        let layout = numbers.iter().fold(Layout::ONCE, |layout, n| layout.join(&n.layout, rows));
        let places = numbers.iter().map(|n| n.layout.places(&layout, rows)).collect::<Result<Vec<_>, _>>();
        let places = places.map_err(|uneven| {
            let (first, second) = uneven.lengths;
            self.error(slot, scope, Some(uneven.row), Cause::Lengths { first, second })
        })?;
        Ok((layout, places))
    }

    pub(super) fn token(&mut self, slot: Slot, scope: usize, token: Token) -> Result<Column, EvalError> {
        let columns = self.args(slot, scope)?;
        let numbers = self.all_numbers(&columns, slot, scope)?;
        let (x, decay) = (&numbers[0], numbers.get(1));
        let rows = self.rows(scope);
        if token == Token::AtEnd {
            let values = x.values.iter().flat_map(|x| [0.0, *x]).collect();
            let layout = Layout { within: Within::Ends, ..x.layout };
            return Ok(Column::Numbers(Numbers { values, layout, scalar: x.scalar }));
        }
        if !matches!(x.layout.within, Within::Many { .. }) {
            return Err(self.error(slot, scope, None, Cause::NotAList));
        }
        let mut values = vec![0.0; x.values.len()];
        for row in 0..x.layout.outer(rows) {
            let decay = decay.map_or(0.0, |d| d.row(row)[0]);
            let mut later = 0.0;
            for i in x.layout.range(row).rev() {
                values[i] = if token == Token::Next { later } else { x.values[i] + decay * later };
                later = if token == Token::Next { x.values[i] } else { values[i] };
            }
        }
        Ok(Column::Numbers(Numbers { values, layout: x.layout.clone(), scalar: Scalar::Float }))
    }

    pub(super) fn choice(&mut self, slot: Slot, scope: usize) -> Result<Column, EvalError> {
        let [condition, then, otherwise] = self.program.nodes[slot].args[..] else { unreachable!("an if has three parts") };
        let yes = self.get(condition, scope)?;
        let many = matches!(&*yes, Column::Numbers(n) if n.layout.within != Within::One);
        if !yes.per_row() && !many {
            return Ok((*self.get(if yes.holds(0) { then } else { otherwise }, scope)?).clone());
        }
        let ends = [then, otherwise].iter().any(|&s| self.forms[s].shape == Shape::Ends);
        if self.forms[slot].changes == Changes::Once && !many && !ends {
            return self.branches(&yes, then, otherwise, scope);
        }
        let columns = self.args(slot, scope)?;
        let numbers = self.all_numbers(&columns, slot, scope)?;
        let (layout, places) = self.broadcast(slot, scope, &numbers)?;
        let [yes, a, b] = &numbers[..] else { unreachable!("an if has three parts") };
        let pick = |i: usize| {
            let taken = if holds(yes.values[places[0].of(i)]) { (a, &places[1]) } else { (b, &places[2]) };
            taken.0.values[taken.1.of(i)]
        };
        let values = (0..layout.size(self.rows(scope))).map(pick).collect();
        Ok(Column::Numbers(Numbers { values, layout, scalar: a.scalar.max(b.scalar) }))
    }

    /// Each branch on the rows that take it; what looks at other rows still sees them all.
    fn branches(&mut self, yes: &Column, then: Slot, otherwise: Slot, scope: usize) -> Result<Column, EvalError> {
        let rows = self.rows(scope);
        let around = &self.scopes[scope];
        let alone = |slot: Slot| !self.program.nodes[slot].crosses_rows() && !matches!(self.program.nodes[slot].op, Op::Column(_));
        let unknown = |slot: Slot| around.here[slot] && around.values[slot].is_none();
        let here: Arc<[bool]> = (0..around.here.len()).map(|slot| alone(slot) && unknown(slot)).collect();
        let mut cells = vec![Cell::None; rows];
        for (branch, taken) in [(then, true), (otherwise, false)] {
            let places: Vec<usize> = (0..rows).filter(|&r| yes.holds(r) == taken).collect();
            if places.is_empty() {
                continue;
            }
            let inner = self.enter(Scope::inside(scope, places.clone(), here.clone()));
            let column = self.get(branch, inner)?;
            self.scopes.pop();
            places.iter().enumerate().for_each(|(i, &row)| cells[row] = column.cell(i));
        }
        Ok(Column::from_cells(cells, true))
    }
}

/// Whether all are numbers or lists of numbers, and both occur: then `+` and `==` go item by item.
fn lists(columns: &[Arc<Column>]) -> bool {
    let many = |n: &Numbers| matches!(n.layout.within, Within::Many { .. });
    let numbers: Option<Vec<bool>> = columns.iter().map(|c| c.numbers().ok().map(|n| many(&n))).collect();
    numbers.is_some_and(|n| n.contains(&true) && n.contains(&false))
}

/// Each argument's numbers at every place of the joint layout.
pub(super) fn spread<'n>(numbers: &'n [Cow<'_, Numbers>], places: &[Places], size: usize) -> Vec<Cow<'n, [f64]>> {
    let one = |(numbers, places): (&'n Cow<'_, Numbers>, &Places)| match places {
        Places::Same => Cow::Borrowed(&numbers.values[..]),
        Places::First => Cow::Owned(vec![numbers.values[0]; size]),
        Places::At(places) => Cow::Owned(places.iter().map(|&place| numbers.values[place]).collect()),
    };
    numbers.iter().zip(places).map(one).collect()
}

/// The arguments at one place.
pub(super) fn at(spread: &[Cow<'_, [f64]>], i: usize) -> Args {
    match spread {
        [a] => [a[i], 0.0, 0.0],
        [a, b] => [a[i], b[i], 0.0],
        [a, b, c] => [a[i], b[i], c[i]],
        _ => unreachable!("words take one to three numbers"),
    }
}
