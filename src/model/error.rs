//! What can be wrong with a network's files, and with asking a network for something it cannot give.

use std::path::PathBuf;

use crate::diagnostic::Diagnostic;

use super::gguf::GgufError;

/// A mistake in a network's folder, or in how a network is used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("cannot read `{}`: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("cannot write `{}`: {reason}", path.display())]
    Unwritable { path: PathBuf, reason: String },
    #[error("`{}` exists already", path.display())]
    Exists { path: PathBuf },
    #[error("`{}` is not a network: there is no `{missing}` in it", path.display())]
    NotANetwork { path: PathBuf, missing: &'static str },
    #[error("`{}` has no valid `{field}`: {reason}", path.display())]
    Config { path: PathBuf, field: String, reason: String },
    #[error("`{}` describes `{found}`, which is not supported", path.display())]
    UnsupportedFamily { path: PathBuf, found: String, supported: Vec<&'static str> },
    #[error("`{}` asks for {feature}, which is not supported", path.display())]
    UnsupportedFeature { path: PathBuf, feature: String },
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("tensor `{tensor}` is missing in `{}`", path.display())]
    MissingTensor { path: PathBuf, tensor: String },
    #[error("tensor `{tensor}` in `{}` belongs to no part of the network", path.display())]
    ExtraTensor { path: PathBuf, tensor: String },
    #[error("tensor `{tensor}` in `{}` has shape {found:?}, expected {expected:?}", path.display())]
    Shape { path: PathBuf, tensor: String, found: Vec<usize>, expected: Vec<usize> },
    #[error("tensor `{tensor}` in `{}` holds {found}, which cannot be read", path.display())]
    Format { path: PathBuf, tensor: String, found: String },
    #[error("tensor `{tensor}` in `{}` holds a number that is not finite", path.display())]
    NotFinite { path: PathBuf, tensor: String },
    #[error("`{}` is not a tokenizer that can be used: {reason}", path.display())]
    Tokenizer { path: PathBuf, reason: String },
    #[error("the tokenizer cannot encode a text: {reason}")]
    Encode { reason: String },
    #[error("token id {id} is outside the vocabulary of {vocabulary}")]
    TokenOutside { id: u32, vocabulary: usize },
    #[error("the network has a {found} head, expected a {expected} head")]
    WrongHead { expected: &'static str, found: &'static str },
    #[error("a sequence without tokens cannot be read")]
    NothingToRead,
    #[error("the network was loaded frozen and cannot be trained")]
    Frozen,
    #[error("saved training state does not fit: {reason}")]
    State { reason: String },
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error(transparent)]
    Engine(#[from] crate::engine::EngineError),
}

impl ModelError {
    /// The stable code under which the mistake is documented.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "align::model::unreadable",
            Self::Unwritable { .. } => "align::model::unwritable",
            Self::Exists { .. } => "align::model::exists",
            Self::NotANetwork { .. } => "align::model::not_a_network",
            Self::Config { .. } => "align::model::config",
            Self::UnsupportedFamily { .. } => "align::model::unsupported_family",
            Self::UnsupportedFeature { .. } => "align::model::unsupported_feature",
            Self::Damaged { .. } => "align::model::damaged",
            Self::MissingTensor { .. } => "align::model::missing_tensor",
            Self::ExtraTensor { .. } => "align::model::extra_tensor",
            Self::Shape { .. } => "align::model::shape",
            Self::Format { .. } => "align::model::format",
            Self::NotFinite { .. } => "align::model::not_finite",
            Self::Tokenizer { .. } => "align::model::tokenizer",
            Self::Encode { .. } => "align::model::encode",
            Self::TokenOutside { .. } => "align::model::token_outside",
            Self::WrongHead { .. } => "align::model::wrong_head",
            Self::NothingToRead => "align::model::nothing_to_read",
            Self::Frozen => "align::model::frozen",
            Self::State { .. } => "align::model::state",
            Self::Gguf(error) => match error {
                GgufError::Unreadable { .. } => "align::model::unreadable",
                GgufError::Damaged { .. } => "align::model::damaged",
                GgufError::Unsupported { .. } => "align::model::unsupported_feature",
                GgufError::MissingKey { .. } | GgufError::Key { .. } => "align::model::config",
                GgufError::MissingTensor { .. } => "align::model::missing_tensor",
                GgufError::Shape { .. } => "align::model::shape",
                GgufError::NotFinite { .. } => "align::model::not_finite",
                GgufError::Unencodable { .. } => "align::model::unwritable",
            },
            Self::Engine(_) => "align::engine::failed",
        }
    }

    /// What to do about it, when there is something to do.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Exists { .. } => Some("choose another folder, or remove this one".into()),
            Self::NotANetwork { .. } => Some(
                "a network is a folder with `config.json`, `model.safetensors` and `tokenizer.json`, as `transformers` saves it, or one `.gguf` file".into(),
            ),
            Self::UnsupportedFamily { supported, .. } => Some(format!("supported: {}", supported.join(", "))),
            Self::Damaged { .. } | Self::Gguf(GgufError::Damaged { .. }) => Some("download or copy the file again".into()),
            Self::MissingTensor { .. } | Self::ExtraTensor { .. } | Self::Shape { .. } => {
                Some("`config.json` and the weights must come from the same network".into())
            }
            Self::Format { .. } => Some("save the weights as F32, F16 or BF16; GGUF may also hold Q8_0, Q4_0, Q4_1, Q4_K and Q6_K".into()),
            _ => None,
        }
    }

    /// The diagnostic, without a place: the caller knows which line of the recipe named the network.
    pub fn diagnostic(&self) -> Diagnostic {
        let diagnostic = Diagnostic::error(self.code(), self.to_string());
        match self.help() {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }
}
