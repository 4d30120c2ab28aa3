//! What recipes and words of the command line name of a hub is brought into the cache, with a bar while it comes.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Severity, counted, size};
use crate::hub::{self, Extent, Fetcher, HubError, Outstanding, Progress, Reference, Repository, Settings, Want};
use crate::lock::Lock;
use crate::recipe::checked::Checked;
use crate::stage::{FromArg, PRIMITIVES};
use crate::syntax::span::Span;

use super::network::refuse;
use super::out;

/// Between two events of one file.
const CALM: Duration = Duration::from_secs(1);

/// How a command fetches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct How {
    pub(super) extent: Extent,
    /// What branches are now, whatever the lock says.
    pub(super) update: bool,
    /// Events as JSON.
    pub(super) json: bool,
}

impl How {
    /// For commands that only look.
    pub(super) const LOOK: Self = Self { extent: Extent::Small, update: false, json: false };
    /// For words of the command line.
    const USE: Self = Self { extent: Extent::All, update: false, json: false };
}

/// A reference of a recipe, and where it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wanted {
    written: String,
    want: Want,
    span: Span,
}

/// What is left for a run to fetch of a reference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ToFetch {
    written: String,
    commit: String,
    files: Vec<Outstanding>,
}

/// What came of fetching for a recipe.
#[derive(Default, Debug)]
pub(super) struct Brought {
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) to_fetch: Vec<ToFetch>,
}

/// Every reference of a recipe, each once.
pub(super) fn wanted(checked: &Checked) -> Vec<Wanted> {
    let mut found: Vec<Wanted> = Vec::new();
    for stage in &checked.stages {
        let Some(primitive) = PRIMITIVES.iter().find(|primitive| primitive.name() == &*stage.primitive) else { continue };
        for argument in primitive.file_arguments() {
            let Some(written) = stage.args.get(*argument).and_then(String::from_arg).filter(|written| hub::is_reference(written)) else {
                continue;
            };
            let one = Wanted { written, want: primitive.want(), span: stage.span };
            if !found.iter().any(|known| (&known.written, known.want) == (&one.written, one.want)) {
                found.push(one);
            }
        }
    }
    found
}

/// Fetches for a recipe in `root`. A run pins the commits in the folder's lock.
pub(super) fn bring(wanted: &[Wanted], root: &Path, how: How) -> Brought {
    let settings = Settings::from_environment();
    let fetcher = Fetcher::new(&settings);
    let show = Show::new(how.json);
    let mut brought = Brought::default();
    let mut lock = Lock::read(root);
    for one in wanted {
        let Some(Ok(reference)) = Reference::parse(&one.written) else { continue };
        let before = hub::commit(root, &reference, &Repository::new(&settings, &reference));
        let known = before.clone().filter(|_| !how.update || reference.is_commit());
        match fetcher.fetch(&reference, one.want, known.as_deref(), how.extent, &mut |progress| show.hear(progress)) {
            Ok(fetched) => {
                show.end(&reference, &fetched.commit, fetched.files, fetched.bytes);
                if let Some(before) = before.filter(|before| *before != fetched.commit) {
                    brought.diagnostics.push(moved(&reference, &before, &fetched.commit).at(one.span, "read here"));
                }
                if let Some(lock) = lock.as_mut().ok().filter(|_| how.extent == Extent::All && !reference.is_commit()) {
                    lock.pin_commit(&one.written, &fetched.commit);
                }
                if !fetched.outstanding.is_empty() {
                    brought.to_fetch.push(ToFetch { written: one.written.clone(), commit: fetched.commit, files: fetched.outstanding });
                }
            }
            Err(error) => {
                let mut diagnostic = error.diagnostic().at(one.span, "read here");
                if how.extent == Extent::Small && error.is_of_the_network() {
                    // looking goes on without; a run does not
                    diagnostic.severity = Severity::Warning;
                }
                brought.diagnostics.push(diagnostic);
            }
        }
    }
    show.clear();
    // a lock that cannot be read is reported by the plan
    if how.extent == Extent::All
        && let Ok(lock) = &lock
        && let Err(error) = lock.write(root)
    {
        let path = root.join(crate::lock::LOCK);
        brought.diagnostics.push(HubError::Disk { path, why: crate::diagnostic::reason(&error) }.diagnostic());
    }
    brought
}

fn moved(reference: &Reference, before: &str, now: &str) -> Diagnostic {
    let short = |commit: &str| commit.chars().take(10).collect::<String>();
    Diagnostic::warning("align::hub::moved", format!("`{}` has moved from commit {} to {}", reference.written, short(before), short(now)))
        .help("`align.lock` pins the new one; what is made from it is made again")
}

/// Where a word of the command line leads: a reference is fetched, anything else is a path. `None` once it has been said
/// why there is nothing.
pub(super) fn word(word: &Path, want: Want) -> Option<PathBuf> {
    let written = word.to_string_lossy();
    let reference = match Reference::parse(&written) {
        None => return Some(word.to_owned()),
        Some(Ok(reference)) => reference,
        Some(Err(error)) => {
            refuse(&error.diagnostic());
            return None;
        }
    };
    let settings = Settings::from_environment();
    let repository = Repository::new(&settings, &reference);
    let known = repository.commit(&reference.revision);
    let show = Show::new(How::USE.json);
    let fetched = Fetcher::new(&settings).fetch(&reference, want, known.as_deref(), How::USE.extent, &mut |progress| show.hear(progress));
    show.clear();
    match fetched {
        Ok(fetched) => {
            show.end(&reference, &fetched.commit, fetched.files, fetched.bytes);
            Some(reference.inside(&repository.snapshot(&fetched.commit)))
        }
        Err(error) => {
            refuse(&error.diagnostic());
            None
        }
    }
}

impl ToFetch {
    /// `to fetch: hf:owner/name: model.safetensors, 256.6 MiB (commit 7e27bd9f95)`
    pub(super) fn line(&self) -> String {
        const SHOWN: usize = 3;
        let names: Vec<&str> = self.files.iter().take(SHOWN).map(|file| file.file.as_str()).collect();
        let more = self.files.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let bytes = self.bytes().map_or_else(|| "size unknown".to_owned(), size);
        format!("to fetch: {}: {}{more}, {bytes} (commit {})", self.written, names.join(", "), &self.commit[..10])
    }

    /// The same as data.
    pub(super) fn json(&self) -> Value {
        let files: Vec<Value> = self.files.iter().map(|file| json!({ "file": file.file, "bytes": file.bytes })).collect();
        json!({ "what": self.written, "commit": self.commit, "files": files, "bytes": self.bytes() })
    }

    fn bytes(&self) -> Option<u64> {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// A bar on a terminal, lines in a pipe, events for programs.
struct Show {
    json: bool,
    bars: bool,
    at: RefCell<Option<At>>,
}

/// What is being shown.
struct At {
    what: String,
    bar: ProgressBar,
    file: String,
    told: Instant,
}

impl Show {
    fn new(json: bool) -> Self {
        Self { json, bars: !json && std::io::stderr().is_terminal(), at: RefCell::default() }
    }

    fn hear(&self, progress: Progress<'_>) {
        let mut at = self.at.borrow_mut();
        if at.as_ref().is_none_or(|at| at.what != progress.what) {
            if let Some(before) = at.take() {
                before.bar.finish_and_clear();
            }
            let target = if self.bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
            let bar = ProgressBar::with_draw_target(progress.total, target).with_style(style()).with_prefix(progress.what.to_owned());
            // never told: long ago
            let told = Instant::now().checked_sub(CALM).unwrap_or_else(Instant::now);
            *at = Some(At { what: progress.what.to_owned(), bar, file: String::new(), told });
        }
        let Some(at) = &mut *at else { return };
        if let Some(total) = progress.total.filter(|total| at.bar.length() != Some(*total)) {
            at.bar.set_length(total);
        }
        at.bar.set_position(progress.done);
        if at.file != progress.file {
            progress.file.clone_into(&mut at.file);
            at.bar.set_message(at.file.clone());
        }
        let last = Some(progress.done) == progress.total;
        if self.json && (last || at.told.elapsed() >= CALM) {
            at.told = Instant::now();
            let event =
                json!({ "event": "fetch", "what": progress.what, "file": progress.file, "done": progress.done, "total": progress.total });
            out::line(&event.to_string());
        }
    }

    /// Says what came, if something did.
    fn end(&self, reference: &Reference, commit: &str, files: usize, bytes: u64) {
        if files == 0 {
            return;
        }
        self.clear();
        if self.json {
            out::line(
                &json!({ "event": "fetched", "what": reference.written, "commit": commit, "files": files, "bytes": bytes }).to_string(),
            );
        } else {
            out::error(&format!("fetched {}: {}, {} (commit {})", reference.written, counted(files, "file"), size(bytes), &commit[..10]));
        }
    }

    fn clear(&self) {
        if let Some(at) = self.at.borrow_mut().take() {
            at.bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    let template = "  {prefix}  {bar:20}  {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {wide_msg}";
    ProgressStyle::with_template(template).expect("a valid template").progress_chars("━╸ ")
}
