//! What a network will hold on a device, told from its header before anything is loaded.

use std::path::Path;

use serde::Serialize;

use crate::engine::BlockFormat;

use super::adapter::Site;
use super::checkpoint::described_at;
use super::generate::CACHED_WORDS;
use super::pass::activation_bytes;
use super::session::Budget;
use super::{Head, ModelSpec};

/// Bytes of a weight; and with its gradient and two moments.
const FROZEN: u64 = 4;
const TRAINED: u64 = 16;

/// A network's sizes; the default are those of a rule, which has no weights.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct NetworkSize {
    pub parameters: u64,
    /// Bytes that a token leaves behind in a forward pass until its backward.
    pub kept: u64,
    /// The same in one block.
    pub block: u64,
    /// Numbers of adapters of rank 1 beside every projection.
    pub rank_one: u64,
    /// Weights of its blocks' projections.
    pub projected: u64,
    /// Bytes that these take in each of [`BlockFormat::ALL`].
    pub in_blocks: [u64; 2],
    /// The format in which they are held.
    pub blocks: Option<BlockFormat>,
    /// Bytes of a token's keys and values.
    pub cached: u64,
    /// Rows of a batch of [`Budget::default`] that goes forward and backward.
    pub rows: u64,
}

impl NetworkSize {
    /// The sizes of a network.
    pub fn of(spec: &ModelSpec, head: Head) -> Self {
        let parameters = spec.parameters(head);
        let one_block = ModelSpec { layers: 1, ..spec.clone() };
        let shapes: Vec<&[usize]> = Site::all(spec, &parameters).iter().map(|(_, at)| &parameters[*at].shape[..]).collect();
        let rank_one = shapes.iter().flat_map(|shape| *shape).sum::<usize>();
        let words = |format: BlockFormat| shapes.iter().map(|shape| shape[0] * format.words(shape[1])).sum::<usize>();
        Self {
            parameters: spec.parameter_count(head) as u64,
            kept: activation_bytes(spec, 1),
            block: activation_bytes(&one_block, 1),
            rank_one: rank_one as u64,
            projected: shapes.iter().map(|shape| shape.iter().product::<usize>()).sum::<usize>() as u64,
            in_blocks: BlockFormat::ALL.map(|format| 4 * words(format) as u64),
            blocks: None,
            cached: 8 * (spec.layers * spec.kv_heads * spec.head_dim) as u64,
            rows: Budget::default().kept_rows(spec) as u64,
        }
    }

    /// The sizes of the language model at a path, read from its header; `None` where there is none that can be read.
    pub fn at(path: &Path) -> Option<Self> {
        let (spec, blocks) = described_at(path).ok()?;
        Some(Self { blocks, ..Self::of(&spec, Head::Language) })
    }

    /// The same network with its projections held in blocks.
    #[must_use]
    pub fn quantised(self, format: BlockFormat) -> Self {
        Self { blocks: Some(format), ..self }
    }

    /// The same in the smallest format.
    #[must_use]
    pub fn in_four_bits(self) -> Self {
        self.quantised(BlockFormat::Nf4)
    }

    /// The same network with every weight as it is, as what was trained beside it is handed on.
    #[must_use]
    pub fn plain(self) -> Self {
        Self { blocks: None, ..self }
    }

    /// Bytes of weights that are only read.
    pub fn frozen(self) -> u64 {
        match self.blocks {
            Some(format) => FROZEN * (self.parameters - self.projected) + self.in_blocks[format as usize],
            None => FROZEN * self.parameters,
        }
    }

    /// Bytes of what learns: adapters of a rank, or every weight, with gradients and moments.
    pub fn learnt(self, rank: Option<u64>) -> u64 {
        match rank {
            Some(rank) => self.frozen() + TRAINED * rank * self.rank_one,
            None => TRAINED * self.parameters,
        }
    }

    /// Bytes that a step of `rows` tokens keeps from its forward to its backward.
    pub fn kept(self, rows: u64) -> u64 {
        rows.min(self.rows) * self.kept
    }

    /// Bytes of a block's gradients on the way back.
    pub fn gradients(self, rows: u64) -> u64 {
        rows.min(self.rows) * self.block
    }

    /// Bytes of temporaries while `rows` tokens only go forward.
    pub fn reading(self, rows: u64) -> u64 {
        rows.min(Budget::default().rows as u64) * self.block
    }

    /// Completions that are sampled at once, at most.
    pub fn slots() -> u64 {
        Budget::default().slots as u64
    }

    /// Bytes of the keys and values of so many tokens while sampling.
    pub fn cache(self, tokens: u64) -> u64 {
        (self.cached * tokens).min(Budget::default().cache_bytes)
    }

    /// Bytes of the weights that sampling reads: a packed copy that stays.
    pub fn packed(self) -> u64 {
        // weights in blocks have none
        let copied = self.parameters - self.blocks.map_or(0, |_| self.projected);
        if copied > CACHED_WORDS as u64 { 2 * copied } else { 4 * copied }
    }
}
