//! The editors' grammar (`editors/tree-sitter-align`) beside the language's own: both accept the same texts.

mod colours;
mod generated;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use align::syntax::parse;
use align::syntax::span::FileId;

/// A small generator, so that a failure comes back with the same seed.
#[derive(Debug)]
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % n.max(1) as u64).expect("less than n")
    }

    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Whether the language reads a text without an error.
fn is_sound(text: &str) -> bool {
    parse(FileId(0), text).1.iter().all(|diagnostic| !diagnostic.is_error())
}

/// What the language has against a text.
fn said(text: &str) -> String {
    let found = parse(FileId(0), text).1;
    found.iter().map(|d| format!("  {} {}\n", d.code, d.message)).collect()
}

/// All files of a suffix below a folder.
pub fn files(folder: &str, suffix: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, suffix: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("the tests run in the root of the repository") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                walk(&path, suffix, found);
            } else if path.to_string_lossy().ends_with(suffix) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new(folder), suffix, &mut found);
    found.sort();
    found
}

/// The library, the recipes and what the tests run, with their names.
pub fn library() -> Vec<(String, String)> {
    let paths = ["stdlib", "recipes", "tests"].into_iter().flat_map(|folder| files(folder, ".align"));
    let read = |path: PathBuf| (path.display().to_string(), fs::read_to_string(&path).expect("a readable text"));
    let found: Vec<_> = paths.map(read).collect();
    assert!(found.len() > 40, "{} files", found.len());
    found
}

/// The blocks of code in the documentation, whether they are said to be right or wrong.
fn examples() -> Vec<(String, String)> {
    let pages = files("docs/src", ".md").into_iter().chain(["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"].map(PathBuf::from));
    let mut found = Vec::new();
    for path in pages {
        let page = fs::read_to_string(&path).expect("a readable page");
        let mut lines = page.lines();
        while let Some(line) = lines.next() {
            if line.trim_start().starts_with("```align") {
                let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim_start() != "```").collect();
                found.push((path.display().to_string(), block.join("\n")));
            }
        }
    }
    assert!(found.len() > 300, "{} examples", found.len());
    found
}

#[test]
fn every_file_and_example_is_read() {
    for (name, text) in library() {
        assert!(is_sound(&text), "{name}\n{}", said(&text));
        assert!(tree::is_sound(&text), "{name}\n{}", tree::faults(&text));
    }
    for (name, text) in examples() {
        assert_eq!(tree::is_sound(&text), is_sound(&text), "{name}:\n{text}\n{}{}", said(&text), tree::faults(&text));
    }
}

#[test]
fn whatever_the_grammar_can_say_is_read() {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut sizes = 0;
    for _ in 0..400 {
        let text = generated::file(&mut chance);
        assert!(is_sound(&text), "the language refuses:\n{text}\n{}", said(&text));
        assert!(tree::is_sound(&text), "the editors' grammar refuses:\n{text}\n{}", tree::faults(&text));
        sizes += text.len();
    }
    assert!(sizes > 200_000, "only {sizes} bytes were generated");
}

/// A text with one place changed as a slip of the hand changes it.
fn mutated(text: &str, tokens: &[std::ops::Range<usize>], chance: &mut Chance) -> String {
    let at = chance.below(tokens.len());
    let (token, next) = (&tokens[at], tokens.get(at + 1));
    let is = |range: &std::ops::Range<usize>| &text[range.clone()];
    match (chance.below(6), next) {
        (0, _) => format!("{}{}", &text[..token.start], &text[token.end..]),
        (1, _) => format!("{} {}{}", &text[..token.end], is(token), &text[token.end..]),
        (2, Some(next)) => {
            let between = &text[token.end..next.start];
            format!("{}{}{between}{}{}", &text[..token.start], is(next), is(token), &text[next.end..])
        }
        (3, Some(next)) => {
            // No word that begins an item at the margin: the language takes it for the next item, brackets or not.
            let blank = chance.of(&[" ", "\n ", " // note\n ", "\n    "]);
            let blank = if text[token.end..next.start].contains("//") { "\n  " } else { blank };
            format!("{}{blank}{}", &text[..token.end], &text[next.start..])
        }
        (4, _) => {
            let sign = chance
                .of(&["(", ")", "[", "]", "{", "}", "=", ",", ":", ".", "..", "-", "not", "if", "x", "X", "1", "\"a\"", "as", "///\n"]);
            format!("{} {sign} {}", &text[..token.end], &text[token.end..])
        }
        _ => {
            let other = tokens[chance.below(tokens.len())].clone();
            format!("{}{}{}", &text[..token.start], is(&other), &text[token.end..])
        }
    }
}

/// What the editors' grammar takes and the language does not. What `generated` and `mutated` make has none of it, except
/// the first.
const DIFFERENCES: &[(&str, &str)] = &[
    ("the value is not further in than its statement", "recipe r {\n    a =\n    f(x)\n}\n"),
    ("a word that begins an item stands at the margin", "fn f(x) = (\ntype and x[(\nx)])\n"),
    ("a line breaks inside the hole of a one-line text", "fn f(x) = \"{x +\n 1}\"\n"),
    ("a comment stands in a hole", "fn f(x) = \"\"\"\n{x // why\n}\n\"\"\"\n"),
    ("the number is too large", "fn f() = 1e999\n"),
    ("a word of another language is free as the name of an entry", "fn f() = { None: 1 }\n"),
    ("a type takes the `+` behind it", "fn f(x, y) = x as Int + y\n"),
    ("the result of a stage reads like a binding", "stage s(a: Model) -> Bool {\n    a == 1\n}\n"),
];

#[test]
fn the_differences_are_these() {
    for (why, text) in DIFFERENCES {
        assert!(tree::is_sound(text), "{why}:\n{}", tree::faults(text));
        assert!(!is_sound(text), "{why}: the language takes it too");
    }
    let deep = format!("fn f() = {}1{}\n", "(".repeat(200), ")".repeat(200));
    assert!(tree::is_sound(&deep) && !is_sound(&deep));
}

/// Whether the language sees only what its layout tells: `a =`, and the value on a line that is not further in.
fn is_layout(text: &str) -> bool {
    let errors: Vec<_> = parse(FileId(0), text).1.into_iter().filter(align::diagnostic::Diagnostic::is_error).collect();
    errors.iter().all(|error| error.message == "expected a value, found the end of the line")
}

/// Whether a line after a loop begins with a sign that the editors' grammar takes to go on with it. For the language it
/// is the result of a stage, and never one that means anything.
fn goes_on_after_loop(text: &str) -> bool {
    text.split('}').any(|rest| rest.trim_start().starts_with(['.', '-']))
}

#[test]
fn what_is_broken_for_one_is_broken_for_the_other() {
    let mut chance = Chance(0x2545_f491_4f6c_dd1d);
    let mut texts: Vec<String> = library().iter().flat_map(|(_, text)| text.split("\n\n").map(str::to_owned).collect::<Vec<_>>()).collect();
    texts.extend((0..300).map(|_| generated::file(&mut chance)));
    let (mut sound, mut broken, mut differ) = (0, 0, Vec::new());
    for text in texts.iter().filter(|text| is_sound(text)) {
        let tokens = tree::tokens(text);
        for _ in 0..(if tokens.is_empty() { 0 } else { 8 }) {
            let text = mutated(text, &tokens, &mut chance);
            match (is_sound(&text), tree::is_sound(&text)) {
                (true, true) => sound += 1,
                (false, false) => broken += 1,
                (false, true) if is_layout(&text) => {}
                (true, false) if goes_on_after_loop(&text) => {}
                _ => differ.push(text),
            }
        }
    }
    assert!(sound > 500 && broken > 2000, "{sound} sound, {broken} broken");
    let shown: Vec<_> = differ.iter().take(40).map(|text| format!("────\n{text}\n{}{}", said(text), tree::faults(text))).collect();
    assert!(differ.is_empty(), "{} of {} differ:\n{}", differ.len(), sound + broken, shown.join("\n"));
}
