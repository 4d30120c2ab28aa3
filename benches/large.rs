//! A recipe of 10,000 stages: check, plan, fmt and graph, each under a second.
//!
//! `cargo bench --bench large [STAGES]`

#![expect(clippy::print_stdout, reason = "a bench reports to the terminal")]

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Instant;

/// Chains of filters and columns that join now and then, as generated recipes look.
fn recipe(stages: usize) -> String {
    let mut text = "recipe large {\n    rows = load_data(\"rows.jsonl\") as { prompt: Dialogue, x: Float }\n".to_owned();
    for at in 1..stages {
        let from = if at < 10 { "rows".to_owned() } else { format!("s{}", at - 1 - at % 7) };
        match at % 10 {
            3 => writeln!(text, "    s{at} = {from}.with(y: .x * {at})"),
            7 if at > 20 => writeln!(
                text,
                "    s{at} = mix([{from}.select(prompt: .prompt, x: .x), s{}.select(prompt: .prompt, x: .x)], seed: {at})",
                at - 9
            ),
            _ => writeln!(text, "    s{at} = {from}.filter(.x > {at})"),
        }
        .expect("text grows");
    }
    text + "}\n"
}

fn main() {
    let stages = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(10_000);
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("rows.jsonl"), "{\"prompt\": \"a\", \"x\": 1}\n").expect("written");
    fs::write(folder.path().join("large.align"), recipe(stages)).expect("written");
    let commands: &[&[&str]] = &[
        &["check", "large.align"],
        &["plan", "large.align", "--device", "cpu"],
        &["fmt", "large.align"],
        &["graph", "large.align", "--device", "cpu"],
        &["graph", "large.align", "--device", "cpu", "--format", "svg"],
        &["graph", "large.align", "--device", "cpu", "--all", "--format", "svg"],
    ];
    for arguments in commands {
        let begun = Instant::now();
        let out = Command::new(env!("CARGO_BIN_EXE_align")).args(*arguments).current_dir(folder.path()).output().expect("it starts");
        let took = begun.elapsed();
        assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        println!("{:>7.0} ms  {}", took.as_secs_f64() * 1e3, arguments.join(" "));
    }
}
