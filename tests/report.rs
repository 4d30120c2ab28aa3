//! Reports of real runs, by the program: what is in them, and what `--against` and `--tensorboard` say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

const RECIPE: &str = r#"
param bound: Float = 0.5
param least: Float = 10

recipe tables "Only <rows>" {
    rows = load_data("rows.jsonl") as { prompt: Dialogue, x: Float, kind: Text }
    big = rows.filter(.x > least)
    seen = big.measure(high: mean(.x > 20, over: all), size: mean(.x, over: all), by: .prompt)
    harm = big.measure(success: mean(.x > bound, over: all), by: .prompt, about: card())
    expect seen.high.lower95 > 0.2, "many rows are high"
}

fn card() -> HarmCard = {
    definition: "a large number", kind: representational, unit: instance, context: "rows", recipients: ["nobody"],
    groups: [], annotators: "none", language: "none", classifier: "a threshold", known_gaps: "everything else",
}
"#;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("a.align"), RECIPE).expect("written");
    let rows: String =
        (1..=60).map(|i| format!("{{\"prompt\": \"question {i}\", \"x\": {i}, \"kind\": \"{}\"}}\n", ["odd", "even"][i % 2])).collect();
    fs::write(folder.path().join("rows.jsonl"), rows).expect("written");
    fs::write(folder.path().join("LICENSE"), "\nThe Test Licence\n\nAnyone may test.\n").expect("written");
    folder
}

fn align(folder: &Path, args: &[&str]) -> (i32, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_align")).current_dir(folder).args(args).output().expect("the program starts");
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.code().expect("it was not killed"), said)
}

fn runs(folder: &Path) -> Vec<PathBuf> {
    let mut runs: Vec<PathBuf> = fs::read_dir(folder.join(".align/runs")).expect("runs").map(|e| e.expect("an entry").path()).collect();
    runs.sort();
    runs
}

#[test]
fn every_run_leaves_a_report_that_holds_everything() {
    let folder = folder();
    assert_eq!(align(folder.path(), &["run", "a.align", "--device", "cpu"]).0, 0);
    let page = fs::read_to_string(runs(folder.path())[0].join("report.html")).expect("a report");
    for part in ["Only \\u003crows>", "param least", "The Test Licence", "many rows are high", "default-src 'none'", "class=\\\"graph\\\""]
    {
        assert!(page.contains(part), "{part}");
    }
    let outside = page
        .match_indices("http")
        .filter(|(at, _)| !page[*at..].starts_with("http://www.w3.org/") && !page[*at..].starts_with("http-equiv"))
        .count();
    assert_eq!(outside, 0, "nothing is loaded");
    let (code, said) = align(folder.path(), &["report", "--json"]);
    let data: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(code, 0);
    let stage = |name: &str| data["stages"].as_array().expect("stages").iter().find(|s| s["name"] == name).cloned().expect("there");
    let big = stage("big");
    assert_eq!([&big["args"]["where"], &big["at"]["line"], &big["state"]], [&json!(".x > 10"), &json!(7), &json!("made")], "{big}");
    assert_eq!(data["expectations"][0]["at"]["line"], 10);
    let size = data["details"].as_array().expect("details").iter().find_map(|d| d["metrics"].get("size")).expect("its values");
    assert_eq!((size["n"].as_u64(), size["values"].as_array().map(Vec::len), size["values"][0].as_f64()), (Some(50), Some(50), Some(11.0)));
    let attack = &data["attacks"][0];
    assert_eq!(
        (attack["metric"].as_str(), attack["values"].as_array().map(Vec::len), attack["labels"]["kind"]["names"].clone()),
        (Some("success"), Some(50), json!(["even", "odd"]))
    );
    assert!(attack["card"].as_str().is_some_and(|card| card.contains("a large number")), "{}", attack["card"]);
    assert_eq!(data["files"]["rows.jsonl"]["blake3"].as_str().map(str::len), Some(32));
}

#[test]
fn a_cached_run_has_the_same_numbers_and_the_run_before_beside_them() {
    let folder = folder();
    align(folder.path(), &["run", "a.align", "--device", "cpu"]);
    align(folder.path(), &["run", "a.align", "--device", "cpu", "-p", "least=20"]);
    align(folder.path(), &["run", "a.align", "--device", "cpu"]);
    let (_, list) = align(folder.path(), &["report", "--list"]);
    let names: Vec<&str> = list.lines().collect();
    assert_eq!(names.len(), 3, "{list}");
    let data = |name: &str| serde_json::from_str::<Value>(&align(folder.path(), &["report", name, "--json"]).1).expect("JSON");
    let (first, second, third) = (data(names[0]), data(names[1]), data(names[2]));
    let seen =
        |data: &Value| data["stages"].as_array().expect("stages").iter().find(|s| s["name"] == "seen.measure").cloned().expect("there");
    assert_eq!((seen(&third)["state"].as_str(), &seen(&third)["values"]), (Some("cached"), &seen(&first)["values"]));
    assert_eq!(third["details"], first["details"]);
    assert_eq!((second["run"]["previous"].as_str(), third["run"]["previous"].as_str()), (Some(names[0]), Some(names[1])));
    assert_eq!(seen(&second)["before"], seen(&first)["values"]);
    assert_eq!(second["attacks"][0]["before_values"]["values"].as_array().map(Vec::len), Some(50));
    let (code, said) = align(folder.path(), &["report", "a.align"]);
    assert!(code == 0 && said.trim_end().ends_with("report.html") && said.contains(names[2]), "{said}");
}

#[test]
fn only_what_is_new_and_worse_fails() {
    let folder = folder();
    let run = |args: &[&str]| align(folder.path(), &[&["run", "a.align", "--device", "cpu"], args].concat());
    run(&["-p", "bound=30"]);
    let first = align(folder.path(), &["report", "--list"]).1.lines().next().expect("a run").to_owned();
    let against = || align(folder.path(), &["report", "--against", &first, "--fail-on", "new"]);
    run(&[]);
    let (code, said) = against();
    assert_eq!(code, 1, "rows from 11 to 30 are new failures: {said}");
    assert!(said.contains("red team") && said.contains("20 new of 50 cases, 0 mended") && said.contains("1 worse"), "{said}");
    run(&["-p", "bound=40"]);
    let (code, said) = against();
    assert!(code == 0 && said.contains("0 new of 50 cases, 10 mended"), "{said}");
    run(&["-p", "bound=30", "-p", "least=40"]);
    assert_eq!(against().0, 0, "the same cases fail, and fewer are asked");
    run(&["-p", "bound=30"]);
    assert_eq!(against(), (0, "nothing that counts has changed\n".to_owned()));
}

#[test]
fn event_files_are_records_of_the_format() {
    let folder = folder();
    align(folder.path(), &["run", "a.align", "--device", "cpu"]);
    let (code, said) = align(folder.path(), &["report", "--tensorboard", "logs"]);
    assert_eq!(code, 0, "{said}");
    let run = fs::read_dir(folder.path().join("logs")).expect("logs").next().expect("a run").expect("an entry").path();
    let file = fs::read_dir(run).expect("a folder").next().expect("a file").expect("an entry").path();
    let bytes = fs::read(file).expect("read");
    let (mut at, mut records) = (0, 0);
    while at < bytes.len() {
        let length = u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight"));
        at += 16 + usize::try_from(length).expect("short");
        records += 1;
    }
    assert!(at == bytes.len() && records == 2, "{records} records");
    assert!(String::from_utf8_lossy(&bytes).contains("results/seen.measure.size.lower95"));
}

#[test]
fn rows_are_drawn_as_points_and_as_cells() {
    let folder = folder();
    let recipe = r#"recipe drawn {
    rows = load_data("rows.jsonl") as { prompt: Dialogue, x: Float, kind: Text }
    few = rows.filter(.x <= 3)
    twice = figure(few, x: .x, y: 2 * .x, series: .kind, low: .x, high: 3 * .x, kind: scatter, title: "Twice", y_title: "doubled")
    map = heat(few, column: .kind, row: .x, value: .x / 2)
    expect rows.measure(x: mean(.x, over: all)).x > 1
}
"#;
    fs::write(folder.path().join("f.align"), recipe).expect("written");
    let (code, said) = align(folder.path(), &["run", "f.align", "--device", "cpu"]);
    assert_eq!(code, 0, "{said}");
    let objects = fs::read_dir(folder.path().join(".align/objects")).expect("objects").map(|e| e.expect("an entry").path());
    let mut figures: Vec<Value> =
        objects.filter_map(|o| fs::read(o.join("figure.json")).ok()).map(|text| serde_json::from_slice(&text).expect("JSON")).collect();
    figures.sort_by_key(|figure| figure["kind"] == "scatter");
    let points = json!([{ "name": "even", "points": [[1.0, 2.0, 1.0, 3.0], [3.0, 6.0, 3.0, 9.0]] }, { "name": "odd", "points": [[2.0, 4.0, 2.0, 6.0]] }]);
    assert_eq!(figures[0]["columns"], json!(["even", "odd"]));
    assert_eq!(figures[0]["rows"], json!(["1", "2", "3"]));
    assert_eq!(figures[0]["values"], json!([[0.5, null], [null, 1.0], [1.5, null]]));
    assert_eq!(
        figures[1],
        json!({ "title": "Twice", "kind": "scatter", "x": { "label": "x" }, "y": { "label": "doubled" }, "series": points })
    );
    let page = fs::read_to_string(runs(folder.path())[0].join("report.html")).expect("a report");
    assert!(page.contains("Twice") && page.contains("\"kind\":\"heat\""));
}

/// Sweeps and rounds are tables, also where a value leads to a stage that stands elsewhere too.
#[test]
fn a_loop_is_a_table_of_its_numbers() {
    let folder = folder();
    let recipe = r#"recipe swept {
    rows = load_data("rows.jsonl") as { prompt: Dialogue, x: Float, kind: Text }
    beyond = rows.filter(.x > 20)
    outside = beyond.measure(size: mean(.x, over: all), high: mean(.x > 50, over: all))
    rates = sweep least in [10, 20, 30] {
        big = rows.filter(.x > least)
        seen = big.measure(size: mean(.x, over: all), high: mean(.x > 50, over: all))
    } keep max(seen.size)
    walk = repeat round in 1..=3 carrying rest = rows {
        rest = rest.filter(.x > 10 * round)
        seen = rest.measure(size: mean(.x, over: all))
        gate seen.size < 44
    }
    grid = sweep factor in [1, 2], of in [rows, beyond] {
        seen = of.measure(size: mean(factor * .x, over: all))
    }
    expect outside.size > 0
}
"#;
    fs::write(folder.path().join("a.align"), recipe).expect("written");
    let (code, said) = align(folder.path(), &["run", "a.align", "--device", "cpu"]);
    assert_eq!(code, 0, "{said}");
    let data: Value = serde_json::from_str(&align(folder.path(), &["report", "--json"]).1).expect("JSON");
    let loops = data["loops"].as_array().expect("a list");
    let round = |at: usize, round: usize| loops[at]["rounds"][round].clone();
    let means = |at: usize| -> Vec<f64> {
        let column = loops[at]["columns"].as_array().expect("columns").iter().position(|c| c == "seen.size").expect("a column");
        let rounds = loops[at]["rounds"].as_array().expect("rounds").iter();
        rounds.filter_map(|r| r["numbers"][column]["mean"].as_f64()).collect()
    };
    let names: Vec<&Value> = loops.iter().map(|l| &l["loop"]).collect();
    assert_eq!(names, ["rates", "walk", "grid"], "{data}");
    assert_eq!((&loops[0]["axes"], &loops[0]["columns"]), (&json!(["least"]), &json!(["seen.high", "seen.size"])));
    assert_eq!([0, 1, 2].map(|i| round(0, i)["values"].clone()), [json!([10]), json!([20]), json!([30])]);
    assert_eq!((means(0), [0, 1, 2].map(|i| round(0, i)["kept"] == true)), (vec![35.5, 40.5, 45.5], [false, false, true]));
    assert_eq!(round(0, 1)["numbers"][1]["n"], 40, "the stage that stands outside the loop too");
    // the gate closes behind the second round
    assert_eq!((&loops[1]["axes"], means(1)), (&json!(["round"]), vec![35.5, 40.5, 45.5]));
    assert_eq!([0, 1, 2].map(|i| round(1, i)["kept"] == true), [false, true, false]);
    assert_eq!(round(2, 3)["values"], json!([2, "beyond"]), "what is no number goes by what was written");
    assert_eq!(means(2), [30.5, 40.5, 61.0, 81.0]);
    assert_eq!(means(2).len(), loops[2]["rounds"].as_array().map_or(0, Vec::len));
}
