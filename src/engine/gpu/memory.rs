//! The device's buffers: those that callers own, the scratch of steps, and the two that carry data across.

use std::collections::BTreeMap;

use crate::engine::{BufferId, EngineError, MemoryUse};

use super::adapter::Opened;
use super::dispatch::Scratch;

/// Every buffer of a device.
#[derive(Debug, Default)]
pub struct Memory {
    owned: BTreeMap<BufferId, wgpu::Buffer>,
    next: u32,
    scratch: BTreeMap<Scratch, wgpu::Buffer>,
    /// Bound where an optional input or output is absent.
    absent: Option<wgpu::Buffer>,
    pub used: MemoryUse,
}

impl Memory {
    /// A new buffer of zeros, a multiple of 16 bytes so that it can be bound as vectors.
    pub fn alloc(&mut self, opened: &Opened, words: usize) -> Result<BufferId, EngineError> {
        let buffer = self.create(opened, words, "tensor")?;
        let id = BufferId(self.next);
        self.next += 1;
        self.owned.insert(id, buffer);
        Ok(id)
    }

    /// Gives a buffer back.
    pub fn free(&mut self, id: BufferId) {
        if let Some(buffer) = self.owned.remove(&id) {
            self.used.shrink(buffer.size());
            buffer.destroy();
        }
    }

    /// A caller's buffer.
    ///
    /// # Panics
    /// When it was never allocated here or is freed: a view outlived its buffer, which is a bug.
    pub fn owned(&self, id: BufferId) -> &wgpu::Buffer {
        self.owned.get(&id).expect("a view's buffer is allocated on this device")
    }

    /// Makes a scratch slot hold at least so many words; true when its buffer is a new one.
    pub fn ensure_scratch(&mut self, opened: &Opened, slot: Scratch, words: usize) -> Result<bool, EngineError> {
        if self.scratch.get(&slot).is_some_and(|buffer| buffer.size() >= bytes(words)) {
            return Ok(false);
        }
        if let Some(old) = self.scratch.remove(&slot) {
            self.used.shrink(old.size());
        }
        let buffer = self.create(opened, words, "scratch")?;
        self.scratch.insert(slot, buffer);
        Ok(true)
    }

    /// A scratch slot that [`Self::ensure_scratch`] has filled.
    pub fn scratch(&self, slot: Scratch) -> &wgpu::Buffer {
        self.scratch.get(&slot).expect("scratch is made before it is bound")
    }

    /// Gives all scratch back: whatever comes next makes what it needs.
    pub fn release_scratch(&mut self) {
        for buffer in std::mem::take(&mut self.scratch).into_values() {
            self.used.shrink(buffer.size());
        }
    }

    /// Makes the buffer of absent places.
    pub fn ensure_absent(&mut self, opened: &Opened) -> Result<(), EngineError> {
        if self.absent.is_none() {
            self.absent = Some(self.create(opened, 4, "absent")?);
        }
        Ok(())
    }

    /// What absent places are bound to.
    pub fn absent(&self) -> &wgpu::Buffer {
        self.absent.as_ref().expect("it is made before the first run")
    }

    fn create(&mut self, opened: &Opened, words: usize, label: &str) -> Result<wgpu::Buffer, EngineError> {
        let size = bytes(words);
        let full = EngineError::OutOfMemory { requested: size, in_use: self.used.in_use };
        if size > opened.limits.max_buffer_size {
            return Err(full);
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let buffer = create(opened, size, usage, label).ok_or(full)?;
        opened.faults.check()?;
        self.used.grow(size);
        Ok(buffer)
    }
}

/// The bytes that a buffer of `words` takes.
fn bytes(words: usize) -> u64 {
    (words.max(4) as u64 * 4).next_multiple_of(16)
}

/// A buffer, or nothing when the driver has no room for it.
pub fn create(opened: &Opened, size: u64, usage: wgpu::BufferUsages, label: &str) -> Option<wgpu::Buffer> {
    let scope = opened.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let buffer = opened.device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false });
    pollster::block_on(scope.pop()).is_none().then_some(buffer)
}
