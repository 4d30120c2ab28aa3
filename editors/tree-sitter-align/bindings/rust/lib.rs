//! The tree-sitter grammar of align, a small language for alignment recipes.
//!
//! ```ignore
//! let mut parser = tree_sitter::Parser::new();
//! parser.set_language(&tree_sitter_align::LANGUAGE.into())?;
//! let tree = parser.parse("recipe r { a = load_model(\"m\") }", None);
//! ```

use tree_sitter_language::LanguageFn;

unsafe extern "C" {
    fn tree_sitter_align() -> *const ();
}

/// The language, for `tree_sitter::Parser::set_language`.
// SAFETY: `tree_sitter_align` is the function that the generated src/parser.c defines for this purpose.
pub const LANGUAGE: LanguageFn = unsafe { LanguageFn::from_raw(tree_sitter_align) };

/// What every node can be, and its fields, as JSON.
pub const NODE_TYPES: &str = include_str!("../../src/node-types.json");

/// Which nodes are coloured how, with the names of captures that tree-sitter and Neovim use.
pub const HIGHLIGHTS_QUERY: &str = include_str!("../../queries/highlights.scm");

/// What can be folded.
pub const FOLDS_QUERY: &str = include_str!("../../queries/folds.scm");

/// How lines are indented, with Neovim's names of captures.
pub const INDENTS_QUERY: &str = include_str!("../../queries/indents.scm");

/// Where names are bound and seen.
pub const LOCALS_QUERY: &str = include_str!("../../queries/locals.scm");
