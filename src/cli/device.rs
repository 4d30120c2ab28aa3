//! Which device is taken, and why that one. It is opened when the first stage needs it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::diagnostic::Diagnostic;
use crate::engine::cpu::CpuDevice;
use crate::engine::gpu::{Choice, Gpu, adapters, chosen};
use crate::engine::{Device, DeviceKind, EngineError};
use crate::model::Engine;
use crate::plan::{DeviceClass, Numerics};
use crate::stage::{Failure, LazyEngine};
use crate::world::cache_folder;

pub(super) const NO_DEVICE: &str = "align::engine::no_device";
pub(super) const WHAT_ELSE: &str = "`align devices` lists what there is; `--device cpu` always works";

/// `--device`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    Auto,
    Cpu,
    Gpu(Choice),
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            other => other.parse().map(Self::Gpu).map_err(|()| "expected auto, cpu, gpu, gpu:N or gpu:software".to_owned()),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu(choice) => choice.fmt(f),
        }
    }
}

/// The device of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Chosen {
    gpu: Option<Choice>,
    pub(super) name: String,
    pub(super) because: String,
}

impl Chosen {
    /// Chooses; nothing is opened.
    ///
    /// # Errors
    /// When the adapter asked for does not exist.
    pub(super) fn new(wanted: Wanted) -> Result<Self, Diagnostic> {
        match wanted {
            Wanted::Cpu => Ok(Self { gpu: None, name: "cpu".to_owned(), because: "--device cpu".to_owned() }),
            Wanted::Gpu(choice) => Self::gpu(choice).map_err(|error| Diagnostic::error(NO_DEVICE, error.to_string()).help(WHAT_ELSE)),
            Wanted::Auto => Ok(Self::auto()),
        }
    }

    fn gpu(choice: Choice) -> Result<Self, EngineError> {
        let found = chosen(choice)?;
        let slow = if found.kind == DeviceKind::Gpu { "" } else { ", a software driver: slower than --device cpu" };
        Ok(Self { gpu: Some(choice), name: choice.to_string(), because: format!("{}{slow}", found.name) })
    }

    /// The strongest graphics processor; a driver that runs on the processor is none.
    fn auto() -> Self {
        match adapters().into_iter().find(|adapter| adapter.kind == DeviceKind::Gpu) {
            Some(found) => Self { gpu: Some(Choice::Best), name: "gpu".to_owned(), because: format!("found {}", found.name) },
            None => Self { gpu: None, name: "cpu".to_owned(), because: "no graphics processor was found".to_owned() },
        }
    }

    /// Opens it.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn open(&self) -> Result<Box<dyn Device>, Diagnostic> {
        open(self.gpu).map_err(|error| Diagnostic::error(NO_DEVICE, error.to_string()))
    }

    /// What its results are comparable with.
    pub(super) fn numerics(&self) -> Numerics {
        Numerics::f32(if self.gpu.is_some() { DeviceClass::Gpu } else { DeviceClass::Cpu })
    }

    /// An engine that opens the device when it is first asked.
    pub(super) fn engine(&self) -> LazyEngine {
        let gpu = self.gpu;
        LazyEngine::new(move || {
            let refused = |error: EngineError| Failure::new(NO_DEVICE, error.to_string()).help(WHAT_ELSE);
            open(gpu).map(Engine::new).map_err(refused)
        })
    }
}

/// Opens a graphics processor, or the processor.
pub(super) fn open(gpu: Option<Choice>) -> Result<Box<dyn Device>, EngineError> {
    Ok(match (gpu, known_adapters()) {
        (None, _) => Box::new(CpuDevice::new(None)?),
        (Some(choice), Some(folder)) => Box::new(Gpu::open_kept(choice, &folder)?),
        (Some(choice), None) => Box::new(Gpu::open(choice)?),
    })
}

/// Where it is kept what was learnt about graphics processors.
pub(super) fn known_adapters() -> Option<PathBuf> {
    cache_folder().map(|folder| folder.join("gpu"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_written_as_they_are_read() {
        for text in ["auto", "cpu", "gpu", "gpu:2", "gpu:software"] {
            assert_eq!(text.parse::<Wanted>().map(|wanted| wanted.to_string()), Ok(text.to_owned()));
        }
        assert!("cuda".parse::<Wanted>().is_err());
    }
}
