//! What an `export` asks a network to be written as.

use std::path::Path;
use std::sync::Arc;

use crate::model::{Container, Form, Numbers};
use crate::syntax::span::Span;
use crate::syntax::tree::Name;

use super::elaborate::{Elaborator, Outcome};
use super::mistake::{FormReason, Mistake};
use super::types::Type;

impl Elaborator<'_> {
    /// The form that a path and a word ask for, if it is one for what is exported.
    pub fn form(&mut self, found: &Type, what: Span, path: &Path, word: Option<&Name>) -> Outcome<Option<Form>> {
        let container = Container::of(path);
        let (is_gguf, is_network) = (container == Container::Gguf, matches!(found, Type::Model | Type::Scorer | Type::Critic));
        if is_gguf && *found != Type::Model {
            return Err(self.report(Mistake::ExportForm { reason: FormReason::NoModel(found.clone()), span: what }));
        }
        let Some(word) = word else { return Ok(is_gguf.then(|| Form { container, numbers: container.usual() })) };
        if !is_network {
            return Err(self.report(Mistake::ExportForm { reason: FormReason::NoNetwork(found.clone()), span: word.span }));
        }
        let Some(numbers) = Numbers::from_word(&word.text) else {
            let words = Numbers::words().map(Arc::from).collect();
            return Err(self.report(Mistake::UnknownWord { name: word.text.clone(), words, span: word.span }));
        };
        match container.holds(numbers) {
            true => Ok(Some(Form { container, numbers })),
            false => Err(self.report(Mistake::ExportForm { reason: FormReason::OnlyGguf(word.text.clone()), span: word.span })),
        }
    }
}
