//! `align new`, `align fmt --check` and `--diff`, shell completions and manual pages, as a person uses them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const STARTERS: [&str; 5] = ["harmless", "sentiment", "constitution", "red-team", "own-loss"];

fn align(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_align")).current_dir(folder).args(args).output().expect("the program starts")
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// Everything that the starters name.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let quickstart = Path::new("recipes/quickstart");
    fs::create_dir(folder.path().join("model")).expect("made");
    for name in ["model.safetensors", "config.json", "tokenizer.json"] {
        fs::copy(quickstart.join(name), folder.path().join("model").join(name)).expect("copied");
    }
    fs::copy(quickstart.join("vader_lexicon.txt"), folder.path().join("lexicon.txt")).expect("copied");
    let lines = |line: &dyn Fn(usize) -> String| (0..40).map(|at| line(at) + "\n").collect::<String>();
    let pairs = lines(&|at| format!("{{\"prompt\": \"Once {at}\", \"chosen\": \" a cat\", \"rejected\": \" a dog\"}}"));
    fs::write(folder.path().join("pairs.jsonl"), pairs).expect("written");
    for name in ["harmful.jsonl", "openings.jsonl", "requests.jsonl", "cases.jsonl"] {
        fs::write(folder.path().join(name), lines(&|at| format!("{{\"prompt\": \"Once {at}\"}}"))).expect("written");
    }
    folder
}

#[test]
fn every_starter_is_sound_once_its_files_are_there() {
    let folder = folder();
    for name in STARTERS {
        let (code, text) = said(&align(folder.path(), &["new", name]));
        assert_eq!(code, Some(0), "{text}");
        assert!(text.starts_with(&format!("wrote {name}.align: ")) && text.contains("\n  edit `model`, "), "{text}");
        let file = format!("{name}.align");
        let (code, text) = said(&align(folder.path(), &["check", &file, "--profile", "smoke"]));
        assert_eq!(code, Some(0), "{name}: {text}");
        let (code, text) = said(&align(folder.path(), &["fmt", "--check", &file]));
        assert_eq!((code, text.as_str()), (Some(0), ""), "{name} is in its one form");
    }
    let (code, text) = said(&align(folder.path(), &["new", "harmless"]));
    assert_eq!((code, text.as_str()), (Some(1), "`harmless.align` exists; name another file\n"));
    let (code, text) = said(&align(folder.path(), &["new", "nothing"]));
    assert_eq!(code, Some(2), "{text}");
    assert!(STARTERS.iter().all(|name| text.contains(name)), "{text}");
}

#[test]
fn a_difference_is_shown_and_nothing_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (crooked, form) = ("param   beta: Float=0.1\nparam a: Int = 1\n", "param beta: Float = 0.1\nparam a: Int = 1\n");
    fs::write(folder.path().join("a.align"), crooked).expect("written");
    let (code, text) = said(&align(folder.path(), &["fmt", "--diff", "a.align"]));
    assert_eq!(code, Some(0));
    assert_eq!(text, "--- a.align\n+++ a.align\n@@ -1,2 +1,2 @@\n-param   beta: Float=0.1\n+param beta: Float = 0.1\n param a: Int = 1\n");
    assert_eq!(said(&align(folder.path(), &["fmt", "--diff", "--check", "a.align"])).0, Some(1));
    assert_eq!(fs::read_to_string(folder.path().join("a.align")).expect("there"), crooked);
    assert_eq!(said(&align(folder.path(), &["fmt", "a.align"])).0, Some(0));
    assert_eq!(fs::read_to_string(folder.path().join("a.align")).expect("there"), form);
    assert_eq!(said(&align(folder.path(), &["fmt", "--diff", "--check", "a.align"])), (Some(0), String::new()));
}

#[test]
fn what_comes_with_align_is_in_its_one_form() {
    let (code, text) = said(&align(Path::new("."), &["fmt", "--diff", "--check", "recipes"]));
    assert_eq!((code, text.as_str()), (Some(0), ""));
}

#[test]
fn shells_and_manuals_know_every_command() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, text) = said(&align(folder.path(), &["completions", shell]));
        assert_eq!(code, Some(0));
        assert!(["watch", "explain", "--profile"].iter().all(|word| text.contains(word.trim_start_matches("--"))), "{shell}");
    }
    let (code, text) = said(&align(folder.path(), &["man"]));
    assert_eq!(code, Some(0));
    assert!(text.contains(".TH align 1"), "{text}");
    assert_eq!(said(&align(folder.path(), &["man", "pages"])), (Some(0), String::new()));
    let page = fs::read_to_string(folder.path().join("pages/align-watch.1")).expect("written");
    assert!(page.contains("Check, plan and run on every save"), "{page}");
}
