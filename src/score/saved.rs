//! Fixed scorers on disk.
//!
//! A linear scorer is a safetensors file: `coef` (members, terms), `idf` (terms), `intercept` (members), optionally
//! `sigmoid_ab` (members, 2), in f32 or f64, and `vocabulary`, the terms as UTF-8 bytes with a line feed between; without it
//! the terms are the lines of `vocab.txt` in the same folder.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::diagnostic::{nowhere, reason};

use super::lexicon::{Lexicon, LexiconError};
use super::linear::{Linear, Member};

/// A scorer that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ScorerError {
    #[error("`{}` does not exist", path.display())]
    NoFile { path: PathBuf },
    #[error("`{}` is a model without a score head", path.display())]
    NoHead { path: PathBuf },
    #[error("`{}` is neither a lexicon (`.txt`) nor a linear scorer (`.safetensors`)", path.display())]
    UnknownFormat { path: PathBuf },
    #[error("`{}` cannot be read: {}", path.display(), reason(error))]
    Read { path: PathBuf, error: std::io::Error },
    #[error("`{}` is no lexicon: {error}", path.display())]
    Lexicon { path: PathBuf, error: LexiconError },
    #[error("`{}` is no safetensors file, or is cut short: {error}", path.display())]
    Container { path: PathBuf, error: String },
    #[error("`{}` has no tensor `{name}`: it is no linear scorer", path.display())]
    MissingTensor { path: PathBuf, name: &'static str },
    #[error("tensor `{name}` of `{}` has shape {found:?}, expected {expected:?}", path.display())]
    Shape { path: PathBuf, name: &'static str, found: Vec<usize>, expected: Vec<usize> },
    #[error("tensor `{name}` of `{}` has type {found}, expected F32 or F64", path.display())]
    Type { path: PathBuf, name: &'static str, found: String },
    #[error("tensor `{name}` of `{}` holds a number that is not finite", path.display())]
    NotFinite { path: PathBuf, name: &'static str },
    #[error("`{}` names {found} terms, its weights are for {expected}", path.display())]
    Terms { path: PathBuf, found: usize, expected: usize },
    #[error("`{}` names the term `{term}` twice", path.display())]
    TermTwice { path: PathBuf, term: String },
}

impl ScorerError {
    fn read(path: &Path, error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::NoFile { path: path.to_owned() },
            _ => Self::Read { path: path.to_owned(), error },
        }
    }

    /// The stable code under which the mistake is documented.
    pub fn code(&self) -> &'static str {
        if matches!(self, Self::NoHead { .. }) { "align::score::no_head" } else { "align::score::unreadable" }
    }

    /// What to do about it, when there is something to do.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoFile { path } => Some(nowhere(path)),
            Self::NoHead { .. } => Some("train one with `reward_model(…)` and export that".to_owned()),
            Self::Container { .. } => Some("download or copy the file again".to_owned()),
            _ => None,
        }
    }
}

/// The longest list of tensors that is looked through.
const HEAD: u64 = 1 << 20;

/// Whether a safetensors file holds `coef`, which no network has.
pub(super) fn is_linear(path: &Path) -> bool {
    let head = || {
        let mut file = std::fs::File::open(path)?;
        let mut length = [0; 8];
        file.read_exact(&mut length)?;
        let mut head = Vec::new();
        file.take(u64::from_le_bytes(length).min(HEAD)).read_to_end(&mut head)?;
        std::io::Result::Ok(head)
    };
    let names_coef =
        |head: Vec<u8>| serde_json::from_slice::<HashMap<String, serde::de::IgnoredAny>>(&head).is_ok_and(|head| head.contains_key("coef"));
    head().is_ok_and(names_coef)
}

/// Where the terms of a scorer without `vocabulary` are.
pub(super) fn terms_beside(path: &Path) -> PathBuf {
    path.with_file_name("vocab.txt")
}

pub(super) fn read_lexicon(path: &Path) -> Result<Lexicon, ScorerError> {
    Lexicon::parse(&read_text(path)?).map_err(|error| ScorerError::Lexicon { path: path.to_owned(), error })
}

pub(super) fn read_linear(path: &Path) -> Result<Linear, ScorerError> {
    let bytes = std::fs::read(path).map_err(|error| ScorerError::read(path, error))?;
    let container = |error: safetensors::SafeTensorError| ScorerError::Container { path: path.to_owned(), error: error.to_string() };
    let file = File { path, tensors: SafeTensors::deserialize(&bytes).map_err(container)? };
    file.linear()
}

fn read_text(path: &Path) -> Result<String, ScorerError> {
    std::fs::read_to_string(path).map_err(|error| ScorerError::read(path, error))
}

struct File<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
}

impl File<'_> {
    fn linear(&self) -> Result<Linear, ScorerError> {
        let coef = self.tensor("coef")?.ok_or_else(|| self.missing("coef"))?;
        let [members, terms] = *coef.shape() else {
            return Err(self.shape("coef", &coef, vec![1, coef.shape().iter().product()]));
        };
        let idf = self.numbers("idf", &[terms])?.ok_or_else(|| self.missing("idf"))?;
        let bias = self.numbers("intercept", &[members])?.ok_or_else(|| self.missing("intercept"))?;
        let weights = self.numbers("coef", &[members, terms])?.ok_or_else(|| self.missing("coef"))?;
        let calibration = self.numbers("sigmoid_ab", &[members, 2])?;
        let member = |k: usize| Member {
            weights: weights[k * terms..(k + 1) * terms].to_vec(),
            bias: bias[k],
            calibration: calibration.as_ref().map(|ab| [ab[2 * k], ab[2 * k + 1]]),
        };
        Ok(Linear::new(self.terms(terms)?, idf, (0..members).map(member).collect()))
    }

    fn terms(&self, expected: usize) -> Result<Vec<Box<str>>, ScorerError> {
        let (path, text) = match self.tensor("vocabulary")? {
            Some(tensor) => (self.path.to_owned(), String::from_utf8_lossy(tensor.data()).into_owned()),
            None => {
                let path = terms_beside(self.path);
                (path.clone(), read_text(&path)?)
            }
        };
        let terms: Vec<Box<str>> = text.lines().map(Into::into).collect();
        if terms.len() != expected {
            return Err(ScorerError::Terms { path, found: terms.len(), expected });
        }
        let mut seen = HashMap::new();
        match terms.iter().find(|term| seen.insert(*term, ()).is_some()) {
            Some(term) => Err(ScorerError::TermTwice { path, term: term.to_string() }),
            None => Ok(terms),
        }
    }

    fn tensor(&self, name: &'static str) -> Result<Option<TensorView<'_>>, ScorerError> {
        match self.tensors.tensor(name) {
            Ok(tensor) => Ok(Some(tensor)),
            Err(safetensors::SafeTensorError::TensorNotFound(_)) => Ok(None),
            Err(error) => Err(ScorerError::Container { path: self.path.to_owned(), error: error.to_string() }),
        }
    }

    fn numbers(&self, name: &'static str, shape: &[usize]) -> Result<Option<Vec<f64>>, ScorerError> {
        let Some(tensor) = self.tensor(name)? else { return Ok(None) };
        if tensor.shape() != shape || shape.contains(&0) {
            return Err(self.shape(name, &tensor, shape.to_vec()));
        }
        let numbers: Vec<f64> = match tensor.dtype() {
            Dtype::F32 => tensor.data().as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect(),
            Dtype::F64 => tensor.data().as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect(),
            other => return Err(ScorerError::Type { path: self.path.to_owned(), name, found: format!("{other:?}") }),
        };
        if numbers.iter().all(|x| x.is_finite()) {
            Ok(Some(numbers))
        } else {
            Err(ScorerError::NotFinite { path: self.path.to_owned(), name })
        }
    }

    fn missing(&self, name: &'static str) -> ScorerError {
        ScorerError::MissingTensor { path: self.path.to_owned(), name }
    }

    fn shape(&self, name: &'static str, tensor: &TensorView<'_>, expected: Vec<usize>) -> ScorerError {
        ScorerError::Shape { path: self.path.to_owned(), name, found: tensor.shape().to_vec(), expected }
    }
}

impl Linear {
    /// Writes the scorer as one file; equal scorers give equal bytes.
    pub(super) fn save(&self, path: &Path) -> std::io::Result<()> {
        let bytes = |numbers: &mut dyn Iterator<Item = f64>| numbers.flat_map(f64::to_le_bytes).collect::<Vec<u8>>();
        let (members, terms) = (self.members.len(), self.terms.len());
        let mut parts = vec![
            ("coef", Dtype::F64, vec![members, terms], bytes(&mut self.members.iter().flat_map(|m| m.weights.iter().copied()))),
            ("idf", Dtype::F64, vec![terms], bytes(&mut self.idf.iter().copied())),
            ("intercept", Dtype::F64, vec![members], bytes(&mut self.members.iter().map(|m| m.bias))),
        ];
        if let Some(calibration) = self.members.iter().map(|m| m.calibration).collect::<Option<Vec<_>>>() {
            parts.push(("sigmoid_ab", Dtype::F64, vec![members, 2], bytes(&mut calibration.into_iter().flatten())));
        }
        let vocabulary = self.terms.join("\n").into_bytes();
        parts.push(("vocabulary", Dtype::U8, vec![vocabulary.len()], vocabulary));
        let views = parts.iter().map(|(name, dtype, shape, data)| {
            let view = TensorView::new(*dtype, shape.clone(), data).expect("the data has the shape's size");
            ((*name).to_owned(), view)
        });
        let file = safetensors::serialize(views, None).map_err(std::io::Error::other)?;
        std::fs::write(path, file)
    }
}

#[cfg(test)]
mod tests {
    use super::super::FixedScorer;
    use super::*;

    fn model() -> Linear {
        let member = |bias, calibration| Member { weights: vec![0.1, -1.0 / 3.0], bias, calibration };
        Linear::new(vec!["good".into(), "bäd".into()], vec![1.0, 2.5], vec![member(0.5, Some([-2.0, 1.0])), member(0.0, Some([-1.0, 0.0]))])
    }

    #[test]
    fn a_saved_scorer_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let lexicon = Lexicon::parse("b\t-0.1\na thing\t3.3\tmore").unwrap();
        for scorer in [FixedScorer::Linear(model()), FixedScorer::Lexicon(lexicon)] {
            let path = folder.path().join(scorer.save(folder.path()).unwrap());
            assert!(FixedScorer::is_at(&path) && !FixedScorer::is_at(folder.path()));
            assert_eq!(FixedScorer::load(&path).unwrap(), scorer);
        }
    }

    #[test]
    fn what_is_no_scorer_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        model().save(&path("whole.safetensors")).unwrap();
        let bytes = std::fs::read(path("whole.safetensors")).unwrap();
        std::fs::write(path("cut.safetensors"), &bytes[..bytes.len() - 3]).unwrap();
        std::fs::write(path("text.safetensors"), "hello").unwrap();
        std::fs::write(path("bad.txt"), "good\t1\nbad").unwrap();
        let error = |name: &str| FixedScorer::load(&path(name)).unwrap_err();
        assert!(matches!(error("cut.safetensors"), ScorerError::Container { .. }));
        assert!(matches!(error("text.safetensors"), ScorerError::Container { .. }));
        assert!(matches!(error("missing.txt"), ScorerError::NoFile { .. }));
        assert!(matches!(error("model.bin"), ScorerError::UnknownFormat { .. }));
        assert!(matches!(error("bad.txt"), ScorerError::Lexicon { error: LexiconError::Line { line: 2, .. }, .. }));
    }

    #[test]
    fn terms_must_match_the_weights() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        let data = [1.0_f32, 2.0].map(f32::to_le_bytes).concat();
        let view = |shape: &[usize], data| TensorView::new(Dtype::F32, shape.to_vec(), data).unwrap();
        let parts = [("coef", view(&[1, 2], &data)), ("idf", view(&[2], &data)), ("intercept", view(&[1], &data[..4]))];
        std::fs::write(&path, safetensors::serialize(parts, None).unwrap()).unwrap();
        let with = |terms: &str| {
            std::fs::write(folder.path().join("vocab.txt"), terms).unwrap();
            FixedScorer::load(&path)
        };
        assert!(matches!(with("a\n"), Err(ScorerError::Terms { found: 1, expected: 2, .. })));
        assert!(matches!(with("a\na\n"), Err(ScorerError::TermTwice { .. })));
        assert!(with("good\nbad\n").is_ok());
    }
}
