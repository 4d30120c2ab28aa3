//! `align lsp` and the tree-sitter grammar in a real editor: Neovim, headless. Ignored where there is none;
//! `ALIGN_NEOVIM` names another than the one on the path.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

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
    let version = version();
    let trials = vec![
        Trial::test("a_recipe_is_mended_looked_at_and_formatted", edit).with_ignored_flag(version.is_none()),
        Trial::test("the_written_configuration_colours_folds_and_checks", readme).with_ignored_flag(version < Some((0, 11))),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn program() -> OsString {
    env::var_os("ALIGN_NEOVIM").unwrap_or_else(|| "nvim".into())
}

/// Neovim's version, when there is one.
fn version() -> Option<(u32, u32)> {
    let output = Command::new(program()).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = text.strip_prefix("NVIM v")?.split('.').map_while(|part| part.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

/// What the script printed behind `ANSWER`.
fn answer(output: &Output) -> Result<Value, Failed> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let answer = text.lines().find_map(|line| line.trim().strip_prefix("ANSWER ")).ok_or_else(|| format!("no answer: {text}"))?;
    Ok(serde_json::from_str(answer)?)
}

/// Asks what is at some places once the server has answered, which is when the unknown name is marked.
const LOOK: &str = r#"
local function captures(row, column)
  local found = {}
  for _, capture in ipairs(vim.treesitter.get_captures_at_pos(0, row, column)) do table.insert(found, capture.capture) end
  return table.concat(found, ",")
end
vim.wait(60000, function() return #vim.diagnostic.get(0) > 0 end, 20)
local said = { filetype = vim.bo.filetype, client = (vim.lsp.get_clients({ bufnr = 0 })[1] or {}).name, code = (vim.diagnostic.get(0)[1] or {}).code }
said.captures = { captures(0, 0), captures(0, 6), captures(2, 9), captures(3, 24), captures(4, 25), captures(5, 16) }
said.fold = vim.fn.foldlevel(4)
io.stdout:write("\nANSWER " .. vim.json.encode(said) .. "\n")
vim.cmd("qall!")
"#;

/// The blocks under `## Neovim` in editors/README.md, as they stand there.
fn readme() -> Result<(), Failed> {
    let page = fs::read_to_string("editors/README.md")?;
    let section = page.split("\n## Neovim\n").nth(1).and_then(|rest| rest.split("\n## ").next()).ok_or("no section")?;
    let block = |language: &str| section.split(&format!("```{language}\n")).nth(1).and_then(|rest| rest.split("```").next());
    let (shell, lua) = (block("sh").ok_or("no commands")?, block("lua").ok_or("no configuration")?);
    let folder = tempfile::tempdir()?;
    let home = folder.path().canonicalize()?;
    fs::create_dir_all(home.join("config/nvim"))?;
    fs::write(home.join("config/nvim/init.lua"), lua)?;
    fs::write(home.join("look.lua"), LOOK)?;
    fs::write(home.join("rows.jsonl"), "{\"prompt\": \"a\", \"x\": 1}\n")?;
    fs::write(home.join("r.align"), RECIPE)?;
    let bin = Path::new(env!("CARGO_BIN_EXE_align")).parent().ok_or("a program lies in a folder")?.to_path_buf();
    let before = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(std::iter::once(bin).chain(env::split_paths(&before)))?;
    let at_home = |command: &mut Command| {
        command.env("HOME", &home).env("PATH", &path);
        for (name, folder) in
            [("XDG_CONFIG_HOME", "config"), ("XDG_DATA_HOME", "data"), ("XDG_STATE_HOME", "state"), ("XDG_CACHE_HOME", "cache")]
        {
            command.env(name, home.join(folder));
        }
        command.output()
    };
    let made = at_home(Command::new("sh").args(["-e", "-c", shell]))?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
    }
    let look = format!("luafile {}", home.join("look.lua").display());
    let output = at_home(Command::new(program()).args(["--headless", "-i", "NONE", "-n"]).arg(home.join("r.align")).args(["-c", &look]))?;
    let said = answer(&output)?;
    let wanted = json!({
        "filetype": "align", "client": "align", "code": "align::recipe::unknown_name", "fold": 1,
        "captures": ["keyword.type", "variable.parameter", "punctuation.bracket", "string", "variable.member", "keyword.operator"],
    });
    if said != wanted {
        return Err(format!("{said:#}").into());
    }
    Ok(())
}

fn edit() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().canonicalize()?.join("r.align");
    fs::write(folder.path().join("rows.jsonl"), "{\"prompt\": \"a\", \"x\": 1}\n{\"prompt\": \"b\", \"x\": 5}\n")?;
    fs::write(&file, RECIPE)?;
    let script = fs::canonicalize("tests/neovim.lua")?;
    let given = format!("lua _G.arg_program = {:?}; _G.arg_file = {:?}", env!("CARGO_BIN_EXE_align"), file.display().to_string());
    let mut nvim = Command::new(program());
    nvim.args(["--headless", "-u", "NONE", "-i", "NONE", "-n", "-c", &given, "-c", &format!("luafile {}", script.display())]);
    let output = nvim.env("HOME", folder.path()).env("XDG_CACHE_HOME", folder.path().join("cache")).output()?;
    let said = answer(&output)?;
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
