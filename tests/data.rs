//! Files as people have them: every format, and everything that can be wrong with one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use align::data::{read, schema, validate};
use align::recipe::types::{Row, Type};
use align::value::{Cell, Table};
use flate2::Compression;
use flate2::write::GzEncoder;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn row(fields: &[(&str, Type)]) -> Row {
    fields.iter().map(|(name, ty)| (Arc::from(*name), ty.clone())).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn texts(table: &Table, column: &str) -> Vec<String> {
    let show = |cell| match cell {
        Cell::Text(text) => text.to_string(),
        other => format!("{other:?}"),
    };
    table.column(column).unwrap().into_iter().map(show).collect()
}

/// Code and message of every mistake, the folder's path left out, and help where there is any.
fn told(path: &Path, asked: &Row) -> Vec<String> {
    let folder = format!("{}/", path.parent().unwrap().display());
    let show = |d: align::diagnostic::Diagnostic| {
        let help = d.help.map_or(String::new(), |help| format!(" | {help}"));
        format!("{}: {}{help}", d.code.trim_start_matches("align::data::"), d.message).replace(&folder, "")
    };
    validate(path, asked).into_iter().map(show).collect()
}

fn text() -> Row {
    row(&[("text", Type::Text)])
}

#[test]
fn every_format_gives_the_same_table() {
    let folder = Folder::new();
    let lines = "{\"text\": \"a, b\", \"n\": 1}\n{\"n\": 2, \"text\": \"c\", \"more\": []}\n";
    let list = "[{\"text\": \"a, b\", \"n\": 1},\n {\"text\": \"c\", \"n\": 2}]";
    let files = [
        folder.file("a.jsonl", lines),
        folder.file("b.JSONL.gz", gzip(lines)),
        folder.file("c.json", list),
        folder.file("d.json", lines),
        folder.file("e.json.gz", gzip(list)),
        folder.file("f.csv", "n,text\n1,\"a, b\"\n2,c\n"),
        folder.file("g.tsv", "text\tn\na, b\t1\nc\t2\n"),
        folder.file("h.jsonl", gzip(lines)),
        folder.file("i.jsonl", format!("\u{feff}\r\n{}\r\n  \r\n", lines.replace('\n', "\r\n"))),
        folder.file("j.csv", "\u{feff}text,n\r\n\"a, b\",1\r\nc,2"),
    ];
    let asked = row(&[("n", Type::Int), ("text", Type::Text)]);
    let expected = read(&files[0], &asked, None).unwrap();
    assert_eq!(expected.rows, [[Cell::Int(1), Cell::text("a, b")], [Cell::Int(2), Cell::text("c")]]);
    for path in &files {
        assert_eq!(read(path, &asked, None).unwrap(), expected, "{}", path.display());
        assert_eq!(read(path, &asked, Some(1)).unwrap().len(), 1);
        assert_eq!(told(path, &asked), [""; 0]);
    }
}

#[test]
fn a_text_file_has_one_column() {
    let folder = Folder::new();
    let path = folder.file("prompts.txt", "one\n\n  two  \r\nthree");
    assert_eq!(texts(&read(&path, &text(), None).unwrap(), "text"), ["one", "  two  ", "three"]);
    let prompts = read(&path, &row(&[("prompt", Type::Dialogue)]), None).unwrap();
    assert!(prompts.rows.iter().all(|row| matches!(&row[0], Cell::Dialogue(turns) if turns.len() == 1)));
}

#[test]
fn a_file_that_nobody_described_is_read_as_it_is() {
    let folder = Folder::new();
    let path = folder.file("x.jsonl", "{\"a\": 1}\n{\"b\": {\"c\": [true]}, \"a\": null}\n");
    let table = read(&path, &Row::new(), None).unwrap();
    assert_eq!(table.columns, ["a".into(), "b".into()]);
    assert_eq!(table.rows[0], [Cell::Int(1), Cell::None]);
    assert!(matches!(&table.rows[1][1], Cell::Record(_)));
}

#[test]
fn lines_ten_thousand_down_are_found() {
    let folder = Folder::new();
    let mut lines: Vec<String> = (1..=10_000).map(|n| format!("{{\"text\": \"row {n}\"}}")).collect();
    lines[8411] = "{\"text\": \"row 8412\" \"oops\"}".into();
    lines[9000] = "{\"text\": \"cut".into();
    let path = folder.file("x.jsonl", lines.join("\n"));
    assert_eq!(
        told(&path, &text()),
        [
            "broken_line: line 8,412 of `x.jsonl` is broken at column 21: expected `,` or `}`, found `\"`",
            "broken_line: line 9,001 of `x.jsonl` is broken at column 14: expected `\"`, but the text ends",
        ]
    );
}

#[test]
fn missing_columns_come_with_the_way_out() {
    let folder = Folder::new();
    let path = folder.file("x.jsonl", "{\"prompt\": \"p\", \"preferred\": \"a\", \"dispreferred\": \"b\"}\n".repeat(3));
    let preference = row(&[("prompt", Type::Dialogue), ("chosen", Type::Completion), ("rejected", Type::Completion)]);
    assert_eq!(
        told(&path, &preference),
        ["missing_column: columns `.chosen` and `.rejected` are missing in `x.jsonl`; it has `prompt`, `preferred`, `dispreferred` \
         | read it `as { preferred: Completion, prompt: Dialogue, dispreferred: Completion }` \
         and add `.select(chosen: .preferred, prompt: .prompt, rejected: .dispreferred)`",]
    );
    let weather = row(&[("weather", Type::Text)]);
    assert_eq!(
        told(&path, &weather),
        ["missing_column: column `.weather` is missing in `x.jsonl`; it has `prompt`, `preferred`, `dispreferred` \
         | state the columns that it has after `as`, then build the others with `.select(…)`",]
    );
}

#[test]
fn equal_mistakes_are_told_once_with_their_lines() {
    let folder = Folder::new();
    let rows = (1..=20).map(|n| match n {
        4 => "{\"other\": 1}\n".to_owned(),
        n if n % 5 == 0 => format!("{{\"score\": \"{n}\"}}\n"),
        n => format!("{{\"score\": {n}.5}}\n"),
    });
    let path = folder.file("x.jsonl", rows.collect::<String>());
    assert_eq!(
        told(&path, &row(&[("score", Type::Float)])),
        [
            "missing_value: line 4 of `x.jsonl`: `.score` is missing, there is `other`",
            "wrong_type: `.score` on line 5 of `x.jsonl` at column 11: expected Float, found \"5\" | the same on lines 10, 15 and 20",
        ]
    );
}

#[test]
fn places_are_right_in_lists_and_tables_too() {
    let folder = Folder::new();
    let path = folder.file("x.json", "[\n  {\"n\": 1},\n  {\n    \"é\": 1, \"n\": \"two\"\n  },\n  7\n]");
    assert_eq!(
        told(&path, &row(&[("n", Type::Int)])),
        [
            "wrong_type: `.n` on line 4 of `x.json` at column 18: expected Int, found \"two\"",
            "broken_line: line 6 of `x.json` is broken at column 3: expected an object with columns, found 7",
        ]
    );
    let path = folder.file("x.csv", "n,text\n1,\"a\nb\"\nx,c\n1,2,3\n");
    assert_eq!(
        told(&path, &row(&[("n", Type::Int)])),
        [
            "wrong_type: `.n` on line 4 of `x.csv`: expected Int, found \"x\"",
            "broken_line: line 5 of `x.csv` is broken: 3 fields under 2 column names",
        ]
    );
    let path = folder.file("y.csv", "a,b,a\n1,2,3\n");
    assert_eq!(told(&path, &row(&[("a", Type::Int)])), ["broken_line: line 1 of `y.csv` is broken: two columns are called `a`"]);
}

#[test]
fn what_is_inside_a_column_is_named() {
    let folder = Folder::new();
    let path = folder.file(
        "x.jsonl",
        "{\"prompt\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"robot\", \"content\": \"b\"}]}\n{\"prompt\": 3}\n",
    );
    assert_eq!(
        told(&path, &row(&[("prompt", Type::Dialogue)])),
        [
            "wrong_type: `.prompt[1]` on line 1 of `x.jsonl` at column 47: expected a turn, `{role, content}`, found {role, content}",
            "wrong_type: `.prompt` on line 2 of `x.jsonl` at column 12: expected a text or a list of turns, found 3",
        ]
    );
    let path =
        folder.file("y.jsonl", "{\"chosen\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}]}");
    assert_eq!(
        told(&path, &row(&[("chosen", Type::Completion)])),
        ["wrong_type: `.chosen` on line 1 of `y.jsonl` at column 12: expected a text, found a dialogue of 2 turns",]
    );
}

#[test]
fn bytes_that_are_no_text_have_a_place() {
    let folder = Folder::new();
    let path = folder.file("x.jsonl", b"{\"text\": \"ok\"}\n{\"text\": \"caf\xe9\"}\n{\"text\": \"ok\"}\n");
    assert_eq!(
        told(&path, &text()),
        ["not_utf8: line 2 of `x.jsonl` is not UTF-8 text: look at byte 28 of the file | save the file as UTF-8"]
    );
    let path = folder.file("x.json", b"[{\"text\": \"ok\"},\n{\"text\": \"\xff\"}]");
    assert_eq!(
        told(&path, &text()),
        ["not_utf8: line 2 of `x.json` is not UTF-8 text: look at byte 27 of the file | save the file as UTF-8"]
    );
    let path = folder.file("x.csv", b"text\nok\ncaf\xe9\n");
    assert_eq!(
        told(&path, &text()),
        ["not_utf8: line 3 of `x.csv` is not UTF-8 text: look at byte 8 of the file | save the file as UTF-8"]
    );
}

#[test]
fn packed_data_that_ends_early_is_not_read_in_part() {
    let folder = Folder::new();
    let lines: String = (0..5000).map(|n| format!("{{\"text\": \"row {}\"}}\n", n * n % 7919)).collect();
    let packed = gzip(&lines);
    for keep in [1, 5, packed.len() / 2, packed.len() - 1] {
        let path = folder.file("x.jsonl.gz", &packed[..keep]);
        let told = told(&path, &text());
        let last = told.last().unwrap();
        assert!(last.starts_with("cut_short: `x.jsonl.gz` ends early") || last.starts_with("damaged"), "{told:?}");
        assert!(read(&path, &text(), None).is_err());
    }
    let mut flipped = packed.clone();
    flipped[packed.len() / 2] ^= 0x55;
    assert!(!told(&folder.file("x.jsonl.gz", flipped), &text()).is_empty());
    let path = folder.file("x.jsonl.gz", "{\"text\": \"not packed\"}");
    assert_eq!(told(&path, &text()), ["damaged: `x.jsonl.gz` is not gzip data, whatever its name says"]);
}

#[test]
fn what_cannot_be_read_at_all_says_why() {
    let folder = Folder::new();
    let path = folder.file("preferences.jsonl", "");
    assert_eq!(told(&path, &text()), ["no_rows: `preferences.jsonl` has no rows"]);
    assert_eq!(told(&folder.file("x.csv", "text\n"), &text()), ["no_rows: `x.csv` has no rows"]);
    assert_eq!(told(&folder.file("x.json", " [ ] "), &text()), ["no_rows: `x.json` has no rows"]);
    assert_eq!(
        told(&path.with_file_name("preference.jsonl"), &text()),
        ["missing_file: `preference.jsonl` does not exist | did you mean `preferences.jsonl`?"]
    );
    let parquet = folder.file("x.parquet", "PAR1");
    assert_eq!(
        told(&parquet, &text()),
        [
            "unknown_format: `x.parquet` has no format that can be read | `.jsonl`, `.json`, `.csv`, `.tsv` and `.txt` are read, each also as `.gz`",
        ]
    );
    let named_folder = folder.0.path().join("f.jsonl");
    std::fs::create_dir(&named_folder).unwrap();
    assert_eq!(told(&named_folder, &text()), ["unreadable: `f.jsonl` cannot be read: it is a folder"]);
}

#[test]
fn hostile_files_end_in_mistakes() {
    let folder = Folder::new();
    let deep = format!("{{\"text\": {}}}", "[".repeat(200_000));
    let wide: String = format!("{{{}}}", (0..50_000).map(|n| format!("\"k{n}\": 0")).collect::<Vec<_>>().join(","));
    for content in [
        deep.as_str(),
        wide.as_str(),
        "{\"text\": 1e999}",
        "{\"text\": NaN}",
        "{\"text\": \"a\", \"text\": \"b\"}",
        "{\"text\": \"\\ud800\"}",
        "null",
        "[]",
        "\u{0}",
        "{\"text\": \"\u{0}\"}",
        "\"text\"",
        "{}{}",
        "{\"text\": \"x\"},",
    ] {
        for name in ["x.jsonl", "x.json"] {
            let path = folder.file(name, content);
            assert!(!told(&path, &text()).is_empty(), "{name}: {}", &content[..content.len().min(40)]);
            assert!(read(&path, &text(), None).is_err());
        }
    }
}

#[test]
fn the_first_rows_tell_what_a_file_holds() {
    let folder = Folder::new();
    let path =
        folder.file("x.jsonl", "{\"a\": 1, \"b\": \"x\", \"c\": null}\n{\"a\": 1.5, \"b\": \"y\", \"c\": [1], \"d\": true}\nbroken\n");
    let optional = |ty| Type::Optional(Box::new(ty));
    let expected =
        row(&[("a", Type::Float), ("b", Type::Text), ("c", optional(Type::List(Box::new(Type::Int)))), ("d", optional(Type::Bool))]);
    assert_eq!(schema(&path).unwrap(), expected);
    let path = folder.file("x.csv", "n,x,text,gap\n1,0.5,true story,\n2,1,no,3\n");
    let expected = row(&[("n", Type::Int), ("x", Type::Float), ("text", Type::Text), ("gap", optional(Type::Int))]);
    assert_eq!(schema(&path).unwrap(), expected);
    assert!(schema(&folder.file("y.jsonl", "broken")).is_err());
    assert!(schema(&folder.file("z.jsonl", "")).is_err());
}

#[test]
fn every_code_has_a_case() {
    let folder = Folder::new();
    std::fs::create_dir(folder.0.path().join("f.jsonl")).unwrap();
    let packed = gzip("{\"text\": \"some text\"}\n");
    let files: [(&str, &[u8]); 8] = [
        ("a.parquet", b"PAR1"),
        ("b.jsonl.gz", b"no gzip"),
        ("c.jsonl.gz", &packed[..packed.len() - 4]),
        ("d.jsonl", b"{\"text\": \"\xff\"}"),
        ("e.jsonl", b""),
        ("g.jsonl", b"{\"text\": 1}\nbroken"),
        ("h.jsonl", b"{\"txt\": 1}"),
        ("i.jsonl", b"{\"text\": \"\"}\n{}"),
    ];
    let mut paths: Vec<PathBuf> = files.iter().map(|(name, bytes)| folder.file(name, bytes)).collect();
    paths.extend(["f.jsonl", "z.jsonl"].map(|name| folder.0.path().join(name)));
    let mut shown: Vec<&str> = paths.iter().flat_map(|path| validate(path, &text())).map(|d| d.code).collect();
    let mut known: Vec<&str> = align::data::codes::FILES.iter().map(|(code, _)| *code).collect();
    shown.sort_unstable();
    known.sort_unstable();
    shown.dedup();
    assert_eq!(shown, known);
}
