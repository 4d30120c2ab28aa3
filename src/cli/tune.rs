//! `align devices --tune`: which kernels suit a graphics processor, measured, shown and kept.

use std::time::Instant;

use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, reason};
use crate::engine::gpu::{Choice, Gpu, Measured, Probe};
use crate::engine::{Device, EngineError};
use crate::world::Sources;

use super::device::{NO_DEVICE, WHAT_ELSE, known_adapters};
use super::{Exit, out};

pub(super) fn tune(choice: Choice, as_json: bool) -> Exit {
    let begun = Instant::now();
    let measured = Gpu::open(choice).and_then(|mut gpu| gpu.tune(None).map(|measured| (gpu, measured)));
    let (gpu, measured) = match measured {
        Ok(done) => done,
        Err(error) => return refuse(&error),
    };
    let seconds = begun.elapsed().as_secs_f64();
    if !as_json {
        let info = gpu.describe();
        out::line(&format!("{choice}  {} ({}; {}), measured in {seconds:.0} s; GFLOP/s", info.name, info.backend, info.features));
    }
    for one in &measured {
        out::print(&if as_json { format!("{}\n", data(choice, one)) } else { table(one) });
    }
    keep(&gpu, as_json)
}

fn refuse(error: &EngineError) -> Exit {
    let code = if matches!(error, EngineError::NoDevice { .. }) { NO_DEVICE } else { "align::engine::failed" };
    out::diagnostics(&[Diagnostic::error(code, error.to_string()).help(WHAT_ELSE)], &Sources::default());
    Exit::Failed
}

/// A choice: its candidates, the chosen one in brackets, and what each reaches.
fn table(measured: &Measured) -> String {
    let heading = |value: &usize| if *value == measured.chosen { format!("[{value}]") } else { value.to_string() };
    let cells = |cells: Vec<String>| cells.iter().map(|cell| format!("{cell:>11}")).collect::<String>();
    let mut text = format!("\n{}: {}", measured.knob.name, measured.knob.says);
    if measured.chosen != measured.before {
        text += &format!(" (was {})", measured.before);
    }
    text += &format!("\n{:<32}{}\n", "", cells(measured.candidates.iter().map(heading).collect()));
    for (probe, seconds) in &measured.seconds {
        let rates = seconds.iter().map(|seconds| format!("{:.1}", rate(*probe, *seconds) / 1e9)).collect();
        text += &format!("  {:<30}{}\n", probe.to_string(), cells(rates));
    }
    text
}

fn data(choice: Choice, measured: &Measured) -> Value {
    let rows: Vec<Value> = measured
        .seconds
        .iter()
        .map(|(probe, seconds)| {
            let rates: Vec<f64> = seconds.iter().map(|seconds| rate(*probe, *seconds)).collect();
            json!({ "what": probe.to_string(), "flops": rates })
        })
        .collect();
    json!({
        "device": choice.to_string(), "choice": measured.knob.name, "says": measured.knob.says, "before": measured.before,
        "chosen": measured.chosen, "candidates": measured.candidates, "measured": rows,
    })
}

#[expect(clippy::cast_precision_loss, reason = "operations are counted in billions")]
fn rate(probe: Probe, seconds: f64) -> f64 {
    probe.work() as f64 / seconds
}

fn keep(gpu: &Gpu, as_json: bool) -> Exit {
    let Some(folder) = known_adapters() else {
        out::error("nothing is kept: none of `XDG_CACHE_HOME`, `HOME` and `LOCALAPPDATA` says where");
        return Exit::Failed;
    };
    match gpu.keep_tuning(&folder) {
        Ok(path) if as_json => out::line(&json!({ "kept": path }).to_string()),
        Ok(path) => out::line(&format!("\nkept in {}", path.display())),
        Err(error) => {
            out::error(&format!("`{}` cannot be written: {}", folder.display(), reason(&error)));
            return Exit::Failed;
        }
    }
    Exit::Done
}
