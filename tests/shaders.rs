//! Every kernel is valid WGSL, within the limits of the strictest adapter, and can be said in SPIR-V, MSL and HLSL.
//! Whether a driver then compiles it is another matter, which `tests/gpu.rs` asks of the adapters at hand.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use align::engine::OPS;
use align::engine::gpu::{BINDINGS, Kernel, SOURCES, SUBGROUPS, every_kernel, expand};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage};

/// WebGPU's default for workgroup memory, in bytes.
const WORKGROUP_BYTES: u32 = 16 << 10;

/// Invocations of a workgroup on the strictest adapter.
const INVOCATIONS: u32 = 256;

fn by_matrix_units(kernel: &Kernel) -> bool {
    kernel.file.starts_with("linear_cooperative")
}

fn valid(kernel: &Kernel) -> (Module, ModuleInfo) {
    let text = expand(kernel.file, &kernel.constants);
    let module = naga::front::wgsl::parse_str(&text).unwrap_or_else(|error| panic!("{kernel:?}\n{}", error.emit_to_string(&text)));
    let by_subgroups = kernel.constants.iter().any(|(name, _)| *name == SUBGROUPS);
    // packing halves into words is in core WGSL; only GL of old lacks it
    let mut needs = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    needs.set(Capabilities::SUBGROUP, by_subgroups || by_matrix_units(kernel));
    needs.set(Capabilities::COOPERATIVE_MATRIX | Capabilities::SHADER_FLOAT16, by_matrix_units(kernel));
    let info = Validator::new(ValidationFlags::all(), needs)
        .validate(&module)
        .unwrap_or_else(|error| panic!("{kernel:?}\n{}", error.emit_to_string(&text)));
    (module, info)
}

/// Runs `check` on every kernel and reports all that fail.
fn for_every_kernel(check: impl Fn(&Kernel, &Module, &ModuleInfo) -> Result<(), String>) {
    let mut failures = Vec::new();
    for kernel in every_kernel() {
        let (module, info) = valid(&kernel);
        // naga's writers are known to panic on what they cannot express.
        let result = catch_unwind(AssertUnwindSafe(|| check(&kernel, &module, &info)));
        if let Err(failure) = result.unwrap_or_else(|_| Err("the writer panicked".to_owned())) {
            failures.push(format!("{kernel:?}: {failure}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn limits_hold() {
    for_every_kernel(|kernel, module, info| {
        let (at, entry) = module
            .entry_points
            .iter()
            .enumerate()
            .find(|(_, entry)| entry.name == kernel.entry && entry.stage == ShaderStage::Compute)
            .ok_or("no such entry point")?;
        let used = info.get_entry_point(at);
        let mut memory = 0;
        let mut storage = 0;
        for (_, variable) in module.global_variables.iter().filter(|(handle, _)| !used[*handle].is_empty()) {
            let size = module.types[variable.ty].inner.size(module.to_ctx());
            memory += u32::from(variable.space == AddressSpace::WorkGroup) * size;
            storage += usize::from(matches!(variable.space, AddressSpace::Storage { .. }));
        }
        let invocations: u32 = entry.workgroup_size.iter().product();
        let fits = memory <= WORKGROUP_BYTES && storage <= BINDINGS && invocations <= INVOCATIONS;
        fits.then_some(()).ok_or(format!("{memory} bytes, {storage} bindings, {invocations} invocations"))
    });
}

#[test]
fn no_entry_point_binds_one_place_twice() {
    for_every_kernel(|kernel, module, info| {
        let at = module.entry_points.iter().position(|entry| entry.name == kernel.entry).ok_or("no entry point")?;
        let used = info.get_entry_point(at);
        let places: Vec<u32> = module
            .global_variables
            .iter()
            .filter(|(handle, _)| !used[*handle].is_empty())
            .filter_map(|(_, variable)| variable.binding.map(|binding| binding.binding))
            .collect();
        let distinct: BTreeSet<u32> = places.iter().copied().collect();
        (distinct.len() == places.len()).then_some(()).ok_or(format!("{places:?}"))
    });
}

#[test]
fn every_kernel_can_be_said_in_spirv() {
    for_every_kernel(|kernel, module, info| {
        let pipeline = naga::back::spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: kernel.entry.to_owned() };
        naga::back::spv::write_vec(module, info, &naga::back::spv::Options::default(), Some(&pipeline))
            .map(|words| assert!(!words.is_empty()))
            .map_err(|error| error.to_string())
    });
}

#[test]
fn every_kernel_can_be_said_in_msl() {
    for_every_kernel(|_, module, info| {
        let options = naga::back::msl::Options { lang_version: (2, 3), fake_missing_bindings: true, ..Default::default() };
        naga::back::msl::write_string(module, info, &options, &naga::back::msl::PipelineOptions::default())
            .map(|(text, _)| assert!(!text.is_empty()))
            .map_err(|error| error.to_string())
    });
}

#[test]
fn every_kernel_can_be_said_in_hlsl() {
    for_every_kernel(|kernel, module, info| {
        // HLSL has no matrix units, and no adapter of DX12 offers any
        if by_matrix_units(kernel) {
            return Ok(());
        }
        let options = naga::back::hlsl::Options {
            shader_model: naga::back::hlsl::ShaderModel::V6_4,
            fake_missing_bindings: true,
            ..Default::default()
        };
        let pipeline = naga::back::hlsl::PipelineOptions::default();
        let mut text = String::new();
        naga::back::hlsl::Writer::new(&mut text, &options, &pipeline)
            .write(module, info, None)
            .map(|_| ())
            .map_err(|error| error.to_string())
    });
}

#[test]
fn every_file_is_embedded_and_every_op_has_one() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let stems = |folder: &std::path::Path, prefix: &str| -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("the shader folder is there");
        let names = entries.map(|entry| entry.expect("it can be listed").file_name().into_string().expect("ASCII"));
        names.filter_map(|name| Some(format!("{prefix}{}", name.strip_suffix(".wgsl")?))).collect()
    };
    let on_disk: BTreeSet<String> = stems(&folder, "").into_iter().chain(stems(&folder.join("shared"), "shared/")).collect();
    let embedded: BTreeSet<String> = SOURCES.iter().map(|(stem, _)| (*stem).to_owned()).collect();
    assert_eq!(on_disk, embedded);
    for op in OPS {
        assert!(embedded.contains(op.name()), "shaders/{}.wgsl is missing", op.name());
    }
}
