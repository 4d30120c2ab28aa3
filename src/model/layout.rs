//! Many sequences as one padding-free batch.
//!
//! Equal sequences are computed once. Sequences with the same prompt share one copy of it: the prompt's rows come
//! first and all its completions directly behind, so the queries that attend to a key are contiguous. A token is only
//! fed where something behind it needs it: the last completion token only for a score.
//!
//! ```text
//! rows       p0 p1 p2 | a0 a1 | b0 b1 b2        one prompt, two completions
//! positions   0  1  2    3  4    3  4  5
//! prefix              [0, 3)  [0, 3)
//! own        [0, t]      [3, t]  [5, t]
//! ```

use std::collections::HashMap;
use std::ops::Range;

use super::{TokenSequence, Want};

/// One forward pass: flat tokens, and what is read off them.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Batch {
    /// Token ids, T of them.
    pub tokens: Vec<u32>,
    /// The place of each token in its sequence, (T).
    pub positions: Vec<u32>,
    /// prefix_begin, prefix_end, own_begin, own_end of the keys each token attends to, (T, 4).
    pub ranges: Vec<u32>,
    /// The rows that anything is read off, ascending, (N): the last block computes only these.
    pub needed: Vec<u32>,
    /// Places in `needed` of rows that predict, (P); a prompt's last row predicts the first token of each of its
    /// completions.
    pub predicting: Vec<u32>,
    /// The ids they predict, (P).
    pub targets: Vec<u32>,
    /// Places in `needed` of the last row of each sequence of which a score is wanted, (S).
    pub last: Vec<u32>,
}

/// Where the results of one requested sequence are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    pub batch: usize,
    /// Its pairs among `predicting` and `targets`: one a scored token.
    pub pairs: Range<usize>,
    /// Its index among `last`, if scores are wanted.
    pub last: Option<usize>,
}

/// Batches, and for each requested sequence where its results are. Equal requests share a place.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Layout {
    pub batches: Vec<Batch>,
    pub places: Vec<Place>,
}

/// A prompt and the distinct completions behind it, as indices of the request.
struct Group {
    members: Vec<usize>,
    rows: usize,
}

impl Layout {
    /// Lays `sequences` out in batches of about `budget` rows; a prompt's completions stay together unless they alone
    /// exceed it.
    pub fn new(sequences: &[TokenSequence], want: Want, budget: usize) -> Self {
        let (unique, of_request) = distinct(sequences);
        let groups = group(sequences, &unique, want, budget);
        let mut layout = Self::default();
        let mut places = vec![None; sequences.len()];
        let mut batch = Batch::default();
        for group in groups {
            if !batch.tokens.is_empty() && batch.tokens.len() + group.rows > budget {
                layout.batches.push(std::mem::take(&mut batch).finish());
            }
            for (member, pairs, last) in batch.lay(sequences, &group, want) {
                places[member] = Some(Place { batch: layout.batches.len(), pairs, last });
            }
        }
        layout.batches.push(batch.finish());
        let place_of = |first: &usize| places[*first].clone().expect("every distinct sequence was laid out");
        layout.places = of_request.iter().map(place_of).collect();
        layout
    }

    /// Rows of all batches.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(|b| b.tokens.len()).sum()
    }
}

impl Batch {
    /// Appends a prompt and its completions; returns where each member's results will be.
    fn lay(&mut self, sequences: &[TokenSequence], group: &Group, want: Want) -> Vec<(usize, Range<usize>, Option<usize>)> {
        let prompt = sequences[group.members[0]].prompt();
        let begin = self.tokens.len();
        let end = if group.rows == 0 { begin } else { begin + prompt.len() };
        self.feed(&prompt[..end - begin], 0, [begin, begin], begin);
        let mut places = Vec::with_capacity(group.members.len());
        for &member in &group.members {
            let sequence = &sequences[member];
            let own = self.tokens.len();
            self.feed(&sequence.completion()[..fed(sequence, want)], prompt.len(), [begin, end], own);
            let first = self.predicting.len();
            let scored = |i: &usize| want.tokens() && sequence.is_scored(*i);
            for (i, &target) in sequence.completion().iter().enumerate().filter(|(i, _)| scored(i)) {
                self.predicting.push(narrow(if i == 0 { end - 1 } else { own + i - 1 }));
                self.targets.push(target);
            }
            let last = want.score.then(|| {
                self.last.push(narrow(if self.tokens.len() > own { self.tokens.len() - 1 } else { end - 1 }));
                self.last.len() - 1
            });
            places.push((member, first..self.predicting.len(), last));
        }
        places
    }

    /// Collects the rows that are needed; until then `predicting` and `last` hold rows, from then on places.
    fn finish(mut self) -> Self {
        self.needed = self.predicting.iter().chain(&self.last).copied().collect();
        self.needed.sort_unstable();
        self.needed.dedup();
        for row in self.predicting.iter_mut().chain(&mut self.last) {
            *row = narrow(self.needed.binary_search(row).expect("a row that is read off is needed"));
        }
        self
    }

    /// Appends tokens that attend to `prefix` and to each other from row `own` on.
    fn feed(&mut self, tokens: &[u32], position: usize, prefix: [usize; 2], own: usize) {
        for (i, &token) in tokens.iter().enumerate() {
            self.tokens.push(token);
            self.positions.push(narrow(position + i));
            self.ranges.extend([prefix[0], prefix[1], own, own + i + 1].map(narrow));
        }
    }
}

/// How many completion tokens must be fed: all for a score, else those in front of the last scored one.
fn fed(sequence: &TokenSequence, want: Want) -> usize {
    let completion = sequence.completion().len();
    if want.score { completion } else { (0..completion).rev().find(|&i| sequence.is_scored(i)).unwrap_or(0) }
}

/// Indices of distinct sequences in order of appearance, and for each request its first equal one.
fn distinct(sequences: &[TokenSequence]) -> (Vec<usize>, Vec<usize>) {
    let mut first = HashMap::new();
    let mut unique = Vec::new();
    let of_request = sequences.iter().enumerate().map(|(i, sequence)| {
        *first.entry(sequence).or_insert_with(|| {
            unique.push(i);
            i
        })
    });
    let of_request = of_request.collect();
    (unique, of_request)
}

/// Groups distinct sequences by prompt in order of appearance; a group larger than `budget` is split.
fn group(sequences: &[TokenSequence], unique: &[usize], want: Want, budget: usize) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut open: HashMap<&[u32], usize> = HashMap::new();
    for &i in unique {
        let sequence = &sequences[i];
        let needed = want.score || sequence.scored_len() > 0;
        let own = fed(sequence, want);
        let prompt = if needed { sequence.prompt().len() } else { 0 };
        let at = open.get(&sequence.prompt()[..]).copied();
        match at.filter(|&at| groups[at].rows + own <= budget && (groups[at].rows > 0 || !needed)) {
            Some(at) => {
                groups[at].members.push(i);
                groups[at].rows += own;
            }
            None => {
                open.insert(&sequence.prompt()[..], groups.len());
                groups.push(Group { members: vec![i], rows: prompt + own });
            }
        }
    }
    groups
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).expect("a batch has fewer than 2^32 rows")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::{below, uniform};

    /// Random small sequences over few ids, so that equal prompts and equal sequences are common.
    fn random(seed: u32) -> Vec<TokenSequence> {
        let mut counter = 0;
        let mut draw = |n: u64| {
            counter += 1;
            let words = uniform([seed, 0], [counter, 0, 0, 0]);
            u32::try_from(below(n, words[0], words[1])).expect("small")
        };
        let count = draw(12) + 1;
        let sequence = |_| {
            let ids: Vec<u32> = (0..=draw(6)).map(|_| draw(2)).collect();
            let flags: Vec<bool> = ids.iter().map(|_| draw(3) > 0).collect();
            let mark = usize::try_from(draw(4)).expect("small").min(ids.len());
            match draw(3) {
                0 => TokenSequence::with_flags(&ids, &flags),
                _ => TokenSequence::new(&ids[..mark], &ids[mark..]),
            }
        };
        (0..count).map(sequence).collect()
    }

    /// The ids that row `t` of a batch sees, itself included.
    fn seen(batch: &Batch, t: usize) -> Vec<u32> {
        let r: Vec<usize> = batch.ranges[4 * t..4 * t + 4].iter().map(|&x| x as usize).collect();
        (r[0]..r[1]).chain(r[2]..r[3]).map(|row| batch.tokens[row]).collect()
    }

    #[test]
    fn every_scored_token_is_predicted_from_exactly_what_stands_before_it() {
        for seed in 0..300 {
            let sequences = random(seed);
            for (score, budget) in [(false, 1000), (true, 1000), (false, 7), (true, 1)] {
                let layout = Layout::new(&sequences, Want { score, ..Want::LOGP }, budget);
                for (sequence, place) in sequences.iter().zip(&layout.places) {
                    let batch = &layout.batches[place.batch];
                    let whole = [&sequence.prompt()[..], &sequence.completion()[..]].concat();
                    let scored = (0..sequence.completion().len()).filter(|&i| sequence.is_scored(i));
                    assert_eq!(place.pairs.len(), sequence.scored_len());
                    for (pair, i) in place.pairs.clone().zip(scored) {
                        let at = sequence.prompt().len() + i;
                        let row = batch.needed[batch.predicting[pair] as usize] as usize;
                        assert_eq!(batch.targets[pair], whole[at]);
                        assert_eq!(seen(batch, row), whole[..at]);
                        assert_eq!(batch.positions[row] as usize, at - 1);
                    }
                    assert_eq!(place.last.is_some(), score);
                    if let Some(last) = place.last {
                        assert_eq!(seen(batch, batch.needed[batch.last[last] as usize] as usize), whole);
                    }
                }
            }
        }
    }

    #[test]
    fn keys_are_seen_by_nothing_before_them() {
        for seed in 0..300 {
            for batch in Layout::new(&random(seed), Want::SCORE, 20).batches {
                for key in 0..batch.tokens.len() {
                    let sees = |t: usize| {
                        let r = &batch.ranges[4 * t..4 * t + 4];
                        let k = narrow(key);
                        (r[0] <= k && k < r[1]) || (r[2] <= k && k < r[3])
                    };
                    assert!(sees(key) && !(0..key).any(sees), "a row sees itself and no later one");
                }
            }
        }
    }

    #[test]
    fn prompts_and_equal_sequences_are_laid_out_once() {
        let sequence = |ids: &[u32]| TokenSequence::new([1, 2, 3], ids);
        let layout = Layout::new(&[sequence(&[4, 5]), sequence(&[6]), sequence(&[4, 5])], Want::LOGP, 100);
        assert_eq!(layout.batches[0].tokens, [1, 2, 3, 4]);
        assert_eq!((&layout.batches[0].needed[..], &layout.batches[0].predicting[..]), (&[2, 3][..], &[0, 1, 0][..]));
        assert_eq!(layout.places[0], layout.places[2]);
        let scored = Layout::new(&[sequence(&[4, 5]), sequence(&[6])], Want::SCORE, 100);
        assert_eq!(scored.batches[0].tokens, [1, 2, 3, 4, 5, 6]);
        assert_eq!((&scored.batches[0].needed[..], &scored.batches[0].last[..]), (&[4, 5][..], &[0, 1][..]));
    }

    #[test]
    fn batches_keep_to_the_budget() {
        let sequences: Vec<_> = (0..10).map(|i| TokenSequence::new([1, i], [2, 3, 4])).collect();
        let layout = Layout::new(&sequences, Want::SCORE, 12);
        assert!(layout.batches.iter().all(|b| b.tokens.len() <= 12));
        assert_eq!(layout.rows(), 50);
    }
}
