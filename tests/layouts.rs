//! Data sets as they are published: what a recipe makes of them, against TRL, and what `align data` says of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use align::data::layout::{Example, LAYOUTS};
use align::data::pack::{Packing, pack};
use align::data::preview::{First, Preview, preview};
use serde_json::{Value, json};

/// A recipe's folder.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn rows(&self, name: &str, rows: &[Value]) -> PathBuf {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        fs::write(self.path(name), lines).expect("written");
        self.path(name)
    }

    fn align(&self, args: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_align")).current_dir(self.0.path()).args(args).output().expect("it starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().expect("it was not killed"), text(&output.stdout), text(&output.stderr))
    }

    /// The rows of `x` after a recipe of these lines has run.
    fn made(&self, uses: &str, lines: &str) -> Vec<Value> {
        fs::write(self.path("a.align"), format!("{uses}\n\nrecipe r {{\n    {lines}\n    export x to \"x.jsonl\"\n}}\n")).expect("written");
        let (code, out, err) = self.align(&["run", "a.align", "--device", "cpu"]);
        assert_eq!(code, 0, "{lines}\n{out}{err}");
        let text = fs::read_to_string(self.path("x.jsonl")).expect("exported");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

/// The golden files: one that other people may exchange, and more of the same kind.
fn golden() -> Vec<Value> {
    let other = std::env::var_os("ALIGN_GOLDEN").map(|folder| PathBuf::from(folder).join("data_prep.json"));
    let first = other.filter(|path| path.exists()).unwrap_or_else(|| "tests/golden/data_prep.json".into());
    let read = |path: PathBuf| serde_json::from_slice(&fs::read(path).expect("a golden file")).expect("JSON");
    let files: Vec<Value> = [first, "tests/data/trl.json".into()].map(read).into();
    for file in &files {
        let known = ["file", "versions", "what", "input_ids", "cases", "extract_prompt", "unpair_preference_dataset"];
        let unknown: Vec<&String> = file.as_object().expect("an object").keys().filter(|key| !known.contains(&key.as_str())).collect();
        assert_eq!(unknown, Vec::<&String>::new(), "a case that no test knows");
    }
    files
}

#[test]
fn the_shared_start_is_the_prompt() {
    let cases: Vec<Value> = golden().iter().flat_map(|file| file["extract_prompt"].as_array().expect("cases").clone()).collect();
    let (texts, chats): (Vec<&Value>, Vec<&Value>) = cases.iter().partition(|case| case["in"]["chosen"].is_string());
    assert!(!texts.is_empty() && !chats.is_empty());
    let inputs = |cases: &[&Value]| cases.iter().map(|case| case["in"].clone()).collect::<Vec<_>>();
    let outputs = |cases: &[&Value]| cases.iter().map(|case| case["out"].clone()).collect::<Vec<_>>();

    let folder = Folder::new();
    folder.rows("texts.jsonl", &inputs(&texts));
    let pairs = "x = text_pairs(load_data(\"texts.jsonl\") as { chosen: Text, rejected: Text })";
    assert_eq!(folder.made("use std.{text_pairs}", pairs), outputs(&texts));

    folder.rows("chats.jsonl", &inputs(&chats));
    let read = "load_data(\"chats.jsonl\") as { chosen: Dialogue, rejected: Dialogue }";
    let parted = "select(prompt: .start, chosen: turns_after(.chosen, .start), rejected: turns_after(.rejected, .start))";
    let lines = format!("x = ({read}).with(start: shared_turns(.chosen, .rejected)).{parted}");
    assert_eq!(folder.made("", &lines), outputs(&chats));

    // as preferences: what is left of each side is one answer
    let answer =
        |case: &&&Value| ["chosen", "rejected"].iter().all(|side| case["out"][side].as_array().is_some_and(|turns| turns.len() == 1));
    let answered: Vec<&Value> =
        chats.iter().filter(answer).filter(|case| case["out"]["chosen"][0]["role"] == "assistant").copied().collect();
    let row = |case: &&Value| {
        let out = &case["out"];
        json!({ "prompt": out["prompt"], "chosen": out["chosen"][0]["content"], "rejected": out["rejected"][0]["content"] })
    };
    let made = folder.made("use std.{dialogue_pairs}", &format!("x = dialogue_pairs({read})"));
    assert_eq!(made, answered.iter().map(row).collect::<Vec<_>>());
    assert!(made.len() >= 3 && made.len() < chats.len());
}

#[test]
fn pairs_come_apart_as_judged_completions() {
    for file in golden() {
        let rows = file["unpair_preference_dataset"].as_array().expect("cases");
        let side = |label: bool| rows.iter().filter(move |row| row["label"] == label);
        let pair = |(a, b): (&Value, &Value)| json!({ "prompt": a["prompt"], "chosen": a["completion"], "rejected": b["completion"] });
        let pairs: Vec<Value> = side(true).zip(side(false)).map(pair).collect();
        let folder = Folder::new();
        folder.rows("pairs.jsonl", &pairs);
        let made = folder.made("use std.{feedback}", "x = feedback(load_data(\"pairs.jsonl\") as Preference)");
        let named = |row: &Value| json!({ "prompt": user(&row["prompt"]), "completion": row["completion"], "desirable": row["label"] });
        assert_eq!(made, rows.iter().map(named).collect::<Vec<_>>());
    }
}

/// A text read as a prompt.
fn user(text: &Value) -> Value {
    json!([{ "role": "user", "content": text }])
}

#[test]
fn sequences_are_packed_as_trl_packs_them() {
    let mut seen = 0;
    for file in golden() {
        let ids: Vec<Vec<u64>> = serde_json::from_value(file["input_ids"].clone()).expect("lists of ids");
        let lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
        for (name, case) in file["cases"].as_object().expect("cases") {
            let (strategy, room) = name.rsplit_once('_').expect("a strategy and its room");
            let packing = match strategy {
                "bfd" => Packing::BestFit,
                "bfd_split" => Packing::BestFitSplit,
                "wrapped" => Packing::Wrapped,
                other => panic!("an unknown way of packing: {other}"),
            };
            let rows = pack(&lengths, room.parse().expect("a number"), packing);
            let tokens = |row: &Vec<align::data::pack::Piece>| -> Vec<u64> {
                row.iter().flat_map(|piece| ids[piece.sequence][piece.tokens.clone()].to_vec()).collect()
            };
            assert_eq!(json!(rows.iter().map(tokens).collect::<Vec<_>>()), case["input_ids"], "{name}");
            if let Some(told) = case.get("seq_lengths") {
                let lengths: Vec<Vec<usize>> = rows.iter().map(|row| row.iter().map(|piece| piece.tokens.len()).collect()).collect();
                assert_eq!(json!(lengths), *told, "{name}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 15);
}

fn turn(role: &str, text: &str) -> Value {
    json!({ "role": role, "content": text })
}

fn said(from: &str, text: &str) -> Value {
    json!({ "from": from, "value": text })
}

/// For every layout a few rows, odd ones among them.
fn published(layout: &str) -> Vec<Value> {
    let chat = |texts: &[&str]| -> Value {
        texts.iter().enumerate().map(|(at, text)| turn(if at % 2 == 0 { "user" } else { "assistant" }, text)).collect()
    };
    match layout {
        "preference pairs" => vec![
            json!({ "prompt": "q", "chosen": "a", "rejected": "b", "score": 1 }),
            json!({ "prompt": chat(&["q", "r", "s"]), "chosen": [turn("assistant", "a")], "rejected": turn("assistant", "b") }),
            json!({ "prompt": "q", "chosen": "b", "rejected": "a" }),
            json!({ "prompt": "q", "chosen": "a", "rejected": "a" }),
        ],
        "ranked chats" => vec![
            json!({ "conversations": [said("human", "q")], "chosen": said("gpt", "a"), "rejected": said("gpt", "b") }),
            json!({ "conversations": [said("system", "s"), said("human", "q")], "chosen": said("gpt", "a"), "rejected": said("gpt", "b") }),
        ],
        "hh-rlhf" => {
            let start = "\n\nHuman: q\n\nAssistant: r\n\nHuman: s";
            vec![
                json!({ "chosen": format!("{start}\n\nAssistant: a\n\nmore"), "rejected": format!("{start}\n\nAssistant: b") }),
                json!({ "chosen": format!("{start}\n\nAssistant: a"), "rejected": "\n\nHuman: q\n\nAssistant: b" }),
                json!({ "chosen": format!("{start}\n\nAssistant: a"), "rejected": format!("{start}\n\nAssistant: a") }),
                json!({ "chosen": format!("{start}\n\nAssistant: a\n\nHuman: b"), "rejected": format!("{start}\n\nAssistant: a\n\nHuman: c") }),
            ]
        }
        "paired chats" => vec![
            json!({ "prompt": "q", "chosen": chat(&["q", "a"]), "rejected": chat(&["q", "b"]) }),
            json!({ "prompt": "q", "chosen": chat(&["q", "a", "r", "b"]), "rejected": chat(&["q", "x", "r", "c"]) }),
        ],
        "paired texts" => vec![
            json!({ "chosen": "The sky is blue.", "rejected": "The sky is green." }),
            json!({ "chosen": "x", "rejected": "x" }),
            json!({ "chosen": "x", "rejected": "y" }),
        ],
        "paired answers" => vec![json!({ "question": "q", "response_j": "a", "response_k": "b" })],
        "judged completions" => vec![
            json!({ "prompt": "q", "completion": "a", "label": true }),
            json!({ "prompt": chat(&["q"]), "completion": [turn("assistant", "a")], "label": false }),
        ],
        "judged chats" => {
            vec![json!({ "messages": chat(&["q", "a"]), "label": true }), json!({ "messages": chat(&["q", "a", "r"]), "label": false })]
        }
        "demonstrations" => {
            vec![json!({ "prompt": "q", "completion": "a" }), json!({ "prompt": "q", "completion": [turn("assistant", "b")] })]
        }
        "chats" => vec![
            json!({ "messages": [turn("system", "s"), turn("user", "q"), turn("assistant", "a"), turn("user", "r"), turn("assistant", "b")] }),
            json!({ "messages": [turn("user", "q")] }),
        ],
        "ShareGPT" => {
            vec![json!({ "id": "1", "conversations": [said("human", "q"), said("gpt", "a"), said("human", "r"), said("gpt", "b")] })]
        }
        "Alpaca" => vec![
            json!({ "instruction": "do", "input": "this", "output": "done" }),
            json!({ "instruction": "do", "input": "", "output": "done" }),
            json!({ "instruction": "do", "input": null, "output": "done" }),
            json!({ "instruction": "do", "output": "done" }),
        ],
        "prompts" => vec![json!({ "prompt": "q" }), json!({ "prompt": chat(&["q", "a", "r"]) })],
        other => panic!("no rows in the layout {other}"),
    }
}

/// An example as a recipe exports it.
fn exported(example: &Example) -> Value {
    let turns: Vec<Value> = example.prompt.iter().map(|t| turn(t.role.name(), &t.text)).collect();
    let mut row = json!({ "prompt": turns });
    for answer in &example.answers {
        row[answer.name] = json!(*answer.text);
        if answer.name == "completion" && answer.desirable.is_some() {
            row["desirable"] = json!(answer.desirable);
        }
    }
    row
}

/// A text column that is read as a prompt is exported as it is.
fn as_turns(mut row: Value) -> Value {
    if row["prompt"].is_string() {
        row["prompt"] = user(&row["prompt"]);
    }
    row
}

#[test]
fn what_is_previewed_is_what_a_recipe_reads() {
    for layout in LAYOUTS {
        let folder = Folder::new();
        let path = folder.rows("rows.jsonl", &published(layout.name));
        let mut examples = Vec::new();
        let found = preview(&path, 3, |example| examples.push(exported(example))).expect("sound rows");
        assert_eq!(found.layout.map(|found| found.name), Some(layout.name));
        let uses = if layout.uses.is_empty() { String::new() } else { format!("use std.{{{}}}", layout.uses.join(", ")) };
        let made = folder.made(&uses, &format!("x = {}", layout.line("rows.jsonl")));
        assert_eq!(made.into_iter().map(as_turns).collect::<Vec<_>>(), examples, "{}", layout.name);
        assert_eq!(found.examples, examples.len());
    }
}

fn looked_at(rows: &[Value]) -> Preview {
    let folder = Folder::new();
    preview(&folder.rows("rows.jsonl", rows), 2, |_| ()).expect("sound rows")
}

#[test]
fn repeats_and_contradictions_are_counted() {
    let pair = |prompt: &str, chosen: &str, rejected: &str| json!({ "prompt": prompt, "chosen": chosen, "rejected": rejected });
    let found = looked_at(&[pair("p", "a", "b"), pair("p", "b", "a"), pair("p", "a", "b"), pair("q", "a", "a"), pair("r", "b", "a")]);
    let repeats = found.repeats;
    assert_eq!((repeats.rows, repeats.prompts, repeats.undecided, repeats.opposed), (1, 2, 1, 1));
    let judged = |label: bool| json!({ "prompt": "p", "completion": "a", "label": label });
    assert_eq!(looked_at(&[judged(true), judged(true), judged(false)]).repeats.opposed, 1);
    let whole = |text: &str| json!({ "chosen": format!("Human: q\n\nAssistant: {text}"), "rejected": "Human: q\n\nAssistant: a" });
    let found = looked_at(&[whole("a"), whole("b")]);
    assert_eq!((found.repeats.undecided, found.left_out, found.examples), (1, 1, 1));
}

#[test]
fn lengths_are_in_characters() {
    let rows: Vec<Value> = (1..=100).map(|n| json!({ "prompt": "é".repeat(n), "completion": "" })).collect();
    let found = looked_at(&rows);
    let lengths = found.lengths[0].1;
    assert_eq!((lengths.median, lengths.max), (50.5, 100.0));
    assert!((lengths.p95 - 95.05).abs() < 1e-9);
    assert!(matches!(&found.first[..], [First::Examples(_), First::Examples(_)]));
}

#[test]
fn columns_and_their_gaps_are_shown() {
    let found =
        looked_at(&[json!({ "a": 1, "b": null }), json!({ "a": 2.5, "c": "x" }), json!({ "a": null, "b": [1] }), json!({ "a": 3 })]);
    let columns: Vec<(String, String, usize)> = found.columns.iter().map(|c| (c.name.to_string(), c.ty.to_string(), c.missing)).collect();
    let column = |name: &str, ty: &str, missing| (name.to_owned(), ty.to_owned(), missing);
    assert_eq!(columns, [column("a", "Float?", 1), column("b", "[Int]?", 3), column("c", "Text?", 3)]);
    assert!(found.layout.is_none());
}

#[test]
fn a_preview_is_calm() {
    let folder = Folder::new();
    folder.rows("hh.jsonl", &published("hh-rlhf"));
    let (code, out, err) = folder.align(&["data", "hh.jsonl", "--rows", "1"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "hh.jsonl: 4 rows of JSON lines

  .chosen    Text
  .rejected  Text

hh-rlhf: two whole transcripts that part at the last answer
3 rows are left out: the two dialogues do not part at a last turn of the assistant

    use std.{hh_pairs}
    data = hh_pairs(load_data(\"hh.jsonl\") as { chosen: Text, rejected: Text })

1 row has one text as chosen and as rejected

             median  95 %  longest
  .prompt         3     3        3  characters
  .chosen         7     7        7  characters
  .rejected       1     1        1  characters

row 1
  user           q
  assistant      r
  user           s
  + chosen       a

                 more
  - rejected     b
"
    );
}

#[test]
fn tokens_are_counted_as_a_model_reads_them() {
    let folder = Folder::new();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/quickstart/model.safetensors");
    let rows = [
        json!({ "prompt": "Once upon a time", "completion": " there was a cat." }),
        json!({ "prompt": "a ".repeat(600), "completion": "b" }),
    ];
    folder.rows("rows.jsonl", &rows);
    let model = model.display().to_string();
    let (code, out, err) = folder.align(&["data", "rows.jsonl", "--model", &model, "--json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let told: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&told["tokens"]["places"], &told["tokens"]["longer"]), (&json!(512), &json!(1)));
    assert_eq!(told["first"][0][0]["prompt"], json!([{ "role": "user", "text": "Once upon a time" }]));
    let (_, out, _) = folder.align(&["data", "rows.jsonl", "--model", &model]);
    assert!(out.contains("= read as") && out.contains('⟦') && out.contains(" scored"), "{out}");
    assert!(out.contains("tokens; 1 of 2 is longer than the 512 of"), "{out}");
    let (code, _, err) = folder.align(&["data", "rows.jsonl", "--model", "nowhere"]);
    assert!(code == 1 && err.contains("align::model::missing_file"), "{err}");
}

#[test]
fn a_file_that_is_not_sound_is_refused_with_every_mistake() {
    let folder = Folder::new();
    let call = json!({ "role": "assistant", "content": null, "tool_calls": [{ "id": "1" }] });
    let silent = json!({ "role": "assistant", "content": null });
    let chats = [call, silent, turn("assistant", "a")].map(|answer| json!({ "messages": [turn("user", "q"), answer] }));
    folder.rows("chats.jsonl", &chats);
    let (code, out, err) = folder.align(&["data", "chats.jsonl"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("`.messages[1].tool_calls` on line 1 of `chats.jsonl` at column 92: expected a turn that is text"), "{err}");
    assert!(err.contains("`.messages[1].content` on line 2 of `chats.jsonl` at column 74: expected Text, found null"), "{err}");
    assert!(err.ends_with("2 mistakes\n"), "{err}");
    let (code, _, err) = folder.align(&["data", "nothing.jsonl"]);
    assert!(code == 1 && err.contains("align::data::missing_file"), "{err}");
}

#[test]
fn lines_for_files_without_a_layout_are_right() {
    let folder = Folder::new();
    folder.rows("rows.jsonl", &[json!({ "type": "x", "n": 1, "deep": [{ "a": [true] }] }), json!({ "type": "y", "deep": [] })]);
    let (_, out, _) = folder.align(&["data", "rows.jsonl"]);
    let line = out.lines().find_map(|line| line.trim().strip_prefix("data = ")).expect("a line");
    assert_eq!(line, "load_data(\"rows.jsonl\") as { type: Text, n: Int?, deep: [{ a: [Bool] }] }");
    assert_eq!(folder.made("", &format!("x = {line}")).len(), 2);
    folder.rows("odd.jsonl", &[json!({ "a b": 1 })]);
    let (_, out, _) = folder.align(&["data", "odd.jsonl"]);
    assert!(out.contains("    data = load_data(\"odd.jsonl\")\n"), "{out}");
}
