//! Compute pipelines, compiled once per kernel and way of binding: those of a recording side by side, before it runs.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use rayon::prelude::*;

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
    cache: Option<wgpu::PipelineCache>,
    /// Time spent on what no file holds yet.
    unkept: Duration,
}

impl Pipelines {
    /// Lets the driver take compiled kernels from `data`, which [`Pipelines::take_data`] gave an earlier run of this build on
    /// this adapter and driver, and collect new ones. An adapter without that feature compiles as ever.
    #[expect(unsafe_code, reason = "the driver trusts the data; `kept` has checked its hash, and wgpu its adapter and driver")]
    pub fn remember(&mut self, device: &wgpu::Device, data: Option<&[u8]>) {
        if device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            let descriptor = wgpu::PipelineCacheDescriptor { label: Some("align"), data, fallback: true };
            self.cache = Some(unsafe { device.create_pipeline_cache(&descriptor) });
        }
    }

    /// Time spent on compiling what [`Pipelines::take_data`] has not given out yet.
    pub fn unkept(&self) -> Duration {
        self.unkept
    }

    /// What the driver has compiled, for a file.
    pub fn take_data(&mut self) -> Option<Vec<u8>> {
        self.unkept = Duration::ZERO;
        self.cache.as_ref()?.get_data()
    }

    /// Compiles what is missing of `wanted`, on as many threads as there are.
    ///
    /// # Errors
    /// The first of `wanted` that does not compile, and the driver's or wgpu's complaint about it.
    pub fn prepare(&mut self, device: &wgpu::Device, wanted: &[PipelineKey]) -> Result<(), (usize, String)> {
        let mut seen = HashSet::new();
        let missing: Vec<usize> =
            (0..wanted.len()).filter(|at| !self.places.contains_key(&wanted[*at]) && seen.insert(&wanted[*at])).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let cache = self.cache.as_ref();
        let compiled: Vec<_> = missing.par_iter().map(|at| checked(device, &wanted[*at], cache)).collect();
        for (at, pipeline) in missing.into_iter().zip(compiled) {
            self.compiled.push(pipeline.map_err(|reason| (at, reason))?);
            self.places.insert(wanted[at].clone(), self.compiled.len() - 1);
        }
        self.unkept += begun.elapsed();
        Ok(())
    }

    /// The place of a key that was prepared.
    pub fn place(&self, key: &PipelineKey) -> usize {
        self.places[key]
    }

    /// A pipeline by its place.
    pub fn at(&self, place: usize) -> &Pipeline {
        &self.compiled[place]
    }
}

/// Error scopes are a thread's own, so each kernel's complaint is about it.
fn checked(device: &wgpu::Device, key: &PipelineKey, cache: Option<&wgpu::PipelineCache>) -> Result<Pipeline, String> {
    let invalid = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
    let pipeline = compile(device, key, cache);
    for scope in [internal, invalid] {
        if let Some(error) = pollster::block_on(scope.pop()) {
            return Err(error.to_string());
        }
    }
    Ok(pipeline)
}

fn compile(device: &wgpu::Device, key: &PipelineKey, cache: Option<&wgpu::PipelineCache>) -> Pipeline {
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
        cache,
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
