//! Networks in GGUF, the one-file format of llama.cpp: what they are, their numbers as f32, and how they read text.
//!
//! Read: in goes a file, out come the things a Hugging Face folder holds: the object of `config.json`, the texts of
//! `tokenizer.json` and `tokenizer_config.json`, and tensors under their Hugging Face names in their Hugging Face order
//! of rows. A file is checked as a whole when it is opened; whatever is wrong with it is an error that names the place.
//!
//! Written: the same things become a [`Draft`], which is refused whole if anything of it has no place in a file, and the
//! draft becomes a file once its numbers are there.

mod blocks;
mod config;
mod error;
mod metadata;
mod names;
mod outline;
mod parse;
mod quantise;
mod reader;
mod rotary;
mod value;
mod vocabulary;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use serde_json::{Map, Value as Json};

pub use blocks::{Format, format};
pub use error::GgufError;
pub use outline::{Draft, Outline};
pub use value::{Array, Value, ValueType};
pub use vocabulary::{Reading, TokenizerTexts};

use metadata::Metadata;
use names::{ARCHITECTURES, Architecture, ROPE_FACTORS, Rows};
use parse::{Header, Tensor};

/// An open file: header read and checked, numbers still on disk.
#[derive(Debug)]
pub struct Gguf {
    path: PathBuf,
    bytes: Mmap,
    header: Header,
    architecture: &'static Architecture,
    /// Hugging Face name → GGUF name and the order of its rows.
    names: BTreeMap<String, (String, Rows)>,
}

impl Gguf {
    /// Opens a file and checks its header: metadata, names, and that every tensor lies inside of it.
    ///
    /// The file is memory-mapped: nobody may shorten or change it while it is open.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or has an unsupported version, byte order or architecture.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        let bytes = map(path).map_err(|e| GgufError::Unreadable { path: path.to_owned(), reason: e.to_string() })?;
        let header = Header::parse(path, &bytes)?;
        let architecture = architecture(&Metadata { path, bytes: &bytes, entries: &header.metadata })?;
        let names = translate(path, architecture, &header)?;
        Ok(Self { path: path.to_owned(), bytes, header, architecture, names })
    }

    /// The file this was opened from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A metadata value, if there is one of this key.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.header.metadata.get(key)
    }

    /// The object of `config.json`: `model_type`, `hidden_size`, `num_hidden_layers`, `num_attention_heads`,
    /// `num_key_value_heads`, `head_dim`, `intermediate_size`, `max_position_embeddings`, `rms_norm_eps`, `rope_theta`,
    /// `rope_scaling`, `vocab_size`, `tie_word_embeddings`, biases and special ids.
    ///
    /// # Errors
    /// When a key is missing or out of range, or asks for something that changes the network and is not supported.
    pub fn config(&self) -> Result<Map<String, Json>, GgufError> {
        config::config(self)
    }

    /// The texts of `tokenizer.json` and `tokenizer_config.json`.
    ///
    /// # Errors
    /// When the file has no vocabulary, or one of an unsupported kind, or its parts contradict each other.
    pub fn tokenizer(&self) -> Result<TokenizerTexts, GgufError> {
        vocabulary::texts(&self.metadata())
    }

    /// The Hugging Face names of all tensors, sorted. One that the architecture does not know keeps its own name. A tied
    /// language head is not among them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// The shape of a tensor, row-major, if there is one of this Hugging Face name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensor(name).map(|(_, tensor, _)| &tensor.shape[..])
    }

    /// How a tensor is stored, if there is one of this Hugging Face name.
    pub fn block_format(&self, name: &str) -> Option<&'static Format> {
        self.tensor(name).map(|(_, tensor, _)| tensor.format)
    }

    /// Reads a tensor as f32, row-major, the rows of queries and keys in Hugging Face's order: the two members of a
    /// rotary pair are half a head apart.
    ///
    /// # Errors
    /// When it is missing, in a format that cannot be read, not finite, or its rows are not those of the heads.
    pub fn read(&self, name: &str) -> Result<Vec<f32>, GgufError> {
        let (_, tensor, rows) = self.tensor(name).ok_or_else(|| self.missing(name))?;
        let numbers = self.numbers(name, tensor)?;
        let heads = match rows {
            Rows::Kept => return Ok(numbers),
            Rows::Query => config::heads(self).map(|heads| (heads.query, heads.dim))?,
            Rows::Key => config::heads(self).map(|heads| (heads.key_value, heads.dim))?,
        };
        let (heads, head_dim) = heads;
        if tensor.shape[0] != heads * head_dim {
            return Err(self.wrong_shape(name, &tensor.shape, &format!("{heads} heads of {head_dim} rows")));
        }
        Ok(rotary::half_split(&numbers, heads, tensor.shape[1..].iter().product()))
    }

    /// The numbers of a tensor in the order of the file.
    fn numbers(&self, name: &str, tensor: &Tensor) -> Result<Vec<f32>, GgufError> {
        let numbers = tensor.format.decode(&self.bytes[tensor.begin..tensor.begin + tensor.bytes]);
        let numbers = numbers.ok_or_else(|| GgufError::Unsupported {
            path: self.path.clone(),
            feature: format!("{} of tensor `{name}`", tensor.format.name),
            supported: blocks::readable(),
        })?;
        match numbers.iter().position(|x| !x.is_finite()) {
            None => Ok(numbers),
            Some(index) => Err(GgufError::NotFinite { path: self.path.clone(), tensor: name.into(), index }),
        }
    }

    fn tensor(&self, name: &str) -> Option<(&str, &Tensor, Rows)> {
        let (own, rows) = self.names.get(name)?;
        self.header.tensors.get(own).map(|tensor| (own.as_str(), tensor, *rows))
    }

    fn metadata(&self) -> Metadata<'_> {
        Metadata { path: &self.path, bytes: &self.bytes, entries: &self.header.metadata }
    }

    fn missing(&self, tensor: &str) -> GgufError {
        GgufError::MissingTensor { path: self.path.clone(), tensor: tensor.into() }
    }

    fn wrong_shape(&self, tensor: &str, found: &[usize], expected: &str) -> GgufError {
        GgufError::Shape { path: self.path.clone(), tensor: tensor.into(), found: found.to_vec(), expected: expected.into() }
    }
}

#[expect(unsafe_code, reason = "a mapping has no safe constructor")]
fn map(path: &Path) -> std::io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: the mapping is read-only and private to this type, and nobody may shorten or change the file while it is
    // open, as `Gguf::open` says. Offsets are checked against the mapped length, and no text is handed out that still
    // lies in the file.
    unsafe { Mmap::map(&file) }
}

/// The architecture that the file names.
fn architecture(metadata: &Metadata) -> Result<&'static Architecture, GgufError> {
    const KEY: &str = "general.architecture";
    let name = metadata.need(KEY, metadata.text(KEY)?)?;
    let known = || ARCHITECTURES.iter().map(|a| a.name).collect::<Vec<_>>().join(", ");
    let found = ARCHITECTURES.iter().find(|a| a.name == name);
    found.ok_or_else(|| metadata.unsupported(format!("architecture `{name}`"), known()))
}

/// The Hugging Face names of all parameters.
fn translate(path: &Path, architecture: &Architecture, header: &Header) -> Result<BTreeMap<String, (String, Rows)>, GgufError> {
    let mut names = BTreeMap::new();
    for (own, tensor) in header.tensors.iter().filter(|(own, _)| *own != ROPE_FACTORS) {
        let (name, rows) = architecture.translate(own).unwrap_or_else(|| (own.clone(), Rows::Kept));
        if let Some((other, _)) = names.insert(name.clone(), (own.clone(), rows)) {
            let reason = format!("tensors `{other}` and `{own}` are both `{name}`");
            return Err(GgufError::Damaged { path: path.to_owned(), at: tensor.begin as u64, reason });
        }
    }
    Ok(names)
}
