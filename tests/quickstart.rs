//! The quickstart as a person runs it: it works, its null version does not, the second run is cached, and a killed run
//! ends in the same bits.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A folder with the recipe and its data, as a clone has them.
fn clone() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    copy(Path::new("recipes"), &folder.path().join("recipes"));
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a new folder");
    for entry in fs::read_dir(from).expect("a folder of the repository") {
        let path = entry.expect("a readable entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.file_name().is_some_and(|n| n == ".align") {
            continue;
        }
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a copy");
        }
    }
}

fn align(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_align"));
    command.current_dir(folder).args(arguments);
    command
}

fn run(folder: &Path, extra: &[&str]) -> Output {
    let arguments = [&["run", "recipes/quickstart.align", "--device", "cpu"], extra].concat();
    align(folder, &arguments).output().expect("the binary runs")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn weights(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("out/happy/model.safetensors")).expect("the exported model")
}

#[test]
fn it_works_is_cached_and_survives_a_kill() {
    let folder = clone();
    let first = run(folder.path(), &[]);
    assert_eq!(first.status.code(), Some(0), "{}", said(&first));
    assert!(said(&first).contains("all 14 expectations hold"), "{}", said(&first));

    let again = run(folder.path(), &[]);
    assert!(said(&again).contains("cached; all 14 expectations hold") && !said(&again).contains(" made"), "{}", said(&again));

    let plan = align(folder.path(), &["plan", "recipes/quickstart.align", "-p", "beta=0.2"]).output().expect("the binary runs");
    let plan = said(&plan);
    let runs: Vec<&str> =
        plan.lines().filter(|l| l.split_whitespace().nth(2) == Some("run")).filter_map(|l| l.split_whitespace().next()).collect();
    assert!(
        runs.contains(&"direct")
            && runs.iter().all(|name| ["direct", "by_dpo", "harm_dpo", "sheet", "gloom"].iter().any(|s| name.starts_with(s))),
        "{plan}"
    );

    let killed = clone();
    kill_while_training(killed.path());
    let resumed = run(killed.path(), &[]);
    assert_eq!(resumed.status.code(), Some(0), "{}", said(&resumed));
    assert!(weights(folder.path()) == weights(killed.path()), "a killed and continued run ends in other weights");
}

/// Starts a run and kills it (SIGKILL) once the reward model or PPO has left a checkpoint.
fn kill_while_training(folder: &Path) {
    let mut child = align(folder, &["run", "recipes/quickstart.align", "--device", "cpu", "--checkpoint-every", "0"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary runs");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(600) {
        if child.try_wait().expect("a child").is_some() {
            panic!("the run ended before any stage left a checkpoint");
        }
        // past the first steps of a long stage: the reward model's or the policy's
        if checkpoints(folder).iter().any(|path| step_of(path) >= 3) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("a running child");
    child.wait().expect("a killed child");
    assert!(!folder.join("out/happy").exists());
}

fn step_of(checkpoint: &Path) -> u64 {
    let name = checkpoint.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    name.trim_start_matches("step-").parse().expect("a checkpoint is named by its step")
}

fn checkpoints(folder: &Path) -> Vec<PathBuf> {
    let partial = folder.join("recipes/.align/partial");
    let stages = fs::read_dir(partial).into_iter().flatten().flatten();
    stages
        .flat_map(|stage| fs::read_dir(stage.path().join("checkpoints")).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("step-")))
        .collect()
}

#[test]
fn labels_by_the_dice_fail_the_same_lines() {
    let folder = clone();
    let null = run(folder.path(), &["-p", "judge=chance"]);
    let text = said(&null);
    assert_eq!(null.status.code(), Some(1), "{text}");
    for line in [
        "failed rm.accuracy.lower95 > 0.72",
        "failed by_ppo.gold.lower95 > start.gold.upper95",
        "failed by_dpo.gold.lower95 > start.gold.upper95",
        "failed harm_ppo.any.upper95 <",
        "failed harm_dpo.any.upper95 <",
    ] {
        assert!(text.contains(line), "`{line}` is missing in\n{text}");
    }
    assert!(!folder.path().join("out").exists(), "nothing is exported from a run that failed");
}
