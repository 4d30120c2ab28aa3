//! Plans and runs of recipes made of toys: what runs, what is cached, what stops what, and what is left behind.

use std::fs;
use std::sync::Arc;

use align::formula::expr::{Formula, Output};
use align::plan::{DeviceClass, State};
use align::recipe::checked::{Arg, Condition, Export};
use align::recipe::types::Type;
use align::run::{Event, Status, export_refusals};
use align::value::Cell;
// the builder below is shared with the crate's own tests and says `crate::…`
use align::{formula, recipe, syntax, value};

#[path = "../src/plan/testing.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod testing;
mod toys;

use testing::{Sketch, constant, span, word};
use toys::{Bench, Ran};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn number(x: f64) -> Arg {
    Arg::Value(Cell::Float(x))
}

fn count(n: i64) -> Arg {
    Arg::Value(Cell::Int(n))
}

fn numbers(sketch: &mut Sketch, name: &str, n: i64, plus: Arg) -> Output {
    sketch.stage(name, "numbers", vec![("count", count(n)), ("plus", plus)])
}

fn learn(sketch: &mut Sketch, name: &str, data: &Output, steps: i64) -> Output {
    let args = vec![("data", Arg::Artifact(data.clone())), ("steps", count(steps)), ("pause", count(0))];
    let network = sketch.typed(name, "learn", args, Type::Model);
    sketch.checked.stages[network.stage.0].extras = [("loss".into(), Type::Float)].into();
    network
}

/// data → halves → policy
fn small(steps: i64) -> Sketch {
    let mut sketch = Sketch::default();
    let data = numbers(&mut sketch, "data", 10, number(0.5));
    let half = sketch.stage("half", "half", vec![("data", Arg::Artifact(data))]);
    let even = Output { path: vec!["even".into()], ..half };
    learn(&mut sketch, "policy", &even, steps);
    sketch
}

fn states(bench: &Bench, sketch: &Sketch) -> Vec<String> {
    bench.plan(sketch).nodes.iter().map(|node| node.state.to_string()).collect()
}

fn statuses((outcome, _): &Ran) -> Vec<&'static str> {
    let name = |status: &Status| match status {
        Status::Pending => "left",
        Status::Made { .. } => "made",
        Status::Cached => "cached",
        Status::Skipped => "skipped",
        Status::Failed => "failed",
        Status::Blocked => "blocked",
    };
    outcome.statuses.iter().map(name).collect()
}

#[test]
fn the_second_run_is_cached() {
    let folder = folder();
    let bench = Bench::new(folder.path());
    assert_eq!(states(&bench, &small(5)), ["run", "run", "run"]);
    let first = bench.run(&small(5));
    assert_eq!((statuses(&first), first.0.exit_code()), (vec!["made", "made", "made"], 0));
    assert_eq!(states(&bench, &small(5)), ["cached", "cached", "cached"]);
    assert_eq!(statuses(&bench.run(&small(5))), ["cached", "cached", "cached"]);
    assert_eq!(bench.log(), ["numbers", "half", "learn from 0"]);
}

#[test]
fn a_changed_argument_runs_its_stage_and_what_depends_on_it() {
    let folder = folder();
    let bench = Bench::new(folder.path());
    bench.run(&small(5));
    assert_eq!(states(&bench, &small(6)), ["cached", "cached", "run"]);
    let mut other = small(5);
    other.checked.stages[0].args.insert("plus".into(), number(0.75));
    assert_eq!(states(&bench, &other), ["run", "run", "run"]);
    let text = bench.plan(&other).explain(formula::expr::StageId(2), &bench.store()).text(&bench.plan(&other));
    assert!(text.contains("input `data`: `half.even` is another artifact now"), "{text}");
    assert!(text.contains("because of `data`: argument `plus`: 0.5 → 0.75"), "{text}");
}

#[test]
fn names_places_and_order_change_nothing() {
    let folder = folder();
    let bench = Bench::new(folder.path());
    let fingerprints = |sketch: &Sketch| bench.plan(sketch).nodes.iter().map(|n| n.fingerprint.clone()).collect::<Vec<_>>();
    let before = fingerprints(&small(5));
    let mut renamed = small(5);
    for stage in &mut renamed.checked.stages {
        stage.name += "_2";
        stage.span = span(77);
    }
    assert_eq!(fingerprints(&renamed), before);
    // another stage first: every place in the list moves
    let mut moved = Sketch::default();
    numbers(&mut moved, "other", 3, number(0.0));
    let data = numbers(&mut moved, "data", 10, number(0.5));
    let half = moved.stage("half", "half", vec![("data", Arg::Artifact(data))]);
    learn(&mut moved, "policy", &Output { path: vec!["even".into()], ..half }, 5);
    assert_eq!(fingerprints(&moved)[1..], before);
}

#[test]
fn only_stages_that_read_networks_depend_on_the_device() {
    let folder = folder();
    let bench = Bench::new(folder.path());
    let mut sketch = small(5);
    let policy = Output { stage: formula::expr::StageId(2), path: vec![] };
    learn(&mut sketch, "again", &policy, 5);
    let (cpu, gpu) = (bench.plan_on(&sketch, DeviceClass::Cpu), bench.plan_on(&sketch, DeviceClass::Gpu));
    let same: Vec<bool> = cpu.nodes.iter().zip(&gpu.nodes).map(|(a, b)| a.fingerprint == b.fingerprint).collect();
    assert_eq!(same, [true, true, true, false]);
    // chance is the same on both
    assert_eq!(cpu.nodes[3].stream, gpu.nodes[3].stream);
}

#[test]
fn an_interrupted_stage_goes_on_and_ends_in_the_same_bytes() {
    let (whole, broken) = (folder(), folder());
    let reference = Bench::new(whole.path());
    reference.run(&small(40));
    let mut bench = Bench::new(broken.path());
    let ran = bench.listen(&small(40), &|event| {
        if matches!(event, Event::Progress { progress, .. } if progress.step == 17) {
            bench.interrupt();
        }
    });
    assert_eq!((statuses(&ran), ran.0.exit_code()), (vec!["made", "made", "left"], 130));
    assert!(matches!(&ran.1[..], [.., Event::Interrupted { step: Some(17), .. }, Event::Finished { .. }]));
    assert_eq!(states(&bench, &small(40)), ["cached", "cached", "resume at step 17"]);
    bench.interrupted = false.into();
    assert_eq!(statuses(&bench.run(&small(40))), ["cached", "cached", "made"]);
    assert_eq!(bench.log().last().map(String::as_str), Some("learn from 17"));
    assert_eq!(bench.contents(), reference.contents());
}

#[test]
fn a_failure_stops_only_what_needs_it() {
    let folder = folder();
    let bench = Bench::new(folder.path());
    let mut sketch = Sketch::default();
    let broken = sketch.stage("broken", "break", vec![]);
    sketch.stage("needs_it", "half", vec![("data", Arg::Artifact(broken))]);
    numbers(&mut sketch, "free", 3, number(0.0));
    let ran = bench.run(&sketch);
    assert_eq!((statuses(&ran), ran.0.exit_code()), (vec!["failed", "blocked", "made"], 1));
    assert_eq!(ran.0.failures[0].labels[0].text, "`broken` stopped at step 41: loss = NaN");
    assert_eq!(statuses(&bench.run(&sketch)), ["failed", "blocked", "cached"]);
}

#[test]
fn expectations_are_all_judged_with_their_numbers() {
    let folder = folder();
    let bench = Bench::new(folder.path());
    let mut sketch = Sketch::default();
    let data = numbers(&mut sketch, "data", 5, number(0.0));
    let mean = sketch.part(&data, "mean");
    sketch.expect("data.mean > 1", word(">", vec![mean.clone(), constant(1.0)]));
    sketch.expect("data.mean > 3", word(">", vec![mean, constant(3.0)]));
    sketch.checked.exports.push(Export {
        what: data,
        ty: Type::Data(recipe::types::Row::new()),
        path: "out.jsonl".into(),
        form: None,
        span: span(1),
    });
    let ran = bench.run(&sketch);
    let held: Vec<_> = ran.0.verdicts.iter().map(|v| (v.holds, v.parts[0].name.as_str(), v.numbers())).collect();
    assert_eq!(held[0], (Some(true), "data.mean", "2.000 [1.500, 2.500] vs 1.000".to_owned()));
    assert_eq!(held[1].0, Some(false));
    assert_eq!(ran.0.exit_code(), 1);
    // what was expected does not hold, so nothing leaves the store
    assert!(ran.1.iter().any(|e| matches!(e, Event::Withheld { .. })));
    assert!(!bench.folder.join("out.jsonl").exists());
}

#[test]
fn numbers_of_other_stages_become_arguments() {
    let folder = folder();
    let bench = Bench::new(folder.path());
    let mut sketch = Sketch::default();
    let first = numbers(&mut sketch, "first", 5, number(0.0));
    let late = word("*", vec![constant(10.0), sketch.part(&first, "mean")]);
    let second = numbers(&mut sketch, "second", 1, Arg::Formula(late));
    let mean = sketch.part(&second, "mean");
    sketch.expect("second.mean == 20", word("==", vec![mean, constant(20.0)]));
    assert_eq!(bench.run(&sketch).0.exit_code(), 0);
}

/// round 1 → gate → round 2, then `keep`
fn rounds(gate: f64) -> Sketch {
    let mut sketch = Sketch::default();
    let first = numbers(&mut sketch, "loop.1.data", 5, number(0.0));
    let second = numbers(&mut sketch, "loop.2.data", 6, number(0.0));
    let after = sketch.stage("loop.2.half", "half", vec![("data", Arg::Artifact(second.clone()))]);
    let formula: Formula = word(">", vec![sketch.part(&first, "mean"), constant(gate)]);
    for stage in [&second, &after] {
        let condition = Condition { formula: formula.clone(), holds: true, message: Some("good enough to go on".into()) };
        sketch.checked.stages[stage.stage.0].when.push(condition);
    }
    let kept = sketch.stage("loop.data", "keep", vec![("candidates", Arg::Artifacts(vec![first, second]))]);
    let mean = sketch.part(&kept, "mean");
    sketch.expect("loop.data.mean > 0", word(">", vec![mean, constant(0.0)]));
    sketch
}

#[test]
fn a_closed_gate_ends_the_rounds_and_keep_takes_what_there_is() {
    let folder = folder();
    let bench = Bench::new(folder.path());
    assert_eq!(states(&bench, &rounds(1.0)), ["run", "maybe", "maybe", "run"]);
    let open = bench.run(&rounds(1.0));
    assert_eq!(statuses(&open), ["made", "made", "made", "made"]);
    assert_eq!(open.0.verdicts[0].parts[0].value.number(), Some(2.5));
    // what the gate asks has changed: the rounds are cached, but another one counts
    assert_eq!(states(&bench, &rounds(9.0)), ["cached", "skip", "skip", "run"]);
    let closed = bench.run(&rounds(9.0));
    assert_eq!((statuses(&closed), closed.0.exit_code()), (vec!["cached", "skipped", "skipped", "made"], 0));
    assert_eq!(closed.0.verdicts[0].parts[0].value.number(), Some(2.0));
    let because = closed.1.iter().find_map(|e| if let Event::Skipped { because, .. } = e { Some(because.clone()) } else { None });
    assert_eq!(because.as_deref(), Some("the gate `loop.1.data.mean > 9` is closed: good enough to go on"));
}

#[test]
fn a_damaged_artifact_is_set_aside_and_made_again() {
    let folder = folder();
    let bench = Bench::new(folder.path());
    bench.run(&small(5));
    let before = bench.contents();
    let half = bench.plan(&small(5)).nodes[1].fingerprint.clone();
    let file = bench.folder.join(format!(".align/objects/{half}/even.jsonl"));
    let mut bytes = fs::read(&file).expect("there");
    bytes[3] ^= 1;
    fs::write(&file, bytes).expect("written");
    let plan = bench.plan(&small(5));
    assert_eq!(plan.nodes[1].state, State::Run);
    assert_eq!(plan.warnings[0].message, "the stored result of `half` is damaged: `even.jsonl` has other content than when it was written");
    assert_eq!(statuses(&bench.run(&small(5))), ["cached", "made", "cached"]);
    assert_eq!(bench.contents(), before);
    assert_eq!(fs::read_dir(bench.folder.join(".align/damaged")).expect("set aside").count(), 1);
}

#[test]
fn silent_damage_is_found_when_the_artifact_is_read() {
    let folder = folder();
    let bench = Bench::new(folder.path());
    bench.run(&small(5));
    let half = bench.plan(&small(5)).nodes[1].fingerprint.clone();
    let file = bench.folder.join(format!(".align/objects/{half}/even.jsonl"));
    let time = fs::metadata(&file).and_then(|m| m.modified()).expect("there");
    let mut bytes = fs::read(&file).expect("there");
    bytes[3] ^= 1;
    fs::write(&file, bytes).expect("written");
    fs::File::options().write(true).open(&file).and_then(|f| f.set_modified(time)).expect("time set");
    // size and time say nothing; a stage that reads it does
    assert_eq!(statuses(&bench.run(&small(5))), ["cached", "cached", "cached"]);
    let ran = bench.run(&small(6));
    assert_eq!(statuses(&ran), ["cached", "made", "made"]);
    assert!(ran.1.iter().any(|e| matches!(e, Event::Warning { warning, .. } if warning.code == "align::run::damaged_artifact")));
}

#[test]
fn outside_files_count_by_content_and_are_pinned() {
    let folder = folder();
    let bench = Bench::new(folder.path());
    let load = |path: &str| {
        let mut sketch = Sketch::default();
        sketch.stage("rows", "load", vec![("path", Arg::Value(Cell::text(path)))]);
        sketch
    };
    fs::write(bench.folder.join("a.txt"), "one\ntwo\n").expect("written");
    bench.run(&load("a.txt"));
    fs::rename(bench.folder.join("a.txt"), bench.folder.join("b.txt")).expect("renamed");
    assert_eq!(states(&bench, &load("b.txt")), ["cached"]);
    bench.run(&load("b.txt"));
    fs::write(bench.folder.join("b.txt"), "one\nthree\n").expect("written");
    let plan = bench.plan(&load("b.txt"));
    assert_eq!(plan.nodes[0].state, State::Run);
    assert_eq!(plan.warnings[0].message, "`b.txt` is not the file this recipe was last run with");
    bench.run(&load("b.txt"));
    assert!(bench.plan(&load("b.txt")).warnings.is_empty());
}

#[test]
fn exports_never_overwrite_what_somebody_else_wrote() {
    let folder = folder();
    let bench = Bench::new(folder.path());
    let mut sketch = small(5);
    let policy = Output { stage: formula::expr::StageId(2), path: vec![] };
    let export = |sketch: &mut Sketch, path: &str| {
        sketch.checked.exports = vec![Export { what: policy.clone(), ty: Type::Model, path: path.into(), form: None, span: span(9) }];
    };
    export(&mut sketch, "out/policy");
    assert_eq!(export_refusals(&sketch.checked.exports, &bench.folder), []);
    bench.run(&sketch);
    let weights = bench.folder.join("out/policy/weights.safetensors");
    assert!(weights.exists());
    let again = bench.run(&sketch);
    assert!(again.1.iter().any(|e| matches!(e, Event::Exported { unchanged: true, .. })));
    // another policy may take the place of the one that align put there
    sketch.checked.stages[2].args.insert("steps".into(), count(6));
    let before = fs::read(&weights).expect("there");
    assert_eq!(bench.run(&sketch).0.exit_code(), 0);
    assert_ne!(fs::read(&weights).expect("there"), before);
    // but not once somebody has changed it
    fs::write(bench.folder.join("out/policy/README.md"), "mine").expect("written");
    assert_eq!(export_refusals(&sketch.checked.exports, &bench.folder)[0].code, "align::run::export_exists");
    sketch.checked.stages[2].args.insert("steps".into(), count(7));
    assert_eq!(bench.run(&sketch).0.exit_code(), 1);
    assert_eq!(fs::read(bench.folder.join("out/policy/README.md")).expect("there"), b"mine");
    assert_eq!(fs::read_dir(bench.folder.join("out")).expect("a folder").count(), 1, "nothing half-made stays");
}

#[test]
fn warnings_are_said_again_when_the_artifact_is_reused() {
    let folder = folder();
    let bench = Bench::new(folder.path());
    let mut sketch = Sketch::default();
    numbers(&mut sketch, "many", 100, number(0.0));
    let warned = |ran: &Ran| ran.1.iter().any(|e| matches!(e, Event::Warning { warning, .. } if warning.code == "align::toy::many"));
    assert!(warned(&bench.run(&sketch)));
    assert!(warned(&bench.run(&sketch)));
}

#[test]
fn a_run_leaves_its_numbers_behind() {
    let folder = folder();
    let bench = Bench::new(folder.path());
    let (outcome, _) = bench.run(&small(3));
    let read = |name: &str| fs::read_to_string(outcome.folder.join(name)).expect("written");
    let metrics: Vec<serde_json::Value> = read("metrics.jsonl").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(metrics.len(), 3);
    assert_eq!((&metrics[1]["stage"], &metrics[1]["step"], &metrics[1]["loss"]), (&"policy".into(), &2.into(), &0.5.into()));
    let summary: serde_json::Value = serde_json::from_str(&read("summary.json")).expect("JSON");
    assert_eq!((&summary["tally"]["made"], &summary["exit"]), (&3.into(), &0.into()));
    assert_eq!(summary["stages"][2]["values"]["loss"], 1.0 / 3.0);
    assert!(read("events.jsonl").lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    assert!(fs::read_dir(bench.folder.join(".align/partial")).expect("a folder").next().is_none());
}

#[test]
fn planning_takes_time_in_proportion_to_the_stages() {
    let folder = folder();
    let bench = Bench::new(folder.path());
    let mut seconds = [1_000, 10_000].map(|stages| {
        let mut sketch = Sketch::default();
        let mut last = numbers(&mut sketch, "data", 3, number(0.0));
        for i in 0..stages {
            last =
                Output { path: vec![Arc::from("even")], ..sketch.stage(&format!("half{i}"), "half", vec![("data", Arg::Artifact(last))]) };
        }
        let begun = std::time::Instant::now();
        assert_eq!(bench.plan(&sketch).nodes.len(), stages + 1);
        begun.elapsed().as_secs_f64()
    });
    // other programs may take the processor away for a while, but not fourfold
    seconds[0] *= 40.0;
    assert!(seconds[1] < seconds[0], "{seconds:?}");
}
