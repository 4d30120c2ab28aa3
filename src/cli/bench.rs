//! `align bench`: what a network's work reaches of what a device can do.

use serde_json::json;

use crate::diagnostic::Diagnostic;
use crate::engine::probe::{Rates, rates};
use crate::model::ModelError;
use crate::model::gauge::{Gauge, Load, kernels, steps};

use super::Exit;
use super::args::BenchArgs;
use super::device::Chosen;
use super::network::{Found, find, refuse};
use super::out;

/// Seconds of measuring for the device, and for each kernel.
const PATIENCE: f64 = 0.6;
const KERNEL: f64 = 0.25;

pub(super) fn bench(args: &BenchArgs) -> Exit {
    let Some(found) = find(&args.network, &args.from, &args.device) else { return Exit::Failed };
    match measured(args, &found) {
        Ok(()) => Exit::Done,
        Err(wrong) => {
            refuse(&wrong);
            Exit::Failed
        }
    }
}

fn measured(args: &BenchArgs, found: &Found) -> Result<(), Diagnostic> {
    let wrong = |error: ModelError| error.diagnostic();
    let network = found.open()?;
    let load = Load { batch: args.batch, prompt: args.prompt, completion: args.completion };
    let chosen = Chosen::new(args.device.device)?;
    let mut device = chosen.open()?;
    let peak = rates(&mut *device, PATIENCE).map_err(|error| wrong(error.into()))?;
    let info = device.describe();
    if !args.json {
        out::line(&format!("{}  {} ({}; {})", chosen.name, info.name, info.backend, info.features));
        out::line(&format!("at most {:.0} GFLOP/s in matrix products, {:.1} GB/s of memory\n", peak.matrix / 1e9, peak.bandwidth / 1e9));
        out::line(&format!("{:<44} {:>9} {:>9} {:>5} {:>7} {:>5} {:>9}", "", "ms", "GFLOP/s", "", "GB/s", "", "tokens/s"));
    }
    let tell =
        |gauges: Vec<Gauge>| gauges.iter().for_each(|gauge| out::line(&if args.json { data(gauge, peak) } else { line(gauge, peak) }));
    tell(kernels(&mut *device, &network.spec, load, KERNEL).map_err(wrong)?);
    tell(steps(device, &network, load).map_err(wrong)?);
    Ok(())
}

fn line(gauge: &Gauge, peak: Rates) -> String {
    let rate = gauge.work / gauge.seconds;
    let memory = gauge.bytes.map(|bytes| bytes / gauge.seconds);
    let share = |part: f64| format!("{:.0} %", 100.0 * part);
    let text = format!(
        "{:<44} {:>9.3} {:>9.1} {:>5} {:>7} {:>5} {:>9}",
        gauge.what,
        1e3 * gauge.seconds,
        rate / 1e9,
        share(rate / peak.matrix),
        memory.map_or_else(String::new, |rate| format!("{:.1}", rate / 1e9)),
        memory.map_or_else(String::new, |rate| share(rate / peak.bandwidth)),
        gauge.tokens.map_or_else(String::new, |tokens| format!("{:.0}", tokens / gauge.seconds)),
    );
    text.trim_end().to_owned()
}

fn data(gauge: &Gauge, peak: Rates) -> String {
    let per_second = |x: f64| x / gauge.seconds;
    let mut said = json!({
        "what": gauge.what, "seconds": gauge.seconds,
        "flops": per_second(gauge.work), "of_matrix_flops": per_second(gauge.work) / peak.matrix,
    });
    if let Some(bytes) = gauge.bytes {
        said["bytes_per_second"] = json!(per_second(bytes));
        said["of_bandwidth"] = json!(per_second(bytes) / peak.bandwidth);
    }
    if let Some(tokens) = gauge.tokens {
        said["tokens_per_second"] = json!(per_second(tokens));
    }
    said.to_string()
}
