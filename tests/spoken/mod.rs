//! A store whose run made networks that can be talked to: with and without a chat template, trained, chosen, and slow.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use align::engine::cpu::CpuDevice;
use align::model::{Engine, Head};
use align::stage::{Failure, LazyEngine};
use serde_json::Value;

use crate::toy::{Shape, write};

const RECIPE: &str = "\
use std.{sft}

recipe talk {
    base = load_model(\"plain\")
    chatty = load_model(\"chat\")
    slow = load_model(\"slow\")
    rows = load_data(\"rows.jsonl\") as { prompt: Text, completion: Text }
    tuned = sft(base, rows, batch: 2, epochs: 1)
    judge = scorer(tuned)
    rates = sweep lr in [1e-4, 1e-2] {
        policy = sft(tuned, rows, lr: lr, batch: 2, epochs: 1)
        seen = rows.measure(fit: mean(mean(policy.logp(.completion)), over: all))
    } keep max(seen.fit)
}
";

/// Says every turn with who said it; refuses a system prompt.
const TEMPLATE: &str =
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system prompt') }}{% endif %}{{ m.content }}\n{% endfor %}";

/// Takes seconds for a long answer, and never ends one by itself.
const SLOW: Shape = Shape { layers: 6, width: 384, heads: 6, kv_heads: 6, mlp: 1024, vocabulary: 1000, tied: true };

/// Runs the recipe in `folder`; gives the run's name.
pub fn made(folder: &Path) -> String {
    let story = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/quickstart");
    for name in ["plain", "chat"] {
        fs::create_dir(folder.join(name)).expect("made");
        for file in ["model.safetensors", "config.json", "tokenizer.json"] {
            fs::copy(story.join(file), folder.join(name).join(file)).expect("copied");
        }
    }
    fs::write(folder.join("chat/chat_template.jinja"), TEMPLATE).expect("written");
    let slow = folder.join("slow");
    fs::create_dir(&slow).expect("made");
    write(&slow, SLOW, Head::Language);
    let mut config: Value = serde_json::from_slice(&fs::read(slow.join("config.json")).expect("there")).expect("JSON");
    config.as_object_mut().expect("an object").remove("eos_token_id");
    fs::write(slow.join("config.json"), config.to_string()).expect("written");
    let row = |prompt: &str, completion: &str| format!("{}\n", serde_json::json!({ "prompt": prompt, "completion": completion }));
    let rows = [row("Once upon a time", ", there was a cat."), row("Tim was", " very happy."), row("The dog", " ran home.")];
    fs::write(folder.join("rows.jsonl"), rows.concat()).expect("written");
    fs::write(folder.join("talk.align"), RECIPE).expect("written");
    let run = Command::new(env!("CARGO_BIN_EXE_align")).current_dir(folder).args(["run", "talk.align", "--device", "cpu"]).output();
    let run = run.expect("the program starts");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let runs = align::report::runs(&folder.join(".align")).expect("a store");
    runs.last().expect("a run").clone()
}

/// Where the artifact of a stage lies.
#[allow(dead_code, reason = "the browser looks at nothing on the disk")]
pub fn artifact(folder: &Path, run: &str, stage: &str) -> PathBuf {
    let store = folder.join(".align");
    let plan: Value = serde_json::from_slice(&fs::read(store.join("runs").join(run).join("plan.json")).expect("there")).expect("JSON");
    let stage = plan["stages"].as_array().expect("a list").iter().find(|s| s["name"] == stage).expect("a stage");
    store.join("objects").join(stage["fingerprint"].as_str().expect("a fingerprint"))
}

/// An engine on the processor.
pub fn engine() -> LazyEngine {
    LazyEngine::new(|| {
        let device = CpuDevice::new(None).map_err(|e| Failure::new("align::engine::no_device", e.to_string()))?;
        Ok(Engine::new(Box::new(device)))
    })
}
