//! One file, from a hub into the cache: whole or not at all, whatever breaks off in between.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use ring::digest;

use crate::diagnostic::{reason, size};
use crate::durable;

use super::cache::Repository;
use super::client::{Client, Metadata};
use super::error::HubError;
use super::reference::Reference;

/// Tries in a row in which nothing came.
const TRIES: u32 = 4;

/// Between two looks at a lock that somebody else holds.
const PATIENCE: Duration = Duration::from_millis(100);

/// What is read before anybody is told.
const CHUNK: usize = 1 << 18;

/// Brings a file of a commit into its snapshot. `hear` is told how many of its bytes are here.
///
/// # Errors
/// When it cannot be fetched, is not what it should be, or the disk refuses. What came stays and is gone on with.
pub(super) fn download(
    client: &Client<'_>,
    reference: &Reference,
    repository: &Repository,
    commit: &str,
    file: &str,
    hear: &mut dyn FnMut(u64),
) -> Result<(), HubError> {
    let metadata = client.metadata(reference, commit, file)?;
    let blob = repository.blob(&metadata.etag);
    let refused = |path: &Path, error: &io::Error| HubError::Disk { path: path.to_owned(), why: reason(error) };
    fs::create_dir_all(durable::parent(&blob)).map_err(|e| refused(&blob, &e))?;
    // one fetches, the others wait and find it
    let _lock = loop {
        if let Some(lock) = repository.lock(&metadata.etag).map_err(|e| refused(&blob, &e))? {
            break lock;
        }
        std::thread::sleep(PATIENCE);
    };
    if !blob.is_file() {
        let partial = repository.partial(&metadata.etag);
        room(&partial, metadata.size)?;
        let coming = Coming { client, reference, repository, commit, file, partial: &partial };
        coming.whole(metadata.clone(), hear)?;
        durable::rename(&partial, &blob).map_err(|e| refused(&blob, &e))?;
    }
    repository.point(commit, file, &metadata.etag).map_err(|e| refused(repository.folder(), &e))
}

/// Refuses early what the disk has no room for.
fn room(partial: &Path, bytes: Option<u64>) -> Result<(), HubError> {
    let folder = durable::parent(partial);
    let (Some(bytes), Ok(free)) = (bytes, fs4::available_space(folder)) else { return Ok(()) };
    let needed = bytes.saturating_sub(length(partial));
    if needed <= free {
        return Ok(());
    }
    let why = format!("{} are needed and {} are free", size(needed), size(free));
    Err(HubError::Disk { path: folder.to_owned(), why })
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}

/// A file on its way.
struct Coming<'a> {
    client: &'a Client<'a>,
    reference: &'a Reference,
    repository: &'a Repository,
    commit: &'a str,
    file: &'a str,
    partial: &'a Path,
}

/// How a stretch of a download ended, short of a refusal.
enum Stretch {
    /// The server has said all.
    Ended,
    /// The connection broke.
    Broke(String),
}

impl Coming<'_> {
    /// Fetches until the file is whole and is what it should be.
    fn whole(&self, mut metadata: Metadata, hear: &mut dyn FnMut(u64)) -> Result<(), HubError> {
        let (mut failed, mut wrong) = (0, 0);
        loop {
            let before = length(self.partial);
            let why = match self.stretch(&metadata, hear) {
                Ok(Stretch::Ended) => None,
                Ok(Stretch::Broke(why)) => Some(why),
                // an address of a file is signed for a while only, and a server may be out of order for a moment
                Err(HubError::NoNetwork { why, .. } | HubError::Answer { why, .. }) => Some(why),
                Err(other) => return Err(other),
            };
            let here = length(self.partial);
            if why.is_none() && metadata.size.is_none_or(|size| here >= size) {
                let Some(why) = self.fault(&metadata)? else { return Ok(()) };
                self.throw_away()?;
                wrong += 1;
                if wrong > 1 {
                    let (repository, file) = (self.reference.repository.clone(), self.file.to_owned());
                    return Err(HubError::Damaged { repository, file, why });
                }
                continue;
            }
            failed = if here > before { 1 } else { failed + 1 };
            if failed > TRIES {
                let why =
                    format!("`{}` broke off after {here} bytes: {}", self.file, why.unwrap_or_else(|| "the connection was closed".into()));
                return Err(HubError::NoNetwork { endpoint: self.client.endpoint().to_owned(), why, missing: None });
            }
            std::thread::sleep(Duration::from_millis(250) * failed);
            if let Ok(again) = self.client.metadata(self.reference, self.commit, self.file) {
                if again.etag == metadata.etag {
                    metadata = again;
                }
            }
        }
    }

    /// Goes on behind what is here.
    fn stretch(&self, metadata: &Metadata, hear: &mut dyn FnMut(u64)) -> Result<Stretch, HubError> {
        let refused = |error: &io::Error| HubError::Disk { path: self.partial.to_owned(), why: reason(error) };
        let mut file = File::options().create(true).truncate(false).write(true).open(self.partial).map_err(|e| refused(&e))?;
        let mut here = length(self.partial);
        if metadata.size.is_none_or(|size| here > size) {
            here = 0;
        }
        if here > 0 && Some(here) == metadata.size {
            return Ok(Stretch::Ended);
        }
        let (begins, mut reader) = self.client.bytes(&metadata.location, here)?;
        here = begins;
        file.set_len(here).and_then(|()| io::Seek::seek(&mut file, io::SeekFrom::Start(here))).map_err(|e| refused(&e))?;
        let mut buffer = vec![0; CHUNK];
        let ended = loop {
            hear(here);
            match reader.read(&mut buffer) {
                Ok(0) => break Stretch::Ended,
                Ok(count) => {
                    file.write_all(&buffer[..count]).map_err(|e| refused(&e))?;
                    here += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Stretch::Broke(reason(&error)),
            }
        };
        file.sync_all().map_err(|e| refused(&e))?;
        Ok(match ended {
            Stretch::Ended if metadata.size.is_some_and(|size| here < size) => Stretch::Broke("the connection was closed".into()),
            ended => ended,
        })
    }

    /// What is wrong with a file that has all its bytes. Its name is its SHA-256, or the SHA-1 that git gives it.
    fn fault(&self, metadata: &Metadata) -> Result<Option<String>, HubError> {
        let here = length(self.partial);
        if let Some(size) = metadata.size.filter(|size| *size != here) {
            return Ok(Some(format!("it has {here} bytes instead of {size}")));
        }
        let is_hex = metadata.etag.bytes().all(|b| b.is_ascii_hexdigit());
        let mut hash = match metadata.etag.len() {
            64 if is_hex => digest::Context::new(&digest::SHA256),
            40 if is_hex => {
                let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
                hash.update(format!("blob {here}\0").as_bytes());
                hash
            }
            _ => return Ok(None),
        };
        let read = (|| {
            let (mut file, mut buffer) = (File::open(self.partial)?, vec![0; CHUNK]);
            loop {
                match file.read(&mut buffer)? {
                    0 => return Ok(()),
                    count => hash.update(&buffer[..count]),
                }
            }
        })();
        read.map_err(|e: io::Error| HubError::Disk { path: self.partial.to_owned(), why: reason(&e) })?;
        let found: String = hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((found != metadata.etag.to_ascii_lowercase()).then(|| "its content has another hash".into()))
    }

    fn throw_away(&self) -> Result<(), HubError> {
        durable::remove(self.partial).map_err(|e| HubError::Disk { path: self.repository.folder().to_owned(), why: reason(&e) })
    }
}
