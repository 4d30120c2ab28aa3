//! What training changes, as files of a checkpoint: bit for bit, one tensor file a network and one JSON for the rest.

use std::path::{Path, PathBuf};

use crate::model::{Adapter, Network};

use super::call::Call;
use super::failure::Failure;
use super::options::Options;

/// The name of the network that a stage hands on.
pub const MAIN: &str = "model";

/// Where a checkpoint holds a network's state.
pub fn path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.safetensors"))
}

/// What a stage was training when it wrote a checkpoint: `base` is the network it began with.
///
/// # Errors
/// When the checkpoint is damaged, or of another network.
pub fn network(call: &Call<'_>, base: &Network, checkpoint: &Path) -> Result<Network, Failure> {
    let options = Options::new(call)?;
    let begun = match options.adapter {
        // their numbers are in the checkpoint
        Some(spec) => base.with_adapter(Adapter::new(base, spec, [0, 0], 0)?),
        None => base.clone(),
    };
    Ok(begun.restored(&path(checkpoint, MAIN), options.learns())?)
}
