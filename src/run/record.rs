//! The folder of one run: `plan.json`, `events.jsonl`, `metrics.jsonl`, and at the end `samples.json` and `summary.json`.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use serde_json::{Value, json};

use crate::durable;
use crate::world::Sources;

use super::clock::utc;
use super::event::{Event, metrics_json};

/// Writes down what a run says. A disk that refuses costs the record, never the run: the first refusal is kept.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) folder: PathBuf,
    pub(super) started: String,
    begun: Instant,
    events: RefCell<File>,
    metrics: RefCell<File>,
    refused: RefCell<Option<io::Error>>,
}

impl Record {
    /// A new folder under `runs`, named by time and recipe.
    pub(super) fn new(runs: &Path, recipe: &str) -> io::Result<Self> {
        fs::create_dir_all(runs)?;
        let started = utc(SystemTime::now());
        let folder = create(&runs.join(format!("{}-{recipe}", started.replace(':', "-"))))?;
        let file = |name: &str| File::create_new(folder.join(name)).map(RefCell::new);
        let (events, metrics) = (file("events.jsonl")?, file("metrics.jsonl")?);
        Ok(Self { folder, started, begun: Instant::now(), events, metrics, refused: RefCell::default() })
    }

    /// Seconds since the run began.
    pub(super) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Adds an event. Progress is for watching only; its numbers are in the metrics.
    pub(super) fn add(&self, event: &Event, sources: &Sources) {
        let written = match event {
            Event::Progress { .. } => Ok(()),
            Event::Metrics { stage, step, metrics } => {
                let mut line = json!({ "stage": stage, "step": step, "time": self.seconds() });
                if let (Value::Object(line), Value::Object(metrics)) = (&mut line, metrics_json(metrics)) {
                    line.extend(metrics);
                }
                add_line(&self.metrics, &line)
            }
            event => {
                let mut line = event.to_json(sources);
                line["time"] = json!(self.seconds());
                add_line(&self.events, &line)
            }
        };
        if let Err(error) = written {
            self.refused.borrow_mut().get_or_insert(error);
        }
    }

    /// Keeps a file beside the summary.
    pub(super) fn keep(&self, name: &str, value: &Value) {
        if let Err(error) = durable::write(&self.folder.join(name), value.to_string().as_bytes()) {
            self.refused.borrow_mut().get_or_insert(error);
        }
    }

    /// Writes the summary.
    ///
    /// # Errors
    /// When this or an earlier write was refused.
    pub(super) fn finish(self, summary: &Value) -> io::Result<()> {
        durable::write(&self.folder.join("summary.json"), &serde_json::to_vec_pretty(summary)?)?;
        self.refused.into_inner().map_or(Ok(()), Err)
    }
}

fn add_line(file: &RefCell<File>, line: &Value) -> io::Result<()> {
    // one call a line, so that a killed run leaves whole lines
    file.borrow_mut().write_all(format!("{line}\n").as_bytes())
}

/// Makes a folder of this name, or of this name and a number.
fn create(wanted: &Path) -> io::Result<PathBuf> {
    let mut path = wanted.to_owned();
    for more in 2.. {
        match fs::create_dir(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                let name = wanted.file_name().unwrap_or_default().to_string_lossy();
                path = wanted.with_file_name(format!("{name}-{more}"));
            }
            made => return made.map(|()| path),
        }
    }
    unreachable!("there is always a next number")
}
