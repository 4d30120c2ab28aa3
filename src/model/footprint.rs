//! What a network will hold on a device, before it is loaded.

use super::pass::activation_bytes;
use super::session::Budget;
use super::{Head, ModelSpec};

/// Bytes of a loaded network.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Footprint {
    pub weights: u64,
    /// Gradients and the optimiser's two moments.
    pub training: u64,
    /// At most, while a batch of the given number of rows goes forward and, when trained, backward.
    pub activations: u64,
}

impl Footprint {
    /// The footprint of a network through which at most `rows` tokens go in one step.
    pub fn new(spec: &ModelSpec, head: Head, trained: bool, rows: usize, budget: Budget) -> Self {
        let weights = 4 * spec.parameter_count(head) as u64;
        let batch = rows.min(if trained { budget.kept_rows(spec) } else { budget.rows });
        let one_block = ModelSpec { layers: 1, ..spec.clone() };
        let activations = if trained {
            let most = budget.kept_bytes.max(activation_bytes(spec, batch));
            // Gradients of a block's activations live beside them.
            activation_bytes(spec, rows).min(most) + activation_bytes(&one_block, batch)
        } else {
            activation_bytes(&one_block, batch)
        };
        Self { weights, training: if trained { 3 * weights } else { 0 }, activations }
    }

    /// Everything together.
    pub fn total(self) -> u64 {
        self.weights + self.training + self.activations
    }
}
