//! People as labellers: a run queues what it must ask, `align ask` asks, and the next run goes on with the answers.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const RECIPE: &str = r#"
use std.judge.rater_agreement

recipe people {
    rows  = load_data("rows.jsonl") as { text: Text }
    said  = ask(rows, question: "Is this kind?\n{.text}", answers: ["yes", "no"], sheet: "people.jsonl", raters: 2)
    both  = said.with(all: gathered(.answer, over: .text), by: gathered(.rater, over: .text)).filter(.rater == .by[0])
    twice = rater_agreement(both.select(first: .all[0], second: .all[1]), ["yes", "no"])
    expect twice.same > 0.6, "people must mostly agree"
    export said to "said.jsonl"
}
"#;

fn align(folder: &Path, args: &[&str], typed: &str) -> (i32, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_align"))
        .current_dir(folder)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("an input").write_all(typed.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("it was not killed"), text(&output.stdout) + &text(&output.stderr))
}

fn run(folder: &Path) -> (i32, String) {
    align(folder, &["run", "people.align", "--device", "cpu"], "")
}

#[test]
fn people_are_asked_resumed_and_compared() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let rows: String = ["a", "b", "c"].iter().map(|t| format!("{{\"text\": \"{t}\"}}\n")).collect();
    fs::write(folder.join("rows.jsonl"), rows).expect("written");
    fs::write(folder.join("people.align"), RECIPE).expect("written");

    let (code, said) = run(folder);
    assert!(code == 1 && said.contains("3 of 3 questions wait for 2 people's answers") && said.contains("align ask"), "{said}");
    assert!(said.contains("align::data::unanswered"), "{said}");

    // one person stops after the first question, and takes it up again
    let ask = |rater: &str, typed: &str| align(folder, &["ask", "people.jsonl", "--rater", rater], typed);
    let (code, said) = ask("ann", "1\nq\n");
    assert!(code == 0 && said.contains("1/3") && said.contains("Is this kind?\na"), "{said}");
    assert!(said.contains("1 answered, 3 of 3 questions still wait"), "{said}");
    let (_, said) = ask("ann", "maybe\nno\nyes\n");
    assert!(said.contains("1/2") && said.contains("`maybe` is none of them") && said.contains("2 answered"), "{said}");
    let (_, said) = ask("ann", "");
    assert!(said.contains("0 answered"), "{said}");

    let (code, said) = run(folder);
    assert!(code == 1 && said.contains("3 of 3 questions wait"), "one person is not two: {said}");
    let (_, said) = ask("bob", "yes\ns\n2\n");
    assert!(said.contains("2 answered, 1 of 3 questions still wait"), "{said}");
    assert!(said.contains("ann and bob: kappa"), "{said}");
    let (_, said) = ask("bob", "NO\n");
    assert!(said.contains("1 answered, 0 of 3 questions still wait"), "{said}");

    let (code, said) = run(folder);
    assert!(code == 0 && said.contains("the expectation holds"), "{said}");
    let rows = fs::read_to_string(folder.join("said.jsonl")).expect("exported");
    assert_eq!(rows.lines().count(), 6);
    assert!(rows.contains(r#""answer":"yes","rater":"ann""#) || rows.contains(r#""rater":"ann""#), "{rows}");
    assert!(!folder.join("people.jsonl.queue").exists());
    let (_, said) = ask("ann", "");
    assert!(said.contains("nothing waits"), "{said}");

    // an answer that was not asked for is named
    let sheet = fs::read_to_string(folder.join("people.jsonl")).expect("a sheet").replacen("\"yes\"", "\"perhaps\"", 1);
    fs::write(folder.join("people.jsonl"), sheet).expect("written");
    let (code, said) = run(folder);
    assert!(code == 1 && said.contains("`perhaps` is none of the answers"), "{said}");
    fs::write(folder.join("people.jsonl"), "not JSON\n").expect("written");
    assert!(run(folder).1.contains("line 1 of"), "a broken line is named");
    assert_eq!(align(folder, &["ask", "people.jsonl"], "").0, 0, "nothing is queued");
}
