//! Compute pipelines, compiled once per kernel and way of binding.

use std::collections::HashMap;

use super::dispatch::Kernel;
use super::shader;

/// Bytes of one dispatch's `Step` in WGSL: 64 of parameters and ten views of 16.
pub const STEP_BYTES: u64 = 64 + 10 * 16;

/// What a compiled kernel depends on: the kernel, which of its bindings are written, and whether one buffer is both
/// read and written by a dispatch (then every binding is declared writable, as a buffer has one usage per dispatch).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PipelineKey {
    pub kernel: Kernel,
    pub writes: Vec<bool>,
    pub aliased: bool,
}

/// A pipeline and the layout of its only bind group.
#[derive(Debug)]
pub struct Pipeline {
    pub compute: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// All pipelines compiled so far.
#[derive(Debug, Default)]
pub struct Pipelines {
    places: HashMap<PipelineKey, usize>,
    compiled: Vec<Pipeline>,
}

impl Pipelines {
    /// The place of a key's pipeline, compiled at its first use.
    ///
    /// # Errors
    /// The driver's or wgpu's complaint about the kernel.
    pub fn prepare(&mut self, device: &wgpu::Device, key: &PipelineKey) -> Result<usize, String> {
        if let Some(place) = self.places.get(key) {
            return Ok(*place);
        }
        let invalid = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let pipeline = compile(device, key);
        for scope in [internal, invalid] {
            if let Some(error) = pollster::block_on(scope.pop()) {
                return Err(error.to_string());
            }
        }
        self.compiled.push(pipeline);
        self.places.insert(key.clone(), self.compiled.len() - 1);
        Ok(self.compiled.len() - 1)
    }

    /// A pipeline by its place.
    pub fn at(&self, place: usize) -> &Pipeline {
        &self.compiled[place]
    }
}

fn compile(device: &wgpu::Device, key: &PipelineKey) -> Pipeline {
    let label = format!("{} {}", key.kernel.file, key.kernel.entry);
    let mut text = shader::expand(key.kernel.file, &key.kernel.constants);
    if key.aliased {
        text = text.replace("var<storage, read>", "var<storage, read_write>");
    }
    let module =
        device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some(&label), source: wgpu::ShaderSource::Wgsl(text.into()) });
    let layout = bind_group_layout(device, key);
    let compute = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(&label),
        layout: Some(&device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&label),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        })),
        module: &module,
        entry_point: Some(key.kernel.entry),
        compilation_options: wgpu::PipelineCompilationOptions { zero_initialize_workgroup_memory: false, ..Default::default() },
        cache: None,
    });
    Pipeline { compute, layout }
}

fn bind_group_layout(device: &wgpu::Device, key: &PipelineKey) -> wgpu::BindGroupLayout {
    let uniform = wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Uniform,
        has_dynamic_offset: true,
        min_binding_size: wgpu::BufferSize::new(STEP_BYTES),
    };
    let storage = key.writes.iter().map(|write| wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Storage { read_only: !(*write || key.aliased) },
        has_dynamic_offset: false,
        min_binding_size: None,
    });
    let entries: Vec<wgpu::BindGroupLayoutEntry> = (0..)
        .zip(std::iter::once(uniform).chain(storage))
        .map(|(binding, ty)| wgpu::BindGroupLayoutEntry { binding, visibility: wgpu::ShaderStages::COMPUTE, ty, count: None })
        .collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries })
}
