//! What training changes, as files of a checkpoint: bit for bit, one tensor file a network and one JSON for the rest.

use std::path::Path;

use crate::model::{Adapter, ModelError, Network, TensorFile, Tensors, TrainState, write_tensors};

use super::call::Call;
use super::failure::Failure;
use super::options::Options;

/// The name of the network that a stage hands on.
pub const MAIN: &str = "model";

/// Writes a network's state as `<name>.safetensors` into `folder`.
///
/// # Errors
/// When the file cannot be written.
pub fn write(folder: &Path, name: &str, state: &TrainState) -> Result<(), Failure> {
    let all = [("weights", &state.weights), ("first", &state.first), ("second", &state.second)];
    let named: Vec<(String, [usize; 1], &[f32])> = all
        .iter()
        .flat_map(|(kind, tensors)| tensors.iter().enumerate().map(move |(at, t)| (format!("{kind}.{at:05}"), [t.len()], &t[..])))
        .collect();
    let tensors = named.iter().map(|(name, shape, numbers)| (name.as_str(), &shape[..], *numbers));
    Ok(write_tensors(&folder.join(format!("{name}.safetensors")), tensors)?)
}

/// Reads what [`write()`] wrote; `steps` are the optimiser steps taken.
///
/// # Errors
/// When the file is damaged.
pub fn read(folder: &Path, name: &str, steps: u64) -> Result<TrainState, Failure> {
    let file = TensorFile::open(&[folder.join(format!("{name}.safetensors"))])?;
    let all = |kind: &str| -> Result<Vec<Vec<f32>>, ModelError> {
        let names: Vec<String> = file.names().filter(|n| n.starts_with(kind)).map(str::to_owned).collect();
        names.iter().map(|n| file.read(n)).collect()
    };
    Ok(TrainState { weights: all("weights.")?, first: all("first.")?, second: all("second.")?, steps })
}

/// What a stage was training when it wrote a checkpoint: `base` is the network it began with.
///
/// # Errors
/// When the checkpoint is damaged, or of another network.
pub fn network(call: &Call<'_>, base: &Network, checkpoint: &Path) -> Result<Network, Failure> {
    let begun = match Options::new(call)?.adapter {
        // their numbers are in the checkpoint
        Some(spec) => base.with_adapter(Adapter::new(base, spec, [0, 0], 0)?),
        None => base.clone(),
    };
    Ok(begun.restored(&read(checkpoint, MAIN, 0)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_bit_for_bit() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let numbers = vec![1.0e-42_f32, -0.0, 0.1 + 0.2, f32::MAX];
        let state = TrainState {
            weights: vec![numbers.clone(), vec![2.0]],
            first: vec![numbers.clone(), vec![3.0]],
            second: vec![numbers, vec![4.0]],
            steps: 7,
        };
        write(folder.path(), "model", &state).expect("written");
        let back = read(folder.path(), "model", 7).expect("read");
        let bits = |s: &TrainState| {
            s.weights.concat().iter().chain(&s.first.concat()).chain(&s.second.concat()).map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(bits(&back), bits(&state));
        assert_eq!(back.steps, 7);
    }
}
