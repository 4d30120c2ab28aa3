//! Scorers that are not trained networks: a sentiment lexicon, and linear models over a text's words.
//!
//! A fixed scorer applied to a sequence scores the completion's text (all assistant turns, when there is no completion).

pub mod bag_of_words;
mod degree;
pub mod lexicon;
pub mod linear;
pub mod saved;
mod words;

use std::path::{Path, PathBuf};

pub use lexicon::Lexicon;
pub use linear::Linear;
pub use saved::ScorerError;

use crate::value::{Role, Sequence};

/// Every code about fixed scorers, and what it means.
pub const CODES: &[(&str, &str)] = &[
    ("align::score::unreadable", "A lexicon or linear scorer is not there, is cut short, or is something else."),
    ("align::score::no_head", "A model was loaded as a scorer, and it has no score head."),
];

/// A rule that gives a text one number.
#[derive(Clone, PartialEq, Debug)]
pub enum FixedScorer {
    /// Sentiment in −1..1.
    Lexicon(Lexicon),
    /// A probability in 0..1 when calibrated, else a weighted sum.
    Linear(Linear),
}

impl FixedScorer {
    /// The number of a text.
    pub fn score(&self, text: &str) -> f64 {
        match self {
            Self::Lexicon(lexicon) => lexicon.compound(text),
            Self::Linear(linear) => linear.score(text),
        }
    }

    /// The number of what the policy said: the completion, or every assistant turn.
    pub fn score_sequence(&self, sequence: &Sequence) -> f64 {
        match &sequence.completion {
            Some(completion) => self.score(&completion.text),
            None => {
                let said = sequence.prompt.iter().filter(|turn| turn.role == Role::Assistant);
                self.score(&said.map(|turn| &*turn.text).collect::<Vec<_>>().join("\n"))
            }
        }
    }

    /// Whether the file at `path` is a fixed scorer, rather than a trained network; only its head is read.
    pub fn is_at(path: &Path) -> bool {
        match path.extension().and_then(|e| e.to_str()) {
            Some("txt" | "tsv") => path.is_file(),
            Some("safetensors") => saved::is_linear(path),
            _ => false,
        }
    }

    /// The file beside a linear scorer that names its terms, where the scorer itself does not.
    pub fn terms_beside(path: &Path) -> Option<PathBuf> {
        let beside = saved::terms_beside(path);
        let is_linear = path.extension().is_some_and(|ending| ending == "safetensors");
        (is_linear && beside.is_file()).then_some(beside)
    }

    /// Reads a lexicon (`.txt`) or a linear scorer (`.safetensors`, see [`saved`]).
    ///
    /// # Errors
    /// When the file cannot be read, or is no scorer.
    pub fn load(path: &Path) -> Result<Self, ScorerError> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("txt" | "tsv") => saved::read_lexicon(path).map(Self::Lexicon),
            Some("safetensors") => saved::read_linear(path).map(Self::Linear),
            _ => Err(ScorerError::UnknownFormat { path: path.to_owned() }),
        }
    }

    /// Writes the scorer into `folder` as one file that [`FixedScorer::load`] reads back exactly; returns its name.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, folder: &Path) -> std::io::Result<&'static str> {
        let name = match self {
            Self::Lexicon(_) => "scorer.txt",
            Self::Linear(_) => "scorer.safetensors",
        };
        match self {
            Self::Lexicon(lexicon) => std::fs::write(folder.join(name), lexicon.to_text())?,
            Self::Linear(linear) => linear.save(&folder.join(name))?,
        }
        Ok(name)
    }
}
