//! A folder as somebody has it before their first run: the quickstart's model in `m/`, a few rows, a function, a recipe.

use std::fs;
use std::path::Path;

pub const KINDS: &str = "/// Two kinds of rows.\nfn kind(x: Float) -> Text = if x > 5 then \"large\" else \"small\"\n";

/// Rows that differ in `x`, their number.
pub fn rows(count: usize) -> String {
    (0..count).map(|x| format!("{{\"prompt\": \"Once {x}\", \"completion\": \" there was a cat\", \"x\": {x}}}\n")).collect()
}

/// With `recipe` as `r.align`, eight rows as `rows.jsonl` and [`KINDS`] as `kinds.align`.
pub fn holding(recipe: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    fs::create_dir(path.join("m")).expect("made");
    for name in ["model.safetensors", "config.json", "tokenizer.json"] {
        fs::copy(Path::new("recipes/quickstart").join(name), path.join("m").join(name)).expect("copied");
    }
    for (name, text) in [("r.align", recipe), ("kinds.align", KINDS), ("rows.jsonl", &rows(8))] {
        fs::write(path.join(name), text).expect("written");
    }
    folder
}
