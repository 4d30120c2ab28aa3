//! `align lsp` in a real editor: Neovim, headless. Ignored where there is none.

use std::fs;
use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};

const RECIPE: &str = "param least: Float = 3

recipe r {
    rows = load_data(\"rows.jsonl\") as { prompt: Text, x: Float }
    big = rows.filter(  .x > leest)
    export big to \"out.jsonl\"
}
";

fn main() {
    let there = Command::new("nvim").arg("--version").output().is_ok_and(|output| output.status.success());
    let trial = Trial::test("a_recipe_is_mended_looked_at_and_formatted", edit).with_ignored_flag(!there);
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit();
}

fn edit() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().canonicalize()?.join("r.align");
    fs::write(folder.path().join("rows.jsonl"), "{\"prompt\": \"a\", \"x\": 1}\n{\"prompt\": \"b\", \"x\": 5}\n")?;
    fs::write(&file, RECIPE)?;
    let script = fs::canonicalize("tests/neovim.lua")?;
    let given = format!("lua _G.arg_program = {:?}; _G.arg_file = {:?}", env!("CARGO_BIN_EXE_align"), file.display().to_string());
    let mut nvim = Command::new("nvim");
    nvim.args(["--headless", "-u", "NONE", "-i", "NONE", "-n", "-c", &given, "-c", &format!("luafile {}", script.display())]);
    let output = nvim.env("HOME", folder.path()).env("XDG_CACHE_HOME", folder.path().join("cache")).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let answer = text.lines().find_map(|line| line.trim().strip_prefix("ANSWER ")).ok_or_else(|| format!("no answer: {text}"))?;
    let said: Value = serde_json::from_str(answer)?;
    let wrong = |what: &str| Failed::from(format!("{what}: {said:#}"));
    if said["error"] != Value::Null {
        return Err(wrong("the script failed"));
    }
    let first = &said["first"][0];
    if (&first["line"], &first["column"], &first["code"]) != (&json!(4), &json!(29), &json!("align::recipe::unknown_name")) {
        return Err(wrong("the mistake"));
    }
    if !said["hover"].as_str().is_some_and(|hover| hover.contains("rows: Data<{ prompt: Text, x: Float }>")) {
        return Err(wrong("hover"));
    }
    if said["completion"] != json!(["prompt", "x"]) {
        return Err(wrong("completion"));
    }
    let formatted = RECIPE.replace("(  .x > leest)", "(.x > least)");
    if said["formatted"].as_str() != Some(formatted.trim_end()) {
        return Err(wrong("the form"));
    }
    Ok(())
}
