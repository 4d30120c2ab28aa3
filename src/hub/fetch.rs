//! From a reference to files in the cache, asking as little as possible: what is known to be whole asks nothing.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io;

use crate::diagnostic::reason;

use super::cache::Repository;
use super::client::{Client, Listing};
use super::download::download;
use super::error::{HubError, Missing};
use super::reference::{Kind, Reference};
use super::settings::Settings;
use super::want::{Choice, State, Want, is_small};

/// How much is fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// Configurations and tokenizers: what is needed to look.
    Small,
    /// All that is read.
    All,
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress<'a> {
    /// The reference as it is written.
    pub what: &'a str,
    pub file: &'a str,
    /// Bytes of all files of the reference that had to be fetched.
    pub done: u64,
    /// `None` where the hub does not say sizes.
    pub total: Option<u64>,
}

/// A file that was left where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outstanding {
    pub file: String,
    pub bytes: Option<u64>,
}

/// A reference that was looked after.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetched {
    pub commit: String,
    /// Files and bytes that were brought.
    pub files: usize,
    pub bytes: u64,
    /// What [`Extent::Small`] left.
    pub outstanding: Vec<Outstanding>,
}

/// Who fetches.
#[derive(Debug)]
pub struct Fetcher<'a> {
    settings: &'a Settings,
    client: OnceCell<Client<'a>>,
}

impl<'a> Fetcher<'a> {
    /// Nothing is asked yet.
    pub fn new(settings: &'a Settings) -> Self {
        Self { settings, client: OnceCell::new() }
    }

    fn client(&self) -> &Client<'a> {
        self.client.get_or_init(|| Client::new(self.settings))
    }

    /// Brings what is wanted of a reference into the cache. `commit` says at which commit, where that is known; without
    /// it the hub is asked what its revision is now.
    ///
    /// # Errors
    /// When something is needed that is not here and cannot be had.
    pub fn fetch(
        &self,
        reference: &Reference,
        want: Want,
        commit: Option<&str>,
        extent: Extent,
        say: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Fetched, HubError> {
        let repository = Repository::new(self.settings, reference);
        let nothing = |commit: &str| Fetched { commit: commit.to_owned(), files: 0, bytes: 0, outstanding: Vec::new() };
        if let Some(commit) = commit.filter(|commit| want.is_settled(reference, &repository, commit)) {
            return Ok(nothing(commit));
        }
        let known = commit.map(|commit| want.state(reference, &repository, commit));
        match self.ask(reference, want, commit, &repository, extent, say) {
            // all that cannot be done without is here, and whether there is more cannot be known now: there is no network,
            // or what was open to somebody once is not open to who asks
            Err(error) if known == Some(State::Whole) && !matches!(error, HubError::Disk { .. }) => Ok(nothing(commit.unwrap_or_default())),
            Err(HubError::NoNetwork { endpoint, why, missing: None }) => {
                Err(HubError::NoNetwork { endpoint, why, missing: Some(self.missing(reference, want, commit, &repository)) })
            }
            answer => answer,
        }
    }

    fn missing(&self, reference: &Reference, want: Want, commit: Option<&str>, repository: &Repository) -> Missing {
        Missing {
            repository: reference.repository.clone(),
            dataset: reference.kind == Kind::Dataset,
            revision: commit.unwrap_or(&reference.revision).to_owned(),
            files: want.missed(reference, repository, commit),
            folder: repository.folder().to_owned(),
        }
    }

    fn ask(
        &self,
        reference: &Reference,
        want: Want,
        commit: Option<&str>,
        repository: &Repository,
        extent: Extent,
        say: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Fetched, HubError> {
        if self.settings.offline {
            let missing = self.missing(reference, want, commit, repository);
            return Err(HubError::Offline { written: reference.written.clone(), missing });
        }
        let revision = commit.unwrap_or(&reference.revision);
        let listing = self.list(reference, want, revision)?;
        let refused = |error: io::Error| HubError::Disk { path: repository.folder().to_owned(), why: reason(&error) };
        let mut brought =
            Brought { fetcher: self, reference, repository, commit: &listing.commit, files: 0, bytes: 0, done: 0, total: None };
        let mut index = |file: &str| {
            brought.bring(file, say)?;
            std::fs::read(repository.snapshot(&listing.commit).join(file)).map_err(refused)
        };
        let Choice { files, absent } = want.choose(reference, &listing.files, &mut index)?;
        for file in absent {
            repository.note_absent(&listing.commit, &file).map_err(refused)?;
        }
        if commit.is_none() {
            repository.note_commit(&reference.revision, &listing.commit).map_err(refused)?;
        }
        let open: Vec<&String> = files.iter().filter(|file| !repository.has(&listing.commit, file)).collect();
        let single = want.single(reference);
        let (now, later): (Vec<&String>, Vec<&String>) =
            open.into_iter().partition(|file| extent == Extent::All || (is_small(file) && single != Some(file)));
        let size = |file: &str| listing.files.get(file).copied().flatten();
        brought.total = now.iter().map(|file| size(file)).sum::<Option<u64>>().map(|rest| rest + brought.bytes);
        for file in now {
            brought.bring(file, say)?;
        }
        let outstanding = later.into_iter().map(|file| Outstanding { file: file.clone(), bytes: size(file) }).collect();
        Ok(Fetched { files: brought.files, bytes: brought.bytes, outstanding, commit: listing.commit })
    }

    /// What the repository has. A single file is asked for alone: data sets have many.
    fn list(&self, reference: &Reference, want: Want, revision: &str) -> Result<Listing, HubError> {
        let Some(file) = want.single(reference).filter(|_| want == Want::File) else { return self.client().list(reference, revision) };
        let metadata = self.client().metadata(reference, revision, file)?;
        Ok(Listing { commit: metadata.commit, files: BTreeMap::from([(file.to_owned(), metadata.size)]) })
    }
}

/// What one call has brought so far.
struct Brought<'a, 'f> {
    fetcher: &'a Fetcher<'f>,
    reference: &'a Reference,
    repository: &'a Repository,
    commit: &'a str,
    files: usize,
    bytes: u64,
    /// Bytes of files that are done with.
    done: u64,
    total: Option<u64>,
}

impl Brought<'_, '_> {
    fn bring(&mut self, file: &str, say: &mut dyn FnMut(Progress<'_>)) -> Result<(), HubError> {
        if self.repository.has(self.commit, file) {
            return Ok(());
        }
        let (what, done, total) = (&*self.reference.written, self.done, self.total);
        let mut hear = |here: u64| say(Progress { what, file, done: done + here, total });
        download(self.fetcher.client(), self.reference, self.repository, self.commit, file, &mut hear)?;
        let bytes = std::fs::metadata(self.repository.snapshot(self.commit).join(file)).map_or(0, |meta| meta.len());
        self.files += 1;
        self.bytes += bytes;
        self.done += bytes;
        say(Progress { what, file, done: self.done, total });
        Ok(())
    }
}
