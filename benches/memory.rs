//! What `align plan` says a stage will take, beside what it takes: `cargo bench --bench memory [-- NAME…]`.
//!
//! `device` is what the engine holds at the end of a step, at most; `process` is the largest resident size of the whole
//! process, which has the program, the data and one tensor of a file beside it: `ratio` is the plan to that.

#![expect(clippy::print_stdout, reason = "a bench reports to the terminal")]

#[path = "../tests/toy/mod.rs"]
mod toy;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use align::chance::{below, uniform};
use align::model::Head;
use serde_json::Value;
use toy::Shape;

/// 10.7 and 63 million parameters.
const SMALL: Shape = Shape { layers: 6, width: 288, heads: 6, kv_heads: 6, mlp: 768, vocabulary: 8192, tied: false };
const LARGE: Shape = Shape { layers: 16, width: 512, heads: 8, kv_heads: 4, mlp: 1408, vocabulary: 8192, tied: true };

/// A name, the network, and the stage.
const CASES: &[(&str, Shape, &str)] = &[
    ("sft, small", SMALL, "sft(base, told, batch: 16, steps: 6)"),
    ("sft, large", LARGE, "sft(base, told, batch: 8, steps: 4)"),
    ("sft, large, lora", LARGE, "sft(base, told, batch: 8, steps: 4, lora: 16)"),
    ("reward model, large", LARGE, "reward_model(base, pairs, batch: 4, steps: 4)"),
    ("dpo, small", SMALL, "dpo(base, pairs, batch: 16, steps: 6)"),
    ("dpo, large, lora", LARGE, "dpo(base, pairs, batch: 8, steps: 4, lora: 16)"),
    ("dpo, large, nf4", LARGE, "dpo(base.quantise(), pairs, batch: 8, steps: 4, lora: 16)"),
    ("ppo, small", SMALL, "ppo(base, prompts, reward: length(.completion), steps: 3, batch: 32, max_tokens: 64)"),
    ("ppo, large, lora", LARGE, "ppo(base, prompts, reward: length(.completion), steps: 2, batch: 16, max_tokens: 48, lora: 8)"),
    ("grpo, large", LARGE, "grpo(base, prompts, reward: length(.completion), samples: 4, steps: 2, batch: 4, max_tokens: 48)"),
    ("generate, large", LARGE, "generate(base, prompts, count: 4, max_tokens: 48)"),
];

const MIB: f64 = 1024.0 * 1024.0;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    println!("{:<22} {:>8} {:>8} {:>8}  MiB {:>6}", "", "plan", "device", "process", "ratio");
    for (name, shape, stage) in CASES {
        if !wanted.is_empty() && !wanted.iter().any(|w| name.contains(w.as_str())) {
            continue;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        prepare(folder.path(), *shape, stage);
        let plan = planned(folder.path());
        let (device, process) = measured(folder.path());
        println!("{name:<22} {:>8.0} {:>8.0} {:>8.0} {:>10.2}", plan / MIB, device / MIB, process / MIB, plan / process);
    }
}

/// A recipe of one stage over 200 rows of 20 to 160 words.
fn prepare(folder: &Path, shape: Shape, stage: &str) {
    fs::create_dir(folder.join("base")).expect("a folder");
    toy::write(&folder.join("base"), shape, Head::Language);
    let text = |key: u32, least: u64, most: u64| {
        let draw = |i: u32, bound: u64| {
            let words = uniform([key, 5], [i, 0, 0, 0]);
            below(bound, words[0], words[1])
        };
        let count = u32::try_from(least + draw(0, most - least)).expect("small");
        // as in English, a token takes four letters
        (1..=count).map(|i| format!("w{}", 10 + draw(i, 90))).collect::<Vec<_>>().join(" ")
    };
    let mut rows = String::new();
    for row in 0..200 {
        let [prompt, chosen, rejected] = [0, 1, 2].map(|part| text(3 * row + part, if part == 0 { 20 } else { 10 }, 80));
        writeln!(rows, "{{\"prompt\": \"{prompt}\", \"chosen\": \"{chosen}\", \"rejected\": \"{rejected}\"}}").expect("text grows");
    }
    fs::write(folder.join("rows.jsonl"), rows).expect("written");
    let recipe = format!(
        "use std.{{sft, reward_model, dpo, ppo, grpo, generate}}\n\nrecipe memory {{\n    base = load_model(\"base\")\n    \
         pairs = load_data(\"rows.jsonl\") as Preference\n    \
         prompts = pairs.select(prompt: .prompt)\n    \
         told = pairs.select(prompt: .prompt, completion: .chosen)\n    made = {stage}\n}}\n"
    );
    fs::write(folder.join("memory.align"), recipe).expect("written");
}

fn align(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_align"));
    command.args(arguments).args(["memory.align", "--device", "cpu", "--json"]).current_dir(folder);
    command
}

/// Bytes that the plan says its largest stage takes.
fn planned(folder: &Path) -> f64 {
    let out = align(folder, &["plan"]).output().expect("it starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let plan: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let stages = plan["stages"].as_array().expect("stages");
    stages.iter().filter_map(|stage| stage["memory"].as_f64()).fold(0.0, f64::max)
}

/// The most that the engine held, and the most that the process did.
fn measured(folder: &Path) -> (f64, f64) {
    let mut child = align(folder, &["run"]).stdout(Stdio::piped()).spawn().expect("it starts");
    let (mut device, mut process) = (0.0, 0.0);
    let status = format!("/proc/{}/status", child.id());
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        let event: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
        device = event["progress"]["memory"].as_f64().unwrap_or(0.0).max(device);
        process = resident(&status).unwrap_or(0.0).max(process);
    }
    assert!(child.wait().expect("it ends").success());
    (device, process)
}

/// The largest resident size so far, where the system tells.
fn resident(status: &str) -> Option<f64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()? * 1024.0)
}
