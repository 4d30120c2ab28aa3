//! `align data`: what a data file holds, and the lines of a recipe that read it.

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use serde_json::{Value, json};

use crate::data::layout::{Example, Layout};
use crate::data::preview::{Column, First, Lengths, Preview, preview};
use crate::diagnostic::{counted, grouped, verb};
use crate::hub::Want;
use crate::model::{ModelError, Network};
use crate::value::{Cell, Completion, Sequence};
use crate::world::Sources;

use super::Exit;
use super::args::DataArgs;
use super::fetch;
use super::mask;
use super::out;
use super::plan::columns;

pub(super) fn data(args: &DataArgs) -> Exit {
    let Some(file) = fetch::word(&args.file, Want::File) else { return Exit::Failed };
    let model = match args.model.as_deref().map(|model| fetch::word(model, Want::Model)) {
        Some(None) => return Exit::Failed,
        found => found.flatten(),
    };
    let network = match model.as_deref().map(Network::open).transpose() {
        Ok(network) => network,
        Err(error) => return refused(&error),
    };
    // what is counted in tokens: each example's sequences
    let mut sequences: Vec<Vec<Sequence>> = Vec::new();
    let each = |example: &Example| {
        if network.is_some() {
            sequences.push(read_by_a_network(example));
        }
    };
    let preview = match preview(&file, args.rows, each) {
        Ok(preview) => preview,
        Err(error) => {
            out::diagnostics(&error.diagnostics(&args.file.display().to_string()), &Sources::default());
            return Exit::Failed;
        }
    };
    let tokens = network.zip(args.model.as_deref()).map(|(network, path)| Tokens::count(&network, path, &sequences)).transpose();
    match tokens {
        Ok(tokens) if args.json => out::line(&as_json(&args.file, &preview, tokens.as_ref()).to_string()),
        Ok(tokens) => out::print(&shown(&args.file, &preview, tokens.as_ref(), out::page())),
        Err(error) => return refused(&error),
    }
    Exit::Done
}

fn refused(error: &ModelError) -> Exit {
    out::diagnostics(&[error.diagnostic()], &Sources::default());
    Exit::Failed
}

/// What a network reads of an example: the prompt with each answer, or alone.
fn read_by_a_network(example: &Example) -> Vec<Sequence> {
    let with = |completion| Sequence { prompt: example.prompt.clone(), completion };
    match &example.answers[..] {
        [] => vec![with(None)],
        answers => answers.iter().map(|answer| with(Some(Completion::written(answer.text.clone()).into()))).collect(),
    }
}

/// How long examples are for a network, by their longest sequence.
struct Tokens {
    network: Network,
    model: String,
    lengths: Option<Lengths>,
    /// Tokens that the network has places for.
    places: usize,
    /// Examples that do not fit.
    longer: usize,
}

impl Tokens {
    fn count(network: &Network, path: &Path, examples: &[Vec<Sequence>]) -> Result<Self, ModelError> {
        let length = |sequence: &Sequence| network.tokenizer.encode_sequence(sequence).map(|tokens| tokens.len());
        let longest = |sequences: &Vec<Sequence>| sequences.iter().map(length).try_fold(0, |most, length| Ok(most.max(length?)));
        let lengths: Vec<usize> = examples.par_iter().map(longest).collect::<Result<_, ModelError>>()?;
        let places = network.spec.max_positions;
        let longer = lengths.iter().filter(|length| **length > places).count();
        Ok(Self { network: network.clone(), model: path.display().to_string(), lengths: Lengths::of(lengths), places, longer })
    }
}

fn shown(path: &Path, preview: &Preview, tokens: Option<&Tokens>, width: usize) -> String {
    let parts = [
        table(preview),
        reading(path, preview),
        findings(preview),
        lengths(preview, tokens),
        first(preview, tokens.map(|tokens| &tokens.network), width),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{}\n\n{}", title(path, preview), parts.join("\n"))
}

/// `pairs.jsonl.gz: 2,312 rows of JSON lines, gzip`
fn title(path: &Path, preview: &Preview) -> String {
    let packing = preview.packing.map_or_else(String::new, |packing| format!(", {}", packing.name()));
    format!("{}: {} of {}{packing}", path.display(), counted(preview.rows, "row"), preview.format.name())
}

fn table(preview: &Preview) -> String {
    let is_read = |column: &Column| preview.layout.is_none() || column.read;
    let row = |column: &Column| {
        let missing = if column.missing == 0 { String::new() } else { format!("{} missing", share(column.missing, preview.rows)) };
        [format!(".{}", column.name), short(&column.ty.to_string()), missing, if is_read(column) { "" } else { "not read" }.to_owned()]
    };
    columns(&preview.columns.iter().map(row).collect::<Vec<_>>())
}

/// A type, or the beginning of a long one.
fn short(ty: &str) -> String {
    const LONGEST: usize = 60;
    let ty = if ty == "none" { "nothing yet, or several kinds" } else { ty };
    if ty.chars().count() <= LONGEST { ty.to_owned() } else { ty.chars().take(LONGEST - 1).chain(['…']).collect() }
}

fn share(part: usize, whole: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let percent = 100.0 * part as f64 / whole as f64;
    if percent < 0.1 { grouped(part) } else { format!("{percent:.1} %") }
}

/// The layout, and the lines of a recipe that read it.
fn reading(path: &Path, preview: &Preview) -> String {
    let path = path.display().to_string();
    let Some(layout) = preview.layout else {
        let types: Vec<String> = preview.columns.iter().map(|column| format!("{}: {}", column.name, column.ty)).collect();
        let is_name =
            |name: &str| name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let known = preview.columns.iter().all(|column| is_name(&column.name) && !column.ty.to_string().contains("none"));
        let row = if known { format!(" as {{ {} }}", types.join(", ")) } else { String::new() };
        return format!("no layout that is known by its columns\n\n    data = load_data({path:?}){row}\n");
    };
    let mut text = format!("{}: {}\n", layout.name, layout.says);
    if preview.left_out > 0 {
        text += &format!("{} {} left out: {}\n", counted(preview.left_out, "row"), verb(preview.left_out, "is", "are"), layout.leaves_out);
    }
    text + &format!("\n{}", recipe_lines(layout, &path).iter().map(|line| format!("    {line}\n")).collect::<String>())
}

fn recipe_lines(layout: &Layout, path: &str) -> Vec<String> {
    let uses = (!layout.uses.is_empty()).then(|| format!("use std.{{{}}}", layout.uses.join(", ")));
    uses.into_iter().chain([format!("data = {}", layout.line(path))]).collect()
}

/// What is there more than once, and what contradicts itself.
fn findings(preview: &Preview) -> String {
    let repeats = &preview.repeats;
    let told = [
        (repeats.rows, "repeats an earlier row", "repeat an earlier row"),
        (repeats.prompts, "has the prompt of an earlier one", "have the prompt of an earlier one"),
        (repeats.undecided, "has one text as chosen and as rejected", "have one text as chosen and as rejected"),
        (repeats.opposed, "says the opposite of an earlier one", "say the opposite of an earlier one"),
    ];
    let line = |(count, one, many): &(usize, &str, &str)| format!("{} {}\n", counted(*count, "row"), verb(*count, one, many));
    told.iter().filter(|(count, ..)| *count > 0).map(line).collect()
}

fn lengths(preview: &Preview, tokens: Option<&Tokens>) -> String {
    let row = |name: String, lengths: &Lengths, note: String| {
        let number = |x: f64| grouped(format!("{x:.0}"));
        [name, number(lengths.median), number(lengths.p95), number(lengths.max), note]
    };
    let head = ["".to_owned(), "median".to_owned(), "95 %".to_owned(), "longest".to_owned(), "".to_owned()];
    let known = preview.lengths.iter().map(|(name, lengths)| row(format!(".{name}"), lengths, "characters".into()));
    let counted_tokens = tokens.and_then(|tokens| {
        let fit = match tokens.longer {
            0 => format!("tokens; all fit the {} of {}", grouped(tokens.places), tokens.model),
            longer => format!(
                "tokens; {} of {} {} longer than the {} of {} and would be cut",
                grouped(longer),
                grouped(preview.examples),
                verb(longer, "is", "are"),
                grouped(tokens.places),
                tokens.model
            ),
        };
        Some(row("whole".into(), tokens.lengths.as_ref()?, fit))
    });
    let rows: Vec<[String; 5]> = known.chain(counted_tokens).collect();
    if rows.is_empty() { String::new() } else { right_aligned(&[vec![head], rows].concat()) }
}

/// Names to the left, numbers to the right, and what they count.
fn right_aligned(rows: &[[String; 5]]) -> String {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..4).map(width).collect();
    let line = |[name, a, b, c, note]: &[String; 5]| {
        format!("  {name:0$}  {a:>1$}  {b:>2$}  {c:>3$}  {note}", widths[0], widths[1], widths[2], widths[3]).trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn first(preview: &Preview, network: Option<&Network>, width: usize) -> String {
    let row = |(number, row): (usize, &First)| {
        let lines = match row {
            First::Examples(examples) => {
                examples.iter().map(|example| example_lines(example, network, width)).collect::<Vec<_>>().join("\n")
            }
            First::Cells(cells) => cells.iter().map(|(name, cell)| part(name, &plain(cell), beside(cells), width)).collect(),
        };
        format!("row {number}\n{lines}")
    };
    (1..).zip(&preview.first).map(row).collect::<Vec<_>>().join("\n")
}

/// Where texts begin beside the names of columns.
fn beside(cells: &[(Arc<str>, Cell)]) -> usize {
    cells.iter().map(|(name, _)| name.chars().count() + 2).max().unwrap_or(0).clamp(ROLES, 24)
}

/// Where texts begin beside the names of turns and answers.
const ROLES: usize = 15;

/// The turns of a prompt and the answers, then what a network reads of them and what it is scored on.
fn example_lines(example: &Example, network: Option<&Network>, width: usize) -> String {
    let turns = example.prompt.iter().map(|turn| part(turn.role.name(), &turn.text, ROLES, width));
    let answers = example.answers.iter().map(|answer| {
        let (mark, name) = match (answer.name, answer.desirable) {
            ("completion", Some(true)) => ("+", "desirable"),
            ("completion", Some(false)) => ("-", "undesirable"),
            (name, Some(true)) => ("+", name),
            (name, Some(false)) => ("-", name),
            (name, None) => (">", name),
        };
        part(&format!("{mark} {name}"), &answer.text, ROLES, width)
    });
    let read = network
        .into_iter()
        .flat_map(|network| read_by_a_network(example).into_iter().map(|sequence| read_lines(network, &sequence, width)));
    turns.chain(answers).chain(read).collect()
}

/// The tokens of a sequence as text, those that are scored painted.
fn read_lines(network: &Network, sequence: &Sequence, width: usize) -> String {
    // lengths were counted with the same tokenizer, which refuses by name
    let Ok(tokens) = network.tokenizer.encode_sequence(sequence) else { return String::new() };
    let wrapped = textwrap::wrap(&mask::marked(&network.tokenizer, &tokens), width.saturating_sub(ROLES + 2).max(20))
        .into_iter()
        .map(|line| line.into_owned())
        .collect::<Vec<_>>();
    let lines = mask::paint(wrapped, out::coloured());
    let counted = format!("{}, {} scored", counted(tokens.len(), "token"), grouped(tokens.scored_len()));
    let line = |(at, line): (usize, &String)| format!("  {:ROLES$}{line}\n", if at == 0 { "= read as" } else { "" });
    lines.iter().enumerate().map(line).collect::<String>() + &format!("  {:ROLES$}{counted}\n", "")
}

/// A name and a text beside it, wrapped and not too long.
fn part(name: &str, text: &str, beside: usize, width: usize) -> String {
    const LINES: usize = 8;
    let name: String = if name.chars().count() < beside { name.to_owned() } else { name.chars().take(beside - 2).chain(['…']).collect() };
    let wrapped = textwrap::wrap(text.trim(), width.saturating_sub(beside + 2).max(20));
    let more = wrapped.len().saturating_sub(LINES);
    let cut = (more > 1).then(|| format!("… {} more lines", grouped(more)));
    let shown = wrapped.iter().take(if cut.is_some() { LINES } else { LINES + 1 }).map(|line| line.to_string()).chain(cut);
    let line = |(at, line): (usize, String)| format!("  {:beside$}{line}", if at == 0 { &name } else { "" }).trim_end().to_owned() + "\n";
    let lines: String = shown.enumerate().map(line).collect();
    if lines.is_empty() { format!("  {name:beside$}(empty)\n") } else { lines }
}

fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text.to_string(),
        Cell::None => "(missing)".into(),
        other => other.to_json().to_string(),
    }
}

fn as_json(path: &Path, preview: &Preview, tokens: Option<&Tokens>) -> Value {
    let lengths = |lengths: &Lengths| json!({ "median": lengths.median, "p95": lengths.p95, "max": lengths.max });
    let column = |column: &Column| {
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = column.missing as f64 / preview.rows.max(1) as f64;
        json!({ "name": *column.name, "type": column.ty.to_string(), "missing": share, "read": column.read })
    };
    let first = |row: &First| match row {
        First::Examples(examples) => examples.iter().map(example_json).collect(),
        First::Cells(cells) => Value::Object(cells.iter().map(|(name, cell)| (name.to_string(), cell.to_json())).collect()),
    };
    json!({
        "file": path.display().to_string(),
        "format": preview.format.name(),
        "packing": preview.packing.map(|packing| packing.name()),
        "rows": preview.rows,
        "columns": preview.columns.iter().map(column).collect::<Vec<_>>(),
        "layout": preview.layout.map(|layout| layout.name),
        "recipe": preview.layout.map(|layout| recipe_lines(layout, &path.display().to_string())),
        "examples": preview.examples,
        "left_out": preview.left_out,
        "repeated_rows": preview.repeats.rows,
        "repeated_prompts": preview.repeats.prompts,
        "undecided_pairs": preview.repeats.undecided,
        "opposed_rows": preview.repeats.opposed,
        "characters": preview.lengths.iter().map(|(name, found)| (name.to_string(), lengths(found))).collect::<serde_json::Map<_, _>>(),
        "tokens": tokens.map(|tokens| json!({
            "model": tokens.model, "lengths": tokens.lengths.as_ref().map(lengths), "places": tokens.places, "longer": tokens.longer,
        })),
        "first": preview.first.iter().map(first).collect::<Vec<_>>(),
    })
}

fn example_json(example: &Example) -> Value {
    let mut fields = serde_json::Map::from_iter([("prompt".to_owned(), Cell::Dialogue(example.prompt.clone()).to_json())]);
    for answer in &example.answers {
        fields.insert(answer.name.to_owned(), json!(*answer.text));
        if answer.name == "completion" {
            answer.desirable.map(|desirable| fields.insert("desirable".into(), json!(desirable)));
        }
    }
    Value::Object(fields)
}
