//! `align lsp` as an editor talks to it: the real program, the protocol's own words.

mod folder;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

const RECIPE: &str = r#"use std.{sft, take}
use "kinds.align".{kind}

/// Rows above it are kept.
param least: Float in 0.0..10.0 = 3

recipe r "Only rows" {
    base = load_model("m/model.safetensors")
    rows = load_data("rows.jsonl") as { prompt: Text, completion: Text, x: Float }
    // those that count
    big = rows.filter(.x > least).with(kind: kind(.x))
    tuned = sft(base, big, eval: rows, batch: 2)
    expect tuned.nll < 9
    export big to "out/big.jsonl"
}

/// A margin of one.
objective far(reference: Model, beta: Float in 0.0.. = 0.1) for Preference {
    margin = beta * (sum(model.logp(.chosen)) - sum(reference.logp(.chosen)))
    loss = larger(0, 1 - margin)
    metric margin
}
"#;

/// An editor with one folder.
struct Editor {
    folder: tempfile::TempDir,
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    asked: i64,
    version: i64,
    /// The last diagnostics of each file.
    published: Vec<Value>,
}

impl Editor {
    fn new() -> Self {
        let folder = folder::holding(RECIPE);
        let mut command = Command::new(env!("CARGO_BIN_EXE_align"));
        command.arg("lsp").env("XDG_CACHE_HOME", folder.path().join(".cache")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let (to, from) = (child.stdin.take().expect("piped"), BufReader::new(child.stdout.take().expect("piped")));
        let mut this = Self { folder, child, to, from, asked: 0, version: 0, published: Vec::new() };
        let root = this.uri("");
        let answer = this.ask("initialize", json!({ "processId": null, "rootUri": root, "capabilities": {} }));
        assert_eq!(answer["capabilities"]["hoverProvider"], true);
        this.tell("initialized", json!({}));
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().expect("it is there").join(name)
    }

    fn uri(&self, name: &str) -> String {
        format!("file://{}", self.path(name).display())
    }

    fn write(&mut self, message: &Value) {
        let text = message.to_string();
        write!(self.to, "Content-Length: {}\r\n\r\n{text}", text.len()).expect("it listens");
        self.to.flush().expect("it listens");
    }

    fn read(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert_ne!(self.from.read_line(&mut line).expect("it speaks"), 0, "it ended");
            match line.trim().split_once(": ") {
                Some(("Content-Length", n)) => length = n.parse().expect("a number"),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.from.read_exact(&mut body).expect("a whole message");
        serde_json::from_slice(&body).expect("JSON")
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.write(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// The whole answer.
    fn answer(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.write(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.read();
            if message["id"] == id {
                return message;
            }
            self.published.push(message);
        }
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params);
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Shows a text and returns what is wrong with it.
    fn show(&mut self, name: &str, text: &str) -> Vec<Value> {
        self.version += 1;
        let (uri, version) = (self.uri(name), self.version);
        let document = json!({ "uri": uri, "languageId": "align", "version": version, "text": text });
        if version == 1 {
            self.tell("textDocument/didOpen", json!({ "textDocument": document }));
        } else {
            let changes = json!([{ "text": text }]);
            self.tell("textDocument/didChange", json!({ "textDocument": { "uri": uri, "version": version }, "contentChanges": changes }));
        }
        loop {
            let message = self.read();
            let params = &message["params"];
            if message["method"] == "textDocument/publishDiagnostics" && params["uri"] == uri && params["version"] == version {
                return params["diagnostics"].as_array().expect("a list").clone();
            }
        }
    }

    /// Asks about the place of `▮` in a text, which is shown without it first.
    fn at(&mut self, method: &str, marked: &str, more: Value) -> Value {
        let text = marked.replace('▮', "");
        self.show("r.align", &text);
        let params = self.params(marked, more);
        self.ask(method, params)
    }

    fn params(&self, marked: &str, more: Value) -> Value {
        let mut params = json!({ "textDocument": { "uri": self.uri("r.align") }, "position": position(marked) });
        if let (Value::Object(params), Value::Object(more)) = (&mut params, more) {
            params.extend(more);
        }
        params
    }

    fn labels(&mut self, marked: &str) -> Vec<String> {
        let found = self.at("textDocument/completion", marked, json!({}));
        found.as_array().expect("a list").iter().map(|item| item["label"].as_str().expect("a text").to_owned()).collect()
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn position(marked: &str) -> Value {
    let before = &marked[..marked.find('▮').expect("a cursor")];
    let line = before.matches('\n').count();
    json!({ "line": line, "character": before.rsplit('\n').next().map_or(0, |line| line.encode_utf16().count()) })
}

/// The recipe with a cursor behind the `nth` place of a text, counted from 0.
fn marked(text: &str, nth: usize) -> String {
    let (at, found) = RECIPE.match_indices(text).nth(nth).expect("it is there");
    let at = at + found.len();
    format!("{}▮{}", &RECIPE[..at], &RECIPE[at..])
}

/// The recipe with one text in place of another, which may hold a cursor.
fn with(from: &str, to: &str) -> String {
    assert!(RECIPE.contains(from), "{from}");
    RECIPE.replacen(from, to, 1)
}

fn start(place: &Value) -> (u64, u64) {
    let start = &place["range"]["start"];
    (start["line"].as_u64().expect("a number"), start["character"].as_u64().expect("a number"))
}

#[test]
fn diagnostics_come_while_typing_also_in_broken_files() {
    let mut editor = Editor::new();
    assert_eq!(editor.show("r.align", RECIPE), Vec::<Value>::new());
    let found = editor.show("r.align", &with(".x > least", ".y > leest"));
    let codes: Vec<&str> = found.iter().map(|d| d["code"].as_str().expect("a code")).collect();
    assert_eq!(codes, ["align::recipe::unknown_column", "align::recipe::unknown_name"]);
    assert_eq!(found[1]["range"]["start"], json!({ "line": 10, "character": 27 }));
    assert!(found[1]["message"].as_str().expect("a text").contains("help: did you mean `least`?"));
    // one broken line costs one line: the other mistake is still seen
    let broken = with("big = rows.filter(.x > least)", "big = rows.filter(.x > )").replace("tuned.nll", "tuned.nil");
    let found = editor.show("r.align", &broken);
    assert!(found.iter().any(|d| d["code"].as_str().expect("a code").starts_with("align::syntax::")), "{found:#?}");
    // a conflict's other half is told of where it is
    let found = editor.show("r.align", &with("big = rows", "base = rows"));
    assert_eq!(found[0]["relatedInformation"][0]["location"]["range"]["start"]["line"], 7);
    // a used file as the editor shows it, not as it is on the disk
    editor.tell(
        "textDocument/didOpen",
        json!({ "textDocument": { "uri": editor.uri("kinds.align"), "languageId": "align", "version": 1, "text": "" } }),
    );
    let found = editor.show("r.align", RECIPE);
    assert_eq!(found[0]["code"], "align::recipe::unknown_import");
}

#[test]
fn hover_says_type_doc_default_range_and_value() {
    let mut editor = Editor::new();
    let mut hover = |marked: &str| {
        let found = editor.at("textDocument/hover", marked, json!({}));
        found["contents"]["value"].as_str().unwrap_or_default().to_owned()
    };
    let param = hover(&marked("> leas", 0));
    assert!(param.contains("param least: Float in 0.0..10.0 = 3") && param.contains("Rows above it are kept."), "{param}");
    assert!(param.contains("Here it is `3.0`"), "{param}");
    let stage = hover(&marked("= sf", 0));
    assert!(stage.contains("stage sft(base: Model,") && stage.contains("Maximum likelihood") && stage.contains("_std.sft_"), "{stage}");
    let option = hover(&marked("batc", 0));
    assert!(option.contains("batch: Int in 1.. = 32") && option.contains("Rows of one optimiser step"), "{option}");
    let binding = hover(&marked("sft(base, bi", 0));
    assert!(binding.contains("big: Data<{ completion: Text, kind: Text, prompt: Text, x: Float }>"), "{binding}");
    let trained = hover(&marked("tune", 0));
    assert!(trained.contains("tuned: Model with { nll: Estimate }"), "{trained}");
    assert!(hover(&marked("filter(.", 0)).contains(".x: Float"));
    assert!(hover(&marked("kind: kin", 0)).contains("Two kinds of rows."));
    assert!(hover(&marked("* (su", 0)).contains("extern fn sum"));
}

#[test]
fn completion_knows_what_fits() {
    let mut editor = Editor::new();
    let columns = editor.labels(&with(".x > least", ".▮"));
    assert_eq!(columns, ["completion", "prompt", "x"]);
    let fields = editor.labels(&with("tuned.nll", "tuned.▮"));
    assert!(fields.contains(&"nll".to_owned()) && !fields.contains(&"filter".to_owned()), "{fields:?}");
    let methods = editor.labels(&with("big = rows.filter(.x > least)", "big = rows.▮"));
    assert!(methods.contains(&"filter".to_owned()) && methods.contains(&"split".to_owned()), "{methods:?}");
    let arguments = editor.labels(&with("eval: rows, batch: 2)", "eval: rows, ba▮)"));
    assert!(arguments.contains(&"batch:".to_owned()) && arguments.contains(&"lr:".to_owned()), "{arguments:?}");
    assert!(!arguments.contains(&"eval:".to_owned()), "it was given: {arguments:?}");
    let unfinished = editor.labels(&with("tuned = sft(base, big, eval: rows, batch: 2)", "tuned = sft(▮"));
    assert!(unfinished.contains(&"rows".to_owned()) && unfinished.contains(&"base:".to_owned()), "{unfinished:?}");
    let words = editor.labels(&with("batch: 2", "schedule: ▮"));
    assert_eq!(words[..3], ["cosine", "linear", "constant"]);
    let names = editor.labels(&with("> least", "> le▮"));
    assert!(names.contains(&"least".to_owned()), "{names:?}");
    let objective = editor.labels(&with("margin = beta * (sum(model.logp(.chosen))", "margin = beta * (sum(model.logp(.▮))"));
    assert_eq!(objective, ["chosen", "prompt", "rejected"]);
    let file = editor.labels(&with("as { prompt: Text, completion: Text, x: Float }", "as { ▮ }"));
    assert_eq!(file, ["completion", "prompt", "x"]);
    assert_eq!(editor.labels(&with("\"rows.jsonl\"", "\"▮\""))[..2], ["kinds.align", "m/"]);
    assert!(editor.labels(&with("use std.{sft, take}", "use std.{sft, ▮}")).contains(&"dpo".to_owned()));
    assert!(editor.labels(&format!("{RECIPE}\n▮")).contains(&"recipe".to_owned()));
    assert!(editor.labels(&with("reference: Model,", "reference: ▮,")).contains(&"Scorer".to_owned()));
    assert_eq!(editor.labels(&with("// those that count", "// those ▮")), Vec::<String>::new());
}

#[test]
fn signatures_follow_the_argument() {
    let mut editor = Editor::new();
    let mut active = |marked: &str| {
        let found = editor.at("textDocument/signatureHelp", marked, json!({}));
        let signature = &found["signatures"][0];
        let at = usize::try_from(signature["activeParameter"].as_u64().unwrap_or(99)).expect("small");
        (
            signature["label"].as_str().unwrap_or_default().to_owned(),
            signature["parameters"][at]["label"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let (head, first) = active(&with("sft(base, big, eval: rows, batch: 2)", "sft(▮"));
    assert!(head.starts_with("stage sft(base: Model"), "{head}");
    assert_eq!(first, "base: Model");
    assert_eq!(active(&marked("sft(base, b", 0)).1, "data: Data<Demonstration>");
    assert_eq!(active(&marked("eval: ro", 0)).1, "eval: Data<Demonstration>?");
    assert!(active(&marked("batch: ", 0)).1.starts_with("...training: Training"));
    // the receiver is the first argument
    assert!(active(&marked("filter(.x", 0)).0.starts_with("extern stage filter"));
}

#[test]
fn definitions_lead_into_other_files_and_the_library() {
    let mut editor = Editor::new();
    let binding = editor.at("textDocument/definition", &marked("sft(base, bi", 0), json!({}));
    assert_eq!((binding["uri"].as_str(), start(&binding)), (Some(editor.uri("r.align").as_str()), (10, 4)));
    let function = editor.at("textDocument/definition", &marked("kind: kin", 0), json!({}));
    assert_eq!((function["uri"].as_str(), start(&function)), (Some(editor.uri("kinds.align").as_str()), (1, 3)));
    let stage = editor.at("textDocument/definition", &marked("= sf", 0), json!({}));
    let path = stage["uri"].as_str().and_then(|uri| uri.strip_prefix("file://")).expect("a file");
    let line = fs::read_to_string(path).expect("it can be opened").lines().nth(start(&stage).0 as usize).expect("there").to_owned();
    assert!(path.ends_with("/sft.align") && line.starts_with("stage sft("), "{path}: {line}");
    let option = editor.at("textDocument/definition", &marked("batc", 0), json!({}));
    assert!(option["uri"].as_str().expect("a file").ends_with("/prelude.align"));
    let used = editor.at("textDocument/definition", &marked("\"kinds", 0), json!({}));
    assert_eq!(used["uri"], editor.uri("kinds.align"));
    let parameter = editor.at("textDocument/definition", &marked("margin = bet", 0), json!({}));
    assert_eq!(start(&parameter), (17, 32));
}

#[test]
fn references_and_renaming_span_files() {
    let mut editor = Editor::new();
    let found = editor.at("textDocument/references", &marked("kind: kin", 0), json!({ "context": { "includeDeclaration": true } }));
    let mut places: Vec<(String, (u64, u64))> =
        found.as_array().expect("a list").iter().map(|p| (p["uri"].as_str().expect("a file").to_owned(), start(p))).collect();
    places.sort();
    assert_eq!(places, [(editor.uri("kinds.align"), (1, 3)), (editor.uri("r.align"), (1, 19)), (editor.uri("r.align"), (10, 45))]);
    let edit = editor.at("textDocument/rename", &marked("kind: kin", 0), json!({ "newName": "sort" }));
    let edits = |uri: &str| edit["changes"][uri].as_array().map_or(0, Vec::len);
    assert_eq!((edits(&editor.uri("r.align")), edits(&editor.uri("kinds.align"))), (2, 1));
    // a local name, everywhere in its file and nowhere else
    let edit = editor.at("textDocument/rename", &marked("    big", 0), json!({ "newName": "large" }));
    assert_eq!(edit["changes"][editor.uri("r.align")].as_array().map(Vec::len), Some(3));
    let edit = editor.at("textDocument/rename", &marked("margin = bet", 0), json!({ "newName": "scale" }));
    assert_eq!(edit["changes"][editor.uri("r.align")].as_array().map(Vec::len), Some(2));
    let mut refused = |marked: &str, name: &str| {
        editor.show("r.align", &marked.replace('▮', ""));
        let params = editor.params(marked, json!({ "newName": name }));
        editor.answer("textDocument/rename", params)["error"]["message"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(refused(&marked("= sf", 0), "tune"), "`sft` is the standard library's");
    assert!(refused(&marked("    big", 0), "Big").contains("lower-case"));
    assert!(refused(&marked("    big", 0), "rows").starts_with("`rows` would not do"));
    assert!(refused(&with("    big = rows.filter(.x", "    big▮ = rows.filter(.z"), "large").contains("mend them first"));
}

#[test]
fn symbols_tokens_hints_and_lenses() {
    let mut editor = Editor::new();
    editor.show("r.align", RECIPE);
    let document = json!({ "textDocument": { "uri": editor.uri("r.align") } });
    let symbols = editor.ask("textDocument/documentSymbol", document.clone());
    let names: Vec<&str> = symbols.as_array().expect("a list").iter().map(|s| s["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["least", "r", "far"]);
    let lines: Vec<&str> = symbols[1]["children"].as_array().expect("a list").iter().map(|s| s["name"].as_str().expect("a name")).collect();
    assert_eq!(lines, ["base", "rows", "big", "tuned"]);
    let tokens = editor.ask("textDocument/semanticTokens/full", document.clone());
    let data: Vec<u64> = tokens["data"].as_array().expect("a list").iter().map(|n| n.as_u64().expect("a number")).collect();
    assert_eq!(data.len() % 5, 0);
    let (mut line, mut column, mut words) = (0, 0, Vec::new());
    for token in data.chunks(5) {
        column = if token[0] == 0 { column + token[1] } else { token[1] };
        line += token[0];
        let text = RECIPE.lines().nth(line as usize).expect("there");
        words.push((text[column as usize..(column + token[2]) as usize].to_owned(), token[3]));
    }
    for wanted in [("sft", 0), ("least", 3), ("big", 4), ("x", 5), ("far", 1), ("Preference", 2), ("batch", 3)] {
        assert!(words.contains(&(wanted.0.to_owned(), wanted.1)), "{wanted:?} in {words:?}");
    }
    let mut inlay = document.clone();
    inlay["range"] = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 99, "character": 0 } });
    let hints = editor.ask("textDocument/inlayHint", inlay);
    let labels: Vec<&str> = hints.as_array().expect("a list").iter().map(|h| h["label"].as_str().expect("a text")).collect();
    assert!(labels.contains(&": Model") && labels.contains(&": Data…"), "{labels:?}");
    let lenses = editor.ask("textDocument/codeLens", document);
    let titles: Vec<&str> = lenses.as_array().expect("a list").iter().map(|l| l["command"]["title"].as_str().expect("a text")).collect();
    assert_eq!(titles[..3], ["run", "watch", "plan"]);
    assert_eq!(lenses[3]["command"]["arguments"][2], "base");
}

/// A text with an edit applied.
fn edited(text: &str, edit: &Value) -> String {
    let byte = |place: &Value| {
        let (line, column) = (place["line"].as_u64().expect("a number") as usize, place["character"].as_u64().expect("a number") as usize);
        let start = text.split_inclusive('\n').take(line).map(str::len).sum::<usize>();
        let line: Vec<u16> = text[start..].split('\n').next().unwrap_or_default().encode_utf16().take(column).collect();
        start + String::from_utf16(&line).expect("whole letters").len()
    };
    let (start, end) = (byte(&edit["range"]["start"]), byte(&edit["range"]["end"]));
    format!("{}{}{}", &text[..start], edit["newText"].as_str().expect("a text"), &text[end..])
}

#[test]
fn formatting_and_fixes_are_edits() {
    let mut editor = Editor::new();
    let crooked = with("    tuned = sft(base, big,", "  tuned=sft( base,big,").replace("Only rows", "Ön𝄞ly rows");
    editor.show("r.align", &crooked);
    let document = json!({ "textDocument": { "uri": editor.uri("r.align") }, "options": { "tabSize": 4, "insertSpaces": true } });
    let edits = editor.ask("textDocument/formatting", document.clone());
    assert_eq!(edits.as_array().map(Vec::len), Some(1));
    assert_eq!(edited(&crooked, &edits[0]), RECIPE.replace("Only rows", "Ön𝄞ly rows"));
    editor.show("r.align", RECIPE);
    assert_eq!(editor.ask("textDocument/formatting", document.clone()), json!([]));
    editor.show("r.align", &with("sft(base, big,", "sft(base, big"));
    assert!(editor.ask("textDocument/formatting", document).is_null(), "broken text is left alone");
    let cases = [
        ("> least", "> leest", "> least"),
        (".x > least", ".xx > least", ".x > least"),
        ("rows.filter(.x", "rows.filter(x", "rows.filter(.x"),
        ("batch: 2", "bach: 2", "batch: 2"),
        ("\"rows.jsonl\"", "\"row.jsonl\"", "\"rows.jsonl\""),
        ("use std.{sft, take}\n", "", "use std.sft.sft\n"),
    ];
    for (from, wrong, right) in cases {
        let text = with(from, wrong);
        let found = editor.show("r.align", &text);
        let wanted = with(from, right);
        let first = found.first().unwrap_or_else(|| panic!("nothing is wrong with {wrong}"));
        let params = json!({ "textDocument": { "uri": editor.uri("r.align") }, "range": first["range"], "context": { "diagnostics": [] } });
        let actions = editor.ask("textDocument/codeAction", params);
        let uri = editor.uri("r.align");
        let edit = &actions[0]["edit"]["changes"][&uri][0];
        assert!(edit.is_object(), "{wrong}: {found:#?} {actions}");
        assert_eq!(edited(&text, edit), wanted, "{wrong}");
    }
}

#[test]
fn what_is_not_known_is_refused_and_the_end_is_orderly() {
    let mut editor = Editor::new();
    let answer = editor.answer("textDocument/moniker", json!({ "textDocument": { "uri": editor.uri("r.align") } }));
    assert_eq!(answer["error"]["code"], -32601);
    let answer = editor.answer(
        "textDocument/hover",
        json!({ "textDocument": { "uri": editor.uri("gone.align") }, "position": { "line": 0, "character": 0 } }),
    );
    assert!(answer["result"].is_null() && answer["error"].is_null(), "{answer}");
    assert!(editor.ask("shutdown", Value::Null).is_null());
    editor.tell("exit", Value::Null);
    assert_eq!(editor.child.wait().expect("it ends").code(), Some(0));
}
