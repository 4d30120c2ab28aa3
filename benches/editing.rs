//! How long an editor waits: save to diagnostics through `align watch`, keystroke to answer through `align lsp`, on a recipe
//! of 1,000 lines. Run with `cargo bench --bench editing`.

#![expect(clippy::print_stdout, reason = "a bench reports to the terminal")]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const ROUNDS: usize = 60;

/// 1,000 lines: functions, objectives, and a recipe of several hundred stages.
fn recipe() -> String {
    let mut text = String::from("use std.{sft, dpo, take}\n\n");
    for at in 0..40 {
        writeln!(text, "/// Objective {at}.\nobjective loss_{at}(reference: Model, beta: Float in 0.0.. = 0.{at}1) for Preference {{")
            .expect("a string");
        text += "    margin = beta * (sum(model.logp(.chosen)) - sum(reference.logp(.chosen)))\n    loss = larger(0, 1 - margin)\n    metric margin\n}\n\n";
    }
    text += "recipe long \"A thousand lines\" {\n    base = load_model(\"m/model.safetensors\")\n";
    text +=
        "    rows = load_data(\"rows.jsonl\") as { prompt: Text, completion: Text, chosen: Completion, rejected: Completion, x: Float }\n";
    for at in 0..102 {
        writeln!(text, "    part_{at} = rows.filter(.x > {at} / 100).with(y: .x * 2 + {at})").expect("a string");
        writeln!(text, "    tuned_{at} = sft(base, part_{at}, steps: {})", at + 1).expect("a string");
        writeln!(
            text,
            "    better_{at} = train(\n        tuned_{at},\n        part_{at},\n        loss_{}(base, beta: 0.2),\n    )",
            at % 40
        )
        .expect("a string");
    }
    text += "    expect tuned_1.nll < 9\n}\n";
    text.replace("tuned_1.nll", "rows.measure(n: mean(.x, over: all)).n")
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("m")).expect("made");
    for name in ["model.safetensors", "config.json", "tokenizer.json"] {
        fs::copy(Path::new("recipes/quickstart").join(name), folder.path().join("m").join(name)).expect("copied");
    }
    let row = json!({ "prompt": "Once", "completion": " a cat", "chosen": " a cat", "rejected": " no", "x": 3 });
    fs::write(folder.path().join("rows.jsonl"), format!("{row}\n").repeat(100)).expect("written");
    folder
}

fn said(name: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{name:32} median {:7.1} ms   p95 {:7.1} ms   ({} rounds)", at(0.5), at(0.95), times.len());
}

/// From the moment before a save to the line with its diagnostics.
fn watch(text: &str) {
    let folder = folder();
    let path = folder.path().join("long.align");
    fs::write(&path, text).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_align"));
    command.current_dir(folder.path()).args(["watch", "long.align", "--device", "cpu", "--json"]).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let mut until = |event: &str| -> Value {
        lines
            .by_ref()
            .map(|line| serde_json::from_str::<Value>(&line).expect("JSON"))
            .find(|value| value["event"] == event)
            .expect("it speaks")
    };
    assert_eq!(until("checked")["ok"], true);
    until("watching");
    let (mut wrong, mut right, mut inside) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // a mistake in every second save
        let broken = round % 2 == 0;
        let new = if broken { text.replace("part_77 = rows", "part_77 = rowz") } else { format!("{text}// {round}\n") };
        std::thread::sleep(Duration::from_millis(120));
        let begun = Instant::now();
        fs::write(&path, new).expect("written");
        let checked = until("checked");
        let took = begun.elapsed().as_secs_f64() * 1e3;
        assert_eq!(checked["ok"], !broken);
        inside.push(checked["milliseconds"].as_f64().expect("a number"));
        if broken { wrong.push(took) } else { right.push(took) }
    }
    child.kill().expect("it runs");
    child.wait().expect("it ended");
    said("save to diagnostics, a mistake", wrong);
    said("save to diagnostics, sound", right);
    said("  of that since it was noticed", inside);
}

/// An edit and an answer, as an editor waits for them.
fn serve(text: &str) {
    let folder = folder();
    let root = folder.path().canonicalize().expect("there");
    let mut child =
        Command::new(env!("CARGO_BIN_EXE_align")).arg("lsp").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut to = child.stdin.take().expect("piped");
    let mut from = BufReader::new(child.stdout.take().expect("piped"));
    let uri = format!("file://{}/long.align", root.display());
    let mut write = |message: Value| {
        let text = message.to_string();
        write!(to, "Content-Length: {}\r\n\r\n{text}", text.len()).and_then(|()| to.flush()).expect("it listens");
    };
    let mut read = || -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            from.read_line(&mut line).expect("it speaks");
            match line.trim().strip_prefix("Content-Length: ") {
                Some(n) => length = n.parse().expect("a number"),
                None if line.trim().is_empty() => break,
                None => {}
            }
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body).expect("a whole message");
        serde_json::from_slice(&body).expect("JSON")
    };
    let mut id = 0;
    let mut ask = |write: &mut dyn FnMut(Value), read: &mut dyn FnMut() -> Value, method: &str, params: Value| -> f64 {
        id += 1;
        let begun = Instant::now();
        write(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let answer = read();
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{answer}");
                return begun.elapsed().as_secs_f64() * 1e3;
            }
        }
    };
    ask(&mut write, &mut read, "initialize", json!({ "rootUri": format!("file://{}", root.display()), "capabilities": {} }));
    write(json!({ "jsonrpc": "2.0", "method": "initialized", "params": {} }));
    let document = json!({ "uri": uri, "languageId": "align", "version": 0, "text": text });
    write(json!({ "jsonrpc": "2.0", "method": "textDocument/didOpen", "params": { "textDocument": document } }));
    let line = text.lines().position(|line| line.contains("part_77 = rows")).expect("there");
    let place = json!({ "line": line, "character": text.lines().nth(line).expect("there").find("filter").expect("there") + 2 });
    let methods = [
        "hover",
        "completion",
        "signatureHelp",
        "definition",
        "references",
        "documentSymbol",
        "semanticTokens/full",
        "formatting",
        "inlayHint",
        "codeLens",
    ];
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); methods.len() + 1];
    for round in 0..ROUNDS as i64 {
        let changed = format!("{text}// {round}\n");
        let begun = Instant::now();
        write(
            json!({ "jsonrpc": "2.0", "method": "textDocument/didChange", "params": { "textDocument": { "uri": uri, "version": round + 1 }, "contentChanges": [{ "text": changed }] } }),
        );
        loop {
            let message = read();
            if message["method"] == "textDocument/publishDiagnostics" && message["params"]["version"] == round + 1 {
                break;
            }
        }
        times[methods.len()].push(begun.elapsed().as_secs_f64() * 1e3);
        for (at, method) in methods.iter().enumerate() {
            let params = json!({ "textDocument": { "uri": uri }, "position": place, "context": { "includeDeclaration": true }, "options": {},
                "range": { "start": { "line": 0, "character": 0 }, "end": { "line": 2000, "character": 0 } } });
            times[at].push(ask(&mut write, &mut read, &format!("textDocument/{method}"), params));
        }
    }
    child.kill().expect("it runs");
    child.wait().expect("it ended");
    for (name, times) in methods.iter().chain(&["keystroke to diagnostics"]).zip(times) {
        said(name, times);
    }
}

fn main() {
    let text = recipe();
    println!("a recipe of {} lines", text.lines().count());
    watch(&text);
    serve(&text);
}
