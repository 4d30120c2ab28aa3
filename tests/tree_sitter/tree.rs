//! What the editors' grammar makes of a text.

use std::fs;
use std::ops::Range;

use tree_sitter::{InputEdit, Node, Parser, Point, Query, Tree};

use crate::{Chance, files, library};

pub fn parsed(text: &str, old: Option<&Tree>) -> Tree {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_align::LANGUAGE.into()).expect("made for this version");
    parser.parse(text, old).expect("no time limit is set")
}

/// Whether nothing in a text was skipped or made up.
pub fn is_sound(text: &str) -> bool {
    !parsed(text, None).root_node().has_error()
}

/// Where a text cannot be read.
pub fn faults(text: &str) -> String {
    fn walk(node: Node<'_>, text: &str, found: &mut String) {
        if node.is_error() || node.is_missing() {
            let place = node.start_position();
            let line = text.lines().nth(place.row).unwrap_or_default();
            *found += &format!("  {}:{} {} `{}` in `{line}`\n", place.row + 1, place.column + 1, node.to_sexp(), &text[node.byte_range()]);
        } else {
            (0..node.child_count()).for_each(|at| walk(node.child(at).expect("a child"), text, found));
        }
    }
    let mut found = String::new();
    walk(parsed(text, None).root_node(), text, &mut found);
    found
}

/// The leaves of a tree, in order; a text with what is in it is one.
pub fn tokens(text: &str) -> Vec<Range<usize>> {
    fn walk(node: Node<'_>, found: &mut Vec<Range<usize>>) {
        let is_text = matches!(node.kind(), "text" | "block_text");
        if !node.is_extra() && (is_text || node.child_count() == 0) && !node.byte_range().is_empty() {
            found.push(node.byte_range());
        } else if !is_text {
            (0..node.child_count()).for_each(|at| walk(node.child(at).expect("a child"), found));
        }
    }
    let mut found = Vec::new();
    walk(parsed(text, None).root_node(), &mut found);
    found
}

#[test]
fn queries_fit_the_grammar() {
    let queries = files("editors/tree-sitter-align/queries", ".scm");
    assert!(queries.len() >= 5, "{queries:?}");
    for path in queries {
        let text = fs::read_to_string(&path).expect("a readable query");
        let query = Query::new(&tree_sitter_align::LANGUAGE.into(), &text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(query.pattern_count() > 0, "{}", path.display());
    }
}

/// `test/corpus`: a name between lines of `=`, a text, a line of `-`, its tree.
#[test]
fn trees_are_those_of_the_corpus() {
    let words = |text: &str| text.replace('(', " ( ").replace(')', " ) ").split_whitespace().collect::<Vec<_>>().join(" ");
    let mut count = 0;
    for path in files("editors/tree-sitter-align/test/corpus", ".txt") {
        let corpus = fs::read_to_string(&path).expect("a readable corpus");
        let line = |sign: char| move |line: &str| line.len() >= 3 && line.chars().all(|c| c == sign);
        let lines: Vec<&str> = corpus.lines().collect();
        let heads: Vec<usize> = (0..lines.len()).filter(|at| line('=')(lines[*at])).collect();
        for (at, head) in heads.chunks_exact(2).enumerate() {
            let end = heads.get(2 * at + 2).copied().unwrap_or(lines.len());
            let case = &lines[head[1] + 1..end];
            let cut = case.iter().position(|text| line('-')(text)).expect("a line of `-`");
            let tree = parsed(&format!("{}\n", case[..cut].join("\n").trim()), None);
            count += 1;
            if lines[head[0] + 1..head[1]].contains(&":error") {
                assert!(tree.root_node().has_error(), "{}: {}", path.display(), lines[head[0] + 1]);
                continue;
            }
            let (is, wanted) = (words(&tree.root_node().to_sexp()), words(&case[cut + 1..].join("\n")));
            assert_eq!(is, wanted, "{}: {}", path.display(), lines[head[0] + 1]);
        }
    }
    assert!(count >= 20, "{count} cases");
}

fn point(text: &str, at: usize) -> Point {
    let line = text[..at].rfind('\n').map_or(0, |at| at + 1);
    Point::new(text[..at].matches('\n').count(), at - line)
}

/// What an editor does at every key: the tree of the text before helps to read the text after.
#[test]
fn a_tree_that_follows_edits_is_that_of_the_whole_text() {
    let mut chance = Chance(0x1234_5678_9abc_def1);
    let mut compared = 0;
    for (name, text) in library().iter().filter(|(name, _)| !name.contains("prelude")) {
        let (tokens, before) = (tokens(text), parsed(text, None));
        for _ in 0..12 {
            let (token, other) = (chance.below(tokens.len()), chance.below(tokens.len()));
            let (old, new) = (tokens[token].clone(), text[tokens[other].clone()].to_owned());
            let after = format!("{}{new}{}", &text[..old.start], &text[old.end..]);
            let mut tree = before.clone();
            tree.edit(&InputEdit {
                start_byte: old.start,
                old_end_byte: old.end,
                new_end_byte: old.start + new.len(),
                start_position: point(text, old.start),
                old_end_position: point(text, old.end),
                new_end_position: point(&after, old.start + new.len()),
            });
            let (followed, fresh) = (parsed(&after, Some(&tree)), parsed(&after, None));
            // How a broken text is mended may depend on what was there before.
            if !fresh.root_node().has_error() {
                assert_eq!(followed.root_node().to_sexp(), fresh.root_node().to_sexp(), "{name}: {} → {new}", &text[old]);
                compared += 1;
            }
            assert_eq!(followed.root_node().has_error(), fresh.root_node().has_error(), "{name}");
        }
    }
    assert!(compared > 50, "{compared} edits left a sound text");
}
