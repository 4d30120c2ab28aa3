//! The reference under `docs/`: generated from the standard library's doc comments, the programs' own help, and the
//! snapshots of diagnostics. `ALIGN_BLESS=1 cargo test --release --test book` writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use align::cli::help::codes;
use align::cli::render::{Style, render};
use align::recipe::signature::{Documented, standard_items};
use align::recipe::{self, Options};
use align::world::Sources;

/// Pages that people write; everything else under `docs/src` is generated.
const WRITTEN: &[&str] = &["first.md", "recipes.md", "report.md"];

/// What a page of the library is called in the table of contents.
const MODULES: &[(&str, &str)] = &[
    ("std.prelude", "The prelude: types, words, primitives"),
    ("std.sft", "Fine-tuning"),
    ("std.reward", "Reward models"),
    ("std.preference", "Preference objectives"),
    ("std.rl", "Reinforcement learning"),
    ("std.data", "Rows"),
    ("std.distill", "Context distillation"),
    ("std.constitutional", "Constitutions"),
    ("std.iterate", "Rounds"),
    ("std.active", "Active learning"),
    ("std.safe", "Constraints"),
    ("std.overopt", "Over-optimisation"),
    ("std.values", "Reward design and verification"),
    ("std.harm", "Harm"),
    ("std.redteam", "Red teaming"),
    ("std.judge", "Judges"),
    ("std.protocols", "Debate, oversight, society"),
    ("std.evidence", "Opinions, evidence, rules"),
    ("std.interpret", "Looking inside"),
    ("std.release", "Releases"),
];

/// What a phase of the diagnostics is.
const PHASES: &[(&str, &str)] = &[
    ("syntax", "The text of a recipe"),
    ("recipe", "Names and types"),
    ("plan", "The plan"),
    ("data", "Files of rows"),
    ("formula", "Formulas"),
    ("model", "Networks"),
    ("score", "Scorers"),
    ("engine", "Devices"),
    ("run", "Runs"),
    ("report", "Reports"),
    ("ui", "The browser page"),
];

fn pages() -> BTreeMap<String, String> {
    let items = standard_items();
    let mut modules: Vec<&str> = Vec::new();
    items.iter().for_each(|item| {
        if !modules.contains(&item.module.as_str()) {
            modules.push(&item.module);
        }
    });
    let mut pages = BTreeMap::new();
    let mut contents =
        "# Summary\n\n[align](index.md)\n\n- [A first recipe](first.md)\n- [The recipes, and what they showed](recipes.md)\n- [Reading a report](report.md)\n\n# The standard library\n\n"
            .to_owned();
    modules.sort_by_key(|module| MODULES.iter().position(|(known, _)| known == module).unwrap_or(usize::MAX));
    for module in &modules {
        let title = MODULES.iter().find(|(known, _)| known == module).map_or(*module, |(_, title)| title);
        let file = format!("{}.md", module.replace('.', "-"));
        contents += &format!("- [{title}]({file})\n");
        pages.insert(file, library(module, title, &items));
    }
    contents += "\n# Reference\n\n- [Commands](commands.md)\n- [Diagnostics](diagnostics.md)\n";
    pages.insert("commands.md".to_owned(), commands());
    pages.insert("diagnostics.md".to_owned(), diagnostics());
    pages.insert("index.md".to_owned(), index(&items));
    pages.insert("SUMMARY.md".to_owned(), contents);
    pages
}

fn index(items: &[Documented]) -> String {
    let mut text = "# align\n\nA small language for alignment recipes, checked whole before anything runs.\n\nStart with [a first recipe](first.md). Every name of the standard library:\n\n".to_owned();
    let mut names: Vec<&Documented> = items.iter().filter(|item| !item.name.starts_with('_')).collect();
    names.sort_by_key(|item| item.name.to_lowercase());
    names.dedup_by_key(|item| (item.name.clone(), item.module.clone()));
    let links = names.iter().map(|item| format!("[`{}`]({}.md#{})", item.name, item.module.replace('.', "-"), anchor(&item.name)));
    text += &links.collect::<Vec<_>>().join(" · ");
    text + "\n"
}

fn anchor(name: &str) -> String {
    name.to_lowercase().replace('`', "")
}

fn library(module: &str, title: &str, items: &[Documented]) -> String {
    let import = if module == "std.prelude" {
        "Always in scope.".to_owned()
    } else {
        format!("`use {}.{{…}}`", if module == "std.harm" { module } else { "std" })
    };
    let mut text = format!("# {title}\n\n{import}\n");
    for item in items.iter().filter(|item| item.module == module && !item.name.starts_with('_')) {
        let body: Vec<&str> = item.text.lines().filter(|line| !line.starts_with("///")).collect();
        let doc = if item.doc.trim().is_empty() { String::new() } else { format!("{}\n\n", escaped(item.doc.trim())) };
        text += &format!("\n## {}\n\n{doc}```align\n{}\n```\n", item.name, body.join("\n").trim_end());
    }
    text
}

/// Brackets and angles are no markup in a doc comment, except between backticks.
fn escaped(doc: &str) -> String {
    let parts = doc
        .split('`')
        .enumerate()
        .map(|(at, part)| if at % 2 == 0 { part.replace('<', "&lt;").replace('[', "\\[") } else { part.to_owned() });
    parts.collect::<Vec<_>>().join("`")
}

fn help(args: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_align")).args(args).env("COLUMNS", "100").output().expect("the program starts");
    assert!(out.status.success(), "{args:?}");
    String::from_utf8(out.stdout).expect("text").replace("align.exe", "align")
}

fn commands() -> String {
    let all = help(&["help"]);
    let list = all.split("Commands:").nth(1).expect("a list of commands");
    let names: Vec<&str> =
        list.lines().skip(1).map_while(|line| line.strip_prefix("  ")).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"run") && names.contains(&"report"), "{names:?}");
    let each = names.iter().map(|name| format!("\n## {name}\n\n```text\n{}\n```\n", help(&["help", name]).trim_end()));
    format!("# Commands\n\n`align help NAME` shows the same in a terminal.\n{}", each.collect::<String>())
}

/// Every code, what it means, and one mistake that brings it about with what is then said.
fn diagnostics() -> String {
    let shown = |code: &str| {
        let rest = code.trim_start_matches("align::");
        let (phase, reason) = rest.split_once("::").expect("a phase and a reason");
        let files = [
            format!("tests/snapshots/refusals/{reason}.snap"),
            format!("tests/snapshots/diagnostics/{}.snap", rest.replace("::", ".")),
            format!("tests/snapshots/syntax/{reason}.snap"),
        ];
        let wanted = if phase == "recipe" {
            &files[..2]
        } else if phase == "syntax" {
            &files[2..]
        } else {
            &files[1..2]
        };
        let text = wanted.iter().find_map(|file| fs::read_to_string(file).ok())?;
        Some(text.splitn(3, "---\n").nth(2)?.trim_end().to_owned())
    };
    let mut text = "# Diagnostics\n\nWhat is refused, and what it looks like. `align help CODE` explains one in a terminal.\n".to_owned();
    for (phase, title) in PHASES {
        let own: Vec<_> = codes().filter(|(code, _)| code.split("::").nth(1) == Some(phase)).collect();
        if own.is_empty() {
            continue;
        }
        text += &format!("\n## {title}\n");
        for (code, explained) in own {
            let explained = explained.map_or_else(String::new, |text| format!("{text}\n\n"));
            text += &format!("\n### {code}\n\n{explained}");
            if let Some(example) = shown(code) {
                text += &format!("```text\n{example}\n```\n");
            }
        }
    }
    text
}

#[test]
fn the_committed_pages_are_those_that_the_sources_give() {
    let folder = Path::new("docs/src");
    let pages = pages();
    if std::env::var_os("ALIGN_BLESS").is_some() {
        fs::create_dir_all(folder).expect("made");
        pages.iter().for_each(|(name, text)| fs::write(folder.join(name), text).expect("written"));
    }
    let there: BTreeSet<String> =
        fs::read_dir(folder).expect("docs").map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    let wanted: BTreeSet<String> = pages.keys().cloned().chain(WRITTEN.iter().map(|name| (*name).to_owned())).collect();
    assert_eq!(there, wanted, "`ALIGN_BLESS=1 cargo test --release --test book` writes the generated pages");
    let old: Vec<&String> = pages
        .iter()
        .filter(|(name, text)| fs::read_to_string(folder.join(name)).expect("a page") != **text)
        .map(|(name, _)| name)
        .collect();
    assert!(old.is_empty(), "out of date: {old:?}; `ALIGN_BLESS=1 cargo test --release --test book` writes them");
}

#[test]
fn every_module_and_phase_has_a_title() {
    let modules: BTreeSet<String> = standard_items().into_iter().map(|item| item.module).collect();
    let missing: Vec<_> = modules.iter().filter(|module| !MODULES.iter().any(|(known, _)| known == module)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let phases: BTreeSet<&str> = codes().filter_map(|(code, _)| code.split("::").nth(1)).collect();
    let missing: Vec<_> = phases.iter().filter(|phase| !PHASES.iter().any(|(known, _)| known == *phase)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Blocks of code of one language in a page.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    page.split(&format!("```{language}\n")).skip(1).map(|rest| rest.split("\n```").next().expect("a block ends")).collect()
}

#[test]
fn examples_in_the_written_pages_check() {
    let mut checked = 0;
    for name in WRITTEN {
        let page = fs::read_to_string(Path::new("docs/src").join(name)).expect("a written page");
        for block in blocks(&page, "align") {
            let mut sources = Sources::default();
            let file = sources.add(format!("docs/src/{name}"), block, Some("recipes".into()));
            let (recipe, diagnostics) = recipe::check(&mut sources, file, &Options::default());
            assert!(recipe.is_some() && diagnostics.is_empty(), "{name}:\n{block}\n{}", render(&diagnostics, &sources, Style::Plain));
            checked += 1;
        }
        for block in blocks(&page, "align,wrong") {
            let mut sources = Sources::default();
            let file = sources.add(format!("docs/src/{name}"), block, Some("recipes".into()));
            let (recipe, diagnostics) = recipe::check(&mut sources, file, &Options::default());
            assert!(recipe.is_none() && !diagnostics.is_empty(), "{name} says this is wrong:\n{block}");
            checked += 1;
        }
    }
    assert!(checked >= 4, "{checked} examples");
}

#[test]
fn every_item_is_found_by_help() {
    for item in standard_items().iter().step_by(17) {
        assert!(help(&["help", &item.name]).contains(&item.name), "{}", item.name);
    }
}
