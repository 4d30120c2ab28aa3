//! Which files changed, whichever way they were saved: written in place, renamed over, swapped, or several at once.
//!
//! The system (or a clock, with `--poll`) only says that something may have happened in a folder. What did is seen by
//! comparing the files themselves, so no way of saving is special.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::durable;

/// Between two looks where the system refuses to tell.
const POLL: Duration = Duration::from_millis(200);

/// A file as it was last seen; `None`: not there.
type Mark = Option<(u64, SystemTime, u64)>;

/// The files that are watched.
#[derive(Debug)]
pub(super) struct Files {
    marks: BTreeMap<PathBuf, Mark>,
    folders: BTreeSet<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    refused: Option<String>,
    touched: Touched,
}

type Callback = Arc<dyn Fn() -> bool + Send + Sync>;

/// Called when something may have changed; false: nobody listens any more.
struct Touched(Callback);

impl std::fmt::Debug for Touched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Touched")
    }
}

impl Files {
    /// No files yet. With `poll` a clock asks; else the system tells.
    pub(super) fn new(poll: Option<Duration>, touched: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let touched = Touched(Arc::new(touched));
        let mut this = Self { marks: BTreeMap::new(), folders: BTreeSet::new(), watcher: None, refused: None, touched };
        if let Some(every) = poll {
            this.refused = Some(format!("every {} ms, as asked", every.as_millis()));
            this.ask(every);
            return this;
        }
        let callback = this.touched.0.clone();
        let told = move |event: notify::Result<notify::Event>| {
            // reading a file is no change; an error may have swallowed one
            let is_change =
                event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)));
            if is_change {
                callback();
            }
        };
        match notify::recommended_watcher(told) {
            Ok(watcher) => this.watcher = Some(watcher),
            Err(error) => this.fall_back(&error),
        }
        this
    }

    /// How many files.
    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    /// Why files are looked at by the clock, if they are.
    pub(super) fn polled(&self) -> Option<String> {
        self.refused.clone()
    }

    /// Watches these files, and no others. Where one was missing when they were looked at, at `missed`, a new one among
    /// them that was written later counts as changed.
    pub(super) fn watch(&mut self, files: BTreeSet<PathBuf>, missed: Option<SystemTime>) {
        // file systems' clocks tick less often than the system's
        let missed = missed.map(|at| at - Duration::from_millis(20));
        self.marks.retain(|path, _| files.contains(path));
        let mut late = false;
        for path in files {
            self.marks.entry(path.clone()).or_insert_with(|| {
                let now = mark(&path);
                let seen = now.filter(|(_, written, _)| missed.is_none_or(|missed| *written < missed));
                late |= now != seen;
                seen
            });
        }
        if late {
            (self.touched.0)();
        }
        // a file may be replaced by another: its folder is told of that; where it is a link, also the folder it leads to
        let folders: BTreeSet<PathBuf> =
            self.marks.keys().flat_map(|path| [Some(path.clone()), path.canonicalize().ok()]).flatten().map(|path| folder(&path)).collect();
        let Some(mut watcher) = self.watcher.take() else { return };
        for gone in self.folders.difference(&folders) {
            watcher.unwatch(gone).ok();
        }
        let refused = folders.difference(&self.folders).find_map(|new| watcher.watch(new, RecursiveMode::NonRecursive).err());
        self.folders = folders;
        match refused {
            Some(error) => self.fall_back(&error),
            None => self.watcher = Some(watcher),
        }
    }

    /// What is not as it was when this was last asked.
    pub(super) fn changed(&mut self) -> Vec<PathBuf> {
        let mut changed = Vec::new();
        for (path, known) in &mut self.marks {
            let now = mark(path);
            if *known != now {
                *known = now;
                changed.push(path.clone());
            }
        }
        changed
    }

    fn fall_back(&mut self, error: &notify::Error) {
        self.refused = Some(format!("every {} ms: the system does not tell of changes ({error})", POLL.as_millis()));
        self.ask(POLL);
    }

    fn ask(&self, every: Duration) {
        let callback = self.touched.0.clone();
        std::thread::spawn(move || {
            while callback() {
                std::thread::sleep(every);
            }
        });
    }
}

/// The folder whose entries say that a path changed: itself, for a folder.
fn folder(path: &Path) -> PathBuf {
    if path.is_dir() { path.to_owned() } else { durable::parent(path).to_owned() }
}

fn mark(path: &Path) -> Mark {
    let meta = fs::metadata(path).ok()?;
    Some((meta.len(), newest(path, &meta)?, inode(&meta)))
}

/// When a file, or the newest file of a folder, was changed.
fn newest(path: &Path, meta: &fs::Metadata) -> Option<SystemTime> {
    let own = meta.modified().ok()?;
    let entries = if meta.is_dir() { fs::read_dir(path).ok() } else { None };
    let times = entries.into_iter().flatten().filter_map(|entry| entry.ok()?.metadata().ok()?.modified().ok());
    times.chain([own]).max()
}

#[cfg(unix)]
fn inode(meta: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    // the time of the last change of the entry: a file put over another may be as old and as long
    meta.ino() ^ u64::from_ne_bytes(meta.ctime_nsec().to_ne_bytes()).rotate_left(32)
}

#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_saving_is_seen_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.align");
        fs::write(&path, "one").expect("written");
        let mut files = Files::new(Some(Duration::from_secs(3600)), || false);
        files.watch([path.clone()].into(), None);
        assert_eq!(files.changed(), Vec::<PathBuf>::new());
        let beside = folder.path().join("a.tmp");
        let saves: [&dyn Fn(); 3] = [
            &|| fs::write(&path, "two").expect("written"),
            &|| {
                fs::write(&beside, "six").expect("written");
                fs::rename(&beside, &path).expect("renamed");
            },
            &|| {
                fs::remove_file(&path).expect("removed");
            },
        ];
        for save in saves {
            std::thread::sleep(Duration::from_millis(10));
            save();
            assert_eq!(files.changed(), [path.as_path()]);
            assert_eq!(files.changed(), Vec::<PathBuf>::new());
        }
    }
}
