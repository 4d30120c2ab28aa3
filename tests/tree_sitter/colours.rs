//! What `queries/highlights.scm` tells apart.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;

use tree_sitter::{Query, QueryCursor, StreamingIterator as _};

use crate::tree::{parsed, tokens};
use crate::{files, library};

/// Every captured range with its captures.
fn colours(query: &str, text: &str) -> Vec<(Range<usize>, String)> {
    let query = Query::new(&tree_sitter_align::LANGUAGE.into(), query).expect("a sound query");
    let names = query.capture_names();
    let tree = parsed(text, None);
    let mut cursor = QueryCursor::new();
    let mut found = Vec::new();
    let mut captures = cursor.captures(&query, tree.root_node(), text.as_bytes());
    while let Some((found_by, at)) = captures.next() {
        let capture = found_by.captures()[*at];
        found.push((capture.node.byte_range(), names[capture.index as usize].to_owned()));
    }
    found
}

/// A line of the quickstart, a text on it, and what it is.
const QUICKSTART: &[(&str, &str, &str)] = &[
    ("use std.{sft", "use", "keyword.import"),
    ("use std.{sft", "std", "module"),
    ("use std.{sft", "reward_model", "function"),
    ("/// How strongly", "/// How strongly DPO holds the policy to where it starts.", "comment.documentation"),
    ("param beta", "param", "keyword.type"),
    ("param beta", "beta", "variable.parameter"),
    ("param beta", "Float", "type"),
    ("param beta", "in", "keyword.operator"),
    ("param beta", "0.01", "number"),
    ("param beta", "..=", "operator"),
    ("param judge", "chance", "constant"),
    ("recipe quickstart", "recipe", "keyword.function"),
    ("recipe quickstart", "quickstart", "function"),
    ("recipe quickstart", "Teach a 260k-parameter storyteller to end sad openings well, and check that it did", "string"),
    ("    base = load_model", "base", "variable"),
    ("    base = load_model", "load_model", "function"),
    ("    base = load_model", "quickstart/model.safetensors", "string"),
    ("    openings = load_data", "as", "keyword.operator"),
    ("    openings = load_data", "prompt", "variable.member"),
    ("    openings = load_data", "Text", "type"),
    ("    part = openings.split", "test", "variable.parameter"),
    ("    part = openings.split", "25%", "number"),
    ("    part = openings.split", "by", "variable.parameter"),
    ("    part = openings.split", "event", "variable.member"),
    ("    part = openings.split", "split", "function"),
    ("    // Demonstrations:", "// Demonstrations: the happiest of four stories the model tells itself.", "comment"),
    ("    told = generate", "train", "variable.member"),
    ("    told = generate", "completion", "variable.member"),
    ("    tuned = sft", "3e-4", "number"),
    ("            .pairs(by: if", "if", "keyword.conditional"),
    ("            .pairs(by: if", "==", "operator"),
    ("            .pairs(by: if", "gold", "variable"),
    ("            .pairs(by: if", "dice", "function"),
    ("    expect rm.accuracy.lower95 > 0.72", "expect", "keyword"),
    ("    expect rm.accuracy.lower95 > 0.72", ">", "operator"),
    ("    expect by_ppo.length", "and", "keyword.operator"),
    ("    export policy", "to", "keyword.operator"),
    ("fn first", "fn", "keyword.function"),
    ("fn first", "stories", "variable.parameter"),
    ("fn first", "<", "punctuation.bracket"),
    ("stage tale", "stage", "keyword.function"),
    ("stage tale", "reference", "variable.parameter"),
    ("    limit rows", "limit", "keyword"),
    ("    limit rows", "rows", "variable"),
    ("    definition:", "definition", "variable.parameter"),
];

#[test]
fn the_quickstart_is_coloured_as_the_table_says() {
    let text = fs::read_to_string("recipes/quickstart.align").expect("the recipe");
    let colours = colours(tree_sitter_align::HIGHLIGHTS_QUERY, &text);
    for (start, part, wanted) in QUICKSTART {
        let line = if text.starts_with(start) { 0 } else { 1 + text.find(&format!("\n{start}")).unwrap_or_else(|| panic!("no `{start}`")) };
        let end = line + text[line..].find('\n').expect("the line ends");
        let on_line = colours.iter().filter(|(range, _)| line <= range.start && range.end <= end);
        let is: Vec<&str> = on_line.filter(|(range, _)| text[range.clone()] == **part).map(|(_, name)| name.as_str()).collect();
        assert!(is.contains(wanted) && is.iter().all(|name| name == wanted), "`{part}` of `{}` is {is:?}, not {wanted}", &text[line..end]);
    }
}

/// Texts with holes and what stands in them, which the quickstart does not have.
#[test]
fn holes_and_escapes_are_told_apart() {
    let text = "fn f(x) = \"a {g(.b)} \\n {{ \" + r\"\\d\" + \"\"\"\n{model.logp(.c)} none\"\"\" + none\n";
    let colours = colours(tree_sitter_align::HIGHLIGHTS_QUERY, text);
    let said: Vec<(&str, &str)> = colours.iter().map(|(range, name)| (&text[range.clone()], name.as_str())).collect();
    let wanted = [
        ("a ", "string"),
        ("{", "punctuation.special"),
        ("g", "function"),
        ("b", "variable.member"),
        ("}", "punctuation.special"),
        ("\\n", "string.escape"),
        ("{{", "string.escape"),
        ("r\"\\d\"", "string.regexp"),
        ("\"\"\"", "string"),
        ("model", "variable.builtin"),
        ("logp", "function"),
        (" none", "string"),
        ("none", "constant.builtin"),
    ];
    for pair in wanted {
        assert!(said.contains(&pair), "{pair:?} is not among {said:?}");
    }
}

/// Programs differ in which of two patterns they prefer, so there must never be two; and a token without any is one that
/// the query forgot.
#[test]
fn every_token_has_one_colour() {
    let texts = library();
    for path in files("editors/tree-sitter-align/queries", "highlights.scm") {
        let query = fs::read_to_string(&path).expect("a query");
        for (name, text) in &texts {
            let mut by_range: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
            for (range, colour) in colours(&query, text) {
                by_range.entry((range.start, range.end)).or_default().push(colour);
            }
            for (range, colours) in &by_range {
                assert_eq!(colours.len(), 1, "{}: `{}` of {name} is {colours:?}", path.display(), &text[range.0..range.1]);
            }
            for token in tokens(text) {
                let is_text = text[token.clone()].starts_with('"');
                let coloured = by_range.contains_key(&(token.start, token.end)) || is_text;
                assert!(coloured, "{}: `{}` of {name} has no colour", path.display(), &text[token]);
            }
        }
    }
}

/// The words of the language are those of its own grammar.
#[test]
fn reserved_words_are_those_of_the_language() {
    let own = fs::read_to_string("grammar/align.pest").expect("the grammar");
    let rule = own.split("\nkeyword = @{").nth(1).and_then(|rest| rest.split('}').next()).expect("a rule `keyword`");
    let words = |text: &str| text.split('"').skip(1).step_by(2).map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    let theirs = fs::read_to_string("editors/tree-sitter-align/grammar.js").expect("the editors' grammar");
    let list = theirs.split("const KEYWORDS = [").nth(1).and_then(|rest| rest.split(']').next()).expect("a list of keywords");
    assert_eq!(words(rule), words(list));
    let code = fs::read_to_string("editors/vscode/syntaxes/align.tmLanguage.json").expect("the grammar of VS Code");
    for word in words(rule) {
        assert!(code.split(|c: char| !c.is_ascii_alphabetic()).any(|part| part == word), "VS Code does not colour `{word}`");
    }
    let units = theirs.split("[0-9_]*)?(%|").nth(1).and_then(|rest| rest.split(')').next()).expect("units");
    for unit in units.split('|').chain(["%"]) {
        assert!(crate::is_sound(&format!("fn f() = 3{unit}\n")), "{unit} is no unit");
    }
}
