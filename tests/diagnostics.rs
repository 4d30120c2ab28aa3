//! What a reader sees of every mistake that only files, models, formulas and runs can bring to light: one case a code,
//! met as a user meets it. `tests/syntax.rs` and `tests/refusals.rs` do the same for the text of a recipe.

mod hub_server;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use align::cli::help::codes;
use align::cli::render::{Style, render};
use align::durable::{self, Sealed};
use align::model::{Adapter, AdapterSpec, Head, HeadStart, ModelError, Network};
use align::plan::LOCK;
use align::world::Sources;
use hub_server::{Faults, Hub, files_of};
use rayon::prelude::*;
use regex::Regex;
use serde_json::{Value, json};

/// A recipe's folder while a case is set up.
struct Folder(tempfile::TempDir);

/// What brings the mistake about, before the run that is shown.
type Setup = fn(&Folder);

/// Code without `align::`, the recipe's body, and the files. In a body `…` stands for the usual first lines, and lines
/// after `}` for further items. What is called `x` is exported to `out/x`.
const CASES: &[(&str, &str, Setup)] = &[
    ("data::missing_file", "x = load_data(\"prefs.jsonl\") as Preference", |f| f.write("preferences.jsonl", "{}\n")),
    ("data::unreadable", "x = load_data(\"prefs.jsonl\") as Preference", |f| f.folder("prefs.jsonl")),
    ("data::unknown_format", "x = load_data(\"prefs.xlsx\") as Preference", |f| f.write("prefs.xlsx", "PK")),
    ("data::damaged", "x = load_data(\"prefs.jsonl.zst\") as Preference", |f| f.write("prefs.jsonl.zst", "{}\n")),
    ("data::other_content", "x = load_data(\"prefs.json\") as Preference", |f| {
        f.write("prefs.json", "<!doctype html>\n<html>not found</html>");
    }),
    ("data::cut_short", "x = load_data(\"prefs.jsonl.gz\") as Preference", |f| {
        let packed = gzip(&prefs(2000));
        f.write("prefs.jsonl.gz", &packed[..packed.len() / 2]);
    }),
    ("data::not_utf8", "x = load_data(\"notes.txt\") as { text: Text }", |f| f.write("notes.txt", b"plain\ncaf\xe9\n")),
    ("data::no_rows", "x = load_data(\"prefs.jsonl\") as Preference", |f| f.write("prefs.jsonl", "")),
    ("data::broken_line", "x = load_data(\"prefs.jsonl\") as Preference", |f| {
        let mut lines: Vec<String> = prefs(10_000).lines().map(str::to_owned).collect();
        lines[8411] = "{\"prompt\": \"who\", \"chosen\": \"you\" \"rejected\": \"me\"}".into();
        f.write("prefs.jsonl", lines.join("\n"));
    }),
    ("data::missing_column", "x = load_data(\"prefs.jsonl\") as Preference", |f| {
        f.write("prefs.jsonl", "{\"prompt\": \"a\", \"preferred\": \"b\", \"dispreferred\": \"c\"}\n");
    }),
    ("data::missing_value", "x = load_data(\"rows.jsonl\") as { id: Int, note: Text }", |f| {
        f.write("rows.jsonl", "{\"id\": 1, \"note\": \"a\"}\n{\"id\": 2}\n{\"id\": 3}\n");
    }),
    ("data::wrong_type", "x = load_data(\"rows.csv\") as { id: Int, note: Text }", |f| f.write("rows.csv", "id,note\n1,a\ntwo,b\n")),
    ("data::repeated_rows", "x = load_data(\"rows.jsonl\") as { id: Int }", |f| {
        f.write("rows.jsonl", "{\"id\": 1}\n{\"id\": 2}\n{\"id\": 1}\n");
    }),
    ("model::unlike", "…… x = rows.with(kl: sum(base.kl_to(base, .chosen, reads: .rejected)))", Folder::all),
    (
        "run::not_converged",
        "seen = fit(blank(4).select(d: 1.0), lost())\n    x = blank(1).select(w: seen.w.mean)\n}\n\nobjective lost(trained w: Float = 0.7) for { d: Float } {\n    loss = .d * w - detach(2 * w)\n}",
        |_| {},
    ),
    ("data::nothing_left", "… x = rows.filter(.by == \"you\")", Folder::rows),
    ("data::tied", "told = load_data(\"told.jsonl\") as Demonstration + { stars: Float }\n    x = told.pairs(by: .stars)", |f| {
        let row = |said: &str| json!({"prompt": "a", "completion": said, "stars": 2}).to_string() + "\n";
        f.write("told.jsonl", row("b") + &row("c"));
    }),
    ("data::one_group", "… part = rows.split(test: 50%, by: .by)\n    x = part.test", Folder::rows),
    (
        "data::leak",
        "asked = load_data(\"rows.jsonl\") as { prompt: Dialogue, id: Int }\n    part = asked.split(test: 50%, by: .id)\n    x = part.test",
        |f| {
            let row = |id: usize| json!({"prompt": "who are you", "id": id}).to_string() + "\n";
            f.write("rows.jsonl", (0..8).map(row).collect::<String>());
        },
    ),
    ("data::weights", "… x = mix([rows, rows], weights: [0.5])", Folder::rows),
    (
        "data::not_a_number",
        "asked = load_data(\"rows.jsonl\") as { note: Text }\n    x = asked.with(n: 1)\n    seen = asked.measure(y: number(.note))\n    expect seen.y > 0",
        |f| f.write("rows.jsonl", "{\"note\": \"7\"}\n{\"note\": \"many\"}\n"),
    ),
    (
        "data::nothing_to_measure",
        "… x = rows.filter(.by == \"you\")\n    seen = x.measure(n: count(over: all))\n    expect seen.n > 3",
        Folder::rows,
    ),
    ("data::unanswered", "… x = rows.ask(question: .prompt, answers: [\"yes\", \"no\"], sheet: \"people.jsonl\")", |f| {
        f.rows();
        // the queue is what such a run is meant to leave
        f.write("people.jsonl.queue", "{}");
    }),
    ("data::answers", "… x = rows.ask(question: .prompt, answers: [\"yes\", \"no\"], sheet: \"people.jsonl\")", |f| {
        f.rows();
        f.write("people.jsonl", json!({"question": "Story 0: ", "answer": "perhaps", "rater": "ann"}).to_string() + "\n");
    }),
    ("data::too_few_pairs", "… x = bag_of_words(rows)", |f| {
        f.write("prefs.jsonl", "{\"prompt\": \"a\", \"chosen\": \"\", \"rejected\": \"\", \"by\": \"me\"}\n");
    }),
    ("model::missing_file", "x = load_model(\"modle\")", Folder::model),
    ("model::unreadable", "x = load_model(\"model\")", |f| {
        f.model();
        f.remove("model/config.json");
        f.folder("model/config.json");
    }),
    ("model::not_a_network", "x = load_model(\"model\")", |f| {
        f.model();
        f.remove("model/tokenizer.json");
    }),
    ("model::not_an_adapter", "base = load_model(\"model\")\n    x = base.load_adapter(\"more\")", |f| {
        f.model();
        f.folder("more");
        f.write("more/adapter_config.json", "{}");
    }),
    ("model::other_base", "base = load_model(\"model\")\n    x = base.load_adapter(\"more\")", |f| {
        f.model();
        let network = Network::open(&f.path("model")).expect("a model");
        let adapter = Adapter::new(&network, AdapterSpec::new(2), [0, 0], 0).expect("an adapter");
        f.folder("more");
        Adapter::write(&network.with_adapter(adapter), &f.path("more")).expect("written");
        f.json("more/align.json", |said| said["base"] = json!("0123456789abcdef0123456789abcdef"));
    }),
    ("recipe::no_adapter", "…… tuned = base.dpo(rows)\n    x = tuned.adapter()", Folder::all),
    ("recipe::idle_adapter", "…… x = base.dpo(rows, lora: 4, lora_targets: [])", Folder::all),
    ("model::config", "x = load_model(\"model\")", |f| f.config("hidden_size", json!("64"))),
    ("model::unsupported_family", "x = load_model(\"model\")", |f| f.config("model_type", json!("mamba"))),
    ("model::unsupported_feature", "x = load_model(\"model\")", |f| f.config("rope_scaling", json!({"rope_type": "yarn", "factor": 4.0}))),
    ("model::damaged", "x = load_model(\"model\")", |f| {
        f.model();
        let whole = f.read("model/model.safetensors");
        f.write("model/model.safetensors", &whole[..whole.len() / 2]);
    }),
    ("model::missing_tensor", "x = load_model(\"model\")", |f| f.config("num_hidden_layers", json!(6))),
    ("model::extra_tensor", "x = load_model(\"model\")", |f| f.config("num_hidden_layers", json!(4))),
    ("model::shape", "x = load_model(\"model\")", |f| f.config("vocab_size", json!(600))),
    ("model::format", "x = load_model(\"model\")", |f| f.header(|header| header["model.norm.weight"]["dtype"] = json!("I32"))),
    ("model::not_finite", "…… x = rows.with(y: sum(base.logp(.chosen)))", |f| {
        f.all();
        let mut bytes = f.read("model/model.safetensors");
        let last = bytes.len() - 4;
        bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
        f.write("model/model.safetensors", bytes);
    }),
    ("model::tokenizer", "x = load_model(\"model\")", |f| {
        f.model();
        f.write("model/tokenizer.json", "{\"version\": \"1.0\"}");
    }),
    ("model::chat_template", "x = load_model(\"model\")", |f| {
        f.model();
        f.write("model/chat_template.jinja", "{% for m in messages %}{{ m.content }}{% endfro %}");
    }),
    ("model::conversation", "…… x = rows.with(y: sum(base.logp(.chosen)))", |f| {
        f.all();
        f.write("model/chat_template.jinja", "{{ raise_exception('only in French, please') }}");
    }),
    ("model::encode", "…… x = rows.with(y: sum(base.logp(.chosen)))", |f| {
        f.all();
        let words = json!({"type": "WordLevel", "vocab": {"happy": 0}, "unk_token": "[UNK]"});
        f.write("model/tokenizer.json", json!({"version": "1.0", "model": words}).to_string());
    }),
    ("model::token_outside", "…… x = rows.with(y: sum(base.logp(.chosen)))", |f| {
        f.all();
        let more = json!({
            "id": 512, "content": "happy", "special": false,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        });
        f.json("model/tokenizer.json", |file| file["added_tokens"].as_array_mut().expect("a list").push(more));
    }),
    ("model::wrong_head", "…… x = rows.with(y: sum(base.logp(.chosen)))", |f| {
        f.all();
        f.give_score_head();
    }),
    ("model::nothing_to_read", "…… x = rows.with(y: base.sample(\"\"))", |f| {
        f.all();
        f.write("model/tokenizer_config.json", "{\"add_bos_token\": false}");
    }),
    ("model::depth", "…… x = rows.with(y: base.hidden(.chosen, 9))", Folder::all),
    ("model::direction", "…… x = base.steer(rows, direction: [1, 2])", Folder::all),
    ("model::too_long", "…… x = rows.with(y: base.sample(\"w5\"))", Folder::gpt2),
    ("model::no_projection", "…… x = base.dpo(rows, lora: 2, lora_targets: [gate_proj], steps: 1)", Folder::gpt2),
    ("model::blocks", "…… x = base.quantise().dpo(rows)", Folder::all),
    ("model::no_gguf", "x = load_model(\"model\")\n    export x to \"x.gguf\"", |f| {
        f.model();
        f.json("model/tokenizer.json", |file| file["pre_tokenizer"] = json!({ "type": "WhitespaceSplit" }));
    }),
    ("score::unreadable", "x = load_scorer(\"words.txt\")", |f| f.write("words.txt", "good\n")),
    ("score::no_head", "x = load_scorer(\"model\")", Folder::model),
    ("recipe::other_tokenizer", "…… other = load_model(\"other\")\n    x = base.train(rows, dpo_loss(other))", |f| {
        f.all();
        f.model_in("other");
        f.write("other/tokenizer_config.json", "{\"add_bos_token\": false}");
    }),
    ("recipe::no_network", "x = load_scorer(\"words.txt\")\n    export x to \"y\" as f16", |f| f.write("words.txt", "good\t1.9\n")),
    ("plan::changed_file", "x = load_data(\"rows.jsonl\") as { id: Int }", |f| {
        f.write("rows.jsonl", "{\"id\": 1}\n");
        f.run();
        f.write("rows.jsonl", "{\"id\": 2}\n");
    }),
    ("plan::unreadable_file", "x = load_model(\"model\")", |f| {
        f.model();
        f.folder("model/old.safetensors");
    }),
    ("plan::unreadable_lock", "x = load_data(\"rows.jsonl\") as { id: Int }", |f| {
        f.write("rows.jsonl", "{\"id\": 1}\n");
        f.write("align.lock", "<<<<<<< HEAD\n");
    }),
    ("plan::no_primitive", "… x = sorted(rows)\n}\n\nextern stage sorted(rows: Data<Preference>) -> Data<Preference>", Folder::rows),
    ("run::damaged_artifact", "… x = rows.with(n: 1)", |f| {
        f.rows();
        f.run();
        f.write(&f.stored_with("\"n\""), "{}\n");
    }),
    ("run::disk", "… x = rows.with(n: 1)", |f| {
        f.rows();
        f.write("out", "in the way\n");
    }),
    ("run::export_exists", "… x = rows.with(n: 1)", |f| {
        f.rows();
        f.folder("out");
        f.write("out/x", "mine\n");
    }),
    ("run::no_rows", "…… x = base.dpo(rows.filter(.by == \"you\"))", Folder::all),
    ("run::cut", "…… x = base.dpo(rows, max_length: 6, steps: 1)", Folder::all),
    ("run::beyond_context", "…… x = rows.with(y: base.sample(.prompt, max_tokens: 4))", |f| {
        f.rows();
        f.config("max_position_embeddings", 3.into());
    }),
    ("data::unfit_rows", "x = load_data(\"rows.jsonl\", unfit: drop) as { n: Int }", |f| {
        f.write("rows.jsonl", "{\"n\": 1}\n{\"n\": true}\n{\"m\": 3}\n");
    }),
    ("run::no_end_token", "…… x = base.dpo(rows, steps: 1)", |f| {
        f.all();
        f.json("model/config.json", |config| drop(config.as_object_mut().expect("an object").remove("eos_token_id")));
    }),
    ("model::constraint", "…… x = rows.with(y: base.sample(.prompt, constraint: pattern(r\"\\bno\"), max_tokens: 4))", Folder::all),
    ("run::greedy_rollouts", "…… x = base.ppo(rows, reward: length(.completion), temperature: 0, steps: 1)", Folder::all),
    (
        "run::stopped_early",
        "…… x = base.rl(rows, grpo_loss(base), reward: length(.completion), stop_when: .reward > 0, samples: 2, steps: 3, max_tokens: 4)",
        Folder::all,
    ),
    (
        "run::not_finite",
        "…… x = base.train(rows, broken_loss(), batch: 1, epochs: 2)\n}\n\nobjective broken_loss() for Preference {\n    loss = 1 / (length(.chosen) - length(.chosen)) * sum(model.logp(.chosen))\n}",
        Folder::all,
    ),
    (
        "run::no_round",
        "… found = repeat round in 1..=2 carrying p = rows {\n        p = p.with(n: round)\n        seen = p.measure(n: mean(.n, over: all))\n        gate seen.n > 9\n    } keep max(seen.n)\n    x = found.p",
        Folder::rows,
    ),
    ("engine::no_device", "… x = rows.with(n: 1)", Folder::rows),
    ("formula::evaluation", "asked = load_data(\"rows.jsonl\") as { notes: [Text] }\n    x = asked.with(first: .notes[0])", |f| {
        f.write("rows.jsonl", "{\"notes\": [\"a\"]}\n{\"notes\": []}\n");
    }),
    ("formula::batch_outside_objective", "… x = rows.with(n: count(over: batch))", Folder::rows),
];

/// Codes of warnings: the run goes on.
const WARNINGS: &[&str] = &[
    "data::repeated_rows",
    "data::nothing_left",
    "data::unfit_rows",
    "data::tied",
    "data::leak",
    "plan::changed_file",
    "plan::unreadable_lock",
    "run::damaged_artifact",
    "run::beyond_context",
    "run::cut",
    "run::no_end_token",
    "run::not_converged",
    "run::stopped_early",
];

/// What the program meets only on a disk that is full or shared, shown where it arises.
const BELOW: &[(&str, fn(&Folder) -> ModelError)] = &[
    ("model::exists", |f| {
        f.model();
        let network = Network::open(&f.path("model")).expect("a model");
        network.save(&f.path("model")).expect_err("it is there")
    }),
    ("model::unwritable", |f| {
        f.model();
        f.write("models", "a file\n");
        let network = Network::open(&f.path("model")).expect("a model");
        network.save(&f.path("models/mine")).expect_err("there is no such folder")
    }),
];

/// Code, arguments of the program, and what was there before.
const REPORTS: &[(&str, &[&str], Setup)] = &[
    ("report::no_run", &["report", "2026-01-01"], |f| {
        f.run_said("{}\n");
    }),
    ("report::unreadable", &["report"], |f| {
        f.run_said("{}\n<html>\n{}\n");
    }),
    ("report::disk", &["report", "--tensorboard", "taken"], |f| {
        f.run_said("{}\n");
        f.write("taken", "a file");
    }),
    ("report::tracker", &["report", "--mlflow", "https://example.org"], |f| {
        f.run_said("{}\n");
    }),
    ("plan::memory", &["plan", "a.align", "--device", "cpu", "--memory", "66MiB"], |f| {
        f.all();
        f.write("a.align", whole("…… x = base.dpo(rows)"));
    }),
    // of a port that is listened on already
    ("ui::no_port", &["ui", "--port"], |_| {}),
];

/// Code, arguments of the program, what the recipe names, the exit code, and what the hub is like. It has `tiny/story`.
const HUBS: &[(&str, &[&str], &str, i32, fn(&Folder, &Hub))] = &[
    ("hub::reference", &["check", "a.align"], "hf:story", 1, |_, _| {}),
    ("hub::not_here", &["check", "a.align"], "hf:tiny/gguf/q8_0.gguf", 0, |_, hub| {
        hub.put("tiny/gguf", "main", &[("q8_0.gguf", vec![0; 3 << 20])]);
    }),
    ("hub::offline", &["run", "a.align"], "hf:tiny/story@v2", 1, |_, _| {}),
    ("hub::no_network", &["run", "a.align"], "hf:tiny/story", 1, |_, _| {}),
    ("hub::no_repository", &["run", "a.align"], "hf:tiny/stroy", 1, |_, _| {}),
    ("hub::no_revision", &["run", "a.align"], "hf:tiny/story@mian", 1, |_, _| {}),
    ("hub::no_access", &["run", "a.align"], "hf:tiny/story", 1, |_, hub| {
        hub.change("tiny/story", |repository| repository.gated = Some("hf_secret".into()));
    }),
    ("hub::no_file", &["run", "a.align"], "hf:tiny/old", 1, |_, hub| {
        let empty = || b"{}".to_vec();
        hub.put("tiny/old", "main", &[("config.json", empty()), ("tokenizer.json", empty()), ("pytorch_model.bin", empty())]);
    }),
    ("hub::damaged", &["run", "a.align"], "hf:tiny/story", 1, |_, hub| hub.faults(Faults { lie: true, ..Faults::default() })),
    ("hub::disk", &["run", "a.align"], "hf:tiny/story", 1, |f, _| f.write("hf", "a file")),
    ("hub::answer", &["run", "a.align"], "hf:tiny/story", 1, |_, hub| hub.faults(Faults { status: Some(502), ..Faults::default() })),
    ("hub::moved", &["run", "a.align", "--update"], "hf:tiny/story", 0, |f, hub| {
        f.write("align.lock", format!("commit {} hf:tiny/story\n", "0".repeat(40)));
        hub.faults(Faults::default());
    }),
];

/// Codes that no recipe and no file can bring about.
const UNREACHABLE: &[&str] = &[
    // the checker has looked at names, types and arguments before
    "formula::unknown_word",
    "formula::arguments",
    "formula::nothing_to_reduce",
    // a mistake in align itself
    "run::argument",
    "run::product",
    "run::log_prob_mismatch",
    // a device that fails between the last stage and the report
    "run::no_samples",
    "model::frozen",
    "model::state",
    // a checkpoint is read only when its every byte is as it was written, by this version
    "run::checkpoint",
    // a device that is lost at work
    "engine::failed",
];

/// Lines of an objective that are refused, by code without `align::formula::`.
const OBJECTIVES: &[(&str, &str)] = &[
    ("shape_clash", "loss = sum(model.logp(.chosen) - model.logp(.rejected))"),
    ("no_sequence", "loss = at_end(sum(model.logp(.chosen)))"),
    ("one_per_row", "loss = sum([model.logp(.chosen), model.logp(.chosen)])"),
    ("no_axis", "loss = sum(model.logp(.chosen)) * rank(length(.chosen), over: tokens)"),
    ("depends_on_weights", "loss = mean(sum(model.logp(.chosen)), over: sum(model.logp(.rejected)))"),
    ("asks_trained", "said = model.sample(.prompt)\n    loss = sum(model.logp(.chosen)) * length(said)"),
    ("gradient_through_all", "loss = mean(sum(model.logp(.chosen)), over: all)"),
    ("present_over_all", "loss = sum(model.logp(.chosen)) * mean(detach(sum(model.logp(.chosen))), over: all)"),
    ("old_outside_rl", "loss = sum(model.logp(.chosen) - old(model.logp(.chosen)))"),
    ("no_gradient", "loss = length(.chosen)"),
    ("gradient_through_weight", "loss = sum(model.logp(.chosen)) weighted sum(model.logp(.rejected))"),
    ("state_shape", "state s = 0 then s + length(.chosen)\n    loss = s * sum(model.logp(.chosen))"),
    ("state_reads_present", "state s = mean(sum(model.logp(.chosen)), over: batch) then 1\n    loss = s * sum(model.logp(.chosen))"),
    ("no_network", "loss = sum((if length(.chosen) > 3 then model else reference).logp(.chosen))"),
    ("pattern", "loss = sum(model.logp(.chosen)) * (if matches(transcript(.prompt), r\"a (sad\") then 1 else 0)"),
    ("network_as_value", "loss = if model == reference then 1 else 0"),
];

fn prefs(count: usize) -> String {
    let row = |i: usize| {
        json!({"prompt": format!("Story {i}: "), "chosen": "a happy day", "rejected": "a sad day", "by": "me"}).to_string() + "\n"
    };
    (0..count).map(row).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(text.as_bytes()).expect("memory holds it");
    packed.finish().expect("memory holds it")
}

impl Folder {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).expect("written");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("read")
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("removed");
    }

    fn folder(&self, name: &str) {
        fs::create_dir(self.path(name)).expect("made");
    }

    /// A run that wrote these events down.
    fn run_said(&self, events: &str) {
        [".align", ".align/runs", ".align/runs/2026-01-02T00-00-00Z-r"].iter().for_each(|name| self.folder(name));
        self.write(".align/runs/2026-01-02T00-00-00Z-r/events.jsonl", events);
    }

    fn rows(&self) {
        self.write("prefs.jsonl", prefs(4));
    }

    /// The quickstart's model, as a folder of its own.
    fn model_in(&self, folder: &str) {
        self.folder(folder);
        for name in ["config.json", "tokenizer.json", "model.safetensors"] {
            fs::copy(Path::new("recipes/quickstart").join(name), self.path(folder).join(name)).expect("copied");
        }
    }

    fn model(&self) {
        self.model_in("model");
    }

    fn all(&self) {
        self.rows();
        self.model();
    }

    /// Rows and a network of another family.
    fn gpt2(&self) {
        self.all();
        for name in ["tiny-gpt2/config.json", "tiny-gpt2/model.safetensors", "word-tokenizer/tokenizer.json"] {
            let (_, file) = name.split_once('/').expect("a folder and a file");
            fs::copy(Path::new("tests/golden/models").join(name), self.path("model").join(file)).expect("copied");
        }
    }

    fn json(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut value = serde_json::from_slice(&self.read(name)).expect("JSON");
        change(&mut value);
        self.write(name, value.to_string());
    }

    /// The model with another value in its `config.json`.
    fn config(&self, field: &str, value: Value) {
        self.model();
        self.json("model/config.json", |config| config[field] = value);
    }

    /// The model with another header over the same numbers.
    fn header(&self, change: impl FnOnce(&mut Value)) {
        self.model();
        let bytes = self.read("model/model.safetensors");
        let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().expect("eight"))).expect("short");
        let mut header = serde_json::from_slice(&bytes[8..8 + length]).expect("JSON");
        change(&mut header);
        let header = header.to_string();
        self.write("model/model.safetensors", [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[8 + length..]].concat());
    }

    /// The model as a scorer.
    fn give_score_head(&self) {
        let scorer = Network::open(&self.path("model")).and_then(|model| model.with_head(Head::Score, HeadStart::Zero)).expect("a head");
        fs::remove_dir_all(self.path("model")).expect("removed");
        scorer.save(&self.path("model")).expect("saved");
    }

    /// The stored file that holds a text.
    fn stored_with(&self, text: &str) -> String {
        let files = durable::files_under(&self.path(".align/objects")).expect("a store");
        let mut files = files.iter().map(|file| format!(".align/objects/{file}")).filter(|file| file.ends_with(".jsonl"));
        files.find(|file| String::from_utf8_lossy(&self.read(file)).contains(text)).expect("stored")
    }

    /// A first run without a mistake.
    fn run(&self) {
        let (code, said) = self.align("cpu");
        assert_eq!(code, 0, "{said}");
    }

    /// Runs the recipe: exit code, and what is read.
    fn align(&self, device: &str) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_align"));
        let output = command.current_dir(self.0.path()).args(["run", "a.align", "--device", device]).output().expect("it starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().expect("it was not killed"), text(&output.stdout) + &text(&output.stderr))
    }

    /// Every file outside the store.
    fn files(&self) -> BTreeSet<String> {
        let files = durable::files_under(self.0.path()).expect("read");
        files.into_iter().filter(|file| !file.starts_with(".align/") && file != LOCK).collect()
    }

    /// Artifacts that are not what their manifests say, and files in the making under another name.
    fn halves(&self) -> Vec<String> {
        let objects = fs::read_dir(self.path(".align/objects")).into_iter().flatten().map(|entry| entry.expect("an entry").path());
        let whole = |folder: &PathBuf| Sealed::open(folder).and_then(|sealed| sealed.verify(folder)).is_ok();
        let broken = objects.filter(|folder| !whole(folder)).map(|folder| folder.display().to_string());
        let files = durable::files_under(self.0.path()).expect("read");
        broken.chain(files.into_iter().filter(|file| file.ends_with(".part"))).collect()
    }
}

/// The recipe of a body.
fn whole(body: &str) -> String {
    let rows = "rows = load_data(\"prefs.jsonl\") as Preference + { by: Text }\n    ";
    let body = body.replace("…… ", "base = load_model(\"model\")\n    … ").replace("… ", rows);
    let (main, rest) = body.split_once("\n}\n").map_or((&*body, String::new()), |(main, rest)| (main, format!("{rest}\n")));
    format!("use std.{{dpo, ppo, dpo_loss, grpo_loss}}\n\nrecipe r {{\n    {main}\n    export x to \"out/x\"\n}}\n{rest}")
}

/// What is read without what differs from day to day and from machine to machine.
fn steady(said: &str, folder: &Path) -> String {
    let real = folder.canonicalize().expect("there");
    let said = [real.as_path(), folder].iter().fold(said.to_owned(), |said, path| said.replace(&*path.to_string_lossy(), "[folder]"));
    let changing = [
        (r"runs/[0-9TZ-]+-r(-\d+)?", "runs/[now]-r"),
        (r"damaged/[0-9a-f]{32}-[0-9TZ-]+", "damaged/[artifact]-[now]"),
        (r"\b\d+\.\d s\b", "0.0 s"),
        (r"found: .*", "found: [why]"),
        // what drivers say, and what was sampled
        (r"(?m)^error: .*\n", ""),
        (r"  reward .*", "  [numbers]"),
    ];
    changing.iter().fold(said, |said, (pattern, name)| Regex::new(pattern).expect("a pattern").replace_all(&said, *name).into_owned())
}

/// One case run: its code, and what its snapshot holds.
fn run(code: &str, body: &str, setup: Setup) -> (String, String) {
    let folder = Folder(tempfile::tempdir().expect("a temporary folder"));
    folder.write("a.align", whole(body));
    setup(&folder);
    let before = folder.files();
    let (exit, said) = folder.align(if code == "engine::no_device" { "gpu:99" } else { "cpu" });
    assert!(said.contains(&format!("align::{code}\n")), "{code} expected:\n{body}\n{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(exit, i32::from(!WARNINGS.contains(&code)), "{code}: {said}");
    assert_eq!(folder.halves(), Vec::<String>::new(), "{code}");
    if exit == 1 {
        assert_eq!(folder.files(), before, "{code} left something:\n{said}");
    }
    (code.to_owned(), format!("{body}\n────\n{}", steady(&said, folder.0.path())))
}

/// An objective trained on preferences.
fn objective(lines: &str) -> String {
    format!("…… x = base.train(rows, mine(base))\n}}\n\nobjective mine(reference: Model) for Preference {{\n    {lines}\n}}")
}

/// A mistake of a command that is not `run`.
fn reported(code: &str, arguments: &[&str], setup: Setup) -> (String, String) {
    let folder = Folder(tempfile::tempdir().expect("a temporary folder"));
    setup(&folder);
    let mut command = Command::new(env!("CARGO_BIN_EXE_align"));
    command.args(arguments).current_dir(folder.0.path());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port().to_string();
    if code == "ui::no_port" {
        command.arg(&port);
    }
    let out = command.output().expect("the program starts");
    let said = String::from_utf8_lossy(&out.stderr).replace(&port, "[port]");
    assert!(said.contains(&format!("align::{code}\n")), "{code} expected:\n{said}");
    assert_eq!(out.status.code(), Some(1), "{code}: {said}");
    (code.to_owned(), format!("align {}\n────\n{}", arguments.join(" "), steady(&said, folder.0.path())))
}

/// What is said of a hub.
fn of_a_hub(code: &str, arguments: &[&str], reference: &str, exit: i32, setup: fn(&Folder, &Hub)) -> (String, String) {
    let (folder, hub) = (Folder(tempfile::tempdir().expect("a temporary folder")), Hub::new());
    let mut files = files_of(Path::new("recipes/quickstart"));
    files.retain(|(name, _)| ["config.json", "model.safetensors", "tokenizer.json"].contains(&name.as_str()));
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    hub.put("tiny/story", "main", &files);
    folder.write("a.align", format!("recipe r {{\n    x = load_model(\"{reference}\")\n    export x to \"out\"\n}}\n"));
    setup(&folder, &hub);
    let endpoint = if code == "hub::no_network" { "http://127.0.0.1:9" } else { &hub.address };
    let mut command = Command::new(env!("CARGO_BIN_EXE_align"));
    command.args(arguments).current_dir(folder.0.path());
    for name in [
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "HF_TOKEN_PATH",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
        "TRANSFORMERS_OFFLINE",
    ] {
        command.env_remove(name);
    }
    command.env("HF_HOME", folder.path("home")).env("HF_HUB_CACHE", folder.path("hf")).env("HF_ENDPOINT", endpoint);
    command.env("HF_HUB_OFFLINE", if code == "hub::offline" { "1" } else { "0" });
    let out = command.output().expect("the program starts");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains(&format!("align::{code}\n")), "{code} expected:\n{said}");
    assert_eq!(out.status.code(), Some(exit), "{code}: {said}");
    let changing = [(r"127\.0\.0\.1:\d+", "[hub]"), (r"\b[0-9a-f]{40}\b", "[commit]"), (r"(commit|to) [0-9a-f]{10}\b", "$1 [commit]")];
    let said = steady(&said, folder.0.path());
    let said =
        changing.iter().fold(said, |said, (pattern, name)| Regex::new(pattern).expect("a pattern").replace_all(&said, *name).into_owned());
    (code.to_owned(), format!("align {}\n────\n{said}", arguments.join(" ")))
}

/// A mistake that is met below the program.
fn met(code: &str, network: fn(&Folder) -> ModelError) -> (String, String) {
    let folder = Folder(tempfile::tempdir().expect("a temporary folder"));
    let drawn = render(&[network(&folder).diagnostic()], &Sources::default(), Style::Plain);
    (code.to_owned(), steady(&drawn, folder.0.path()))
}

#[test]
fn every_code_is_shown() {
    let mut shown: Vec<(String, String)> = CASES.par_iter().map(|(code, body, setup)| run(code, body, *setup)).collect();
    let objectives = OBJECTIVES.par_iter().map(|(code, lines)| run(&format!("formula::{code}"), &objective(lines), Folder::all));
    shown.par_extend(objectives);
    shown.extend(BELOW.iter().map(|(code, network)| met(code, *network)));
    shown.extend(REPORTS.iter().map(|(code, arguments, setup)| reported(code, arguments, *setup)));
    shown.extend(HUBS.iter().map(|(code, arguments, reference, exit, setup)| of_a_hub(code, arguments, reference, *exit, *setup)));
    for (code, text) in &shown {
        insta::with_settings!({ snapshot_path => "snapshots/diagnostics", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(code.replace("::", "."), text);
        });
    }
    let shown: BTreeSet<String> = shown.into_iter().map(|(code, _)| format!("align::{code}")).collect();
    let listed: BTreeSet<String> = codes().filter(|(_, explained)| explained.is_some()).map(|(code, _)| code.to_owned()).collect();
    let excused: BTreeSet<String> = UNREACHABLE.iter().map(|code| format!("align::{code}")).collect();
    assert_eq!(shown.union(&excused).cloned().collect::<BTreeSet<_>>(), listed, "shown or excused, and listed");
    assert_eq!(shown.intersection(&excused).collect::<Vec<_>>(), Vec::<&String>::new(), "shown, and called unreachable");
    let snapshots =
        fs::read_dir("tests/snapshots/diagnostics").expect("snapshots").filter_map(|e| e.expect("an entry").file_name().into_string().ok());
    let stale: Vec<String> =
        snapshots.filter(|file| !shown.contains(&format!("align::{}", file.trim_end_matches(".snap").replace('.', "::")))).collect();
    assert_eq!(stale, Vec::<String>::new(), "snapshots without a case");
}

/// What the sources say, their own tests left out, by how often.
fn in_the_sources() -> BTreeMap<String, usize> {
    let code = Regex::new("\"(align::[a-z]+::[a-z0-9_]+)\"").expect("a pattern");
    let mut found = BTreeMap::new();
    for file in durable::files_under(Path::new("src")).expect("sources") {
        let text = fs::read_to_string(Path::new("src").join(file)).expect("a source");
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        code.captures_iter(text).for_each(|found_code| *found.entry(found_code[1].to_owned()).or_default() += 1);
    }
    found
}

#[test]
fn every_code_is_listed_once_explained_and_used() {
    let (used, listed) = (in_the_sources(), codes().collect::<Vec<_>>());
    let unlisted: Vec<&String> = used.keys().filter(|code| !listed.iter().any(|(known, _)| known == code)).collect();
    assert_eq!(unlisted, Vec::<&String>::new(), "codes that no list holds");
    for (code, explained) in &listed {
        assert_eq!(listed.iter().filter(|(other, _)| other == code).count(), 1, "{code} is listed twice");
        let Some(text) = explained else { continue };
        assert!(text.ends_with('.') && text.starts_with(|c: char| c.is_uppercase() || c == '`'), "{code}: {text}");
        assert!(used[*code] > 1, "{code} is listed, and nothing says it");
    }
}

#[test]
fn what_fails_alike_is_told_once_with_every_place() {
    let folder = Folder(tempfile::tempdir().expect("a temporary folder"));
    folder.all();
    folder
        .write("a.align", whole("…… nobody = rows.filter(.by == \"you\")\n    x = base.dpo(nobody)\n    y = base.dpo(nobody, beta: 0.2)"));
    let (exit, said) = folder.align("cpu");
    assert_eq!((exit, said.matches("\nalign::run::no_rows\n").count()), (1, 1), "{said}");
    assert!(said.contains("`x` stopped") && said.contains("`y` stopped") && said.ends_with("\n1 mistake\n"), "{said}");
}
