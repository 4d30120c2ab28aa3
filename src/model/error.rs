//! What can be wrong with a network's files, and with asking a network for something it cannot give.

use std::io;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, nowhere, reason};

/// Every code about networks, and what it means.
pub const CODES: &[(&str, &str)] = &[
    ("align::model::missing_file", "A network's folder or file is not there. Paths start at the folder of the recipe."),
    (
        "align::model::unreadable",
        "A file of a network is there and cannot be read: it may be a folder, or the permissions may not allow it.",
    ),
    ("align::model::unwritable", "A network cannot be written: the disk may be full, or the permissions may not allow it."),
    (
        "align::model::no_gguf",
        "A network has a part that a GGUF file cannot hold, or that llama.cpp would read differently: its family, its head, or its vocabulary. A folder can hold it.",
    ),
    ("align::model::exists", "A network is never written over a folder that is there."),
    ("align::model::not_a_network", "A folder lacks a file that every network has."),
    (
        "align::model::not_an_adapter",
        "A folder lacks a file that every adapter has: `adapter_config.json` and `adapter_model.safetensors`, as PEFT writes them.",
    ),
    ("align::model::other_base", "An adapter is a difference to the weights it was trained beside, and means nothing beside others."),
    ("align::model::no_projection", "Adapters were asked for of a projection that this kind of network does not have."),
    (
        "align::model::blocks",
        "Weights in blocks of few bits stay as they are: what learns beside them is an adapter, and not one that learns the lengths of rows.",
    ),
    ("align::model::config", "A field of `config.json` is missing or has a value that no network can have."),
    ("align::model::unsupported_family", "`config.json` names a kind of network that align does not know."),
    (
        "align::model::unsupported_feature",
        "`config.json` asks for something that align does not compute. It is refused, never left out in silence.",
    ),
    ("align::model::damaged", "A file of a network is cut short or contradicts itself, as after a broken download."),
    ("align::model::missing_tensor", "The weights lack a tensor that `config.json` promises."),
    ("align::model::extra_tensor", "The weights hold a tensor that has no place in the network that `config.json` describes."),
    ("align::model::shape", "A tensor has other sizes than `config.json` says."),
    ("align::model::format", "A tensor's numbers are in a format that is not read."),
    ("align::model::not_finite", "The weights hold infinity or NaN; every answer of the network would be NaN too."),
    ("align::model::tokenizer", "`tokenizer.json` is not a tokenizer in the format of the `tokenizers` library."),
    (
        "align::model::chat_template",
        "A network's chat template cannot be read: it is Jinja as `transformers` has it, in `chat_template.jinja`, in `tokenizer_config.json` or in a GGUF's metadata.",
    ),
    (
        "align::model::conversation",
        "A network's chat template does not take a dialogue: it may want turns in another order, or it writes earlier turns differently once later ones follow, so that it cannot be told what the assistant said.",
    ),
    ("align::model::encode", "A text has a part for which the tokenizer has no token, not even one for the unknown."),
    ("align::model::token_outside", "The tokenizer gives a token that the network has no row for: the two belong to different networks."),
    (
        "align::model::wrong_head",
        "A network was asked for what its head does not give: a scorer for log-probs, a language model for a score.",
    ),
    ("align::model::depth", "A layer or head was asked for that the network does not have. Layer 0 is the embeddings."),
    ("align::model::direction", "A direction has as many numbers as a network's states, and a length."),
    ("align::model::unlike", "Two networks are compared word by word, so they share a vocabulary and read the same completion."),
    ("align::model::nothing_to_read", "A text has no token at all, and a network reads at least one."),
    (
        "align::model::constraint",
        "A sampled text was to be of a form, and there is no such text: its pattern looks around itself, or the model's tokenizer has no end token or does not spell text out in pieces.",
    ),
    (
        "align::model::too_long",
        "A text has more tokens than the network has positions. Networks with learned positions compute nothing beyond their last one.",
    ),
    ("align::model::frozen", "A network that was loaded to be read only was to be trained. This is a mistake in align."),
    ("align::model::state", "Training cannot go on from a checkpoint that belongs to another network. This is a mistake in align."),
];

use super::gguf::GgufError;
use crate::chat::DialogueError;

/// A mistake in a network's folder, or in how a network is used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("`{}` does not exist", path.display())]
    NoFile { path: PathBuf },
    #[error("`{}` cannot be read: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("`{}` cannot be written: {reason}", path.display())]
    Unwritable { path: PathBuf, reason: String },
    #[error("`{}` exists already", path.display())]
    Exists { path: PathBuf },
    #[error("`{}` is not a network: there is no `{missing}` in it", path.display())]
    NotANetwork { path: PathBuf, missing: &'static str },
    #[error("`{}` is not an adapter: there is no `{missing}` in it", path.display())]
    NotAnAdapter { path: PathBuf, missing: &'static str },
    #[error("the adapter in `{}` was trained beside other weights", path.display())]
    OtherBase { path: PathBuf },
    #[error("the network has no projection `{target}`")]
    NoProjection { target: &'static str },
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
    #[error("tensor `{tensor}` in `{}` holds a number that is infinite or NaN", path.display())]
    NotFinite { path: PathBuf, tensor: String },
    #[error("`{}` is not a tokenizer that can be used: {reason}", path.display())]
    Tokenizer { path: PathBuf, reason: String },
    #[error("the chat template in `{}` cannot be used: {reason}", path.display())]
    ChatTemplate { path: PathBuf, reason: String },
    #[error(transparent)]
    Conversation(#[from] DialogueError),
    #[error("the tokenizer has no token for a part of a text: {reason}")]
    Encode { reason: String },
    #[error("the tokenizer gives token {id}, and the network knows tokens 0 to {}", vocabulary - 1)]
    TokenOutside { id: u32, vocabulary: usize },
    #[error("weights in {format} blocks {}", if *magnitude { "have no lengths that could be learnt" } else { "cannot be trained" })]
    Blocks { format: &'static str, magnitude: bool },
    #[error("the network has a {found} head where a {expected} head is needed")]
    WrongHead { expected: &'static str, found: &'static str },
    #[error("{what} {asked} is asked for, and the network's last is {most}")]
    Depth { what: &'static str, asked: usize, most: usize },
    #[error("the network cannot be steered along this direction: {reason}")]
    Direction { reason: String },
    #[error("two networks are compared whose {what} differ")]
    Unlike { what: &'static str },
    #[error("a text without a single token cannot be read")]
    NothingToRead,
    #[error("no text of the `constraint` can be sampled: {reason}")]
    Form { reason: String },
    #[error("a text of {tokens} tokens is asked for, and the network has positions for {most}")]
    TooLong { tokens: usize, most: usize },
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
    /// A file that cannot be read, or is not there.
    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NoFile { path: path.to_owned() },
            _ => Self::Unreadable { path: path.to_owned(), reason: reason(error) },
        }
    }

    /// A file or folder that the disk refuses.
    pub(super) fn unwritable(path: &Path, error: &io::Error) -> Self {
        Self::Unwritable { path: path.to_owned(), reason: reason(error) }
    }

    /// The stable code under which the mistake is documented.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoFile { .. } => "align::model::missing_file",
            Self::Unreadable { .. } => "align::model::unreadable",
            Self::Unwritable { .. } => "align::model::unwritable",
            Self::Exists { .. } => "align::model::exists",
            Self::NotANetwork { .. } => "align::model::not_a_network",
            Self::NotAnAdapter { .. } => "align::model::not_an_adapter",
            Self::OtherBase { .. } => "align::model::other_base",
            Self::NoProjection { .. } => "align::model::no_projection",
            Self::Blocks { .. } => "align::model::blocks",
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
            Self::ChatTemplate { .. } => "align::model::chat_template",
            Self::Conversation(DialogueError::Encode { .. } | DialogueError::Forged { .. }) => "align::model::encode",
            Self::Conversation(_) => "align::model::conversation",
            Self::Encode { .. } => "align::model::encode",
            Self::TokenOutside { .. } => "align::model::token_outside",
            Self::WrongHead { .. } => "align::model::wrong_head",
            Self::Depth { .. } => "align::model::depth",
            Self::Direction { .. } => "align::model::direction",
            Self::Unlike { .. } => "align::model::unlike",
            Self::NothingToRead => "align::model::nothing_to_read",
            Self::Form { .. } => "align::model::constraint",
            Self::TooLong { .. } => "align::model::too_long",
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
                GgufError::Unencodable { .. } | GgufError::Unwritable { .. } => "align::model::unwritable",
                GgufError::NoPlace { .. } => "align::model::no_gguf",
            },
            Self::Engine(_) => "align::engine::failed",
        }
    }

    /// What to do about it, when there is something to do.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoFile { path } => Some(nowhere(path)),
            Self::Exists { .. } => Some("choose another folder, or remove this one".into()),
            Self::NotANetwork { path, .. } if super::Adapter::is_at(path) => {
                Some(format!("it is an adapter: load it beside the model it belongs to, `load_model(\"…\", adapter: \"{}\")`", path.display()))
            }
            Self::OtherBase { .. } => Some("give `load_model` the model from which the adapter was trained".into()),
            Self::NoProjection { .. } => Some("leave it out of `lora_targets`".into()),
            Self::Blocks { magnitude: true, .. } => Some("leave `lora_magnitude` out".into()),
            Self::Blocks { .. } => Some("train adapters beside them: add `lora: 16`".into()),
            Self::NotANetwork { .. } => Some(
                "a network is a folder with `config.json`, `model.safetensors` and `tokenizer.json`, as `transformers` saves it, or one `.gguf` file".into(),
            ),
            Self::UnsupportedFamily { supported, .. } => Some(format!("supported: {}", supported.join(", "))),
            Self::Damaged { .. } | Self::Gguf(GgufError::Damaged { .. }) => Some("download or copy the file again".into()),
            Self::MissingTensor { .. } | Self::ExtraTensor { .. } | Self::Shape { .. } => {
                Some("`config.json` and the weights must come from the same network".into())
            }
            Self::NotFinite { .. } => Some("take an earlier checkpoint: the training that wrote this one had broken down".into()),
            Self::Tokenizer { .. } | Self::Encode { .. } => Some("take the `tokenizer.json` that came with the weights".into()),
            Self::ChatTemplate { .. } => Some("take the template that came with the weights, or remove it: texts are then read as they are written".into()),
            Self::Conversation(DialogueError::Template(_)) => {
                Some("look at the order of the turns: many templates want `user` and `assistant` in turn, and `system` first or not at all".into())
            }
            Self::Conversation(DialogueError::Unstable { .. }) => {
                Some("score the last answer only: give the dialogue before it as `.prompt` and the answer as `.completion`".into())
            }
            Self::TokenOutside { .. } => Some("the tokenizer and the weights must come from the same network".into()),
            Self::WrongHead { found: "score", .. } => Some("load it with `load_scorer(…)`: it is a scorer".into()),
            Self::WrongHead { expected: "score", .. } => Some("`reward_model(…)` makes a scorer of a language model".into()),
            Self::Unlike { what: "vocabularies" } => Some("compare networks that share a tokenizer".into()),
            Self::Unlike { .. } => Some("let both read the same completion: `after(prompt, .completion)` puts another prompt before it".into()),
            Self::Form { .. } => Some("write the form with `literal`, `one_of`, `pattern` (without look-around) and `passage_of`, joined by `+`".into()),
            Self::NothingToRead => Some("leave out empty texts: `.filter(.prompt != \"\")`".into()),
            Self::TooLong { .. } => Some("ask for fewer tokens (`max_tokens`), or leave out longer texts".into()),
            Self::Gguf(GgufError::NoPlace { .. }) => Some("export it as a folder: leave `.gguf` out of the path".into()),
            Self::Gguf(GgufError::Unencodable { format: "F16", .. }) => Some("export it `as f32` or `as bf16`, which reach further".into()),
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
