//! The tape backwards: exact derivatives of a number with respect to everything that is trained, in f64.
//!
//! In: a scope whose values are known, and dL/d(slot) for some slots. Out: dL/d(slot) for every slot that carries a
//! gradient. Each step mirrors one of [`super::eval`]; a derivative of 0 stops there, so an infinite slope on the
//! branch not taken does no harm.

use std::sync::Arc;

use super::column::{Column, Layout, Numbers, Places, Within};
use super::elementwise::{at, spread};
use super::eval::Eval;
use super::failure::EvalError;
use super::number::{Number, holds};
use super::program::{Along, Op, Slot};
use super::reduce::Reduction;
use super::words::{Items, Kind, Rows, Token};

/// dL/d(slot), laid out as the slot's numbers.
pub(super) type Adjoints = Vec<Option<Vec<f64>>>;

/// Runs backwards from `seeds`.
pub(super) fn backward(eval: &mut Eval<'_>, scope: usize, seeds: Vec<(Slot, Vec<f64>)>) -> Result<Adjoints, EvalError> {
    let mut adjoints: Adjoints = vec![None; eval.program.nodes.len()];
    for (slot, seed) in seeds {
        match &mut adjoints[slot] {
            Some(known) => known.iter_mut().zip(seed).for_each(|(a, b)| *a += b),
            empty => *empty = Some(seed),
        }
    }
    for slot in (0..adjoints.len()).rev() {
        if !eval.forms[slot].gradient {
            continue;
        }
        let Some(upstream) = adjoints[slot].take() else { continue };
        Step { eval, scope, slot, upstream: &upstream, adjoints: &mut adjoints }.run()?;
        adjoints[slot] = Some(upstream);
    }
    Ok(adjoints)
}

struct Step<'e, 'a> {
    eval: &'e mut Eval<'a>,
    scope: usize,
    slot: Slot,
    upstream: &'e [f64],
    adjoints: &'e mut Adjoints,
}

impl Step<'_, '_> {
    fn run(mut self) -> Result<(), EvalError> {
        let program = self.eval.program;
        match &program.nodes[self.slot].op {
            Op::Word(word) => match word.kind {
                Kind::Number(number) => self.number(&number),
                Kind::Token(token) => self.token(token),
                Kind::Items(Items::Dot) => self.dot(),
                _ => Ok(()),
            },
            Op::Over { word, along } => match word.kind {
                Kind::Reduction(reduction) => self.reduction(&reduction, along),
                Kind::Rows(Rows::ArgMax | Rows::Shifted) => self.moved(),
                _ => Ok(()),
            },
            Op::If => self.choice(),
            Op::List => self.list(),
            Op::Index => self.index(),
            _ => Ok(()),
        }
    }

    fn arg(&self, k: usize) -> Slot {
        self.eval.program.nodes[self.slot].args[k]
    }

    fn columns(&mut self) -> Result<Vec<Arc<Column>>, EvalError> {
        self.eval.args(self.slot, self.scope)
    }

    fn rows(&self) -> usize {
        self.eval.rows(self.scope)
    }

    /// Where an argument's derivative is gathered; `None` where none is wanted.
    fn into(&mut self, k: usize, size: usize) -> Option<&mut Vec<f64>> {
        let arg = self.arg(k);
        self.eval.forms[arg].gradient.then(|| self.adjoints[arg].get_or_insert_with(|| vec![0.0; size]))
    }

    fn add(&mut self, k: usize, size: usize, terms: impl Iterator<Item = (usize, f64)>) {
        if let Some(into) = self.into(k, size) {
            terms.for_each(|(place, term)| into[place] += term);
        }
    }

    fn number(&mut self, number: &Number) -> Result<(), EvalError> {
        let Some(slope) = number.slope else { return Ok(()) };
        let columns = self.columns()?;
        let numbers = self.eval.all_numbers(&columns, self.slot, self.scope)?;
        let (_, places) = self.eval.broadcast(self.slot, self.scope, &numbers)?;
        let up = self.upstream;
        let spread = spread(&numbers, &places, up.len());
        let mut slopes = vec![[0.0; 3]; up.len()];
        for i in (0..up.len()).filter(|&i| up[i] != 0.0) {
            let x = at(&spread, i);
            slopes[i] = slope(x, (number.value)(x));
        }
        for k in 0..numbers.len() {
            let Some(into) = self.into(k, numbers[k].values.len()) else { continue };
            let terms = (0..up.len()).filter(|&i| up[i] != 0.0).map(|i| (i, up[i] * slopes[i][k]));
            match &places[k] {
                Places::Same => terms.for_each(|(i, term)| into[i] += term),
                Places::First => into[0] += terms.map(|(_, term)| term).sum::<f64>(),
                Places::At(places) => terms.for_each(|(i, term)| into[places[i]] += term),
            }
        }
        Ok(())
    }

    fn token(&mut self, token: Token) -> Result<(), EvalError> {
        let columns = self.columns()?;
        let numbers = self.eval.all_numbers(&columns, self.slot, self.scope)?;
        let (x, size) = (&numbers[0], numbers[0].values.len());
        let up = self.upstream;
        match token {
            Token::AtEnd => self.add(0, size, (0..size).map(|j| (j, up[2 * j + 1]))),
            Token::Next => {
                let rows = x.layout.outer(self.rows());
                self.add(0, size, (0..rows).flat_map(|row| x.layout.range(row).skip(1).map(|i| (i, up[i - 1]))));
            }
            Token::TailSum => self.tail_sum(x, &numbers[1])?,
        }
        Ok(())
    }

    /// `y[t] = x[t] + d y[t+1]`: what reaches `y[t]` reaches `x[t]`, and, times d, `y[t+1]`.
    fn tail_sum(&mut self, x: &Numbers, decay: &Numbers) -> Result<(), EvalError> {
        let y = self.eval.get(self.slot, self.scope)?;
        let y = self.eval.numbers(&y, self.slot, self.scope)?;
        let mut reached = self.upstream.to_vec();
        let mut by_decay = Vec::new();
        for row in 0..x.layout.outer(self.rows()) {
            let range = x.layout.range(row);
            let (d, place) = (decay.row(row)[0], decay.layout.range(row).start);
            for i in range.clone().skip(1) {
                by_decay.push((place, reached[i - 1] * y.values[i]));
                reached[i] += d * reached[i - 1];
            }
        }
        self.add(0, x.values.len(), reached.into_iter().enumerate());
        self.add(1, decay.values.len(), by_decay.into_iter());
        Ok(())
    }

    fn dot(&mut self) -> Result<(), EvalError> {
        let columns = self.columns()?;
        let numbers = self.eval.all_numbers(&columns, self.slot, self.scope)?;
        let (layout, places) = self.eval.broadcast(self.slot, self.scope, &numbers)?;
        let (rows, up) = (layout.outer(self.rows()), self.upstream);
        for (k, other) in [(0, 1), (1, 0)] {
            let factor = |i: usize| numbers[other].values[places[other].of(i)];
            let of_row = |row: usize| layout.range(row).map(move |i| (i, up[row]));
            let terms = (0..rows).flat_map(of_row).map(|(i, up)| (places[k].of(i), up * factor(i)));
            self.add(k, numbers[k].values.len(), terms);
        }
        Ok(())
    }

    fn reduction(&mut self, reduction: &Reduction, along: &Along) -> Result<(), EvalError> {
        let columns = self.columns()?;
        let numbers = self.eval.all_numbers(&columns, self.slot, self.scope)?;
        let x = &numbers[0];
        let ddof = numbers.get(1).map_or(0.0, |d| d.values[0]);
        let arg = self.arg(0);
        if *along == Along::Tokens {
            let up = self.upstream;
            let Some(into) = self.into(0, x.values.len()) else { return Ok(()) };
            for (row, &up) in up.iter().enumerate().filter(|(_, up)| **up != 0.0) {
                let range = x.layout.range(row);
                let members = &x.values[range.clone()];
                (reduction.slope)(members, ddof, (reduction.value)(members, ddof), up, &mut into[range]);
            }
            return Ok(());
        }
        let segments = self.eval.segments(arg, &x.layout, along, self.scope)?;
        let mut upstream = vec![0.0; segments.count()];
        segments.of.iter().zip(self.upstream).for_each(|(&s, up)| upstream[s] += up);
        for (s, &up) in upstream.iter().enumerate().filter(|(_, up)| **up != 0.0) {
            let places = segments.segment(s);
            let members: Vec<f64> = places.iter().map(|&i| x.values[i]).collect();
            let mut slopes = vec![0.0; members.len()];
            (reduction.slope)(&members, ddof, (reduction.value)(&members, ddof), up, &mut slopes);
            self.add(0, x.values.len(), places.iter().copied().zip(slopes));
        }
        Ok(())
    }

    /// `arg_max` and `shifted` copy a row's value: its derivative goes back there.
    fn moved(&mut self) -> Result<(), EvalError> {
        let columns = self.columns()?;
        let x = self.eval.numbers(&columns[0], self.arg(0), self.scope)?;
        let y = self.eval.get(self.slot, self.scope)?;
        let y = self.eval.numbers(&y, self.slot, self.scope)?;
        let from = self.eval.sources(self.slot, self.scope)?;
        let (up, outer) = (self.upstream, y.layout.outer(self.rows()));
        let terms = (0..outer).flat_map(|row| x.layout.range(from[row]).zip(y.layout.range(row))).map(|(to, at)| (to, up[at]));
        self.add(0, x.values.len(), terms);
        Ok(())
    }

    fn choice(&mut self) -> Result<(), EvalError> {
        let condition = self.eval.get(self.arg(0), self.scope)?;
        let yes = self.eval.numbers(&condition, self.arg(0), self.scope)?;
        if yes.layout == Layout::ONCE {
            let taken = if holds(yes.values[0]) { 1 } else { 2 };
            self.add(taken, self.upstream.len(), self.upstream.iter().copied().enumerate());
            return Ok(());
        }
        let columns = self.columns()?;
        let numbers = self.eval.all_numbers(&columns, self.slot, self.scope)?;
        let (_, places) = self.eval.broadcast(self.slot, self.scope, &numbers)?;
        let up = self.upstream;
        for (k, wanted) in [(1, true), (2, false)] {
            let taken = |i: &usize| holds(yes.values[places[0].of(*i)]) == wanted;
            self.add(k, numbers[k].values.len(), (0..up.len()).filter(taken).map(|i| (places[k].of(i), up[i])));
        }
        Ok(())
    }

    fn list(&mut self) -> Result<(), EvalError> {
        let columns = self.columns()?;
        let numbers = self.eval.all_numbers(&columns, self.slot, self.scope)?;
        let (count, up) = (numbers.len(), self.upstream);
        for (k, n) in numbers.iter().enumerate() {
            let outer = up.len() / count;
            self.add(k, n.values.len(), (0..outer).map(|row| (n.layout.range(row).start, up[row * count + k])));
        }
        Ok(())
    }

    fn index(&mut self) -> Result<(), EvalError> {
        let columns = self.columns()?;
        let list = self.eval.numbers(&columns[0], self.arg(0), self.scope)?;
        let (_, places) = self.eval.indexed(self.slot, self.scope, &list, &columns[1])?;
        debug_assert!(matches!(list.layout.within, Within::Many { .. }));
        self.add(0, list.values.len(), places.into_iter().zip(self.upstream.iter().copied()));
        Ok(())
    }
}
