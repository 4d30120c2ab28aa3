//! Values of a tape over the rows of a table, in f64, each slot at most once for each set of rows.
//!
//! In: a program and its forms, a table, the networks behind a trait. Out: a [`Column`] per slot that was asked for.
//! Only what is asked for is computed; a branch of an `if` asks its networks only about the rows that take it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::syntax::span::Span;
use crate::value::{Cell, Table};

use super::column::{Column, Numbers};
use super::expr::{Formula, Output};
use super::failure::{Cause, EvalError, Unanswered};
use super::number::Scalar;
pub use super::prepared::{Prepared, column, single};
use super::program::{Network, Op, Program, Slot, When};
use super::scope::Scope;
use super::shape::{Changes, Form};
use super::text::describe;
use super::words::{self, Kind, Word};

/// A batched question to a network.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// A word of kind [`Kind::Network`].
    pub word: &'static str,
    pub network: &'a Network,
    /// The second network of a word that compares two.
    pub other: Option<&'a Network>,
    pub when: When,
    /// Seed and stage: the key of [`crate::chance`].
    pub key: [u32; 2],
    /// A name of each asked row, for words of chance: it depends on the row's content, not on its place.
    pub names: &'a [u64],
    pub span: Span,
}

/// Everything that formulas ask of the world around them.
pub trait Networks {
    /// Answers for all rows at once: `rows[i]` holds the word's arguments after its networks. `Tokens` for `logp`,
    /// `entropy`, `value`, `kl_to` and `lens`, `Float` for `score`, `Completion` for `sample`, a list for `scores`, `choose`
    /// and what is read inside.
    ///
    /// # Errors
    /// When the network cannot be asked; the formula's place is added by the caller.
    fn call(&mut self, call: Call<'_>, rows: &[Vec<Cell>]) -> Result<Vec<Cell>, Unanswered>;

    /// How many tokens of each sequence are scored.
    ///
    /// # Errors
    /// When no tokenizer is at hand.
    fn lengths(&mut self, sequences: &[Cell]) -> Result<Vec<usize>, Unanswered>;

    /// The value of a number, estimate or text that another stage produced.
    ///
    /// # Errors
    /// When it is not there.
    fn artifact(&mut self, output: &Output) -> Result<Cell, Unanswered>;
}

/// No networks and no artifacts: what plain columns need.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Networks for Alone {
    fn call(&mut self, call: Call<'_>, _: &[Vec<Cell>]) -> Result<Vec<Cell>, Unanswered> {
        Err(format!("no network is at hand for `{}`", call.word).into())
    }

    fn lengths(&mut self, _: &[Cell]) -> Result<Vec<usize>, Unanswered> {
        Err("no tokenizer is at hand for `length`".into())
    }

    fn artifact(&mut self, _: &Output) -> Result<Cell, Unanswered> {
        Err("no other stage's results are at hand".into())
    }
}

/// What formulas are evaluated on, networks aside.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    pub table: &'a Table,
    /// Seed and stage.
    pub key: [u32; 2],
    pub states: &'a BTreeMap<Arc<str>, f64>,
    /// Trained numbers, one or a list.
    pub trained: &'a BTreeMap<Arc<str>, Numbers>,
}

/// Marks the slots that `start` holds for and everything that reads them.
pub(super) fn dependents(program: &Program, start: impl Fn(Slot) -> bool) -> Vec<bool> {
    let mut marked = vec![false; program.nodes.len()];
    for slot in 0..marked.len() {
        marked[slot] = start(slot) || program.nodes[slot].reads().any(|read| marked[read]);
    }
    marked
}

/// Values that are being computed.
pub(super) struct Eval<'a> {
    pub program: &'a Program,
    pub forms: &'a [Form],
    pub inputs: Inputs<'a>,
    pub networks: &'a mut dyn Networks,
    pub scopes: Vec<Scope>,
    /// Names of the table's rows, once they are needed.
    pub names: Option<Arc<[u64]>>,
    /// The calls that [`Eval::need`] found.
    pub certain: Vec<bool>,
}

impl<'a> Eval<'a> {
    pub fn new(program: &'a Program, forms: &'a [Form], inputs: Inputs<'a>, networks: &'a mut dyn Networks) -> Self {
        let root = Scope::table(inputs.table.len(), program.nodes.len());
        let certain = vec![false; program.nodes.len()];
        Self { program, forms, inputs, networks, scopes: vec![root], names: None, certain }
    }

    /// Says that these slots will be asked for. Calls of frozen networks that they need whatever other networks answer may
    /// then be put together.
    pub fn need(&mut self, roots: &[Slot]) {
        let nodes = &self.program.nodes;
        let answered = dependents(self.program, |slot| matches!(nodes[slot].op, Op::Call { .. }));
        let may_join = |slot: Slot| match &nodes[slot].op {
            Op::Call { word, network: Network::Artifact(_), .. } => !matches!(word.kind, Kind::Network(words::Network::Sample)),
            _ => false,
        };
        let mut needed = vec![false; nodes.len()];
        roots.iter().for_each(|&root| needed[root] = true);
        for slot in (0..nodes.len()).rev() {
            if !needed[slot] {
                continue;
            }
            // of an `if` the condition alone is sure to be needed
            let most = if matches!(nodes[slot].op, Op::If) { 1 } else { usize::MAX };
            nodes[slot].reads().take(most).for_each(|read| needed[read] = true);
            let fixed = self.forms[slot].changes == Changes::Once;
            self.certain[slot] = may_join(slot) && fixed && !nodes[slot].reads().any(|read| answered[read]);
        }
    }

    /// The table's scope with everything that was computed.
    pub fn into_scope(mut self) -> Scope {
        self.scopes.swap_remove(0)
    }

    /// Opens a scope.
    pub fn enter(&mut self, scope: Scope) -> usize {
        self.scopes.push(scope);
        self.scopes.len() - 1
    }

    pub fn rows(&self, scope: usize) -> usize {
        self.scopes[scope].rows.len()
    }

    pub fn error(&self, slot: Slot, scope: usize, row: Option<usize>, cause: impl Into<Cause>) -> EvalError {
        let mut row = row;
        let mut scope = Some(scope);
        while let Some(s) = scope {
            row = row.and_then(|r| self.scopes[s].rows.get(r).copied());
            scope = self.scopes[s].parent;
        }
        EvalError { span: self.program.nodes[slot].span, row, cause: cause.into() }
    }

    /// The values of a slot over the rows of a scope.
    pub fn get(&mut self, slot: Slot, scope: usize) -> Result<Arc<Column>, EvalError> {
        if let Some(known) = &self.scopes[scope].values[slot] {
            return Ok(known.clone());
        }
        let here = &self.scopes[scope];
        let value = match here.parent.filter(|_| !here.here[slot]) {
            Some(parent) => {
                let whole = self.get(slot, parent)?;
                if whole.per_row() { Arc::new(whole.of_rows(&self.scopes[scope].rows)) } else { whole }
            }
            None => Arc::new(self.compute(slot, scope)?),
        };
        self.scopes[scope].values[slot] = Some(value.clone());
        Ok(value)
    }

    /// The numbers of a slot's column.
    pub fn numbers<'c>(&self, column: &'c Column, slot: Slot, scope: usize) -> Result<Cow<'c, Numbers>, EvalError> {
        column.numbers().map_err(|(row, cell)| {
            let row = column.per_row().then_some(row);
            self.error(slot, scope, row, Cause::NotANumber { found: describe(&cell) })
        })
    }

    /// The columns of a slot's arguments.
    pub fn args(&mut self, slot: Slot, scope: usize) -> Result<Vec<Arc<Column>>, EvalError> {
        let program = self.program;
        program.nodes[slot].args.iter().map(|&a| self.get(a, scope)).collect()
    }

    /// The same as numbers.
    pub fn all_numbers<'c>(&self, columns: &'c [Arc<Column>], slot: Slot, scope: usize) -> Result<Vec<Cow<'c, Numbers>>, EvalError> {
        let args = &self.program.nodes[slot].args;
        args.iter().zip(columns).map(|(&arg, column)| self.numbers(column, arg, scope)).collect()
    }

    /// The cells of several slots at every row; one row where none of them has a value per row.
    pub fn cells(&mut self, slots: &[Slot], scope: usize) -> Result<(bool, Vec<Vec<Cell>>), EvalError> {
        let columns = slots.iter().map(|&s| self.get(s, scope)).collect::<Result<Vec<_>, _>>()?;
        let per_row = columns.iter().any(|c| c.per_row());
        let outer = if per_row { self.rows(scope) } else { 1 };
        Ok((per_row, (0..outer).map(|row| columns.iter().map(|c| c.cell(row)).collect()).collect()))
    }

    /// A column from a function of each row's cells.
    pub fn map_cells(&mut self, slot: Slot, scope: usize, f: impl Fn(&[Cell]) -> Result<Cell, Cause>) -> Result<Column, EvalError> {
        let (per_row, rows) = self.cells(&self.program.nodes[slot].args, scope)?;
        let mut cells = Vec::with_capacity(rows.len());
        for (row, args) in rows.iter().enumerate() {
            cells.push(f(args).map_err(|cause| self.error(slot, scope, per_row.then_some(row), cause))?);
        }
        Ok(Column::from_cells(cells, per_row))
    }

    fn compute(&mut self, slot: Slot, scope: usize) -> Result<Column, EvalError> {
        let program = self.program;
        let node = &program.nodes[slot];
        match &node.op {
            Op::Const(cell) => Ok(Column::once(cell.clone())),
            Op::Column(name) => match self.inputs.table.column(name) {
                Some(cells) => Ok(Column::from_cells(cells, true)),
                None => Err(self.error(slot, scope, None, Cause::NoColumn { column: name.to_string() })),
            },
            Op::Artifact(output) => {
                let cell = self.networks.artifact(output).map_err(|e| self.error(slot, scope, None, e))?;
                Ok(Column::once(cell))
            }
            Op::Trained { name, .. } => match self.inputs.trained.get(name) {
                Some(numbers) => Ok(Column::Numbers(numbers.clone())),
                None => Err(self.error(slot, scope, None, Cause::NotGiven { name: name.to_string() })),
            },
            Op::State(name) => match self.inputs.states.get(name) {
                Some(x) => Ok(Column::Numbers(Numbers::once(*x, Scalar::Float))),
                None => Err(self.error(slot, scope, None, Cause::NotGiven { name: name.to_string() })),
            },
            Op::Call { .. } => self.call(slot, scope),
            Op::Word(word) => self.word(slot, scope, word),
            Op::Over { word, along } => self.over(slot, scope, word, along),
            Op::If => self.choice(slot, scope),
            Op::List => self.list(slot, scope),
            Op::Record(names) => {
                self.map_cells(slot, scope, |cells| Ok(Cell::Record(names.iter().cloned().zip(cells.iter().cloned()).collect())))
            }
            Op::Field(name) => self.map_cells(slot, scope, |cells| super::parts::field(&cells[0], name)),
            Op::Index => self.index(slot, scope),
            Op::Template => self.map_cells(slot, scope, |cells| {
                let parts = cells.iter().map(super::text::in_template).collect::<Result<Vec<_>, _>>()?;
                Ok(Cell::text(parts.concat()))
            }),
        }
    }

    fn word(&mut self, slot: Slot, scope: usize, word: &'static Word) -> Result<Column, EvalError> {
        match word.kind {
            Kind::Number(number) => self.number(slot, scope, word, &number),
            Kind::Token(token) => self.token(slot, scope, token),
            Kind::Items(items) => self.items(slot, scope, items),
            Kind::Text(f) => self.map_cells(slot, scope, |cells| if cells.contains(&Cell::None) { Ok(Cell::None) } else { Ok(f(cells)?) }),
            Kind::Layout(layout) => self.layout(slot, scope, layout),
            Kind::Aggregate(aggregate) => self.aggregate(slot, scope, aggregate),
            Kind::Distinct => self.distinct(slot, scope),
            Kind::Cluster => self.cluster(slot, scope),
            Kind::Kept(keep) => self.kept(slot, scope, keep),
            Kind::Reduction(_) | Kind::Rows(_) | Kind::Network(_) | Kind::Old => unreachable!("lowered to an op of its own"),
        }
    }
}

/// The numbers of a start value.
pub(super) fn numbers_of(formula: &Formula, cell: &Cell) -> Result<Numbers, EvalError> {
    let not = |(_, found)| EvalError { span: formula.span, row: None, cause: Cause::NotANumber { found: describe(&found) } };
    Column::once(cell.clone()).numbers().map(Cow::into_owned).map_err(not)
}
