//! Adapters as recipes have them: every stage trains them, a killed run ends in the same bits, and what is exported comes
//! back.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use align::model::{Adapter, Network};

const RECIPE: &str = r#"
use std.{sft, reward_model, dpo, ppo, generate, best}

recipe small {
    base    = load_model("model.safetensors")
    gold    = load_scorer("vader_lexicon.txt")
    prompts = load_data("openings.jsonl", rows: 24) as { prompt: Text, event: Text }
    slow    = { lora: 4, batch: 8 }

    told    = generate(base, prompts, count: 3, max_tokens: 12).with(reward: gold.score(.completion))
    tuned   = sft(base, told.best(by: .reward), lr: 1e-2, epochs: 4, ...slow)
    rm      = reward_model(tuned, told.pairs(by: .reward), lr: 1e-3, lora_scale: root, lora_targets: [q_proj, v_proj], ...slow)
    direct  = dpo(tuned, told.pairs(by: .reward), lr: 1e-2, epochs: STEPS, lora_magnitude: true, ...slow)
    frugal  = dpo(tuned.quantise(format: int8), told.pairs(by: .reward), lr: 1e-2, ...slow)
    policy  = ppo(tuned.quantise(), prompts, reward: rm, lr: 1e-3, steps: 3, max_tokens: 8, ...slow)

    export direct to "out/direct"
    export direct.adapter() to "out/adapter"
    export tuned to "out/tuned"
    export rm.adapter() to "out/rm"
    export frugal to "out/frugal"
    export policy to "out/policy"
}
"#;

const BACK: &str = r#"
recipe back {
    base = load_model("out/tuned")
    same = base.load_adapter("out/adapter")
    export same to "out/same"
    export same.adapter() to "out/again"
}
"#;

fn clone(epochs: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in fs::read_dir("recipes/quickstart").expect("the quickstart's data") {
        let file = file.expect("an entry").path();
        fs::copy(&file, folder.path().join(file.file_name().expect("a name"))).expect("copied");
    }
    fs::write(folder.path().join("small.align"), RECIPE.replace("STEPS", &epochs.to_string())).expect("written");
    fs::write(folder.path().join("back.align"), BACK).expect("written");
    folder
}

fn align(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_align"));
    command.current_dir(folder).args(arguments);
    command
}

/// What it said; it must have succeeded.
fn said(folder: &Path, arguments: &[&str]) -> String {
    let output = align(folder, arguments).output().expect("the binary runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    text
}

fn exported(folder: &Path) -> Vec<Vec<u8>> {
    let files = ["direct/model", "tuned/model", "frugal/model", "policy/model", "adapter/adapter_model", "rm/adapter_model"];
    files.map(|file| fs::read(folder.join(format!("out/{file}.safetensors"))).expect("exported")).to_vec()
}

fn checkpoints(folder: &Path, least: u64) -> bool {
    let stages = fs::read_dir(folder.join(".align/partial")).into_iter().flatten().flatten();
    let inside = stages.flat_map(|stage| fs::read_dir(stage.path().join("checkpoints")).into_iter().flatten().flatten());
    let steps = inside.filter_map(|entry| entry.file_name().to_string_lossy().strip_prefix("step-")?.parse::<u64>().ok());
    steps.into_iter().any(|step| step >= least)
}

#[test]
fn every_stage_trains_adapters_and_what_leaves_comes_back() {
    let folder = clone(2);
    let plan = said(folder.path(), &["plan", "small.align", "--device", "cpu"]);
    assert!(plan.contains("train(lora: 4)") && plan.contains("rl(lora: 4)"), "{plan}");
    said(folder.path(), &["run", "small.align", "--device", "cpu"]);
    let base = Network::open(&folder.path().join("out/tuned")).expect("a network");
    let opened = Adapter::open(&folder.path().join("out/adapter"), &base).expect("an adapter");
    assert!(opened.adapter.as_ref().is_some_and(|a| a.spec.magnitude && a.spec.rank == 4));
    Adapter::check_base(&folder.path().join("out/adapter"), &base).expect("it was trained beside `tuned`");
    // the merged network is the base with the adapter, to the bit
    let direct = Network::open(&folder.path().join("out/direct")).expect("a network");
    for (at, parameter) in base.parameters().iter().enumerate() {
        let merged = opened.merged_tensor(at, parameter).expect("a tensor");
        assert!(merged == direct.tensor(at, parameter).expect("a tensor"), "{}", parameter.name);
    }
    let scorer = fs::read_to_string(folder.path().join("out/rm/adapter_config.json")).expect("there");
    assert!(scorer.contains("\"SEQ_CLS\"") && scorer.contains("\"use_rslora\": true") && scorer.contains("\"score\""), "{scorer}");
    // one stage's adapters changed: that stage and what reads it run again
    let text = RECIPE.replace("STEPS", "2").replace("lora_scale: root", "lora_scale: rank");
    fs::write(folder.path().join("other.align"), text).expect("written");
    let plan = said(folder.path(), &["plan", "other.align", "--device", "cpu"]);
    let runs = |line: &&str| line.starts_with("  ") && line.split_whitespace().any(|word| word == "run");
    let again: Vec<&str> = plan.lines().filter(runs).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(again.iter().all(|name| ["rm", "policy", "adapter"].iter().any(|start| name.starts_with(start))), "{plan}");
    assert_eq!(again.len(), 3, "{plan}");

    said(folder.path(), &["run", "back.align", "--device", "cpu"]);
    let read = |name: &str| fs::read(folder.path().join("out").join(name)).expect("exported");
    assert!(read("same/model.safetensors") == read("direct/model.safetensors"));
    assert!(read("again/adapter_model.safetensors") == read("adapter/adapter_model.safetensors"));
}

#[test]
fn a_killed_run_ends_in_the_same_bits() {
    let (whole, killed) = (clone(120), clone(120));
    said(whole.path(), &["run", "small.align", "--device", "cpu"]);
    let mut child = align(killed.path(), &["run", "small.align", "--device", "cpu", "--checkpoint-every", "0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let begun = Instant::now();
    while !checkpoints(killed.path(), 20) {
        assert!(child.try_wait().expect("a child").is_none(), "the run ended before `direct` left a checkpoint");
        assert!(begun.elapsed() < Duration::from_secs(600), "no checkpoint");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("a running child");
    child.wait().expect("a killed child");
    assert!(!killed.path().join("out").exists());
    let plan = said(killed.path(), &["plan", "small.align", "--device", "cpu"]);
    assert!(plan.contains("resume at step"), "{plan}");
    let begun =
        said(killed.path(), &["generate", "direct", "Once upon a time", "--max-tokens", "4", "--device", "cpu", "--from", "small.align"]);
    assert!(begun.contains("has not ended: this is what it was after step"), "{begun}");
    said(killed.path(), &["run", "small.align", "--device", "cpu"]);
    assert!(exported(whole.path()) == exported(killed.path()), "a killed and continued run ends in other weights");
}
