//! What a step asks the networks, and its way back: which answer of which network is which leaf's number, and the
//! derivatives by leaves as derivatives by answers.

use std::collections::BTreeMap;

use crate::formula::objective::Leaf;
use crate::formula::phases::{Fixed, Outcome};
use crate::model::{Coefficients, NetId, Readout, Sides, TokenSequence, Want};
use crate::value::statistics::mean;

/// What a network is asked about some rows, and which of its answers belongs to which leaf.
pub(super) struct Asking {
    pub(super) net: NetId,
    /// Of each kind of sequence, one a row: those of the first kind, then those of the second.
    pub(super) sequences: Vec<TokenSequence>,
    pub(super) rows: usize,
    pub(super) want: Want,
    /// (leaf, kind of sequence).
    pub(super) places: Vec<(usize, usize)>,
    pub(super) gradient: bool,
    /// How many scores the network gives for a sequence: the members of an ensemble.
    pub(super) heads: usize,
}

impl Asking {
    /// The same about some of the rows only.
    pub(super) fn about(&self, rows: &[usize]) -> Self {
        let kinds = self.sequences.chunks(self.rows);
        let sequences = kinds.flat_map(|kind| rows.iter().map(|&row| kind[row].clone())).collect();
        Self { sequences, rows: rows.len(), places: self.places.clone(), ..*self }
    }
}

/// What a word asks of a network: `score` and `scores` ask the same.
pub(super) fn want_of(word: &str) -> Want {
    Want { logp: word == "logp", entropy: word == "entropy", value: word == "value", score: word.starts_with("score") }
}

/// The two networks of a leaf that compares them, and what each reads of some rows.
pub(super) struct Comparing {
    pub(super) leaf: usize,
    pub(super) nets: [NetId; 2],
    pub(super) sequences: [Vec<TokenSequence>; 2],
}

impl Comparing {
    pub(super) fn sides(&self) -> Sides<'_> {
        Sides { nets: self.nets, sequences: [&self.sequences[0], &self.sequences[1]] }
    }
}

/// Numbers of the leaves by row; an empty list where a leaf is not asked for. Of an ensemble's score all members' numbers.
pub(super) struct Known {
    pub(super) said: Vec<Vec<Vec<f64>>>,
    heads: Vec<usize>,
}

impl Known {
    pub(super) fn new(leaves: usize, rows: usize) -> Self {
        Self { said: vec![vec![Vec::new(); rows]; leaves], heads: vec![1; leaves] }
    }

    /// Notes what a network said about some rows.
    pub(super) fn note(&mut self, asking: &Asking, rows: &[usize], leaves: &[Leaf], read: &Readout) {
        for &(leaf, kind) in &asking.places {
            let word = leaves[leaf].word;
            self.heads[leaf] = if word == "score" { asking.heads } else { 1 };
            for (place, &row) in rows.iter().enumerate() {
                self.said[leaf][row] = answer(word, read, kind * asking.rows + place, asking.heads);
            }
        }
    }

    /// How many members the ensemble among the networks has; 1 without one.
    pub(super) fn members(&self) -> usize {
        self.heads.iter().copied().max().unwrap_or(1)
    }

    /// As formulas take them: of an ensemble the mean, or one member's numbers.
    pub(super) fn of(&self, rows: &[usize], wanted: &[bool], member: Option<usize>) -> Vec<Option<Vec<f64>>> {
        let row = |leaf: usize, row: usize| -> Vec<f64> {
            let said = &self.said[leaf][row];
            match member {
                _ if self.heads[leaf] < 2 => said.clone(),
                Some(member) => vec![said[member]],
                None => vec![mean(said)],
            }
        };
        let flat = |leaf: usize| rows.iter().flat_map(|&at| row(leaf, at)).collect();
        (0..self.said.len()).map(|leaf| wanted[leaf].then(|| flat(leaf))).collect()
    }
}

/// Notes the derivatives by one leaf of a part's rows, row by row.
pub(super) fn take_apart(
    outcome: &Outcome,
    leaf: usize,
    fixed: &Fixed,
    (places, rows): (&[usize], &[usize]),
    pulls: &mut BTreeMap<(usize, usize), Vec<f64>>,
) {
    let Some(Some(flat)) = outcome.coefficients.get(leaf) else { return };
    let mut from = 0;
    for (place, row) in places.iter().zip(rows) {
        let length = fixed.length(leaf, *row);
        let sum = pulls.entry((leaf, *place)).or_insert_with(|| vec![0.0; length]);
        sum.iter_mut().zip(&flat[from..from + length]).for_each(|(sum, d)| *sum += d);
        from += length;
    }
}

/// A network's answer to one request, as a leaf's numbers; of an ensemble every member's score.
fn answer(word: &str, read: &Readout, request: usize, heads: usize) -> Vec<f64> {
    match word {
        "logp" => read.logp[request].to_vec(),
        "entropy" => read.entropy[request].to_vec(),
        "value" => read.value[request].to_vec(),
        _ => read.score[request * heads..(request + 1) * heads].to_vec(),
    }
}

/// The derivatives by a network's answers, from those by the leaves: of one outcome, or of one for each member of an ensemble.
pub(super) fn coefficients(asking: &Asking, leaves: &[Leaf], fixed: &Fixed, rows: &[usize], outcomes: &[Outcome]) -> Coefficients {
    let mut coefficients = Coefficients::default();
    let count = asking.sequences.len();
    for &(leaf, kind) in &asking.places {
        let (word, requests) = (leaves[leaf].word, kind * asking.rows..(kind + 1) * asking.rows);
        if word == "score" {
            coefficients.score.resize(count * asking.heads, 0.0);
            for (member, outcome) in outcomes.iter().enumerate() {
                let Some(Some(flat)) = outcome.coefficients.get(leaf) else { continue };
                let member = if asking.heads > 1 { member } else { 0 };
                requests.clone().zip(flat).for_each(|(request, d)| coefficients.score[request * asking.heads + member] += d);
            }
            continue;
        }
        let Some(flat) = summed(outcomes, leaf) else { continue };
        let into = match word {
            "logp" => &mut coefficients.logp,
            "entropy" => &mut coefficients.entropy,
            _ => &mut coefficients.value,
        };
        into.resize(count, Vec::new());
        let mut from = 0;
        for (request, row) in requests.zip(rows) {
            let length = fixed.length(leaf, *row);
            into[request] = flat[from..from + length].to_vec();
            from += length;
        }
    }
    coefficients
}

/// The derivatives by one leaf, those of all members together.
fn summed(outcomes: &[Outcome], leaf: usize) -> Option<Vec<f64>> {
    let mut each = outcomes.iter().filter_map(|outcome| outcome.coefficients.get(leaf)?.as_ref());
    let mut sum = each.next()?.clone();
    for more in each {
        sum.iter_mut().zip(more).for_each(|(sum, d)| *sum += d);
    }
    Some(sum)
}
