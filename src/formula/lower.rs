//! From shared formulas to a tape: equal parts once, constants folded, branches that a constant condition rules out gone.
//!
//! `old(x)` is x with its networks marked [`When::Sampled`]; words of a network have it taken out of their arguments.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use thiserror::Error;

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Span;
use crate::value::Cell;

use super::apply;
use super::expr::{Axis, Expr, Formula, Kind, Output};
use super::key::{Key, Writer};
use super::number;
use super::program::{Along, Network, Node, Op, Program, Slot, When};
use super::text::{self, TextError};
use super::words::{self, Word};

/// Why a formula has no meaning.
#[derive(Clone, PartialEq, Debug, Error)]
#[error("{problem}")]
pub struct LowerError {
    pub span: Span,
    pub problem: Problem,
}

#[derive(Clone, PartialEq, Debug, Error)]
pub enum Problem {
    #[error("unknown word `{0}`")]
    UnknownWord(&'static str),
    #[error("`{word}` takes {least} to {most} arguments, found {found}")]
    Arguments { word: &'static str, least: usize, most: usize, found: usize },
    #[error("`{0}` reads a network, and which one must be known before the run")]
    NoNetwork(&'static str),
    #[error("a network is no value: ask it something, as in `model.logp(…)`")]
    NetworkAsValue,
    #[error("{0}")]
    Pattern(TextError),
}

impl LowerError {
    /// The mistake as it is shown.
    pub fn diagnostic(&self) -> Diagnostic {
        let code = match self.problem {
            Problem::UnknownWord(_) => "align::formula::unknown_word",
            Problem::Arguments { .. } => "align::formula::arguments",
            Problem::NoNetwork(_) => "align::formula::no_network",
            Problem::NetworkAsValue => "align::formula::network_as_value",
            Problem::Pattern(_) => "align::formula::pattern",
        };
        let diagnostic = Diagnostic::error(code, self.problem.to_string());
        match self.problem {
            Problem::NoNetwork(word) => diagnostic
                .at(self.span, "which network this is depends on the row")
                .help(format!("choose between the answers: `if … then a.{word}(…) else b.{word}(…)`")),
            _ => diagnostic.at(self.span, "here"),
        }
    }
}

impl Program {
    /// Lowers formulas onto one tape.
    ///
    /// # Errors
    /// When a word is unknown or its arguments do not fit, or a network stands where a value should.
    pub fn lower(roots: &[Formula]) -> Result<Self, LowerError> {
        let mut lowering = Lowering::default();
        for root in roots {
            let slot = lowering.formula(root, When::Now)?;
            lowering.program.roots.push(slot);
        }
        Ok(lowering.program.pruned())
    }

    /// Without the nodes that folding left behind.
    fn pruned(self) -> Self {
        let wanted = self.cone(self.roots.iter().copied());
        let mut place = vec![0; wanted.len()];
        let mut nodes: Vec<Node> = Vec::new();
        for (slot, mut node) in self.nodes.into_iter().enumerate().filter(|(slot, _)| wanted[*slot]) {
            node.args.iter_mut().for_each(|arg| *arg = place[*arg]);
            if let Op::Over { along: Along::Columns(columns), .. } = &mut node.op {
                columns.iter_mut().for_each(|column| *column = place[*column]);
            }
            place[slot] = nodes.len();
            nodes.push(node);
        }
        Self { nodes, roots: self.roots.into_iter().map(|root| place[root]).collect(), olds: self.olds }
    }
}

#[derive(Default)]
struct Lowering {
    program: Program,
    by_key: HashMap<Key, Slot>,
    /// Formulas already lowered, by address: bindings are shared, and walking them once keeps this linear.
    seen: HashMap<(*const Expr, When), Slot>,
}

impl Lowering {
    fn formula(&mut self, formula: &Formula, when: When) -> Result<Slot, LowerError> {
        let address = (Arc::as_ptr(formula), when);
        if let Some(&slot) = self.seen.get(&address) {
            return Ok(slot);
        }
        let slot = self.fresh(formula, when)?;
        self.seen.insert(address, slot);
        Ok(slot)
    }

    fn fresh(&mut self, formula: &Formula, when: When) -> Result<Slot, LowerError> {
        let span = formula.span;
        match &formula.kind {
            Kind::Const(cell) => Ok(self.node(Op::Const(cell.clone()), vec![], span)),
            Kind::Column(name) => Ok(self.node(Op::Column(name.clone()), vec![], span)),
            Kind::Artifact(output) => Ok(self.node(Op::Artifact(output.clone()), vec![], span)),
            Kind::Model | Kind::TrainedNetwork(_) => Err(LowerError { span, problem: Problem::NetworkAsValue }),
            Kind::TrainedNumber(name) => Ok(self.node(Op::Trained { name: name.clone(), when }, vec![], span)),
            Kind::State(name) => Ok(self.node(Op::State(name.clone()), vec![], span)),
            Kind::Word { word, args } => self.word(word, args, when, span),
            Kind::Over { word, args, axis } => self.over(word, args, axis, when, span),
            Kind::If { condition, then, otherwise } => self.choice([condition, then, otherwise], when, span),
            Kind::List(items) => self.plain(Op::List, items, when, span),
            Kind::Record(fields) => {
                let (names, values): (Vec<_>, Vec<_>) = fields.iter().cloned().unzip();
                self.plain(Op::Record(names), &values, when, span)
            }
            Kind::Field { of, name } => self.plain(Op::Field(name.clone()), std::slice::from_ref(of), when, span),
            Kind::Index { of, index } => self.plain(Op::Index, &[of.clone(), index.clone()], when, span),
            Kind::Template(parts) => self.plain(Op::Template, parts, when, span),
        }
    }

    fn plain(&mut self, op: Op, args: &[Formula], when: When, span: Span) -> Result<Slot, LowerError> {
        let args = args.iter().map(|arg| self.formula(arg, when)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.node(op, args, span))
    }

    fn word(&mut self, name: &'static str, args: &[Formula], when: When, span: Span) -> Result<Slot, LowerError> {
        let word = known(name, args.len(), span)?;
        match word.kind {
            words::Kind::Old => {
                self.program.olds.push(span);
                self.formula(&args[0], When::Sampled)
            }
            words::Kind::Network(_) => {
                let network = self.network(word.name, &args[0], when)?;
                let two = matches!(word.kind, words::Kind::Network(words::Network::Divergence));
                let other = two.then(|| self.network(word.name, &args[1], when)).transpose()?;
                let finished = |network: &Network| matches!(network, Network::Artifact(_));
                let when = if finished(&network) && other.as_ref().is_none_or(finished) { When::Now } else { when };
                self.call(Op::Call { word, network, other, when }, &args[1 + usize::from(two)..], span)
            }
            _ => {
                let slot = self.plain(Op::Word(word), args, when, span)?;
                self.has_meaning(word, slot, args).map(|()| slot)
            }
        }
    }

    /// Refuses a word's regular expression that is known and is none.
    fn has_meaning(&self, word: &Word, slot: Slot, args: &[Formula]) -> Result<(), LowerError> {
        let nodes = &self.program.nodes;
        let pattern = word.pattern().and_then(|at| Some((at, &nodes[*nodes[slot].args.get(at)?].op)));
        let Some((at, Op::Const(Cell::Text(pattern)))) = pattern else { return Ok(()) };
        let refused = |error| LowerError { span: args[at].span, problem: Problem::Pattern(error) };
        text::compile(pattern).map(drop).map_err(refused)
    }

    /// A network's arguments are read as they are now: what it is asked does not change while it learns.
    fn call(&mut self, op: Op, args: &[Formula], span: Span) -> Result<Slot, LowerError> {
        self.plain(op, args, When::Now, span)
    }

    fn network(&mut self, word: &'static str, formula: &Formula, when: When) -> Result<Network, LowerError> {
        match &formula.kind {
            Kind::Model => Ok(Network::Model),
            Kind::TrainedNetwork(name) => Ok(Network::Trained(name.clone())),
            Kind::Artifact(output) => Ok(Network::Artifact(output.clone())),
            Kind::If { condition, then, otherwise } => {
                let slot = self.formula(condition, when)?;
                match self.truth(slot) {
                    Some(yes) => self.network(word, if yes { then } else { otherwise }, when),
                    None => Err(LowerError { span: formula.span, problem: Problem::NoNetwork(word) }),
                }
            }
            _ => Err(LowerError { span: formula.span, problem: Problem::NoNetwork(word) }),
        }
    }

    fn over(&mut self, name: &'static str, args: &[Formula], axis: &Axis, when: When, span: Span) -> Result<Slot, LowerError> {
        let word = known(name, args.len(), span)?;
        let along = match axis {
            Axis::Tokens => Along::Tokens,
            Axis::Row => Along::Row,
            Axis::Batch => Along::Batch,
            Axis::All => Along::All,
            Axis::Columns(columns) => {
                let slots = columns.iter().map(|c| self.formula(c, when)).collect::<Result<BTreeSet<_>, _>>()?;
                Along::Columns(slots.into_iter().collect())
            }
        };
        self.plain(Op::Over { word, along }, args, when, span)
    }

    fn choice(&mut self, [condition, then, otherwise]: [&Formula; 3], when: When, span: Span) -> Result<Slot, LowerError> {
        let condition = self.formula(condition, when)?;
        match self.truth(condition) {
            Some(true) => self.formula(then, when),
            Some(false) => self.formula(otherwise, when),
            None => {
                let args = vec![condition, self.formula(then, when)?, self.formula(otherwise, when)?];
                Ok(self.node(Op::If, args, span))
            }
        }
    }

    /// The truth of a constant.
    fn truth(&self, slot: Slot) -> Option<bool> {
        match &self.program.nodes[slot].op {
            Op::Const(cell) => Some(cell.number().is_some_and(number::holds)),
            _ => None,
        }
    }

    /// The slot of a node: its constant when it has one, the same node when it is there already, else a new one.
    fn node(&mut self, op: Op, args: Vec<Slot>, span: Span) -> Slot {
        if let Some(cell) = self.fold(&op, &args) {
            return self.node(Op::Const(cell), vec![], span);
        }
        let key = self.key(&op, &args);
        if let Some(&slot) = self.by_key.get(&key) {
            return slot;
        }
        let slot = self.program.nodes.len();
        self.program.nodes.push(Node { op, args, span, key });
        self.by_key.insert(key, slot);
        slot
    }

    /// The constant that an operation on constants makes.
    fn fold(&self, op: &Op, args: &[Slot]) -> Option<Cell> {
        let constant = |&slot: &Slot| match &self.program.nodes[slot].op {
            Op::Const(cell) => Some(cell.clone()),
            _ => None,
        };
        let cells = args.iter().map(constant).collect::<Option<Vec<_>>>()?;
        match op {
            Op::Word(word) => apply::on_constants(word, &cells),
            Op::List => Some(Cell::List(cells.into())),
            Op::Record(names) => Some(Cell::Record(names.iter().cloned().zip(cells).collect())),
            Op::Field(name) => cells[0].field(name),
            Op::Template => {
                let parts = cells.iter().map(text::in_template).collect::<Result<Vec<_>, _>>();
                parts.ok().map(|parts| Cell::text(parts.concat()))
            }
            _ => None,
        }
    }

    fn key(&self, op: &Op, args: &[Slot]) -> Key {
        let mut writer = Writer::new("node");
        write_op(&mut writer, op, |slot| self.program.nodes[slot].key);
        args.iter().fold(writer.count(args.len()), |w, &arg| w.key(&self.program.nodes[arg].key)).finish()
    }
}

fn known(name: &'static str, found: usize, span: Span) -> Result<&'static Word, LowerError> {
    let word = words::get(name).ok_or(LowerError { span, problem: Problem::UnknownWord(name) })?;
    let (least, most) = word.args;
    if (least..=most).contains(&found) {
        return Ok(word);
    }
    Err(LowerError { span, problem: Problem::Arguments { word: word.name, least, most, found } })
}

fn write_op(writer: &mut Writer, op: &Op, key_of: impl Fn(Slot) -> Key) {
    match op {
        Op::Const(cell) => writer.text("const").cell(cell),
        Op::Column(name) => writer.text("column").text(name),
        Op::Artifact(output) => write_output(writer.text("artifact"), output),
        Op::Trained { name, when } => writer.text("trained").text(name).count(*when as usize),
        Op::State(name) => writer.text("state").text(name),
        Op::Call { word, network, other, when } => {
            let writer = writer.text("call").text(word.name).count(*when as usize);
            other.iter().fold(write_network(writer, network), write_network)
        }
        Op::Word(word) => writer.text("word").text(word.name),
        Op::Over { word, along } => {
            let writer = writer.text("over").text(word.name);
            match along {
                Along::Tokens => writer.text("tokens"),
                Along::Row => writer.text("row"),
                Along::Batch => writer.text("batch"),
                Along::All => writer.text("all"),
                Along::Columns(slots) => slots.iter().fold(writer.count(slots.len()), |w, &s| w.key(&key_of(s))),
            }
        }
        Op::If => writer.text("if"),
        Op::List => writer.text("list"),
        Op::Record(names) => names.iter().fold(writer.text("record").count(names.len()), |w, n| w.text(n)),
        Op::Field(name) => writer.text("field").text(name),
        Op::Index => writer.text("index"),
        Op::Template => writer.text("template"),
    };
}

fn write_network<'a>(writer: &'a mut Writer, network: &Network) -> &'a mut Writer {
    match network {
        Network::Model => writer.text("model"),
        Network::Trained(name) => writer.text("trained").text(name),
        Network::Artifact(output) => write_output(writer.text("artifact"), output),
    }
}

fn write_output<'a>(writer: &'a mut Writer, output: &Output) -> &'a mut Writer {
    output.path.iter().fold(writer.count(output.stage.0).count(output.path.len()), |w, p| w.text(p))
}
