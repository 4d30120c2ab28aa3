//! The direction of the arrows, read from the sources themselves.

use std::fs;
use std::path::{Path, PathBuf};

/// A module and what it may use; a module always may use itself.
const ALLOWED: &[(&str, &[&str])] = &[
    ("diagnostic", &["syntax"]),
    ("world", &["syntax"]),
    ("chance", &[]),
    ("durable", &[]),
    ("lock", &["durable"]),
    ("web", &[]),
    ("hub", &["diagnostic", "durable", "lock", "web"]),
    ("value", &["chance", "recipe"]),
    ("syntax", &["diagnostic"]),
    ("formula", &["syntax", "diagnostic", "value", "chance"]),
    ("recipe", &["syntax", "diagnostic", "world", "value", "formula", "data", "model", "score", "hub"]),
    ("plan", &["syntax", "diagnostic", "world", "value", "formula", "recipe", "data", "stage", "durable", "hub", "lock"]),
    ("ui", &["report", "run", "stage", "talk", "model", "value", "durable"]),
    ("talk", &["model", "value"]),
    ("report", &["diagnostic", "durable", "value", "plan", "run", "stage", "web"]),
    ("run", &["syntax", "diagnostic", "world", "value", "formula", "recipe", "plan", "stage", "model", "chance", "durable", "hub"]),
    ("stage", &["syntax", "diagnostic", "value", "formula", "recipe", "data", "score", "model", "engine", "chance", "durable", "hub"]),
    ("data", &["syntax", "diagnostic", "value", "recipe", "chance"]),
    ("score", &["diagnostic", "value"]),
    ("model", &["chat", "diagnostic", "value", "chance", "engine"]),
    ("chat", &[]),
    ("engine", &["chance", "durable"]),
    ("watch", &["diagnostic", "world", "recipe", "plan", "run", "stage", "durable", "hub"]),
    ("lsp", &["syntax", "diagnostic", "world", "recipe", "plan", "run", "stage", "data", "durable"]),
];

/// What people call methods: only `stdlib/` may.
const METHODS: &[&str] = &["dpo", "kto", "simpo", "orpo", "grpo", "rloo", "ppo", "ipo", "bradley_terry", "slic"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("src is there") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The text of a file without its comments and tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a readable source");
    let text = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn module(path: &Path) -> String {
    let inside = path.strip_prefix("src").expect("sources lie in src");
    let first = inside.components().next().expect("a file name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn arrows_point_down() {
    let mut wrong = Vec::new();
    for path in sources(Path::new("src")) {
        let from = module(&path);
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == from) else { continue };
        for part in code(&path).split("crate::").skip(1) {
            let to: String = part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if to != from && !allowed.contains(&to.as_str()) {
                wrong.push(format!("{} uses {to}", path.display()));
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "arrows that point up:\n{}", wrong.join("\n"));
}

#[test]
fn only_the_gpu_device_names_wgpu() {
    let named: Vec<_> =
        sources(Path::new("src")).into_iter().filter(|p| !p.starts_with("src/engine/gpu") && code(p).contains("wgpu")).collect();
    assert!(named.is_empty(), "{named:?}");
}

#[test]
fn no_rust_file_names_a_method() {
    let mut named = Vec::new();
    for path in sources(Path::new("src")) {
        let code = code(&path);
        // the list of the library's files in `recipe/library.rs` is no method's name: it has none
        for word in code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
            if METHODS.iter().any(|m| word == *m || word == format!("{m}_loss")) {
                named.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(named.is_empty(), "{named:?}");
}

/// `use std.name` and `std.name` mean one thing.
#[test]
fn names_of_the_standard_library_are_told_apart() {
    let mut homes: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
    for entry in fs::read_dir("stdlib").expect("stdlib is there") {
        let path = entry.expect("a readable entry").path();
        for line in fs::read_to_string(&path).expect("a readable file").lines() {
            let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            if let (Some("fn" | "stage" | "objective" | "type"), Some(name)) = (words.next(), words.next()) {
                homes.entry(name.to_owned()).or_default().push(path.display().to_string());
            }
        }
    }
    homes.retain(|_, files| files.len() > 1);
    assert!(homes.is_empty(), "declared more than once: {homes:?}");
}
