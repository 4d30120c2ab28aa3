//! Dispatches become one command buffer: pipelines compiled, memory bound, uniforms laid out one behind the other.

use std::collections::HashMap;

use crate::engine::EngineError;

use super::adapter::{Opened, Size};
use super::dispatch::{Bound, Dispatch, Memory as Place, Scratch};
use super::memory::{self, Memory};
use super::pipeline::{PipelineKey, Pipelines, STEP_BYTES};

/// Bind groups kept at most; recordings of ever new shapes would otherwise pile them up.
const KEPT: usize = 1 << 14;

/// One binding as wgpu sees it: whose memory, from which byte, how many.
type Binding = (Place, u64, u64);

/// What encoding keeps between recordings.
#[derive(Debug, Default)]
pub struct Encoder {
    pub pipelines: Pipelines,
    bind_groups: HashMap<(usize, Vec<Binding>), wgpu::BindGroup>,
    uniforms: Option<wgpu::Buffer>,
}

impl Encoder {
    /// Drops what is bound to a buffer that is gone.
    pub fn forget_bindings(&mut self) {
        self.bind_groups.clear();
    }

    /// Submits the dispatches in order.
    ///
    /// # Errors
    /// When memory is short, a binding is larger than the adapter's limit, or a kernel does not compile.
    pub fn submit(&mut self, opened: &Opened, memory: &mut Memory, dispatches: &[Dispatch]) -> Result<(), EngineError> {
        if self.bind_groups.len() > KEPT {
            self.forget_bindings();
        }
        self.prepare_memory(opened, memory, dispatches)?;
        let keys: Vec<PipelineKey> = dispatches.iter().map(pipeline_key).collect();
        let failed = |(at, reason): (usize, String)| EngineError::Kernel { op: dispatches[at].op, reason };
        self.pipelines.prepare(&opened.device, &keys).map_err(failed)?;
        let mut prepared = Vec::with_capacity(dispatches.len());
        for (dispatch, key) in dispatches.iter().zip(&keys) {
            let pipeline = self.pipelines.place(key);
            prepared.push(self.bind(opened, memory, dispatch, pipeline)?);
        }
        let stride = uniform_stride(opened);
        let mut commands = opened.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = commands.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for (at, (dispatch, key)) in dispatches.iter().zip(&prepared).enumerate() {
                let offset = u32::try_from(at as u64 * stride).expect("uniforms take less than 4 GiB");
                pass.set_pipeline(&self.pipelines.at(key.0).compute);
                pass.set_bind_group(0, &self.bind_groups[key], &[offset]);
                let [x, y, z] = dispatch.groups;
                pass.dispatch_workgroups(x, y, z);
            }
        }
        opened.queue.submit([commands.finish()]);
        opened.faults.check()
    }

    /// Scratch for the hungriest step, and the uniforms of all.
    fn prepare_memory(&mut self, opened: &Opened, memory: &mut Memory, dispatches: &[Dispatch]) -> Result<(), EngineError> {
        memory.ensure_absent(opened)?;
        for slot in Scratch::ALL {
            let bound = dispatches.iter().flat_map(|dispatch| &dispatch.bindings);
            let words = bound.filter(|b| b.memory == Place::Scratch(slot)).map(|b| b.end()).max();
            if let Some(words) = words
                && memory.ensure_scratch(opened, slot, words)?
            {
                self.forget_bindings();
            }
        }
        self.write_uniforms(opened, dispatches)
    }

    fn write_uniforms(&mut self, opened: &Opened, dispatches: &[Dispatch]) -> Result<(), EngineError> {
        let stride = uniform_stride(opened);
        let size = stride * dispatches.len().max(1) as u64;
        if self.uniforms.as_ref().is_none_or(|buffer| buffer.size() < size) {
            let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
            let full = EngineError::OutOfMemory { requested: size, in_use: 0 };
            self.uniforms = Some(memory::create(opened, size.next_power_of_two(), usage, "uniforms").ok_or(full)?);
            self.forget_bindings();
        }
        let align = storage_align(opened);
        let mut words: Vec<u32> = Vec::new();
        for dispatch in dispatches {
            words.extend(dispatch.uniform(align));
            words.resize(words.len().next_multiple_of((stride / 4) as usize), 0);
        }
        let uniforms = self.uniforms.as_ref().expect("they were just made");
        opened.queue.write_buffer(uniforms, 0, bytemuck::cast_slice(&words));
        Ok(())
    }

    /// Finds or makes the bind group of a dispatch and returns its key.
    fn bind(
        &mut self,
        opened: &Opened,
        memory: &Memory,
        dispatch: &Dispatch,
        pipeline: usize,
    ) -> Result<(usize, Vec<Binding>), EngineError> {
        let bindings = dispatch
            .bindings
            .iter()
            .map(|bound| binding(opened, memory, dispatch.op, bound))
            .collect::<Result<Vec<Binding>, EngineError>>()?;
        let key = (pipeline, bindings);
        if !self.bind_groups.contains_key(&key) {
            let group = self.bind_group(opened, memory, &key);
            self.bind_groups.insert(key.clone(), group);
        }
        Ok(key)
    }

    fn bind_group(&self, opened: &Opened, memory: &Memory, key: &(usize, Vec<Binding>)) -> wgpu::BindGroup {
        let uniforms = self.uniforms.as_ref().expect("uniforms are written before anything is bound");
        let step = wgpu::BufferBinding { buffer: uniforms, offset: 0, size: wgpu::BufferSize::new(STEP_BYTES) };
        let bound = key.1.iter().map(|(place, offset, size)| wgpu::BufferBinding {
            buffer: buffer(memory, *place),
            offset: *offset,
            size: wgpu::BufferSize::new(*size),
        });
        let entries: Vec<wgpu::BindGroupEntry<'_>> = (0..)
            .zip(std::iter::once(step).chain(bound))
            .map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::Buffer(resource) })
            .collect();
        opened.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &self.pipelines.at(key.0).layout,
            entries: &entries,
        })
    }
}

fn pipeline_key(dispatch: &Dispatch) -> PipelineKey {
    PipelineKey {
        kernel: dispatch.kernel.clone(),
        writes: dispatch.bindings.iter().map(|bound| bound.write).collect(),
        aliased: dispatch.aliased(),
    }
}

fn buffer(memory: &Memory, place: Place) -> &wgpu::Buffer {
    match place {
        Place::Buffer(id) => memory.owned(id),
        Place::Scratch(slot) => memory.scratch(slot),
        Place::Absent => memory.absent(),
    }
}

/// The bytes to bind for a matrix: from the aligned offset before it to its end, rounded up to whole vectors.
fn binding(opened: &Opened, memory: &Memory, op: &'static str, bound: &Bound) -> Result<Binding, EngineError> {
    let whole = buffer(memory, bound.memory).size();
    let start = (bound.offset / storage_align(opened) * storage_align(opened)) as u64 * 4;
    let end = (bound.end() as u64 * 4).next_multiple_of(16).clamp(start + 16, whole);
    let limit = opened.limits.max_storage_buffer_binding_size;
    if end - start > limit {
        let reason = format!(
            "a tensor of {} x {} takes {}, and {} binds at most {} at once: a smaller batch or shorter sequences make it smaller",
            bound.rows,
            bound.cols,
            Size(end - start),
            opened.info.name,
            Size(limit)
        );
        return Err(EngineError::Kernel { op, reason });
    }
    Ok((bound.memory, start, end - start))
}

/// Words that a storage binding's offset must be a multiple of.
fn storage_align(opened: &Opened) -> usize {
    opened.limits.min_storage_buffer_offset_alignment as usize / 4
}

/// Bytes from one dispatch's uniform to the next.
fn uniform_stride(opened: &Opened) -> u64 {
    STEP_BYTES.next_multiple_of(u64::from(opened.limits.min_uniform_buffer_offset_alignment))
}
