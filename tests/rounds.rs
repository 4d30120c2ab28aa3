//! Rounds with gates, as a person runs them: the golden case of `methods.json`, and what a gate does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn run(folder: &Path, recipe: &str) -> Output {
    fs::write(folder.join("r.align"), recipe).expect("a file");
    Command::new(env!("CARGO_BIN_EXE_align"))
        .current_dir(folder)
        .args(["run", "r.align", "--device", "cpu"])
        .output()
        .expect("the binary runs")
}

fn rows(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).expect("a row")).collect()
}

/// Rounds that score as a list says, each told by a row; the loop stops when a round gains less than `gain`.
fn scored(scores: &[f64], gain: f64) -> String {
    let count = scores.len();
    format!(
        "recipe gates {{
    loop = repeat round in 0..{count} carrying told = none {{
        told = mix([told, blank(1).select(round: round, score: {scores:?}[round])])
        own = blank(1).select(round: round, score: {scores:?}[round])
        score = own.measure(mean: mean(.score, over: all)).mean
    }} until (if round == 0 then false else score.mean - previous.score.mean < {gain}) keep max(score)
    export loop.own to \"best.jsonl\"
    export loop.told to \"told.jsonl\"
}}
"
    )
}

#[test]
fn the_loop_stops_where_gains_end_and_keeps_the_best_round() {
    let file = std::env::var_os("ALIGN_GOLDEN").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), PathBuf::from);
    let golden: Value = serde_json::from_slice(&fs::read(file.join("methods.json")).expect("the golden file")).expect("JSON");
    let cases = golden["cases"].as_array().expect("a list").iter().filter(|case| case["id"] == "self_correct.pass_gate");
    let mut seen = 0;
    for case in cases {
        let scores: Vec<f64> = case["inputs"]["scores_by_round"].as_array().expect("a list").iter().filter_map(Value::as_f64).collect();
        assert_eq!(case["inputs"]["patience"], 1, "the recipe below waits for one round");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let said = run(folder.path(), &scored(&scores, case["inputs"]["min_gain"].as_f64().expect("a number")));
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        assert_eq!(rows(&folder.path().join("best.jsonl"))[0]["round"], case["expected"]["best_round"]);
        // the best round of this case is also the one after which the loop stops, and it has seen every round before
        assert_eq!(
            rows(&folder.path().join("told.jsonl")).len() as u64,
            case["expected"]["stop_after_round"].as_u64().expect("a place") + 1
        );
        seen += 1;
    }
    assert_eq!(seen, 1);
}

#[test]
fn a_round_that_fails_its_gate_does_not_count() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recipe = "recipe gates {
    loop = repeat round in 1..=3 carrying kept = blank(20).select(x: 1.0) {
        kept = blank(20).select(x: if round == 2 then -1.0 else 1.0 * round)
        seen = kept.measure(x: mean(.x, over: all))
        gate lower(seen.x, looks: 3) > 0, \"it must not do harm\"
    }
    export loop.kept to \"kept.jsonl\"
}
";
    let said = run(folder.path(), recipe);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let kept = rows(&folder.path().join("kept.jsonl"));
    assert_eq!(kept[0]["x"], 1.0, "the harmful second round ends the loop, and the first stays");
}

/// A profile that limits the work tries every line out: a gate that so little cannot pass does not end the trial.
#[test]
fn a_limited_run_has_open_gates() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recipe = "recipe gates {
    loop = repeat round in 1..=2 carrying told = none {
        told = blank(8).select(x: round)
        seen = told.measure(x: mean(.x, over: all))
        gate seen.x > 5
    } keep max(seen.x)
    picked = loop.told.measure(x: mean(.x, over: all))
    expect picked.x > 5
}

profile smoke {
    limit count = 2
}
";
    let whole = run(folder.path(), recipe);
    assert_eq!(whole.status.code(), Some(1), "{}", String::from_utf8_lossy(&whole.stdout));
    assert!(String::from_utf8_lossy(&whole.stdout).contains("no_round") || String::from_utf8_lossy(&whole.stderr).contains("no_round"));
    let limited = Command::new(env!("CARGO_BIN_EXE_align"))
        .current_dir(folder.path())
        .args(["run", "r.align", "--device", "cpu", "--profile", "smoke"])
        .output()
        .expect("the binary runs");
    assert_eq!(limited.status.code(), Some(0), "{}", String::from_utf8_lossy(&limited.stderr));
}
