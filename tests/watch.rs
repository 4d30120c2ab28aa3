//! `align watch` as an editor meets it: real files, saved in every way that editors save, and a real process.

mod folder;

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use folder::{KINDS, rows};
use serde_json::Value;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// `slow` trains long enough to be met at work; `picked` does not depend on it.
const RECIPE: &str = r#"
use std.{sft, take}
use "kinds.align".{kind}

param steps: Int in 1.. = 2000

recipe r {
    base = load_model("m/model.safetensors")
    rows = load_data("rows.jsonl") as { prompt: Text, completion: Text, x: Float }
    slow = sft(base, rows, epochs: 300, steps: steps, batch: 1, lr: 1e-5)
    picked = rows.filter(.x > 3).select(prompt: .prompt, kind: kind(.x))
    export picked to "out/picked.jsonl"
    export slow to "out/slow"
}
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(folder::holding(RECIPE))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    /// The recipe with one text in place of another.
    fn edit(&self, from: &str, to: &str) {
        assert!(RECIPE.contains(from), "{from}");
        self.write("r.align", &RECIPE.replace(from, to));
    }
}

/// A running `align watch --json`.
struct Watching {
    child: Child,
    lines: Receiver<Value>,
    heard: VecDeque<Value>,
}

impl Watching {
    fn new(folder: &Path, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_align"));
        command.current_dir(folder).args(["watch", "r.align", "--device", "cpu", "--json"]).args(more);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
                if send.send(value).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, heard: VecDeque::new() }
    }

    fn next(&mut self, patience: Duration) -> Option<Value> {
        match self.lines.recv_timeout(patience) {
            Ok(value) => {
                self.heard.push_back(value.clone());
                if self.heard.len() > 2000 {
                    self.heard.pop_front();
                }
                Some(value)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("it ended; it said {:#?}", self.heard),
        }
    }

    /// The next event for which this holds.
    fn until(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match self.next(PATIENCE) {
                Some(value) if is(&value) => return value,
                _ => {}
            }
        }
        panic!("{what} never came; it said {:#?}", self.heard);
    }

    fn event(&mut self, name: &str) -> Value {
        self.until(name, |value| value["event"] == name)
    }

    /// Waits until the slow stage has done a few steps.
    fn at_work(&mut self) -> u64 {
        let progress = self.until("progress", |value| value["event"] == "progress" && value["progress"]["step"].as_u64() > Some(2));
        progress["progress"]["step"].as_u64().expect("a number")
    }

    /// Everything that is said until nothing has been for a while, progress aside.
    fn quiet(&mut self) -> Vec<Value> {
        let mut said = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(700) {
            said.extend(self.next(Duration::from_millis(100)).filter(|value| value["event"] != "progress" && value["event"] != "metrics"));
        }
        said
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("there is `kill`").success());
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_mistake_stops_nothing_and_an_undo_changes_nothing() {
    let folder = Folder::new();
    let mut watching = Watching::new(folder.0.path(), &[]);
    assert_eq!(watching.event("checked")["ok"], true);
    assert_eq!(watching.event("planned")["stages"]["slow"], "run");
    watching.at_work();
    folder.edit("steps: steps,", "steps: stepz,");
    let checked = watching.event("checked");
    assert_eq!((&checked["ok"], &checked["saved"][0]), (&Value::Bool(false), &Value::from("r.align")));
    let found = &checked["diagnostics"][0];
    assert_eq!((&found["code"], &found["help"]), (&"align::recipe::unknown_name".into(), &"did you mean `steps`?".into()));
    // a broken line costs that line
    folder.write("r.align", &RECIPE.replace("rows.filter(", "rows.filter(("));
    assert_eq!(watching.event("checked")["ok"], false);
    let step = watching.at_work();
    folder.write("r.align", RECIPE);
    assert_eq!(watching.event("checked")["ok"], true);
    assert_eq!(watching.event("planned")["running"], "unchanged");
    assert!(watching.at_work() >= step, "it went on all the while");
    let said = watching.quiet();
    assert!(said.iter().all(|value| value["event"] != "interrupted" && value["event"] != "running"), "{said:#?}");
}

#[test]
fn a_stage_that_stays_the_same_keeps_running_and_what_follows_is_new() {
    let folder = Folder::new();
    folder.edit("2000", "150");
    let recipe = RECIPE.replace("2000", "150");
    let mut watching = Watching::new(folder.0.path(), &[]);
    watching.at_work();
    folder.write("r.align", &recipe.replace(".x > 3", ".x > 4").replace("recipe r {", "recipe r { // a comment"));
    let planned = watching.event("planned");
    assert_eq!(planned["running"], "keeps");
    assert_eq!(planned["difference"]["changed"][0]["stage"], "picked.filter");
    assert_eq!(planned["difference"]["follow"], serde_json::json!(["picked"]));
    let interrupted = |value: &Value| value["event"] == "interrupted" && value["stage"] == "slow";
    let made = watching.until("slow", |value| interrupted(value) || value["event"] == "made" && value["stage"] == "slow");
    assert!(!interrupted(&made), "it was stopped: {made}");
    let idle = watching.event("idle");
    assert_eq!(idle["exit"], 0);
    assert_eq!(fs::read_to_string(folder.path("out/picked.jsonl")).expect("exported").lines().count(), 3);
}

#[test]
fn a_changed_stage_stops_and_an_undo_goes_on_where_it_was() {
    let folder = Folder::new();
    let mut watching = Watching::new(folder.0.path(), &["--checkpoint-every", "1000"]);
    watching.at_work();
    folder.edit("lr: 1e-5", "lr: 2e-5");
    let planned = watching.event("planned");
    assert_eq!(planned["running"], "stops");
    assert_eq!(planned["difference"]["changed"][0]["because"][0], "argument `lr`: 0.00001 → 0.00002");
    let stopped = watching.event("interrupted")["step"].as_u64().expect("a checkpoint was written");
    let other = watching.until("running", |value| value["event"] == "running" && value["stage"] == "slow");
    assert_eq!(other["resume"], Value::Null, "another learning rate begins anew");
    watching.at_work();
    folder.write("r.align", RECIPE);
    assert_eq!(watching.event("planned")["stages"]["slow"], format!("resume at step {stopped}"));
    let again = watching.until("running", |value| value["event"] == "running" && value["stage"] == "slow");
    assert_eq!(again["resume"], stopped);
    assert!(watching.at_work() > stopped);
    watching.signal("INT");
    watching.until("the end", |value| value["event"] == "interrupted");
    assert_eq!(watching.child.wait().expect("it ends").code(), Some(130));
}

/// Writes a text over a file in one of the ways of editors.
type Save = fn(&Path, &str);

const SAVES: [(&str, Save); 5] = [
    ("in place", |path, text| fs::write(path, text).expect("written")),
    ("truncated, then written", |path, text| {
        let file = fs::File::create(path).expect("truncated");
        std::thread::sleep(Duration::from_millis(15));
        std::io::Write::write_all(&mut &file, text.as_bytes()).expect("written");
    }),
    ("renamed over", |path, text| {
        let beside = path.with_extension("tmp");
        fs::write(&beside, text).expect("written");
        fs::rename(beside, path).expect("renamed");
    }),
    ("moved away, then created", |path, text| {
        fs::rename(path, path.with_extension("align~")).expect("renamed");
        std::thread::sleep(Duration::from_millis(10));
        fs::write(path, text).expect("written");
    }),
    ("removed, then renamed to", |path, text| {
        let beside = path.with_extension("new");
        fs::write(&beside, text).expect("written");
        fs::remove_file(path).expect("removed");
        fs::rename(beside, path).expect("renamed");
    }),
];

fn every_way_of_saving(more: &[&str]) {
    let folder = Folder::new();
    folder.edit("2000", "1");
    let recipe = RECIPE.replace("2000", "1");
    let mut watching = Watching::new(folder.0.path(), more);
    watching.event("idle");
    for (at, (how, save)) in SAVES.iter().enumerate() {
        save(&folder.path("r.align"), &recipe.replace(".x > 3", &format!(".x > 3.{at}5")));
        let said = watching.until("an answer", |value| value["event"] == "idle" || value["ok"] == false);
        assert_eq!(said["exit"], 0, "{how}: {said}");
        let said: Vec<&Value> = watching.heard.iter().filter(|value| value["event"] == "checked").collect();
        assert_eq!(said.len(), at + 2, "{how} is one save: {said:#?}");
        // the imported file, the same way
        save(&folder.path("kinds.align"), &KINDS.replace("> 5", &format!("> {at}.5")));
        let planned = watching.event("planned");
        assert_eq!(planned["difference"]["changed"][0]["stage"], "picked", "{how}");
        watching.event("idle");
        watching.heard.retain(|value| value["event"] != "checked");
        watching.heard.extend((0..at + 2).map(|_| serde_json::json!({ "event": "checked" })));
    }
}

#[test]
fn every_way_of_saving_is_one_save() {
    every_way_of_saving(&[]);
}

#[test]
fn every_way_of_saving_is_seen_by_looking_too() {
    every_way_of_saving(&["--poll", "0.05"]);
}

#[test]
fn several_files_at_once_are_one_save_and_data_is_watched() {
    let folder = Folder::new();
    folder.edit("2000", "1");
    let recipe = RECIPE.replace("2000", "1");
    let mut watching = Watching::new(folder.0.path(), &[]);
    watching.event("idle");
    folder.write("kinds.align", &KINDS.replace("kind(", "sort("));
    folder.write("r.align", &recipe.replace("kind(.x)", "sort(.x)").replace("{kind}", "{sort}"));
    let checked = watching.event("checked");
    assert_eq!(checked["ok"], true, "both were read: {checked}");
    assert_eq!(watching.event("planned")["difference"]["changed"], serde_json::json!([]), "a name means nothing");
    assert!(watching.quiet().iter().all(|value| value["event"] != "checked"));
    folder.write("rows.jsonl", &rows(9));
    let checked = watching.event("checked");
    assert_eq!(checked["saved"], serde_json::json!(["rows.jsonl"]));
    let changed = watching.event("planned")["difference"]["changed"].clone();
    assert_eq!(changed[0]["because"][0], "the file that `path` names has other content");
    watching.event("idle");
    folder.write("rows.jsonl", "{\"prompt\": 1}\n");
    assert_eq!(watching.event("checked")["ok"], false);
    folder.write("rows.jsonl", &rows(9));
    assert_eq!(watching.event("checked")["ok"], true);
    // a file that the recipe is to read and that is not there yet
    folder.write("r.align", &recipe.replace("kind(.x)", "sort(.x)").replace("{kind}", "{sort}").replace("rows.jsonl", "more.jsonl"));
    assert_eq!(watching.event("checked")["ok"], false);
    folder.write("more.jsonl", &rows(7));
    let checked = watching.event("checked");
    assert_eq!((&checked["ok"], &checked["saved"]), (&Value::Bool(true), &serde_json::json!(["more.jsonl"])));
    watching.event("idle");
    watching.signal("TERM");
    assert_eq!(watching.child.wait().expect("it ends").code(), Some(0), "nothing was interrupted");
}

#[test]
fn a_pipe_gets_lines() {
    let folder = Folder::new();
    folder.edit("2000", "1");
    let mut command = Command::new(env!("CARGO_BIN_EXE_align"));
    command.current_dir(folder.0.path()).args(["watch", "r.align", "--device", "cpu"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let mut until = |wanted: &str| -> Vec<String> {
        let mut said = Vec::new();
        for line in lines.by_ref() {
            said.push(line);
            if said.last().is_some_and(|line| line.contains(wanted)) {
                return said;
            }
        }
        panic!("`{wanted}` never came: {said:#?}");
    };
    let said = until("done: 5 made").join("\n");
    assert!(said.contains("watching 6 files; Ctrl-C ends"), "{said}");
    assert!(said.contains("exported picked to out/picked.jsonl"), "{said}");
    folder.write("r.align", &RECIPE.replace("2000", "1").replace(".x > 3", ".y > 3"));
    let said = until("1 mistake").join("\n");
    assert!(said.starts_with("saved r.align: 1 mistake ("), "{said}");
    let said = until("they have").join("\n");
    assert!(said.contains("r.align:11:") && said.contains(".y > 3"), "{said}");
    folder.write("r.align", &RECIPE.replace("2000", "2"));
    let said = until("done: ").join("\n");
    assert!(said.contains("~ slow: argument `steps`: 1 → 2"), "{said}");
    assert!(said.contains("s after the save"), "{said}");
    child.kill().expect("it runs");
    child.wait().expect("it ended");
}
