//! Tree → typed recipe: names are resolved, types checked, stdlib and user functions inlined, rounds unrolled.
//!
//! What comes out ([`checked::Checked`]) is a list of primitive stage calls whose formulas are closed. Every mistake
//! of a file is reported, not only the first: an expression that is refused poisons its binding silently.

mod arguments;
mod body;
mod call;
pub mod checked;
mod control;
mod elaborate;
mod export;
mod expression;
pub mod library;
pub mod mistake;
mod objective;
pub mod outside;
mod primitive;
mod resolve;
mod scope;
pub mod signature;
mod subject;
pub mod types;
mod value;
mod word;

use crate::diagnostic::Diagnostic;
use crate::syntax::span::FileId;
use crate::world::Sources;

use checked::Checked;
use elaborate::Elaborator;
use library::Library;

pub use subject::{Subject, subject};

/// What the command line says about a recipe.
#[derive(Clone, Default, Debug)]
pub struct Options {
    /// Which recipe of the file; may be left out when there is one.
    pub recipe: Option<String>,
    /// `-p name=value`.
    pub params: Vec<(String, String)>,
    pub profile: Option<String>,
}

/// Checks a recipe file whole. The result is there only if no diagnostic is an error.
pub fn check(sources: &mut Sources, file: FileId, options: &Options) -> (Option<Checked>, Vec<Diagnostic>) {
    let mut library = Library::load(sources, file);
    let mut diagnostics = std::mem::take(&mut library.diagnostics);
    let mut elaborator = Elaborator::new(&library, sources, options);
    let checked = elaborator.file();
    diagnostics.extend(elaborator.diagnostics);
    if let Some(checked) = checked.as_ref().filter(|_| !diagnostics.iter().any(Diagnostic::is_error)) {
        diagnostics.extend(outside::check(checked, sources, file));
    }
    let refused = diagnostics.iter().any(Diagnostic::is_error);
    (checked.filter(|_| !refused), diagnostics)
}
