//! Ranked merges as scores of pieces, where the two say the same.
//!
//! BPE joins the pair whose merge stands first in a list; SentencePiece joins the pair whose whole has the best score,
//! and any two neighbours that make a piece are a pair. The two agree if the merges of one piece stand together and no
//! pair of pieces that makes a piece is missing among them.

use std::collections::{HashMap, HashSet};

use super::super::GgufError;
use super::Kind;
use super::outgoing::{Listed, no_place};

/// One score a token: 0 for the piece that is merged first, −1 for the next one, and so on; what no merge makes is last.
pub(super) fn scores(merges: &[(String, String)], listed: &Listed) -> Result<Vec<f32>, GgufError> {
    let ranks = ranks(merges)?;
    let known: HashSet<(&str, &str)> = merges.iter().map(|(left, right)| (left.as_str(), right.as_str())).collect();
    let tokens = || listed.texts.iter().zip(&listed.kinds);
    let pieces: HashSet<&str> = tokens().filter(|(_, kind)| **kind == Kind::Normal).map(|(text, _)| text.as_str()).collect();
    for piece in &pieces {
        for (at, _) in piece.char_indices().skip(1) {
            let (left, right) = piece.split_at(at);
            if pieces.contains(left) && pieces.contains(right) && !known.contains(&(left, right)) {
                return Err(no_place(format!("a BPE that never joins {left:?} and {right:?} to {piece:?}")));
            }
        }
    }
    let score = |(text, kind): (&String, &Kind)| match (kind, ranks.get(text)) {
        (Kind::Normal, Some(rank)) => -number(*rank),
        (Kind::Normal, None) => -number(ranks.len()),
        _ => 0.0,
    };
    Ok(tokens().map(score).collect())
}

/// Pieces in the order in which they are first merged.
fn ranks(merges: &[(String, String)]) -> Result<HashMap<String, usize>, GgufError> {
    let mut ranks: HashMap<String, usize> = HashMap::new();
    for (left, right) in merges {
        let (piece, newest) = ([left.as_str(), right].concat(), ranks.len());
        let rank = *ranks.entry(piece).or_insert(newest);
        if rank + 1 < ranks.len() {
            return Err(no_place(format!("a BPE whose merges to {left}{right} stand apart")));
        }
    }
    Ok(ranks)
}

#[expect(clippy::cast_precision_loss, reason = "vocabularies have fewer than 2^24 pieces")]
fn number(rank: usize) -> f32 {
    rank as f32
}
