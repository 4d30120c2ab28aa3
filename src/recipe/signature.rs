//! Looking things up for `align help`: the text and doc comment of an item of the standard library.

use crate::syntax::span::FileId;
use crate::syntax::tree::Item;

use super::library::{STDLIB, item_name};

/// An item as its author wrote it.
#[derive(Clone, Debug)]
pub struct Documented {
    /// `std.preference`
    pub module: String,
    pub name: String,
    pub doc: String,
    /// The item's own text.
    pub text: String,
}

/// Every item of the standard library, in the order of the files.
pub fn standard_items() -> Vec<Documented> {
    let mut found = Vec::new();
    for (at, (module, text)) in (0..).zip(STDLIB) {
        let (tree, _) = crate::syntax::parse(FileId(at), text);
        found.extend(tree.items.iter().filter_map(|item| documented(module, text, item)));
    }
    found
}

fn documented(module: &str, text: &str, item: &Item) -> Option<Documented> {
    let name = item_name(item)?;
    let body = text[item.span.range()].trim();
    Some(Documented { module: format!("std.{module}"), name: name.text.to_string(), doc: item.doc.clone(), text: body.to_owned() })
}
