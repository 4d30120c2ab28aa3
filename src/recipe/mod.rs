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
mod equal;
mod export;
mod expression;
pub mod index;
pub mod library;
mod memory;
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

pub use index::Index;
pub use memory::Memory;
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
    check_again(sources, file, options, &mut Memory::default())
}

/// The same in a process that has checked before: what has not changed since is not read again.
pub fn check_again(sources: &mut Sources, file: FileId, options: &Options, memory: &mut Memory) -> (Option<Checked>, Vec<Diagnostic>) {
    let look = look(sources, file, options, memory, None);
    let sound = look.is_sound();
    (look.elaborated.filter(|_| sound), look.diagnostics)
}

/// A check, with what it came to know on the way.
#[derive(Debug)]
pub struct Look {
    /// There if the text could be worked out, right or wrong: what it names outside is among its stages.
    pub elaborated: Option<Checked>,
    pub diagnostics: Vec<Diagnostic>,
    pub library: Library,
    /// There if it was asked for.
    pub index: Option<Index>,
}

/// Checks as [`check_again`], and fills an index where one is given.
pub fn look(sources: &mut Sources, file: FileId, options: &Options, memory: &mut Memory, index: Option<Index>) -> Look {
    let mut library = Library::load(sources, file, memory);
    let mut diagnostics = std::mem::take(&mut library.diagnostics);
    let mut elaborator = Elaborator::new(&library, sources, options);
    elaborator.index = index;
    let checked = elaborator.file();
    elaborator.index_rest();
    let index = elaborator.index.take();
    diagnostics.append(&mut elaborator.diagnostics);
    if let Some(checked) = checked.as_ref().filter(|_| !diagnostics.iter().any(Diagnostic::is_error)) {
        diagnostics.extend(outside::check(checked, sources, file, memory));
    }
    Look { elaborated: checked, diagnostics, library, index }
}

impl Look {
    /// Whether a run may start.
    pub fn is_sound(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }
}
