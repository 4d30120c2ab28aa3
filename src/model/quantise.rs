//! Networks whose projections lie in blocks of few bits while they are only read: the base of QLoRA (Dettmers et al. 2023).
//!
//! The numbers are rounded once, when the network is made; files hold what came out, as any network's, and `align.json`
//! says that the engine may put them back into the same blocks. Embeddings, norms, biases and heads stay as they are.

use std::sync::Arc;

use crate::engine::BlockFormat;

use super::{Learns, ModelError, Network, Parameter, Site};

impl Network {
    /// The network with the weights of its blocks' projections rounded to a format, adapters merged in.
    ///
    /// # Errors
    /// When the numbers cannot be read.
    pub fn quantised(&self, format: BlockFormat) -> Result<Self, ModelError> {
        let parameters = self.parameters();
        let projections = Site::all(&self.spec, &parameters);
        let mut weights: Vec<Arc<[f32]>> = vec![Arc::from([]); parameters.len()];
        self.each_tensor(|index, numbers| {
            let numbers = self.merged(index, &parameters[index], numbers.into());
            weights[index] = match projections.iter().any(|(_, at)| *at == index) {
                true => {
                    let cols = parameters[index].shape[1];
                    format.decode_all(&format.encode(&numbers, cols), cols).into()
                }
                false => numbers.into(),
            };
            Ok(())
        })?;
        Ok(Self { adapter: None, blocks: Some(format), ..self.with_weights(weights) })
    }

    /// The same network with every weight held as it is.
    #[must_use]
    pub fn plain(&self) -> Self {
        Self { blocks: None, ..self.clone() }
    }

    /// The projections that lie in blocks, each with its weight's place among `parameters`.
    pub(super) fn blocked(&self, parameters: &[Parameter]) -> Vec<(Site, usize)> {
        self.blocks.map_or_else(Vec::new, |_| Site::all(&self.spec, parameters))
    }

    /// Whether it can learn: weights in blocks stay as they are, and nobody computes their rows' lengths.
    ///
    /// # Errors
    /// Why it cannot.
    pub(super) fn check_learning(&self, learns: Learns) -> Result<(), ModelError> {
        let Some(format) = self.blocks else { return Ok(()) };
        let magnitude = self.adapter.as_ref().is_some_and(|adapter| adapter.spec.magnitude);
        match learns {
            _ if magnitude => Err(ModelError::Blocks { format: format.word(), magnitude: true }),
            Learns::All if self.adapter.is_none() => Err(ModelError::Blocks { format: format.word(), magnitude: false }),
            _ => Ok(()),
        }
    }
}
