//! What a network is written as: a folder or one GGUF file, and how its numbers are stored there.

use std::path::Path;

use super::gguf::{Format, GgufError, format};

/// What holds a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Container {
    /// `config.json`, `model.safetensors` and the tokenizer's files, as `transformers` reads them.
    Folder,
    /// One file, as llama.cpp reads it.
    Gguf,
}

/// How the numbers of matrices are stored. In GGUF, norms and biases are F32 whatever the matrices are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Numbers {
    F32,
    F16,
    Bf16,
    /// Blocks of 32 numbers of 8 bits that share a scale; GGUF only. A matrix whose rows are no whole number of blocks is
    /// stored as F16, as llama.cpp's own converter does it.
    Q8_0,
}

/// A container and what is in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Form {
    pub container: Container,
    pub numbers: Numbers,
}

/// The word of a recipe, the name in `config.json`, and the name in GGUF.
const NUMBERS: &[(Numbers, &str, Option<&str>, &str)] = &[
    (Numbers::F32, "f32", Some("float32"), "F32"),
    (Numbers::F16, "f16", Some("float16"), "F16"),
    (Numbers::Bf16, "bf16", Some("bfloat16"), "BF16"),
    (Numbers::Q8_0, "q8_0", None, "Q8_0"),
];

impl Numbers {
    /// The numbers that a recipe calls so.
    pub fn from_word(word: &str) -> Option<Self> {
        NUMBERS.iter().find(|row| row.1 == word).map(|row| row.0)
    }

    /// Every word.
    pub fn words() -> impl Iterator<Item = &'static str> {
        NUMBERS.iter().map(|row| row.1)
    }

    fn row(self) -> (&'static str, Option<&'static str>, &'static str) {
        let row = NUMBERS.iter().find(|row| row.0 == self).expect("all are listed");
        (row.1, row.2, row.3)
    }

    /// What a recipe calls them.
    pub fn word(self) -> &'static str {
        self.row().0
    }

    /// What `dtype` of `config.json` calls them; `None` for what a folder cannot hold.
    pub fn dtype(self) -> Option<&'static str> {
        self.row().1
    }

    /// Their blocks.
    pub(super) fn format(self) -> &'static Format {
        format(self.row().2).expect("every form of numbers is a format")
    }

    /// Numbers as bytes, little-endian.
    pub(super) fn encode(self, numbers: &[f32]) -> Result<Vec<u8>, GgufError> {
        self.format().encode(numbers)
    }
}

impl Container {
    /// What a path asks for: `.gguf` at its end is a GGUF file.
    pub fn of(path: &Path) -> Self {
        if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf")) { Self::Gguf } else { Self::Folder }
    }

    /// The numbers of a form that names none.
    pub fn usual(self) -> Numbers {
        match self {
            Self::Folder => Numbers::F32,
            Self::Gguf => Numbers::F16,
        }
    }

    /// Whether it can hold these numbers.
    pub fn holds(self, numbers: Numbers) -> bool {
        self == Self::Gguf || numbers.dtype().is_some()
    }
}
