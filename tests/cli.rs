//! The program as a person meets it: what it prints, and how it exits.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const RECIPE: &str = r#"
/// Rows below it are dropped.
param least: Float in 0.0.. = 3

recipe tables "Only rows" {
    rows = load_data("rows.jsonl") as { prompt: Dialogue, x: Float }
    big  = rows.filter(.x > least)
    part = big.split(test: 50%, by: .prompt)
    mean = part.train.with(y: .x * 2).measure(y: mean(.y, over: all))
    expect mean.y > 5, "large rows only"
    export part.train to "out/train.jsonl"
}

profile smoke { least = 1 }
"#;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("a.align"), RECIPE).expect("written");
    let rows: String = (1..=40).map(|i| format!("{{\"prompt\": \"question {i}\", \"x\": {i}}}\n")).collect();
    fs::write(folder.path().join("rows.jsonl"), rows).expect("written");
    folder
}

fn align(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_align"));
    command.current_dir(folder).args(args).output().expect("the program starts")
}

/// Exit code, standard output, standard error.
fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("it was not killed"), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_recipe_runs_once_and_is_cached_after() {
    let folder = folder();
    let (code, out, err) = said(&align(folder.path(), &["run", "a.align", "--device", "cpu"]));
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.starts_with("tables \"Only rows\" on cpu (--device cpu): 5 stages, 0 cached\n"), "{out}");
    assert!(out.contains("exported part.split.train to out/train.jsonl"), "{out}");
    assert!(folder.path().join("out/train.jsonl").exists());
    let (code, out, _) = said(&align(folder.path(), &["run", "a.align", "--device", "cpu"]));
    assert_eq!(code, 0);
    assert!(out.contains("done: 5 cached; the expectation holds"), "{out}");
}

#[test]
fn a_comment_or_a_name_changes_nothing_and_a_number_does() {
    let folder = folder();
    align(folder.path(), &["run", "a.align", "--device", "cpu"]);
    let states = |args: &[&str]| {
        let (code, out, err) = said(&align(folder.path(), &[&["plan", "a.align", "--json", "--device", "cpu"], args].concat()));
        assert_eq!(code, 0, "{err}");
        let plan: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        let states = plan["stages"].as_array().expect("a list").iter().map(|stage| stage["state"].as_str().expect("a text").to_owned());
        states.collect::<Vec<_>>()
    };
    assert_eq!(states(&[]), ["cached"; 5]);
    fs::write(folder.path().join("a.align"), RECIPE.replace("big", "larger").replace("rows = load", "// a note\n    rows = load"))
        .expect("written");
    assert_eq!(states(&[]), ["cached"; 5]);
    assert_eq!(states(&["-p", "least=4"]), ["cached", "run", "run", "run", "run"]);
    assert_eq!(states(&["--profile", "smoke"]), ["cached", "run", "run", "run", "run"]);
    let (_, out, _) = said(&align(folder.path(), &["explain", "part", "a.align", "-p", "least=4", "--device", "cpu"]));
    assert_eq!(align(folder.path(), &["explain", "part", "-p", "least=4", "--device", "cpu"]).stdout, out.as_bytes(), "the only recipe");
    assert!(out.contains("input `data`: `larger` is another artifact than `big` was"), "{out}");
}

#[test]
fn events_are_one_object_a_line() {
    let folder = folder();
    let (code, out, _) = said(&align(folder.path(), &["run", "a.align", "--json", "--device", "cpu"]));
    assert_eq!(code, 0);
    let events: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&events[0]["event"], &events[0]["device"]), (&"started".into(), &"cpu".into()));
    assert_eq!(events.last().expect("events")["tally"]["made"], 5);
}

#[test]
fn what_goes_wrong_has_its_exit_code() {
    let folder = folder();
    let code = |args: &[&str]| said(&align(folder.path(), args)).0;
    assert_eq!(code(&["check", "a.align"]), 0);
    assert_eq!(code(&["run", "a.align", "-p", "least=100"]), 1, "a stage fails or an expectation does");
    assert_eq!(code(&["run", "nothing.align"]), 1);
    let (_, _, err) = said(&align(folder.path(), &["run", "a"]));
    assert_eq!(err, "`a` does not exist; did you mean `a.align`?\n");
    assert_eq!(code(&["run"]), 2);
    assert_eq!(code(&["run", "a.align", "--device", "abacus"]), 2);
    assert_eq!(code(&["help"]), 0);
    assert_eq!(code(&["--version"]), 0);
    fs::write(folder.path().join("b.align"), "recipe b {\n    x = nothing_like_it(1)\n}\n").expect("written");
    let (code, _, err) = said(&align(folder.path(), &["check", "b.align"]));
    assert_eq!(code, 1);
    assert!(err.contains("b.align:2"), "{err}");
}

#[test]
fn an_export_over_a_strangers_file_is_refused_before_anything_runs() {
    let folder = folder();
    fs::create_dir(folder.path().join("out")).expect("made");
    fs::write(folder.path().join("out/train.jsonl"), "mine\n").expect("written");
    let (code, _, err) = said(&align(folder.path(), &["run", "a.align"]));
    assert_eq!(code, 1);
    assert!(err.contains("align::run::export_exists"), "{err}");
    assert!(!folder.path().join(".align").exists());
    assert_eq!(fs::read(folder.path().join("out/train.jsonl")).expect("there"), b"mine\n");
}

#[test]
fn graphs_come_in_four_forms() {
    let folder = folder();
    let drawn = |args: &[&str]| said(&align(folder.path(), &[&["graph", "a.align"], args].concat())).1;
    assert!(drawn(&[]).contains("└─ rows"), "{}", drawn(&[]));
    assert!(drawn(&["--format", "svg"]).starts_with("<svg "));
    assert!(drawn(&["--format", "dot"]).starts_with("digraph \"tables\""));
    assert!(drawn(&["--format", "mermaid"]).starts_with("flowchart TD\n"));
}

#[test]
fn help_shows_the_library_and_codes() {
    let folder = folder();
    let help = |name: &str| said(&align(folder.path(), &["help", name]));
    assert!(help("filter").1.contains("extern stage filter"));
    assert!(help("align::run::export_exists").1.contains("overwrite"));
    assert!(help("run").1.contains("--profile"));
    let (code, _, err) = help("filtr");
    assert_eq!((code, err.as_str()), (1, "nothing is called `filtr`; did you mean `filter`?\n"));
}

#[test]
fn a_network_is_measured_against_its_device() {
    let folder = folder();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/quickstart").display().to_string();
    let small = ["--batch", "2", "--prompt", "8", "--completion", "4", "--device", "cpu"];
    let (code, out, err) = said(&align(folder.path(), &[&["bench", &model, "--json"], &small[..]].concat()));
    assert_eq!(code, 0, "{err}");
    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |end: &str| lines.iter().find(|line| line["what"].as_str().expect("a name").ends_with(end)).expect("measured");
    for line in &lines {
        assert!(line["seconds"].as_f64().is_some_and(|s| s > 0.0) && line["flops"].as_f64().is_some_and(|s| s > 0.0), "{line}");
    }
    assert!(of("head")["of_matrix_flops"].as_f64().is_some_and(|share| share < 1.5));
    assert!(of("attention")["tokens_per_second"].is_null());
    let step = of("training step");
    let tokens = step["tokens_per_second"].as_f64().expect("a rate") * step["seconds"].as_f64().expect("a time");
    assert!((tokens - 24.0).abs() < 1e-6, "two sequences of twelve tokens: {tokens}");
    assert!(of("sampling")["bytes_per_second"].as_f64().is_some_and(|rate| rate > 0.0));
    let (_, out, _) = said(&align(folder.path(), &[&["bench", &model], &small[..]].concat()));
    assert!(out.contains("GFLOP/s in matrix products") && out.contains("training step"), "{out}");
}

#[test]
fn tuning_says_which_adapter_is_missing() {
    let folder = folder();
    let (code, out, err) = said(&align(folder.path(), &["devices", "--tune", "gpu:97"]));
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("align::engine::no_device") && err.contains("`align devices` lists what there is"), "{err}");
    let (code, _, err) = said(&align(folder.path(), &["devices", "--tune", "cpu"]));
    assert_eq!(code, 2);
    assert!(err.contains("expected gpu, gpu:N or gpu:software"), "{err}");
}
