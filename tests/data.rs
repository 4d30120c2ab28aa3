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

fn zstandard(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 3).unwrap()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
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
    validate(path, asked, false).into_iter().map(show).collect()
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
        folder.file("k.jsonl.zst", zstandard(lines)),
        folder.file("l.csv.zst", zstandard("n,text\n1,\"a, b\"\n2,c\n")),
        folder.file("m.jsonl", zstandard(lines)),
        folder.file("n.json", format!("{{\"version\": \"1.0\", \"data\": {list}}}")),
        folder.file("o.json", format!("{{\n \"rows\": {list}\n}}")),
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
            "wrong_type: `.prompt[1].role` on line 1 of `x.jsonl` at column 56: expected `system`, `user` or `assistant`, found \"robot\"",
            "wrong_type: `.prompt` on line 2 of `x.jsonl` at column 12: expected a text or a list of turns, found 3",
        ]
    );
    let path =
        folder.file("y.jsonl", "{\"chosen\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}]}");
    assert_eq!(
        told(&path, &row(&[("chosen", Type::Completion)])),
        [
            "wrong_type: `.chosen` on line 1 of `y.jsonl` at column 12: expected a text or one turn of the assistant, found a dialogue of 2 turns",
        ]
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
fn what_a_file_is_instead_is_said() {
    let folder = Folder::new();
    let wide: Vec<u8> = "{\"text\": \"a\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [b"\xff\xfe".as_slice(), &wide].concat();
    let page = "\n<!DOCTYPE html>\n<html><head><title>404</title>";
    let packed = gzip("{\"text\": \"a\"}\n");
    let cases: [(&str, &[u8], &str); 12] = [
        ("page.json", page.as_bytes(), "other_content: `page.json` is a web page"),
        ("page.jsonl.gz", page.as_bytes(), "other_content: `page.jsonl.gz` is a web page"),
        ("inside.jsonl.gz", &gzip(page), "other_content: `inside.jsonl.gz` is a web page"),
        ("page.parquet", page.as_bytes(), "other_content: `page.parquet` is a web page"),
        ("page.csv", page.as_bytes(), "other_content: `page.csv` is a web page"),
        (
            "refused.jsonl",
            b"<?xml version=\"1.0\"?><Error><Code>AccessDenied",
            "other_content: `refused.jsonl` is a server's answer in XML",
        ),
        (
            "pointer.parquet",
            b"version https://git-lfs.github.com/spec/v1\noid",
            "other_content: `pointer.parquet` is a Git LFS pointer, not the file it points to",
        ),
        ("table.jsonl", b"PAR1....", "other_content: `table.jsonl` is Parquet data"),
        ("files.json", b"PK\x03\x04...", "other_content: `files.json` is a zip archive"),
        ("twice.jsonl.zst", &zstd::encode_all(&packed[..], 3).unwrap(), "other_content: `twice.jsonl.zst` is packed once more"),
        ("wide.jsonl", &marked, "not_utf8: `wide.jsonl` is UTF-16 text"),
        ("unmarked.csv", &wide, "not_utf8: `unmarked.csv` is UTF-16 text"),
    ];
    for (name, bytes, message) in cases {
        let told = told(&folder.file(name, bytes), &text());
        assert_eq!((told.len(), told[0].split(" | ").next().unwrap()), (1, message));
        assert!(told[0].contains(" | "), "help for {name}");
    }
    let path = folder.file("x.jsonl.zst", "{\"text\": \"not packed\"}");
    assert_eq!(told(&path, &text()), ["damaged: `x.jsonl.zst` is not zstd data, whatever its name says"]);
    let path = folder.file("notes.txt", "<html> is how a page begins");
    assert_eq!(told(&path, &text()), [""; 0]);
}

#[test]
fn parquet_of_every_kind_gives_what_was_written() {
    let turns = Type::Dialogue;
    let optional = |ty| Type::Optional(Box::new(ty));
    let asked = row(&[
        ("prompt", Type::Text),
        ("chosen", turns.clone()),
        ("rejected", turns),
        ("score", Type::Float),
        ("n", Type::Int),
        ("label", optional(Type::Bool)),
    ]);
    let expected = read(&fixture("pairs.jsonl"), &asked, None).unwrap();
    assert_eq!(expected.len(), 23);
    for kind in ["none", "snappy", "zstd", "gzip", "lz4", "v2", "legacy"] {
        let path = fixture(&format!("pairs-{kind}.parquet"));
        assert_eq!(read(&path, &asked, None).unwrap(), expected, "{kind}");
        assert_eq!(read(&path, &asked, Some(12)).unwrap().len(), 12);
        assert_eq!(schema(&path).unwrap(), asked, "{kind}");
        let some = row(&[("n", Type::Int)]);
        assert_eq!(read(&path, &some, None).unwrap().column("n"), expected.column("n"), "only what is asked for");
    }
    let folder = Folder::new();
    let bytes = std::fs::read(fixture("pairs-snappy.parquet")).unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&bytes).unwrap();
    let path = folder.file("x.parquet.gz", packed.finish().unwrap());
    assert_eq!(read(&path, &asked, None).unwrap(), expected);
    let path = folder.file("x.parquet.zst", zstd::encode_all(&bytes[..], 3).unwrap());
    assert_eq!(read(&path, &asked, None).unwrap(), expected);
}

#[test]
fn parquet_types_become_the_languages_own() {
    let table = read(&fixture("odd.parquet"), &Row::new(), None).unwrap();
    let lines = std::fs::read_to_string(fixture("odd.jsonl")).unwrap();
    let mut compared = 0;
    for (at, line) in lines.lines().enumerate() {
        let told: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        for (name, cell) in table.row(at).filter(|(name, _)| told.contains_key(&***name)) {
            assert_eq!(cell.to_json(), told[&**name], "`{name}` in row {}", at + 1);
            compared += 1;
        }
    }
    assert_eq!(compared, 39);
    assert_eq!(texts(&table, "when")[0], "2024-02-29 12:30:00.000 +00:00");
}

#[test]
fn what_is_wrong_with_parquet_has_a_row_or_a_column() {
    let asked = row(&[("prompt", Type::Float), ("label", Type::Bool)]);
    assert_eq!(
        told(&fixture("pairs-zstd.parquet"), &asked),
        [
            "wrong_type: `.label` on row 1 of `pairs-zstd.parquet`: expected Bool, found null | the same on rows 6, 11, 16 and 21",
            "wrong_type: `.prompt` on row 1 of `pairs-zstd.parquet`: expected Float, found \"question 0\" | the same on rows 2, 3, 4, 5 and 18 more",
        ]
    );
    assert_eq!(
        told(&fixture("pairs-zstd.parquet"), &row(&[("completion", Type::Text), ("n", Type::Int)])),
        [
            "missing_column: column `.completion` is missing in `pairs-zstd.parquet`; it has `prompt`, `chosen`, `rejected`, `score`, `n`, `label` \
             | state the columns that it has after `as`, then build the others with `.select(…)`",
        ]
    );
    assert_eq!(
        told(&fixture("pairs-brotli.parquet"), &row(&[("n", Type::Int)]))[0].split(" | ").next(),
        Some("wrong_type: column `.n` of `pairs-brotli.parquet` has pages packed as BROTLI: write it with zstd, snappy, gzip or lz4")
    );
    assert_eq!(told(&fixture("no-rows.parquet"), &row(&[("n", Type::Int)])), ["no_rows: `no-rows.parquet` has no rows"]);
    assert_eq!(
        told(&fixture("nan.parquet"), &row(&[("score", Type::Float)])),
        ["broken_line: row 2 of `nan.parquet` is broken: `.score` holds NaN; a value that is missing is null"]
    );
    assert_eq!(
        told(&fixture("bytes.parquet"), &row(&[("raw", Type::Text)])),
        ["broken_line: row 1 of `bytes.parquet` is broken: `.raw` holds bytes that are not UTF-8 text"]
    );
    assert_eq!(told(&fixture("bytes.parquet"), &text()), [""; 0], "what is not asked for does no harm");
    let counted = read(&fixture("nanoseconds.parquet"), &row(&[("at", Type::Int)]), None).unwrap();
    assert_eq!(counted.column("at").unwrap(), [Cell::Int(1), Cell::Int(2)], "times finer than microseconds are their counts");
    let folder = Folder::new();
    let bytes = std::fs::read(fixture("pairs-none.parquet")).unwrap();
    let cut = folder.file("x.parquet", &bytes[..bytes.len() / 2]);
    assert_eq!(
        told(&cut, &text()),
        ["cut_short: `x.parquet` ends early: the description of its columns, at its end, is not there | copy or download the file again"]
    );
    assert_eq!(
        told(&folder.file("y.parquet", "no such thing"), &text()),
        [
            "damaged: `y.parquet` cannot be read as Parquet: its packed data is damaged (it does not begin as Parquet does) | copy or download the file again"
        ]
    );
    assert_eq!(told(&folder.file("z.parquet", ""), &text()), ["no_rows: `z.parquet` has no rows"]);
}

#[test]
fn damaged_parquet_ends_in_mistakes() {
    let folder = Folder::new();
    for name in ["pairs-snappy", "pairs-zstd", "pairs-v2", "pairs-legacy", "odd"] {
        let whole = std::fs::read(fixture(&format!("{name}.parquet"))).unwrap();
        for at in (0..whole.len()).step_by(13).chain([411.min(whole.len() - 1)]) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            let path = folder.file("x.parquet", bytes);
            let read = std::panic::catch_unwind(|| (read(&path, &Row::new(), None).map(|table| table.len()), schema(&path).is_ok()));
            assert!(read.is_ok(), "{name} with byte {at} changed");
        }
    }
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
    let sheet = folder.file("x.xlsx", "PK");
    assert_eq!(
        told(&sheet, &text()),
        [
            "unknown_format: `x.xlsx` has no format that can be read | `.jsonl`, `.json`, `.csv`, `.tsv`, `.parquet` and `.txt` are read, each also as `.gz` and `.zst`",
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
    let files: [(&str, &[u8]); 9] = [
        ("a.xlsx", b"PK"),
        ("k.json", b"<!doctype html>"),
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
    let mut shown: Vec<&str> = paths.iter().flat_map(|path| validate(path, &text(), false)).map(|d| d.code).collect();
    let mut known: Vec<&str> = align::data::codes::FILES.iter().map(|(code, _)| *code).collect();
    shown.sort_unstable();
    known.sort_unstable();
    shown.dedup();
    assert_eq!(shown, known);
}

#[test]
fn rows_of_another_type_can_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    std::fs::write(&path, "{\"text\": \"one\"}\n{\"text\": true}\n{\"other\": \"x\"}\n{\"text\": \"two\"}\n").unwrap();
    let (table, unfit) = align::data::read_fitting(&path, &text(), None).unwrap();
    assert_eq!((texts(&table, "text"), unfit.rows, unfit.groups.len()), (vec!["one".to_owned(), "two".to_owned()], 2, 2));
    assert!(validate(&path, &text(), true).is_empty() && validate(&path, &text(), false).len() == 2);
    // a broken line is no row of another type, and a file without any sound row is no table
    std::fs::write(&path, "{\"text\": \"one\"}\n{\"text\": \n").unwrap();
    assert!(align::data::read_fitting(&path, &text(), None).is_err());
    std::fs::write(&path, "{\"text\": 1}\n{\"text\": 2}\n").unwrap();
    assert!(align::data::read_fitting(&path, &text(), None).is_err());
}
