//! `load_model`: a network that someone else made stays where it is; the plan pins it by its content.

use std::io;
use std::path::{Path, PathBuf};

use crate::hub::Want;
use crate::model::{ModelError, Network};

use super::call::Call;
use super::context::Context;
use super::cost::{Cost, Size, Sizes};
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::{Item, Product};

/// The primitive.
#[derive(Debug)]
pub struct LoadModel;

impl Primitive for LoadModel {
    fn name(&self) -> &'static str {
        "load_model"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let path = context.path(&call.get::<PathBuf>("path")?);
        Network::open(&path)?;
        Ok(Product::new(Item::Outside("path")))
    }

    fn estimate(&self, _call: &Call<'_>, _inputs: &Sizes<'_>) -> Cost {
        Cost::of(Size::default())
    }

    fn file_arguments(&self) -> &'static [&'static str] {
        &["path"]
    }

    fn want(&self) -> Want {
        Want::Model
    }

    /// Licences, notes and data beside a model change nothing.
    fn outside_files(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        if let Some(file) = crate::model::gguf_at(path).filter(|file| file.exists()) {
            return Ok(vec![file]);
        }
        let folder = if std::fs::metadata(path)?.is_dir() { path } else { path.parent().unwrap_or(path) };
        let mut files: Vec<PathBuf> = SIDE_FILES.iter().map(|name| folder.join(name)).filter(|file| file.is_file()).collect();
        if folder == path {
            let entries = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
            files.extend(entries.into_iter().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "safetensors")));
        } else {
            files.push(path.to_owned());
        }
        files.sort();
        Ok(files)
    }
}

/// What a model is, beside its weights.
const SIDE_FILES: &[&str] = &[
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
    "align.json",
    "model.safetensors.index.json",
];

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        let failure = Failure::new(error.code(), error.to_string());
        match error.help() {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}
