//! `ask`: people's answers. The stage never asks by itself: it reads a sheet of answers, and what the sheet lacks it queues
//! beside it and stops; `align ask` goes through the queue in a terminal, and the next run goes on.
//!
//! ```text
//! people.jsonl        {"question": "…", "answer": "yes", "rater": "ann"}    a line an answer, in the order they were given
//! people.jsonl.queue  {"answers": ["yes", "no"], "raters": 2, "questions": ["…", …]}
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::durable;
use crate::formula::expr::{Formula, Output};
use crate::formula::text::dialogue_of;
use crate::value::{Cell, dialogue};

use super::call::Call;
use super::context::Context;
use super::evaluate::Evaluator;
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::Product;

/// One rater's answer to one question.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub question: String,
    pub answer: String,
    pub rater: String,
}

/// What still waits for people.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Queue {
    /// What may be answered.
    pub answers: Vec<String>,
    /// How many people answer each question.
    pub raters: usize,
    pub questions: Vec<String>,
}

/// Why a sheet or queue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SheetError {
    #[error("`{}` cannot be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("line {line} of `{}` is no answer: {reason}", path.display())]
    Line { path: PathBuf, line: usize, reason: String },
}

/// Where the queue of a sheet is.
pub fn queue_of(sheet: &Path) -> PathBuf {
    let mut name = sheet.as_os_str().to_owned();
    name.push(".queue");
    PathBuf::from(name)
}

/// The answers of a sheet; none where there is no such file yet.
///
/// # Errors
/// When it cannot be read, or a line is no answer.
pub fn answers(sheet: &Path) -> Result<Vec<Answer>, SheetError> {
    let text = match fs::read_to_string(sheet) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(|error| SheetError::Unreadable { path: sheet.to_owned(), error })?,
    };
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(at, line)| {
        serde_json::from_str(line).map_err(|e: serde_json::Error| SheetError::Line {
            path: sheet.to_owned(),
            line: at + 1,
            reason: e.to_string(),
        })
    };
    lines.map(read).collect()
}

/// The queue of a sheet, if something waits.
///
/// # Errors
/// When it cannot be read.
pub fn queue(sheet: &Path) -> Result<Option<Queue>, SheetError> {
    let path = queue_of(sheet);
    let text = match fs::read_to_string(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| SheetError::Unreadable { path: path.clone(), error })?,
    };
    serde_json::from_str(&text).map(Some).map_err(|e| SheetError::Line { path, line: e.line(), reason: e.to_string() })
}

/// Adds an answer to a sheet and waits until the disk has it.
///
/// # Errors
/// When the disk refuses.
pub fn add(sheet: &Path, answer: &Answer) -> io::Result<()> {
    let whole = fs::read(sheet).unwrap_or_default();
    let mut file = File::options().create(true).append(true).open(sheet)?;
    // a line that an editor left open
    let gap = if whole.last().is_none_or(|byte| *byte == b'\n') { "" } else { "\n" };
    let line = serde_json::to_string(answer).map_err(io::Error::other)?;
    file.write_all(format!("{gap}{line}\n").as_bytes())?;
    file.sync_all()
}

/// Questions that fewer than `raters` people have answered, in order, each once.
pub fn waiting(questions: &[String], given: &[Answer], raters: usize) -> Vec<String> {
    let mut by: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    given.iter().for_each(|a| {
        by.entry(&a.question).or_default().insert(&a.rater);
    });
    let mut seen = BTreeSet::new();
    let open = |q: &&String| by.get(q.as_str()).map_or(0, BTreeSet::len) < raters;
    questions.iter().filter(|q| seen.insert(q.as_str())).filter(open).cloned().collect()
}

/// Questions of a queue that wait for one person: not answered by enough others, and not by them.
pub fn open_to(queue: &Queue, given: &[Answer], rater: &str) -> Vec<String> {
    let own: BTreeSet<&str> = given.iter().filter(|a| a.rater == rater).map(|a| a.question.as_str()).collect();
    let open = waiting(&queue.questions, given, queue.raters);
    open.into_iter().filter(|question| !own.contains(question.as_str())).collect()
}

/// The primitive.
#[derive(Debug)]
pub struct Ask;

impl Primitive for Ask {
    fn name(&self) -> &'static str {
        "ask"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let table = context.table(&call.get::<Output>("data")?)?;
        let asked = Evaluator::new(context).column(&call.get::<Formula>("question")?, &table)?;
        let show = |(row, cell): (usize, &Cell)| {
            let turns = dialogue_of(cell).map_err(|e| Failure::mistake(e.to_string()).row(row))?;
            Ok(if let [only] = &turns[..] { only.text.to_string() } else { dialogue::transcript(&turns) })
        };
        let questions = asked.iter().enumerate().map(show).collect::<Result<Vec<String>, Failure>>()?;
        let (options, raters): (Vec<String>, usize) = (call.get("answers")?, call.get("raters")?);
        let written: PathBuf = call.get("sheet")?;
        let sheet = context.path(&written);
        let given = answers(&sheet).map_err(|e| Failure::new("align::data::answers", e.to_string()))?;
        if let Some(wrong) = given.iter().find(|a| questions.contains(&a.question) && !options.contains(&a.answer)) {
            let known = options.iter().map(|o| format!("`{o}`")).collect::<Vec<_>>().join(", ");
            return Err(Failure::new("align::data::answers", format!("`{}` is none of the answers", wrong.answer))
                .value(format!("{} said so in `{}`", wrong.rater, written.display()))
                .help(format!("the answers are {known}")));
        }
        let open = waiting(&questions, &given, raters);
        let queue = queue_of(&sheet);
        if !open.is_empty() {
            let (count, all) = (open.len(), questions.iter().collect::<BTreeSet<_>>().len());
            let text = serde_json::to_string_pretty(&Queue { answers: options, raters, questions: open }).map_err(io::Error::other)?;
            durable::write(&queue, text.as_bytes())?;
            let waits = if raters == 1 { "an answer".to_owned() } else { format!("{raters} people's answers") };
            return Err(Failure::new("align::data::unanswered", format!("{count} of {all} questions wait for {waits}")).help(format!(
                "`align ask {0}` asks them in the terminal, `align ui --ask {0}` in a browser; then run again",
                sheet.display()
            )));
        }
        durable::remove(&queue)?;
        Ok(Product::table(answered(&table, &questions, &given, raters)))
    }

    fn file_arguments(&self) -> &'static [&'static str] {
        &["sheet"]
    }

    /// A sheet that nobody has begun has no content yet.
    fn outside_files(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(if path.exists() { vec![path.to_owned()] } else { Vec::new() })
    }
}

/// A row for each of the first `raters` answers to its question.
fn answered(table: &crate::value::Table, questions: &[String], given: &[Answer], raters: usize) -> crate::value::Table {
    let (mut rows, mut said, mut by) = (Vec::new(), Vec::new(), Vec::new());
    for (row, question) in questions.iter().enumerate() {
        let mut seen = BTreeSet::new();
        let mine = given.iter().filter(|a| a.question == *question && seen.insert(&a.rater)).take(raters);
        for answer in mine {
            rows.push(row);
            said.push(Cell::text(&*answer.answer));
            by.push(Cell::text(&*answer.rater));
        }
    }
    let mut table = table.pick(rows);
    table.put(&"answer".into(), said);
    table.put(&"rater".into(), by);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(question: &str, answer: &str, rater: &str) -> Answer {
        Answer { question: question.into(), answer: answer.into(), rater: rater.into() }
    }

    #[test]
    fn a_question_waits_until_enough_people_have_answered() {
        let questions = ["a", "b", "a"].map(str::to_owned);
        let given = [answer("a", "yes", "ann"), answer("a", "no", "ann")];
        assert_eq!(waiting(&questions, &given, 2), ["a", "b"]);
        assert_eq!(waiting(&questions, &[given.to_vec(), vec![answer("a", "no", "bob")]].concat(), 2), ["b"]);
        let table = crate::value::Table { columns: vec!["x".into()], rows: vec![vec![Cell::Int(1)], vec![Cell::Int(2)]] };
        let found = answered(&table, &questions[..2], &given, 1);
        assert_eq!(found.rows, [vec![Cell::Int(1), Cell::text("yes"), Cell::text("ann")]]);
    }

    #[test]
    fn a_sheet_grows_by_whole_lines() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sheet = folder.path().join("people.jsonl");
        assert_eq!(answers(&sheet).expect("none yet"), []);
        add(&sheet, &answer("a", "yes", "ann")).expect("written");
        fs::write(&sheet, fs::read_to_string(&sheet).expect("read").trim_end()).expect("an editor's end");
        add(&sheet, &answer("b", "no", "ann")).expect("written");
        assert_eq!(answers(&sheet).expect("two").len(), 2);
        fs::write(&sheet, "{\"question\": \"a\"}\n").expect("written");
        assert!(matches!(answers(&sheet), Err(SheetError::Line { line: 1, .. })));
    }
}
