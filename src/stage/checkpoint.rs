//! Where a killed stage goes on: one sealed folder, replaced whole by the next.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::durable::{self, Sealed};

use super::failure::Failure;

/// A checkpoint costs at most about one part in this of a stage's time.
const SHARE: u32 = 30;
/// However slow the disk is, no more work than this is lost.
const LONGEST: Duration = Duration::from_secs(300);

/// State that a stage can go on from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Steps that were done.
    pub step: u64,
    /// What [`super::Context::save_checkpoint`] wrote.
    pub folder: PathBuf,
}

/// The checkpoints of one stage: at most one, once the newest is complete.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    every: Duration,
    last: Cell<Instant>,
    cost: Cell<Duration>,
}

impl Checkpoints {
    /// Checkpoints in `folder`, at least `every` apart.
    pub fn new(folder: impl Into<PathBuf>, every: Duration) -> Self {
        Self { folder: folder.into(), every, last: Cell::new(Instant::now()), cost: Cell::new(Duration::ZERO) }
    }

    /// Whether enough time has passed since the last one, measured against what writing it took.
    pub fn due(&self) -> bool {
        self.last.get().elapsed() >= (self.cost.get() * SHARE).min(LONGEST).max(self.every)
    }

    /// The newest whole checkpoint. Damaged and half-written ones are removed: the work starts over instead.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn latest(&self) -> io::Result<Option<Checkpoint>> {
        for (step, folder) in self.steps()?.into_iter().rev() {
            if Sealed::open(&folder).and_then(|sealed| sealed.verify(&folder)).is_ok() {
                return Ok(Some(Checkpoint { step, folder }));
            }
            durable::remove(&folder)?;
        }
        Ok(None)
    }

    /// The step of the newest checkpoint, from its name only.
    pub fn step(&self) -> Option<u64> {
        self.steps().ok()?.last().map(|(step, _)| *step)
    }

    /// Writes the checkpoint of `step`, then removes older ones. One that already stands is kept: equal steps are equal.
    ///
    /// # Errors
    /// When `write` fails or the disk refuses.
    pub fn save(&self, step: u64, write: impl FnOnce(&Path) -> Result<(), Failure>) -> Result<(), Failure> {
        let begun = Instant::now();
        fs::create_dir_all(&self.folder)?;
        let (making, stands) = (self.folder.join("making"), self.folder.join(format!("step-{step}")));
        if self.latest()?.is_some_and(|found| found.step == step) {
            return Ok(());
        }
        durable::remove(&making)?;
        fs::create_dir(&making)?;
        write(&making)?;
        durable::seal(&making, serde_json::json!({ "step": step }))?;
        durable::rename(&making, &stands)?;
        for (_, folder) in self.steps()?.into_iter().filter(|(other, _)| *other != step) {
            durable::remove(&folder)?;
        }
        self.cost.set(begun.elapsed());
        self.last.set(Instant::now());
        Ok(())
    }

    fn steps(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut steps = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let step = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_prefix("step-")).and_then(|n| n.parse().ok());
            steps.extend(step.map(|step| (step, path)));
        }
        steps.sort();
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn save(checkpoints: &Checkpoints, step: u64, text: &str) {
        checkpoints.save(step, |folder| Ok(fs::write(folder.join("state"), text)?)).expect("saved");
    }

    #[test]
    fn the_newest_checkpoint_replaces_the_one_before() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let checkpoints = Checkpoints::new(folder.path().join("stage"), Duration::ZERO);
        assert_eq!(checkpoints.latest().expect("read"), None);
        save(&checkpoints, 9, "nine");
        save(&checkpoints, 10, "ten");
        let found = checkpoints.latest().expect("read").expect("there");
        assert_eq!((found.step, fs::read_to_string(found.folder.join("state")).expect("there")), (10, "ten".to_owned()));
        assert_eq!(fs::read_dir(folder.path().join("stage")).expect("a folder").count(), 1);
    }

    #[test]
    fn a_damaged_checkpoint_is_not_trusted() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let checkpoints = Checkpoints::new(folder.path(), Duration::ZERO);
        save(&checkpoints, 1, "one");
        fs::write(folder.path().join("step-1/state"), "two").expect("written");
        assert_eq!(checkpoints.latest().expect("read"), None);
    }

    #[test]
    fn a_failed_write_keeps_the_old_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let checkpoints = Checkpoints::new(folder.path(), Duration::ZERO);
        save(&checkpoints, 1, "one");
        let failed = checkpoints.save(2, |_| Err(Failure::new("align::run::disk", "full")));
        assert!(failed.is_err());
        assert_eq!(checkpoints.latest().expect("read").map(|c| c.step), Some(1));
    }
}
