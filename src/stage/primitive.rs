//! The boundary between a plan and the work: one [`Primitive`] for every `extern stage` of the standard library.
//!
//! Arguments come as plain data ([`Call`]) and become the primitive's own `Args` in its first lines; results go back
//! as a [`Product`]. A primitive prints nothing, opens no store and reads no clock: it asks its [`Context`].

use std::io;
use std::path::{Path, PathBuf};

use crate::durable;
use crate::hub::Want;

use super::call::Call;
use super::context::Context;
use super::cost::{Cost, Sizes};
use super::failure::Failure;
use super::product::Product;

/// One `extern stage`.
pub trait Primitive: Sync {
    /// The name in `extern stage name(…)`.
    fn name(&self) -> &'static str;

    /// Part of the fingerprint: raise it when equal arguments no longer give equal results.
    fn version(&self) -> u32 {
        1
    }

    /// Does the work.
    ///
    /// # Errors
    /// A [`Failure`] that names step and value, or [`Failure::interrupted`] once a checkpoint is written.
    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure>;

    /// What it will take, from arguments and the inputs' sizes only; nothing is loaded but headers.
    fn estimate(&self, _call: &Call<'_>, _inputs: &Sizes<'_>) -> Cost {
        Cost::default()
    }

    /// Arguments that name outside files. Their content takes part in the fingerprint, their path does not.
    fn file_arguments(&self) -> &'static [&'static str] {
        &[]
    }

    /// What is read of a repository of a hub that such an argument names.
    fn want(&self) -> Want {
        Want::File
    }

    /// The files that are read when an argument of [`Primitive::file_arguments`] names `path`: what is fingerprinted.
    ///
    /// # Errors
    /// When one of them is not there.
    fn outside_files(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        if std::fs::metadata(path)?.is_dir() {
            return Ok(durable::files_under(path)?.into_iter().map(|inner| path.join(inner)).collect());
        }
        Ok(vec![path.to_owned()])
    }

    /// Whether it also runs when some of its inputs were never made (`keep`, after a gate closed).
    fn takes_missing(&self) -> bool {
        false
    }
}

impl std::fmt::Debug for dyn Primitive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} v{}", self.name(), self.version())
    }
}
