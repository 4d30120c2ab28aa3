//! `load_scorer`: a lexicon or a linear classifier, copied whole into the artifact; or a trained scorer, which stays
//! where it is.

use std::io;
use std::path::{Path, PathBuf};

use super::call::Call;
use super::context::Context;
use super::failure::Failure;
use super::load_model::LoadModel;
use super::primitive::Primitive;
use super::product::{Item, Product};
use crate::hub::Want;
use crate::model::{Head, Network};
use crate::score::{FixedScorer, ScorerError};

/// The primitive.
#[derive(Debug)]
pub struct LoadScorer;

impl Primitive for LoadScorer {
    fn name(&self) -> &'static str {
        "load_scorer"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let path = context.path(&call.get::<PathBuf>("path")?);
        if FixedScorer::is_at(&path) || !path.exists() {
            let scorer = FixedScorer::load(&path)?;
            let file = scorer.save(context.folder())?;
            return Ok(Product::network(file));
        }
        if Network::open(&path)?.head != Head::Score {
            return Err(ScorerError::NoHead { path }.into());
        }
        Ok(Product::new(Item::Outside("path")))
    }

    fn file_arguments(&self) -> &'static [&'static str] {
        &["path"]
    }

    fn want(&self) -> Want {
        Want::Model
    }

    /// A linear scorer's terms may be in a file beside it; a trained scorer is all of its folder.
    fn outside_files(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        if FixedScorer::is_at(path) {
            let terms = FixedScorer::terms_beside(path);
            return Ok(std::iter::once(path.to_owned()).chain(terms).collect());
        }
        LoadModel.outside_files(path)
    }
}

impl From<ScorerError> for Failure {
    fn from(error: ScorerError) -> Self {
        let failure = Self::new(error.code(), error.to_string());
        error.help().map_or(failure.clone(), |help| failure.help(help))
    }
}
