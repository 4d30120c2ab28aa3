//! `align devices`: what there is, and how fast it is.

use serde_json::json;

use crate::engine::gpu::{Choice, adapters, chosen};
use crate::engine::probe::rates;
use crate::engine::{DeviceInfo, DeviceKind};

use super::Exit;
use super::args::DevicesArgs;
use super::device::open;
use super::out;
use super::tune::tune;

/// Seconds of measuring for each device.
const PATIENCE: f64 = 0.4;

pub(super) fn devices(args: &DevicesArgs) -> Exit {
    if let Some(choice) = args.tune {
        return tune(choice, args.json);
    }
    let best = chosen(Choice::Best).ok().filter(|info| info.kind == DeviceKind::Gpu);
    let mut marked = false;
    let gpus = (0..adapters().len()).map(|at| (format!("gpu:{at}"), Some(Choice::Index(at))));
    for (name, choice) in std::iter::once(("cpu".to_owned(), None)).chain(gpus) {
        let measured = open(choice).and_then(|mut device| Ok((device.describe(), rates(&mut *device, PATIENCE)?)));
        // of equal adapters the first
        let is_default = !marked && best.as_ref().map_or(choice.is_none(), |best| measured.as_ref().is_ok_and(|(info, _)| info == best));
        marked |= is_default;
        match measured {
            Ok((info, rates)) if args.json => out::line(
                &json!({
                    "device": name, "name": info.name, "kind": kind(&info), "backend": info.backend, "features": info.features,
                    "memory": info.memory, "matrix_flops": rates.matrix, "bytes_per_second": rates.bandwidth, "default": is_default,
                })
                .to_string(),
            ),
            Ok((info, rates)) => {
                let default = if is_default { ", taken by default" } else { "" };
                out::line(&format!("{name}  {} ({}, {}; {}){default}", info.name, kind(&info), info.backend, info.features));
                out::line(&format!(
                    "       {:.0} GFLOP/s in matrix products, {:.1} GB/s of memory",
                    rates.matrix / 1e9,
                    rates.bandwidth / 1e9
                ));
            }
            Err(error) if args.json => out::line(&json!({ "device": name, "error": error.to_string() }).to_string()),
            Err(error) => out::line(&format!("{name}  cannot be used: {error}")),
        }
    }
    Exit::Done
}

fn kind(info: &DeviceInfo) -> &'static str {
    match info.kind {
        DeviceKind::Cpu => "processor",
        DeviceKind::Gpu => "graphics processor",
        DeviceKind::SoftwareGpu => "software driver, for testing",
    }
}
