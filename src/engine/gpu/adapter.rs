//! Which adapter a device argument names, and an open wgpu device on it.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::{DeviceInfo, DeviceKind, EngineError};

use super::lower::Cooperative;

/// What the user asked for: `gpu`, `gpu:1`, `gpu:software`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Choice {
    /// The strongest adapter: discrete before integrated before virtual, and software where there is nothing else.
    #[default]
    Best,
    /// The adapter at this place of [`adapters`], whatever it is.
    Index(usize),
    /// The first software adapter: a test bed for kernels.
    Software,
}

impl FromStr for Choice {
    type Err = ();

    /// Reads a device argument; anything else than the three forms is an error without a message of its own.
    fn from_str(argument: &str) -> Result<Self, ()> {
        match argument.split_once(':') {
            None if argument == "gpu" => Ok(Self::Best),
            Some(("gpu", "software")) => Ok(Self::Software),
            Some(("gpu", index)) => index.parse().map(Self::Index).map_err(|_| ()),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Best => write!(f, "gpu"),
            Self::Index(index) => write!(f, "gpu:{index}"),
            Self::Software => write!(f, "gpu:software"),
        }
    }
}

/// What went wrong outside of any call: a lost device, or a fault that wgpu reports later.
#[derive(Clone, Default, Debug)]
pub(super) struct Faults {
    first: Arc<Mutex<Option<EngineError>>>,
}

impl Faults {
    fn note(&self, error: EngineError) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        // A lost device explains every fault that follows from it.
        if first.is_none() || matches!(error, EngineError::Lost { .. }) {
            *first = Some(error);
        }
    }

    /// Fails with what was noted. A lost device stays lost; other faults are told once.
    pub(super) fn check(&self) -> Result<(), EngineError> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        match &*first {
            None => Ok(()),
            Some(lost @ EngineError::Lost { .. }) => Err(lost.clone()),
            Some(_) => Err(first.take().expect("it is some")),
        }
    }
}

/// An adapter with a device on it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) info: wgpu::AdapterInfo,
    pub(super) limits: wgpu::Limits,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) faults: Faults,
    /// Matrix units that multiply halves and add up in f32, as the driver has it.
    pub(super) claims: Option<Cooperative>,
}

/// Says that we know of wgpu's matrix units that their kernels are checked less than others.
#[expect(unsafe_code, reason = "tile sizes and types come from what the adapter offers, and a product must come out right first")]
fn experimental() -> wgpu::ExperimentalFeatures {
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

impl Opened {
    /// Whether kernels can reduce by subgroups; they have room for those of at least 4 lanes.
    pub(super) fn has_subgroups(&self) -> bool {
        self.device.features().contains(wgpu::Features::SUBGROUP) && self.info.subgroup_min_size >= 4
    }
}

/// Every adapter of this machine, in the order that `gpu:N` counts.
pub fn adapters() -> Vec<DeviceInfo> {
    enumerate().iter().map(|adapter| describe(&adapter.get_info(), &adapter.limits())).collect()
}

fn enumerate() -> Vec<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    // Validation layers are a developer's tool; wgpu checks every call by itself.
    descriptor.flags = wgpu::InstanceFlags::empty();
    let instance = wgpu::Instance::new(descriptor);
    pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()))
}

/// How an adapter shows in `align devices`.
pub(super) fn describe(info: &wgpu::AdapterInfo, limits: &wgpu::Limits) -> DeviceInfo {
    let driver = format!("{} {}", info.driver, info.driver_info);
    DeviceInfo {
        kind: if is_software(info) { DeviceKind::SoftwareGpu } else { DeviceKind::Gpu },
        name: info.name.clone(),
        backend: info.backend.to_string(),
        features: format!(
            "{}, buffers to {}, bindings to {}",
            driver.trim(),
            Size(limits.max_buffer_size),
            Size(limits.max_storage_buffer_binding_size)
        ),
        memory: None,
    }
}

pub(super) fn is_software(info: &wgpu::AdapterInfo) -> bool {
    info.device_type == wgpu::DeviceType::Cpu
}

/// Bytes in MiB, for people.
pub(super) struct Size(pub(super) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.0 >> 20)
    }
}

/// The adapter of a choice, which is not opened.
///
/// # Errors
/// [`EngineError::NoDevice`] when there is none.
pub fn chosen(choice: Choice) -> Result<DeviceInfo, EngineError> {
    let adapter = choose(enumerate(), choice)?;
    Ok(describe(&adapter.get_info(), &adapter.limits()))
}

/// Features that are used where an adapter has them.
const USED: wgpu::Features = wgpu::Features::PIPELINE_CACHE.union(wgpu::Features::SUBGROUP);

/// What products by matrix units need.
const MATRIX_UNITS: wgpu::Features = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(wgpu::Features::SHADER_F16);

/// Opens the adapter of a choice with all the limits that it offers.
///
/// # Errors
/// [`EngineError::NoDevice`] when there is none, or its driver refuses.
pub(super) fn open(choice: Choice) -> Result<Opened, EngineError> {
    let adapter = choose(enumerate(), choice)?;
    let claims = claims(&adapter);
    let units = if claims.is_some() { MATRIX_UNITS } else { wgpu::Features::empty() };
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
        label: Some("align"),
        required_features: (adapter.features() & USED) | units,
        experimental_features: if claims.is_some() { experimental() } else { wgpu::ExperimentalFeatures::disabled() },
        required_limits: adapter.limits(),
        ..Default::default()
    }))
    .map_err(|error| none(choice, &error.to_string()))?;
    let faults = Faults::default();
    let (lost, faulty) = (faults.clone(), faults.clone());
    device.set_device_lost_callback(move |_, reason| lost.note(EngineError::Lost { reason }));
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        faulty.note(EngineError::Kernel { op: "recording", reason: error.to_string() });
    }));
    Ok(Opened { info: adapter.get_info(), limits: device.limits(), device, queue, faults, claims })
}

/// The largest square matrices of halves that the adapter multiplies and sums in f32.
fn claims(adapter: &wgpu::Adapter) -> Option<Cooperative> {
    let info = adapter.get_info();
    // what wgpu says where it was not told: on Metal always
    let told = (info.subgroup_min_size, info.subgroup_max_size) != (wgpu::MINIMUM_SUBGROUP_MIN_SIZE, wgpu::MAXIMUM_SUBGROUP_MAX_SIZE);
    let subgroup = match info.backend {
        wgpu::Backend::Metal => 32,
        _ if told => info.subgroup_min_size,
        _ => return None,
    };
    let lanes = 4 * subgroup;
    let able = adapter.features().contains(MATRIX_UNITS | wgpu::Features::SUBGROUP) && (16..=256).contains(&lanes);
    let offers = |side: u32| {
        adapter.cooperative_matrix_properties().iter().any(|kind| {
            let types = (kind.ab_type, kind.cr_type) == (wgpu::CooperativeScalarType::F16, wgpu::CooperativeScalarType::F32);
            types && [kind.m_size, kind.n_size, kind.k_size] == [side; 3]
        })
    };
    let side = [16, 8].into_iter().find(|side| able && offers(*side))?;
    Some(Cooperative { side, lanes })
}

fn choose(mut adapters: Vec<wgpu::Adapter>, choice: Choice) -> Result<wgpu::Adapter, EngineError> {
    let types: Vec<wgpu::DeviceType> = adapters.iter().map(|adapter| adapter.get_info().device_type).collect();
    let place = place(&types, choice).ok_or_else(|| none(choice, &missing(&types)))?;
    Ok(adapters.swap_remove(place))
}

fn place(types: &[wgpu::DeviceType], choice: Choice) -> Option<usize> {
    let strength = |kind: wgpu::DeviceType| match kind {
        wgpu::DeviceType::DiscreteGpu => 4,
        wgpu::DeviceType::IntegratedGpu => 3,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 1,
        wgpu::DeviceType::Cpu => 0,
    };
    match choice {
        Choice::Index(index) => (index < types.len()).then_some(index),
        Choice::Software => types.iter().position(|kind| *kind == wgpu::DeviceType::Cpu),
        // Of equals the first: the driver's own order.
        Choice::Best => (0..types.len()).min_by_key(|at| std::cmp::Reverse(strength(types[*at]))),
    }
}

fn missing(types: &[wgpu::DeviceType]) -> String {
    match types.len() {
        0 => "no graphics driver offers an adapter".to_owned(),
        1 => "the only adapter has the number 0".to_owned(),
        n => format!("adapters are numbered from 0 to {}", n - 1),
    }
}

fn none(choice: Choice, reason: &str) -> EngineError {
    let wanted = match choice {
        Choice::Software => "software gpu",
        Choice::Best | Choice::Index(_) => "gpu",
    };
    EngineError::NoDevice { wanted, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgpu::DeviceType::{Cpu, DiscreteGpu, IntegratedGpu};

    #[test]
    fn software_is_taken_when_named_or_alone() {
        assert_eq!(place(&[Cpu], Choice::Best), Some(0));
        assert_eq!(place(&[], Choice::Best), None);
        assert_eq!(place(&[Cpu], Choice::Software), Some(0));
        assert_eq!(place(&[DiscreteGpu, Cpu], Choice::Index(1)), Some(1));
        assert_eq!(place(&[DiscreteGpu, Cpu], Choice::Index(2)), None);
    }

    #[test]
    fn the_strongest_and_then_the_first_adapter_is_best() {
        assert_eq!(place(&[Cpu, IntegratedGpu, DiscreteGpu, DiscreteGpu], Choice::Best), Some(2));
    }

    #[test]
    fn arguments_read_back() {
        for choice in [Choice::Best, Choice::Index(3), Choice::Software] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert_eq!("gpu:fast".parse::<Choice>(), Err(()));
        assert_eq!("cpu".parse::<Choice>(), Err(()));
    }
}
