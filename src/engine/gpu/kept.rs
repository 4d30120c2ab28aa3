//! What is learnt about an adapter and kept between runs: a table of measured choices, and what its driver has compiled.
//!
//! Everything here may be deleted at any time, and whatever is not exactly what this build wrote for this adapter and
//! driver is as good as absent.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::durable;

use super::Tuning;
use super::shader::SOURCES;

/// For whom something was measured or compiled: another driver, or other kernels, and it is measured again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    adapter: String,
    backend: String,
    vendor: u32,
    device: u32,
    driver: String,
    align: String,
    /// Of the kernels' texts.
    kernels: String,
}

impl Identity {
    /// Of an adapter, under this build.
    pub(super) fn of(info: &wgpu::AdapterInfo) -> Self {
        let mut texts = blake3::Hasher::new();
        for (name, text) in SOURCES {
            texts.update(name.as_bytes()).update(&[0]).update(text.as_bytes()).update(&[0]);
        }
        Self {
            adapter: info.name.clone(),
            backend: info.backend.to_string(),
            vendor: info.vendor,
            device: info.device,
            driver: format!("{} {}", info.driver, info.driver_info),
            align: env!("CARGO_PKG_VERSION").to_owned(),
            kernels: texts.finalize().to_hex()[..16].to_owned(),
        }
    }

    /// As it names files.
    fn name(&self) -> String {
        blake3::hash(&self.bytes()).to_hex()[..16].to_owned()
    }

    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data becomes JSON")
    }
}

/// The file of measured choices.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    identity: Identity,
    tuning: Map<String, Value>,
}

/// Bytes of a hash before what it is of.
const HASH: usize = blake3::OUT_LEN;

/// A folder with what is known of one adapter.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    identity: Identity,
}

impl Kept {
    /// What `folder` knows of an adapter.
    pub(super) fn new(folder: &Path, identity: Identity) -> Self {
        Self { folder: folder.to_owned(), identity }
    }

    /// Where the measured choices are.
    pub(super) fn table(&self) -> PathBuf {
        self.folder.join(format!("{}.tuning.json", self.identity.name()))
    }

    /// The choices that were measured for this adapter, put on top of `base`.
    pub(super) fn tuning(&self, base: Tuning) -> Option<Tuning> {
        let text = std::fs::read(self.table()).ok()?;
        let table: Table = serde_json::from_slice(&text).ok()?;
        if table.identity == self.identity { base.with_json(&table.tuning) } else { None }
    }

    /// Keeps measured choices in place of any before.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn keep(&self, tuning: &Tuning) -> io::Result<()> {
        let table = Table { identity: self.identity.clone(), tuning: tuning.to_json() };
        std::fs::create_dir_all(&self.folder)?;
        durable::write(&self.table(), &serde_json::to_vec_pretty(&table)?)
    }

    /// Where compiled kernels are. One file an adapter, whatever was built: they are large, and another build's are of no use.
    fn compiled(&self) -> PathBuf {
        let Identity { adapter, backend, vendor, device, .. } = &self.identity;
        let hash = blake3::hash(format!("{adapter}\0{backend}\0{vendor}\0{device}").as_bytes());
        self.folder.join(format!("{}.pipelines", &hash.to_hex()[..16]))
    }

    /// What the driver compiled for this build, byte for byte as it was kept: drivers trust such data.
    pub(super) fn pipelines(&self) -> Option<Vec<u8>> {
        let file = std::fs::read(self.compiled()).ok()?;
        let (hash, data) = file.split_at_checked(HASH)?;
        (hash == self.hash_of(data)).then(|| data.to_vec())
    }

    /// Keeps what the driver has compiled.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn keep_pipelines(&self, data: &[u8]) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        durable::write(&self.compiled(), &[&self.hash_of(data)[..], data].concat())
    }

    /// Of the data and for whom it is.
    fn hash_of(&self, data: &[u8]) -> [u8; HASH] {
        *blake3::Hasher::new().update(&self.identity.bytes()).update(data).finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(driver: &str) -> Identity {
        Identity {
            adapter: "one".into(),
            backend: "vulkan".into(),
            vendor: 1,
            device: 2,
            driver: driver.into(),
            align: "0".into(),
            kernels: "k".into(),
        }
    }

    #[test]
    fn a_table_is_read_as_it_was_kept_and_only_for_whom_it_was_measured() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let inside = folder.path().join("not yet there");
        let kept = Kept::new(&inside, identity("1.0"));
        assert_eq!(kept.tuning(Tuning::GPU), None, "nothing is kept yet");
        let tuned = Tuning { enough_tiles: 24, few_queries: 0, ..Tuning::GPU };
        kept.keep(&tuned).expect("kept");
        assert_eq!(kept.tuning(Tuning::GPU), Some(tuned));
        let other = Kept::new(&inside, identity("1.1"));
        assert_eq!(other.tuning(Tuning::GPU), None, "another driver");
        // another adapter's file under this one's name
        std::fs::copy(kept.table(), other.table()).expect("copied");
        assert_eq!(other.tuning(Tuning::GPU), None);
    }

    #[test]
    fn a_damaged_table_is_none() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let kept = Kept::new(folder.path(), identity("1.0"));
        kept.keep(&Tuning::GPU).expect("kept");
        let whole = std::fs::read(kept.table()).expect("there");
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            std::fs::write(kept.table(), &whole[..length]).expect("written");
            assert_eq!(kept.tuning(Tuning::GPU), None, "{length} bytes");
        }
        let text = String::from_utf8(whole).expect("text");
        for (from, to) in [("\"head_groups\": 512", "\"head_groups\": 0"), ("\"tuning\"", "\"tunings\""), ("512", "-512")] {
            assert!(text.contains(from), "{text}");
            std::fs::write(kept.table(), text.replace(from, to)).expect("written");
            assert_eq!(kept.tuning(Tuning::GPU), None, "{to}");
        }
    }
    #[test]
    fn compiled_kernels_come_back_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let kept = Kept::new(folder.path(), identity("1.0"));
        assert_eq!(kept.pipelines(), None, "nothing is kept yet");
        let data: Vec<u8> = (0..=255).cycle().take(5000).collect();
        kept.keep_pipelines(&data).expect("kept");
        assert_eq!(kept.pipelines(), Some(data.clone()));
        assert_eq!(Kept::new(folder.path(), identity("1.1")).pipelines(), None, "another driver");
        let whole = std::fs::read(kept.compiled()).expect("there");
        let mut flipped = whole.clone();
        flipped[HASH + 1234] ^= 4;
        for damaged in [&flipped[..], &whole[..whole.len() - 1], &whole[..HASH - 1], &[]] {
            std::fs::write(kept.compiled(), damaged).expect("written");
            assert_eq!(kept.pipelines(), None, "{} bytes", damaged.len());
        }
        // another build's takes the place of it
        let newer = Kept::new(folder.path(), Identity { align: "1".into(), ..identity("1.0") });
        newer.keep_pipelines(&data).expect("kept");
        assert_eq!((newer.pipelines(), kept.pipelines()), (Some(data), None));
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
