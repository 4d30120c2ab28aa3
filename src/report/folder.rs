//! A run's folder as its files say it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::diagnostic::did_you_mean;

use super::ReportError;

/// Everything that a run wrote down.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Folder {
    pub path: PathBuf,
    /// The folder's own name: `2026-11-21T12-58-57Z-quickstart`.
    pub name: String,
    /// `Null` where an older build wrote none.
    pub plan: Value,
    pub events: Vec<Value>,
    pub metrics: Vec<Value>,
    pub samples: Value,
    /// `Null` while the run goes on, or when it was killed.
    pub summary: Value,
}

impl Folder {
    /// Reads a run's folder. Files that are not there yet are empty.
    ///
    /// # Errors
    /// When a file cannot be read, or a line of it is no JSON.
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let told = Self::told(path)?;
        Ok(Self { metrics: lines(&path.join("metrics.jsonl"))?, samples: whole(&path.join("samples.json"))?, ..told })
    }

    /// The same without metrics and samples, which may be many: what a run was to do, and how far it is.
    ///
    /// # Errors
    /// As [`Folder::read`].
    pub fn told(path: &Path) -> Result<Self, ReportError> {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        if !path.join("events.jsonl").is_file() {
            return Err(ReportError::NoRun { name, near: None });
        }
        Ok(Self {
            plan: whole(&path.join("plan.json"))?,
            events: lines(&path.join("events.jsonl"))?,
            summary: whole(&path.join("summary.json"))?,
            path: path.to_owned(),
            name,
            ..Self::default()
        })
    }

    /// The first event.
    pub fn started(&self) -> &Value {
        self.events.iter().find(|e| e["event"] == "started").unwrap_or(&Value::Null)
    }

    /// Seconds since 1970 at which it began.
    #[expect(clippy::cast_precision_loss, reason = "a time of this century")]
    pub fn started_at(&self) -> f64 {
        let stamp = self.summary["started"].as_str().map_or_else(|| stamp(&self.name), str::to_owned);
        milliseconds(&stamp) as f64 / 1e3
    }

    /// The recipe's name.
    pub fn recipe(&self) -> &str {
        self.started()["recipe"].as_str().unwrap_or_default()
    }
}

/// Names of the runs of a store, the oldest first.
///
/// # Errors
/// When the folder cannot be read.
pub fn runs(store: &Path) -> Result<Vec<String>, ReportError> {
    let folder = store.join("runs");
    let unreadable = |e: io::Error| ReportError::Unreadable { path: folder.clone(), what: e.to_string() };
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.path().join("events.jsonl").is_file() {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found.sort_by_key(|name| order(name));
    Ok(found)
}

/// Runs of one second are numbered: `…-quickstart`, `…-quickstart-2`, `…-quickstart-10`.
fn order(name: &str) -> (String, u64) {
    match name.rsplit_once('-').map(|(rest, last)| (rest, last.parse())) {
        Some((rest, Ok(number))) => (rest.to_owned(), number),
        _ => (name.to_owned(), 1),
    }
}

/// `2026-11-21T12:58:57Z` of a folder's name.
pub(super) fn stamp(name: &str) -> String {
    let stamp = name.get(..20).unwrap_or(name);
    let (date, time) = stamp.split_once('T').unwrap_or((stamp, ""));
    format!("{date}T{}", time.replace('-', ":"))
}

/// Milliseconds since 1970; 0 for what is no time.
pub(super) fn milliseconds(stamp: &str) -> i64 {
    stamp.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_millisecond)
}

/// The run of a name, or the last one; an unambiguous part of a name will do.
///
/// # Errors
/// When there is none.
pub fn find(store: &Path, name: Option<&str>) -> Result<PathBuf, ReportError> {
    let all = runs(store)?;
    let Some(last) = all.last() else { return Err(ReportError::NoRuns { store: store.to_owned() }) };
    let Some(name) = name else { return Ok(store.join("runs").join(last)) };
    let parts: Vec<&String> = all.iter().filter(|run| run.contains(name)).collect();
    let found = match (all.iter().find(|run| *run == name), &parts[..]) {
        (Some(same), _) => same,
        (None, [same]) => *same,
        _ => {
            let near =
                parts.last().map(|run| (*run).clone()).or_else(|| did_you_mean(name, all.iter().map(String::as_str)).map(str::to_owned));
            return Err(ReportError::NoRun { name: name.to_owned(), near });
        }
    };
    Ok(store.join("runs").join(found))
}

/// A whole file of JSON; `Null` when it is not there.
pub(super) fn whole(path: &Path) -> Result<Value, ReportError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| unreadable(path, &e)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Value::Null),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// Lines of JSON. The last one may be in the making.
pub(super) fn lines(path: &Path) -> Result<Vec<Value>, ReportError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).map_err(|e| unreadable(path, &e))).collect()
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> ReportError {
    ReportError::Unreadable { path: path.to_owned(), what: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_time() {
        assert_eq!(stamp("2001-09-09T01-46-40Z-quickstart-2"), "2001-09-09T01:46:40Z");
        assert_eq!((milliseconds("2001-09-09T01:46:40Z"), milliseconds("?")), (1_000_000_000_000, 0));
    }

    #[test]
    fn runs_are_in_the_order_in_which_they_began() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["2026-01-01T00-00-00Z-a-10", "2026-01-01T00-00-00Z-a-2", "2026-01-01T00-00-00Z-a", "2025-01-01T00-00-00Z-b"] {
            fs::create_dir_all(folder.path().join("runs").join(name)).expect("made");
            fs::write(folder.path().join("runs").join(name).join("events.jsonl"), "{}\n{\"half").expect("written");
        }
        let all = runs(folder.path()).expect("read");
        assert_eq!(all.iter().map(|n| &n[20..]).collect::<Vec<_>>(), ["-b", "-a", "-a-2", "-a-10"]);
        assert!(find(folder.path(), None).expect("the last").ends_with("2026-01-01T00-00-00Z-a-10"));
        assert!(find(folder.path(), Some("2025")).expect("the only one").ends_with("2025-01-01T00-00-00Z-b"));
        assert!(matches!(find(folder.path(), Some("2026")), Err(ReportError::NoRun { near: Some(_), .. })));
        let read = Folder::read(&find(folder.path(), Some("2025")).expect("found")).expect("a half line is no mistake");
        assert_eq!((read.events.len(), read.summary), (1, Value::Null));
    }
}
