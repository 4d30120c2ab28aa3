//! What a file says instead of networks and layouts: numbers by the names that formulas show.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::value::{Cell, Table};

use super::at::{AtError, Names, wrong};
use super::column::{Column, Layout, Numbers};
use super::eval::{Alone, Eval, Inputs};
use super::number::Scalar;
use super::objective::{Source, States, TrainedNumbers};
use super::phases::Fixed;
use super::program::{Op, Slot};
use super::show::Show;
use super::words;

/// What a file says about one table.
pub(super) struct Given {
    pub table: Table,
    /// Calls of frozen networks, `old(…)` and layout facts, by slot.
    known: Vec<(Slot, Column)>,
    /// Values of the leaves, in their order.
    pub leaves: Vec<Option<Vec<f64>>>,
    /// Per leaf: how many numbers each row has.
    pub lengths: Vec<Vec<usize>>,
    /// Per leaf: whether its rows are given as sums.
    pub sums: Vec<bool>,
    /// Calls of which nothing is said; only metrics read them.
    pub missing: Vec<Slot>,
}

impl Given {
    pub fn new(source: &Source, rows: Vec<&Map<String, Value>>, names: Names<'_>) -> Result<Self, AtError> {
        let mut reader = Reader::new(source, rows, names);
        reader.count()?;
        let mut given = Self { table: reader.table()?, known: vec![], leaves: vec![], lengths: vec![], sums: vec![], missing: vec![] };
        let program = &source.tape.program;
        let needed = program.cone(source.tape.losses.iter().flat_map(|l| [Some(l.value), l.weight]).flatten());
        for leaf in source.leaves() {
            let read = reader.call(leaf.slot, needed[leaf.slot])?;
            given.lengths.push(read.as_ref().map_or_else(|| vec![1; given.table.len()], |(_, lengths, _)| lengths.clone()));
            given.sums.push(read.as_ref().is_some_and(|(_, _, sums)| *sums));
            given.leaves.push(read.map(|(values, _, _)| values));
        }
        for (slot, node) in program.nodes.iter().enumerate() {
            match &node.op {
                Op::Call { .. } if source.leaves().iter().any(|l| l.slot == slot) => {}
                Op::Call { word, .. } => match reader.call(slot, needed[slot])? {
                    Some((values, lengths, _)) => {
                        let layout = match word.kind {
                            words::Kind::Network(gives) if gives.per_token() => Layout::many(lengths, true),
                            words::Kind::Network(words::Network::Inside) => Layout::many(lengths, false),
                            _ => Layout::ROWS,
                        };
                        given.known.push((slot, Column::Numbers(Numbers { values, layout, scalar: Scalar::Float })));
                    }
                    None => given.missing.push(slot),
                },
                Op::Word(word) if word.name == "finished" => given.known.push((slot, reader.finished(slot))),
                Op::Word(word) if word.name == "length" => {
                    if let Some(lengths) = reader.lengths.get(&node.args[0]) {
                        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
                        let values = lengths.iter().map(|n| *n as f64).collect();
                        given.known.push((slot, Column::Numbers(Numbers::rows(values, Scalar::Int))));
                    }
                }
                _ => {}
            }
        }
        Ok(given)
    }

    pub fn fix(&self, source: &Source, states: &States, numbers: &TrainedNumbers) -> Result<Fixed, AtError> {
        let mut alone = Alone;
        let inputs = Inputs { table: &self.table, key: [0; 2], states, trained: numbers };
        let mut eval = Eval::new(&source.tape.program, &source.tape.forms, inputs, &mut alone);
        for (slot, column) in &self.known {
            eval.scopes[0].values[*slot] = Some(Arc::new(column.clone()));
        }
        let mut fixed = source.fix(&mut eval)?;
        fixed.lengths.clone_from(&self.lengths);
        Ok(fixed)
    }
}

/// A leaf's numbers, how many each row has, and whether they were given as sums.
type Read = (Vec<f64>, Vec<usize>, bool);

struct Reader<'a> {
    source: &'a Source,
    rows: Vec<&'a Map<String, Value>>,
    show: Show<'a>,
    /// Tokens of each row, by the slot of the sequence or completion.
    lengths: BTreeMap<Slot, Vec<usize>>,
}

impl<'a> Reader<'a> {
    fn new(source: &'a Source, rows: Vec<&'a Map<String, Value>>, names: Names<'a>) -> Self {
        Self { source, rows, show: Show::new(&source.tape.program, names), lengths: BTreeMap::new() }
    }

    fn table(&self) -> Result<Table, AtError> {
        let mut columns: Vec<Arc<str>> = Vec::new();
        for key in self.rows.iter().flat_map(|row| row.keys()).filter(|key| !key.contains('(')) {
            if !columns.iter().any(|c| **c == **key) {
                columns.push(key.as_str().into());
            }
        }
        let cell = |row: &Map<String, Value>, column: &str| match row.get(column) {
            None => Ok(Cell::None),
            Some(value) => Cell::from_json(value.clone()).map_err(|_| wrong("a value", value)),
        };
        let rows = self.rows.iter().map(|row| columns.iter().map(|c| cell(row, c)).collect()).collect::<Result<_, _>>()?;
        Ok(Table { columns, rows })
    }

    /// The completion of `after(…)`, else the sequence itself: what lengths belong to.
    fn axis(&self, sequence: Slot) -> Slot {
        match &self.source.tape.program.nodes[sequence] {
            node if matches!(node.op, Op::Word(word) if word.name == "after") => node.args[1],
            _ => sequence,
        }
    }

    /// Finds every sequence's lengths: as given, else as long as its arrays.
    fn count(&mut self) -> Result<(), AtError> {
        let program = &self.source.tape.program;
        for slot in 0..program.nodes.len() {
            let sequence = match &program.nodes[slot].op {
                Op::Word(word) if word.name == "length" => program.nodes[slot].args[0],
                Op::Call { word, .. } if matches!(word.kind, words::Kind::Network(gives) if gives.per_token()) => {
                    program.nodes[slot].args[0]
                }
                _ => continue,
            };
            let (shown, call) = (format!("length({})", self.show.slot(sequence)), self.show.slot(slot));
            let axis = self.axis(sequence);
            for (row, given) in self.rows.iter().enumerate() {
                let said = given.get(&shown).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
                let found = said.or_else(|| given.get(&call).and_then(Value::as_array).map(Vec::len));
                let Some(found) = found else { continue };
                let lengths = self.lengths.entry(axis).or_insert_with(|| vec![usize::MAX; self.rows.len()]);
                if lengths[row] != usize::MAX && lengths[row] != found {
                    return Err(AtError::Length { name: call, other: shown, row, found, expected: lengths[row] });
                }
                lengths[row] = found;
            }
        }
        for lengths in self.lengths.values_mut() {
            lengths.iter_mut().filter(|n| **n == usize::MAX).for_each(|n| *n = 1);
        }
        let alias: Vec<(Slot, Slot)> = (0..program.nodes.len()).map(|slot| (slot, self.axis(slot))).filter(|(a, b)| a != b).collect();
        for (sequence, axis) in alias {
            if let Some(lengths) = self.lengths.get(&axis).cloned() {
                self.lengths.insert(sequence, lengths);
            }
        }
        Ok(())
    }

    /// What is said about a call; `None` when nothing is and nothing needs to be.
    fn call(&self, slot: Slot, needed: bool) -> Result<Option<Read>, AtError> {
        let program = &self.source.tape.program;
        let Op::Call { word, .. } = &program.nodes[slot].op else { unreachable!("only calls are given by name") };
        let name = self.show.slot(slot);
        let per_token = matches!(word.kind, words::Kind::Network(gives) if gives.per_token());
        let expected = self.lengths.get(&self.axis(program.nodes[slot].args[0]));
        let (mut values, mut lengths, mut sums) = (Vec::new(), Vec::new(), false);
        for (row, given) in self.rows.iter().enumerate() {
            let wanted = expected.map_or(1, |lengths| lengths[row]);
            let own = match given.get(&name) {
                None if needed => return Err(AtError::NotGiven { name, row }),
                None => return Ok(None),
                Some(Value::Array(items)) => {
                    items.iter().map(|x| x.as_f64().ok_or_else(|| wrong("a number", x))).collect::<Result<Vec<f64>, _>>()?
                }
                Some(x) => {
                    let number = x.as_f64().ok_or_else(|| wrong("a number or a list of them", x))?;
                    sums |= per_token;
                    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
                    if per_token { vec![number / wanted as f64; wanted] } else { vec![number] }
                }
            };
            if per_token && own.len() != wanted {
                let other = format!("length({})", self.show.slot(program.nodes[slot].args[0]));
                return Err(AtError::Length { name, other, row, found: own.len(), expected: wanted });
            }
            lengths.push(own.len());
            values.extend(own);
        }
        Ok(Some((values, lengths, sums)))
    }

    fn finished(&self, slot: Slot) -> Column {
        let name = self.show.slot(slot);
        let cell = |row: &&Map<String, Value>| Cell::Bool(row.get(&name).and_then(Value::as_bool).unwrap_or(true));
        Column::from_cells(self.rows.iter().map(cell).collect(), true)
    }
}
