//! The quickstart's whole chain through wgpu, cut short by its `smoke` profile: every stage is made, none fails, and no
//! number leaves the store. Without an adapter the trial shows as ignored; in CI that is a failure.

use std::fs;
use std::path::Path;
use std::process::Command;

use align::engine::gpu::{Choice, Gpu};
use libtest_mimic::{Arguments, Trial};

fn main() {
    let missing = Gpu::open(Choice::Software).err();
    if let (Some(error), Ok(_)) = (&missing, std::env::var("CI")) {
        panic!("CI needs an adapter: {error}");
    }
    let trial = Trial::test("every_stage_is_made", every_stage_is_made).with_ignored_flag(missing.is_some());
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit();
}

fn every_stage_is_made() -> Result<(), libtest_mimic::Failed> {
    let folder = tempfile::tempdir()?;
    let recipes = folder.path().join("recipes");
    copy(Path::new("recipes/quickstart"), &recipes.join("quickstart"))?;
    fs::copy("recipes/quickstart.align", recipes.join("quickstart.align"))?;
    let args = ["run", "quickstart.align", "--device", "gpu:software", "--profile", "smoke", "--json"];
    let output = Command::new(env!("CARGO_BIN_EXE_align")).current_dir(&recipes).args(args).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let events = said.lines().map(serde_json::from_str).collect::<Result<Vec<serde_json::Value>, _>>()?;
    assert_eq!(events[0]["device"], "gpu:software");
    let tally = &events.last().expect("a last event")["tally"];
    assert_eq!((&tally["failed"], &tally["left"], &tally["limited_by"]), (&0.into(), &0.into(), &"smoke".into()));
    for stage in ["tuned", "rm", "policy", "direct"] {
        let steps = events.iter().filter(|event| event["event"] == "metrics" && event["stage"] == stage);
        let losses: Vec<f64> = steps.filter_map(|event| event["metrics"]["loss"].as_f64()).collect();
        assert!(!losses.is_empty() && losses.iter().all(|loss| loss.is_finite()), "{stage}: {losses:?}");
    }
    assert!(!folder.path().join("out").exists(), "a trial run exports nothing");
    Ok(())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}
