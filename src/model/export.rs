//! A network as files that other programs load.

use std::path::Path;

use serde_json::json;

use super::gguf::{Draft, GgufError, Outline, Reading};
use super::tokenizer_files::templates;
use super::{Container, Form, Head, ModelError, Network, Numbers, Parameter, Rope};

/// Families that GGUF files are written of: the others lack metadata that llama.cpp wants.
const WRITTEN: [&str; 2] = ["llama", "qwen2"];

impl Network {
    /// Writes a folder or a file that must not exist yet; `name` is what a person calls the network.
    ///
    /// # Errors
    /// As [`Self::check_form`]; when the numbers cannot be read or do not fit the form; when the disk refuses. What was
    /// written by then stays.
    pub fn export(&self, to: &Path, form: Form, name: Option<&str>) -> Result<(), ModelError> {
        match form.container {
            Container::Folder => {
                std::fs::create_dir(to).map_err(|e| ModelError::unwritable(to, &e))?;
                self.write_numbers(to, form.numbers)
            }
            Container::Gguf => {
                let parameters = self.parameters();
                self.draft(form.numbers, name)?.write(to, |index| self.merged_tensor(index, &parameters[index]))
            }
        }
    }

    /// Whether the network has a place in a form; reads no numbers.
    ///
    /// # Errors
    /// When a GGUF file cannot hold its head, its family, its switches or its vocabulary.
    pub fn check_form(&self, form: Form) -> Result<(), ModelError> {
        match form.container {
            Container::Folder => Ok(()),
            Container::Gguf => self.draft(form.numbers, None).map(drop),
        }
    }

    fn draft(&self, numbers: Numbers, name: Option<&str>) -> Result<Draft, ModelError> {
        let no_place = |feature: String, supported: &str| GgufError::NoPlace { feature, supported: supported.into() };
        if self.head != Head::Language {
            return Err(no_place(format!("a {} head", self.head.word()), "language heads").into());
        }
        let rope = self.spec.rope.filter(|_| WRITTEN.contains(&self.spec.family.model_type));
        let family = || no_place(format!("the family `{}`", self.spec.family.model_type), &WRITTEN.join(", "));
        let rope = rope.ok_or_else(family)?;
        if self.config.get("use_sliding_window") == Some(&json!(true)) {
            return Err(no_place("attention to a window of tokens".into(), "attention to all tokens").into());
        }
        Ok(Draft::new(&self.outline(name, rope), &self.reading(), numbers.format())?)
    }

    fn outline<'a>(&'a self, name: Option<&'a str>, rope: Rope) -> Outline<'a> {
        let spec = &self.spec;
        let named = |parameter: Parameter| (parameter.name, parameter.shape);
        Outline {
            name,
            model_type: spec.family.model_type,
            layers: spec.layers,
            width: spec.width,
            mlp: spec.mlp,
            heads: spec.heads,
            kv_heads: spec.kv_heads,
            head_dim: spec.head_dim,
            vocabulary: spec.vocabulary,
            max_positions: spec.max_positions,
            norm_epsilon: spec.norm_epsilon,
            rope_base: rope.base,
            rope_scaling: rope.scaling,
            tensors: self.parameters().into_iter().map(named).collect(),
        }
    }

    fn reading(&self) -> Reading<'_> {
        let tokenizer = &self.tokenizer;
        Reading {
            tokenizer: tokenizer.file("tokenizer.json").unwrap_or_default(),
            starts: tokenizer.start().is_some(),
            start: tokenizer.start().or(self.spec.bos),
            ends: tokenizer.end(),
            padding: self.spec.pad,
            templates: templates(tokenizer.files()),
        }
    }
}
