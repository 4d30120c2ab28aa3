//! Data to the device and back.

use bytemuck::Pod;

use crate::engine::{EngineError, View};

use super::adapter::Opened;
use super::memory;

/// Bytes that cross at once: what a tensor of any size needs in staging memory.
const PIECE: usize = 64 << 20;

/// The staging buffer of reads, kept and grown.
#[derive(Debug, Default)]
pub struct Transfer {
    staging: Option<wgpu::Buffer>,
}

impl Transfer {
    /// Overwrites a view. The data is copied before this returns; the device sees it before the next run.
    ///
    /// # Errors
    /// When the device is lost.
    ///
    /// # Panics
    /// When `data` has not exactly the view's bytes.
    pub fn write(&mut self, opened: &Opened, buffer: &wgpu::Buffer, view: View, data: &[u8]) -> Result<(), EngineError> {
        assert_eq!(data.len(), view.words() * 4, "a write covers its view");
        for (at, piece) in data.chunks(PIECE).enumerate() {
            opened.queue.write_buffer(buffer, (view.offset * 4 + at * PIECE) as u64, piece);
            if data.len() > PIECE {
                // Lets wgpu drop the piece's staging memory before the next one.
                opened.queue.submit([]);
                wait(opened)?;
            }
        }
        opened.faults.check()
    }

    /// The words of a view, once every earlier run is done.
    ///
    /// # Errors
    /// When the device is lost or staging memory is short.
    pub fn read<T: Pod>(&mut self, opened: &Opened, buffer: &wgpu::Buffer, view: View) -> Result<Vec<T>, EngineError> {
        let mut words = Vec::with_capacity(view.words());
        while words.len() < view.words() {
            let count = (view.words() - words.len()).min(PIECE / 4);
            let from = (view.offset + words.len()) as u64 * 4;
            self.read_piece(opened, buffer, from, count as u64 * 4, &mut words)?;
        }
        Ok(words)
    }

    fn read_piece<T: Pod>(
        &mut self,
        opened: &Opened,
        buffer: &wgpu::Buffer,
        from: u64,
        bytes: u64,
        words: &mut Vec<T>,
    ) -> Result<(), EngineError> {
        let staging = self.staging(opened, bytes)?;
        let mut commands = opened.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        commands.copy_buffer_to_buffer(buffer, from, staging, 0, bytes);
        opened.queue.submit([commands.finish()]);
        let slice = staging.slice(..bytes);
        slice.map_async(wgpu::MapMode::Read, |_| {});
        wait(opened)?;
        let mapped = slice.get_mapped_range().map_err(|error| EngineError::Lost { reason: error.to_string() })?;
        words.extend_from_slice(bytemuck::cast_slice(&mapped));
        drop(mapped);
        staging.unmap();
        opened.faults.check()
    }

    fn staging(&mut self, opened: &Opened, bytes: u64) -> Result<&wgpu::Buffer, EngineError> {
        if self.staging.as_ref().is_none_or(|buffer| buffer.size() < bytes) {
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            let full = EngineError::OutOfMemory { requested: bytes, in_use: 0 };
            self.staging = Some(memory::create(opened, bytes.next_power_of_two(), usage, "staging").ok_or(full)?);
        }
        Ok(self.staging.as_ref().expect("it was just made"))
    }
}

/// Waits until the device has done everything submitted.
fn wait(opened: &Opened) -> Result<(), EngineError> {
    opened.device.poll(wgpu::PollType::wait_indefinitely()).map_err(|error| EngineError::Lost { reason: error.to_string() })?;
    opened.faults.check()
}
