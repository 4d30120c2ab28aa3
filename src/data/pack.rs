//! Packing: sequences of tokens put together so that little of a step's room stays empty.
//!
//! Places and lengths come in and go out, never tokens, so that whatever goes with a token is packed alike.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// How sequences that are too long, and the room behind short ones, are dealt with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packing {
    /// Whole sequences, cut to the room there is: best fit, longest first. Ding et al. 2024.
    BestFit,
    /// The same with what would be cut off as sequences of their own.
    BestFitSplit,
    /// One after the other, parted wherever the room ends.
    Wrapped,
}

/// A part of a sequence: which one, and which of its tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    pub sequence: usize,
    pub tokens: Range<usize>,
}

/// Puts sequences of `lengths` tokens into rows of at most `room` tokens. Empty sequences go nowhere.
///
/// # Panics
/// When there is no room.
pub fn pack(lengths: &[usize], room: usize, packing: Packing) -> Vec<Vec<Piece>> {
    assert!(room > 0, "a row has room for a token");
    match packing {
        Packing::BestFit => best_fit(lengths.iter().map(|length| 0..room.min(*length)).enumerate(), room),
        Packing::BestFitSplit => best_fit(lengths.iter().enumerate().flat_map(|(at, length)| split(at, *length, room)), room),
        Packing::Wrapped => wrapped(lengths, room),
    }
}

/// A sequence in parts of `room` tokens, the last one shorter.
fn split(sequence: usize, length: usize, room: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    (0..length).step_by(room).map(move |start| (sequence, start..length.min(start + room)))
}

/// Longest first, each into the fullest row that has room for it, of equal ones the earliest.
fn best_fit(pieces: impl Iterator<Item = (usize, Range<usize>)>, room: usize) -> Vec<Vec<Piece>> {
    let mut pieces: Vec<Piece> =
        pieces.filter(|(_, tokens)| !tokens.is_empty()).map(|(sequence, tokens)| Piece { sequence, tokens }).collect();
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.tokens.len()));
    let mut rows: Vec<Vec<Piece>> = Vec::new();
    // rows by the room they have left
    let mut open: BTreeMap<usize, VecDeque<usize>> = BTreeMap::new();
    for piece in pieces {
        let length = piece.tokens.len();
        let fullest = open.range_mut(length..).next().and_then(|(left, rows)| Some((*left, rows.pop_front()?)));
        let (left, row) = fullest.unwrap_or_else(|| {
            rows.push(Vec::new());
            (room, rows.len() - 1)
        });
        if open.get(&left).is_some_and(VecDeque::is_empty) {
            open.remove(&left);
        }
        rows[row].push(piece);
        if left > length {
            open.entry(left - length).or_default().push_back(row);
        }
    }
    rows
}

fn wrapped(lengths: &[usize], room: usize) -> Vec<Vec<Piece>> {
    let (mut rows, mut left) = (Vec::<Vec<Piece>>::new(), 0);
    for (sequence, length) in lengths.iter().enumerate() {
        let mut start = 0;
        while start < *length {
            if left == 0 {
                rows.push(Vec::new());
                left = room;
            }
            let end = (start + left).min(*length);
            rows.last_mut().expect("a row has begun").push(Piece { sequence, tokens: start..end });
            (left, start) = (left - (end - start), end);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_somewhere_once_and_no_row_is_too_long() {
        let lengths: Vec<usize> = (0..200).map(|i| i * i % 37).collect();
        for room in [1, 2, 7, 36, 1000] {
            for packing in [Packing::BestFitSplit, Packing::Wrapped] {
                let rows = pack(&lengths, room, packing);
                let mut seen: Vec<Vec<bool>> = lengths.iter().map(|length| vec![false; *length]).collect();
                for piece in rows.iter().flatten() {
                    piece.tokens.clone().for_each(|token| assert!(!std::mem::replace(&mut seen[piece.sequence][token], true)));
                }
                assert!(seen.iter().flatten().all(|seen| *seen));
                assert!(rows.iter().all(|row| (1..=room).contains(&row.iter().map(|piece| piece.tokens.len()).sum())));
            }
        }
    }

    #[test]
    fn a_cut_sequence_keeps_its_beginning() {
        let piece = |sequence, tokens| Piece { sequence, tokens };
        assert_eq!(pack(&[5, 0, 1], 3, Packing::BestFit), [vec![piece(0, 0..3)], vec![piece(2, 0..1)]]);
        assert_eq!(pack(&[], 3, Packing::Wrapped), Vec::<Vec<Piece>>::new());
    }
}
