//! `align chat`, `align generate` and `align score`, on the story model.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

const STORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/recipes/quickstart");

/// Exit code, standard output, standard error, after these lines were typed.
fn align_in(folder: &Path, args: &[&str], typed: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_align"));
    command.current_dir(folder).args(args).args(["--device", "cpu"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    child.stdin.take().expect("it is piped").write_all(typed.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("it was not killed"), text(&output.stdout), text(&output.stderr))
}

fn align(args: &[&str], typed: &str) -> (i32, String, String) {
    align_in(Path::new(env!("CARGO_MANIFEST_DIR")), args, typed)
}

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/real-models.json");
    let whole: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("a golden")).expect("JSON");
    whole["models"]["stories260k"][0].clone()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().expect("a text")
}

#[test]
fn greedy_text_is_that_of_transformers() {
    let case = golden();
    let count = case["greedy_ids"].as_array().expect("ids").len().to_string();
    let (code, out, err) = align(&["generate", STORY, text(&case, "input"), "--temperature", "0", "--max-tokens", &count], "");
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out.trim(), text(&case, "greedy_text").trim());
    let piped = align(&["generate", STORY, "--temperature", "0", "--max-tokens", &count], &format!("{}\n", text(&case, "input")));
    assert_eq!(piped.1, out, "a line of standard input is a prompt too");
}

#[test]
fn scores_are_those_of_transformers() {
    let case = golden();
    let (code, out, _) = align(&["score", STORY, text(&case, "input"), "--json"], "");
    assert_eq!(code, 0);
    let found: Value = serde_json::from_str(&out).expect("JSON");
    let said: Vec<f64> = found["tokens"].as_array().expect("tokens").iter().filter_map(|token| token["logp"].as_f64()).collect();
    let expected: Vec<f64> = case["next_token_logps"].as_array().expect("numbers").iter().filter_map(Value::as_f64).collect();
    assert_eq!(said.len(), expected.len());
    assert!(said.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 2e-3), "{said:?} {expected:?}");
    let ids: Vec<String> = case["ids"].as_array().expect("ids").iter().map(Value::to_string).collect();
    let (_, by_ids, _) = align(&["score", STORY, "--ids", &ids.join(","), "--json"], "");
    assert_eq!(by_ids, out);
}

#[test]
fn a_completion_and_a_dialogue_score_what_answers() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pair = align(&["score", STORY, "--prompt", "Once upon a time", "--completion", ", there was a cat.", "--json"], "").1;
    let turns = "[{\"role\": \"user\", \"content\": \"Once upon a time\"}, {\"role\": \"assistant\", \"content\": \", there was a cat.\"}]";
    std::fs::write(folder.path().join("talk.json"), turns).expect("written");
    let dialogue = align_in(folder.path(), &["score", STORY, "--dialogue", "talk.json", "--json"], "").1;
    assert_eq!(pair, dialogue);
    let (_, table, _) = align(&["score", STORY, "--prompt", "Once upon a time", "--completion", ", there was a cat."], "");
    assert!(table.contains("\" there\"") && table.contains("perplexity"), "{table}");
}

#[test]
fn several_answers_have_their_own_draws_and_seeds_repeat_them() {
    let samples = |seed: &str| -> Vec<Value> {
        let args = ["generate", STORY, "Once upon a time", "Tim was", "-n", "3", "--max-tokens", "12", "--seed", seed, "--json"];
        let (code, out, _) = align(&args, "");
        assert_eq!(code, 0);
        out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let first = samples("1");
    assert_eq!(first.len(), 6);
    assert_ne!(text(&first[0], "completion"), text(&first[1], "completion"));
    assert_eq!(first, samples("1"));
    assert_ne!(first, samples("2"));
}

#[test]
fn a_stop_text_ends_an_answer_and_is_left_out() {
    let whole = align(&["generate", STORY, "Once upon a time", "--temperature", "0", "--max-tokens", "60"], "").1;
    let cut = align(&["generate", STORY, "Once upon a time", "--temperature", "0", "--max-tokens", "60", "--stop", ". "], "").1;
    assert_eq!(cut.trim_end(), whole.split(". ").next().expect("a sentence"));
}

#[test]
fn a_conversation_goes_on_and_can_be_taken_back() {
    let args = ["chat", STORY, "--temperature", "0", "--max-tokens", "10"];
    let answers = |typed: &str| -> Vec<String> {
        let (code, out, _) = align(&args, typed);
        assert_eq!(code, 0, "{out}");
        out.split("\n\n").map(|answer| answer.trim().to_owned()).filter(|answer| !answer.is_empty()).collect()
    };
    let two = answers("Once upon a time\nThen\n");
    assert_eq!(two.len(), 2);
    let undone = answers("Once upon a time\nThen\n/undo\nThen\n");
    assert_eq!(undone, [&two[..], &two[1..]].concat());
    assert_eq!(answers("Once upon a time\n/clear\nOnce upon a time\n"), [&two[..1], &two[..1]].concat());
    assert_eq!(answers("Once upon a time\n/exit\nThen\n"), two[..1]);
    let (code, out, err) = align(&args, "/again\n/what\n");
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(err.contains("nothing to answer yet") && err.contains("`/what` is no command"), "{err}");
}

#[test]
fn two_networks_answer_side_by_side() {
    let (code, out, _) = align(&["chat", STORY, STORY, "--temperature", "0", "--max-tokens", "8"], "Once upon a time\n");
    assert_eq!(code, 0);
    let answers: Vec<&str> = out.split(&format!("{STORY}:\n")).map(str::trim).filter(|a| !a.is_empty()).collect();
    assert!(answers.len() == 2 && answers[0] == answers[1], "{out}");
}

#[test]
fn a_stage_of_a_recipe_is_found_by_its_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recipe = format!(
        "recipe r {{\n    base = load_model(\"{STORY}\")\n    rows = blank(2).with(y: 1)\n    seen = rows.measure(y: mean(.y, over: all))\n    expect seen.y > 0\n}}\n"
    );
    std::fs::write(folder.path().join("a.align"), recipe).expect("written");
    let generate = |name: &str| align_in(folder.path(), &["generate", name, "Tim", "--max-tokens", "4", "--temperature", "0"], "");
    let (code, _, err) = generate("base");
    assert_eq!(code, 1);
    assert!(err.contains("`base` has not been made yet"), "{err}");
    assert_eq!(align_in(folder.path(), &["run", "a.align"], "").0, 0);
    let (code, out, err) = generate("base");
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(generate("bse").2.contains("did you mean `base`?"));
    assert!(generate("rows").2.contains("`rows` is no network"));
}

#[test]
fn mistakes_are_told_plainly() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (code, out, err) = align_in(folder.path(), &["generate", "nowhere", "x"], "");
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("`nowhere` is no file or folder"), "{err}");
    let (code, _, err) = align_in(folder.path(), &["generate", ".", "x"], "");
    assert!(code == 1 && err.contains("is not a network"), "{err}");
    let (code, _, err) = align(&["score", STORY], "");
    assert!(code == 2 && err.contains("--dialogue"), "{err}");
    let (code, _, err) = align(&["score", STORY, "--ids", "1,70000"], "");
    assert!(code == 1 && err.contains("70000"), "{err}");
    let (code, _, err) = align(&["generate", STORY], "");
    assert!(code == 1 && err.contains("what is to be continued?"), "{err}");
    let (code, _, err) = align(&["generate", STORY, "x", "--top-p", "2"], "");
    assert!(code == 2 && err.contains("from 0 to 1"), "{err}");
    std::fs::write(folder.path().join("p.jsonl"), "{\"prompt\": \"a\"}\n{\"prompt\": 7}\n").expect("written");
    let (code, _, err) = align_in(folder.path(), &["generate", STORY, "--file", "p.jsonl"], "");
    assert!(code == 1 && err.contains("line 2"), "{err}");
}
