//! Tensors that are only read: those of equal content are held once, whatever network they came with.
//!
//! A policy's frozen weights, the reference it started from and the trunk of a critic made from it are the same numbers;
//! on the device they are the same memory.

use std::collections::HashMap;

use crate::engine::{BufferId, Device, EngineError, View};

/// Shape and hash of a tensor.
type Content = (usize, usize, [u8; 32]);

/// The read-only tensors of a device.
#[derive(Debug, Default)]
pub(super) struct Frozen {
    held: HashMap<Content, Held>,
    of: HashMap<BufferId, Content>,
}

#[derive(Debug)]
struct Held {
    view: View,
    /// How many networks read it.
    readers: usize,
}

impl Frozen {
    /// The tensor (rows, cols) of these words: the one that is there, or a new one, which `load` makes.
    ///
    /// # Errors
    /// When the device has no room.
    pub(super) fn hold(
        &mut self,
        (rows, cols): (usize, usize),
        words: &[u8],
        load: impl FnOnce() -> Result<View, EngineError>,
    ) -> Result<View, EngineError> {
        let content = (rows, cols, *blake3::hash(words).as_bytes());
        if let Some(held) = self.held.get_mut(&content) {
            held.readers += 1;
            return Ok(held.view);
        }
        let view = load()?;
        self.held.insert(content, Held { view, readers: 1 });
        self.of.insert(view.buffer, content);
        Ok(view)
    }

    /// One reader less; the memory of a tensor without readers is given back. Does nothing for other memory and says so.
    pub(super) fn let_go(&mut self, device: &mut dyn Device, view: View) -> bool {
        let Some(content) = self.of.get(&view.buffer) else { return false };
        let held = self.held.get_mut(content).expect("both maps name the same tensors");
        held.readers -= 1;
        if held.readers == 0 {
            self.held.remove(content);
            self.of.remove(&view.buffer);
            device.free(view.buffer);
        }
        true
    }
}
