//! The store under fire: several processes at once, and processes killed at any moment.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use align::recipe::checked::Arg;
use align::recipe::types::Type;
use align::value::Cell;
// the builder below is shared with the crate's own tests and says `crate::…`
use align::{formula, recipe, syntax, value};

#[path = "../src/plan/testing.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod testing;
#[expect(dead_code, reason = "shared with other tests")]
mod toys;

use testing::Sketch;
use toys::Bench;

/// Where a child finds its recipe's folder.
const FOLDER: &str = "ALIGN_TEST_FOLDER";

/// Three walks of 30 steps from one table.
fn recipe() -> Sketch {
    let mut sketch = Sketch::default();
    let args = vec![("count", Arg::Value(Cell::Int(500))), ("plus", Arg::Value(Cell::Float(0.0)))];
    let data = sketch.stage("data", "numbers", args);
    for seed in 0..3 {
        let args = vec![("data", Arg::Artifact(data.clone())), ("steps", Arg::Value(Cell::Int(30))), ("pause", Arg::Value(Cell::Int(1)))];
        let walk = sketch.typed(&format!("walk{seed}"), "learn", args, Type::Model);
        sketch.checked.stages[walk.stage.0].seed = seed;
    }
    sketch
}

#[test]
#[ignore = "the other tests start it as a process of its own"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    assert_eq!(Bench::new(Path::new(&folder)).run(&recipe()).0.exit_code(), 0);
}

fn start(folder: &Path) -> Child {
    let me = std::env::current_exe().expect("a test binary");
    let mut command = Command::new(me);
    command.args(["child", "--exact", "--ignored"]).env(FOLDER, folder).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("a process")
}

fn untouched() -> (tempfile::TempDir, Bench) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bench = Bench::new(folder.path());
    (folder, bench)
}

#[test]
fn two_runs_at_once_do_nothing_twice() {
    let (folder, bench) = untouched();
    let mut children: Vec<Child> = (0..3).map(|_| start(folder.path())).collect();
    for child in &mut children {
        assert!(child.wait().expect("it ends").success());
    }
    let mut log = bench.log();
    log.sort();
    assert_eq!(log, ["learn from 0", "learn from 0", "learn from 0", "numbers"]);
    assert_eq!(bench.run(&recipe()).0.tally.cached, 4);
}

#[test]
fn killed_at_any_moment_it_goes_on_to_the_same_bytes() {
    let (_kept, reference) = untouched();
    reference.run(&recipe());
    let (folder, bench) = untouched();
    let mut kills = 0;
    // moments from before the first write to after the last one; the step is no multiple of anything
    for moment in (0..400).step_by(13) {
        let mut child = start(folder.path());
        sleep(Duration::from_millis(moment));
        // it may have finished by itself
        child.kill().expect("a child of ours");
        kills += u32::from(!child.wait().expect("it ends").success());
        for object in fs::read_dir(folder.path().join(".align/objects")).into_iter().flatten() {
            let path = object.expect("an entry").path();
            let sealed = align::durable::Sealed::open(&path).expect("complete or absent");
            sealed.verify(&path).expect("complete or absent");
        }
    }
    assert!(kills > 3, "only {kills} were killed in time");
    assert_eq!(bench.run(&recipe()).0.exit_code(), 0);
    assert_eq!(bench.contents(), reference.contents());
    assert!(fs::read_dir(folder.path().join(".align/partial")).expect("a folder").next().is_none());
}

#[test]
fn a_killed_holder_does_not_block_the_next() {
    let (folder, bench) = untouched();
    let mut child = start(folder.path());
    while bench.log().len() < 2 {
        sleep(Duration::from_millis(2));
    }
    child.kill().expect("a child of ours");
    child.wait().expect("it ends");
    assert_eq!(bench.run(&recipe()).0.exit_code(), 0);
}
