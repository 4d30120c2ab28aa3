//! People's answers, given in the browser: to the sheets that `align ui --ask` names, and to no other file.
//!
//! What is shown is what `align ask` shows; other people's answers are not. An answer is on the disk before the browser
//! hears of it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::stage::ask::{Answer, Queue, SheetError, add, answers, open_to, queue};

/// The sheets that may be written, and who answers.
#[derive(Debug)]
pub(super) struct Desk {
    sheets: Vec<PathBuf>,
    rater: String,
    /// Held from looking whether a question is open until its answer is written.
    writing: Mutex<()>,
}

/// Why an answer was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("there is no such sheet")]
    NoSheet,
    #[error("this is no answer: {0}")]
    NoAnswer(String),
    #[error("the question does not wait for you")]
    NotOpen,
    #[error(transparent)]
    Sheet(#[from] SheetError),
    #[error("the answer cannot be written: {0}")]
    Unwritten(std::io::Error),
}

impl Refused {
    pub(super) fn status(&self) -> &'static str {
        match self {
            Self::NoSheet => "404 Not Found",
            Self::NoAnswer(_) => "400 Bad Request",
            Self::NotOpen => "409 Conflict",
            Self::Sheet(_) | Self::Unwritten(_) => "500 Internal Server Error",
        }
    }
}

/// What a browser sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    question: String,
    answer: String,
}

/// What waits for one person, of one sheet.
struct Open {
    queue: Option<Queue>,
    questions: Vec<String>,
}

impl Desk {
    pub(super) fn new(sheets: Vec<PathBuf>, rater: String) -> Self {
        Self { sheets, rater, writing: Mutex::default() }
    }

    fn sheet(&self, at: &str) -> Result<&Path, Refused> {
        let place = at.parse::<usize>().ok().filter(|place| place.to_string() == at);
        place.and_then(|place| self.sheets.get(place)).map(PathBuf::as_path).ok_or(Refused::NoSheet)
    }

    fn open(&self, sheet: &Path) -> Result<Open, SheetError> {
        let Some(queue) = queue(sheet)? else { return Ok(Open { queue: None, questions: Vec::new() }) };
        let questions = open_to(&queue, &answers(sheet)?, &self.rater);
        Ok(Open { queue: Some(queue), questions })
    }

    /// Every sheet with how many questions wait for this person.
    pub(super) fn list(&self) -> Result<Value, Refused> {
        let each = self.sheets.iter().map(|sheet| Ok(json!({ "sheet": name(sheet), "open": self.open(sheet)?.questions.len() })));
        Ok(Value::Array(each.collect::<Result<_, SheetError>>()?))
    }

    /// What one sheet asks this person.
    pub(super) fn show(&self, at: &str) -> Result<Value, Refused> {
        let sheet = self.sheet(at)?;
        let Open { queue, questions } = self.open(sheet)?;
        let options = queue.map(|queue| queue.answers).unwrap_or_default();
        Ok(json!({ "sheet": name(sheet), "rater": self.rater, "answers": options, "questions": questions }))
    }

    /// Writes an answer; gives how many questions still wait for this person.
    pub(super) fn take(&self, at: &str, body: &[u8]) -> Result<Value, Refused> {
        let sheet = self.sheet(at)?;
        let Given { question, answer } = serde_json::from_slice(body).map_err(|e| Refused::NoAnswer(e.to_string()))?;
        // what a thread that failed has left behind is a file of whole lines
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Open { queue, questions } = self.open(sheet)?;
        if !questions.contains(&question) {
            return Err(Refused::NotOpen);
        }
        if !queue.is_some_and(|queue| queue.answers.contains(&answer)) {
            return Err(Refused::NoAnswer(format!("`{}` is not among the answers", answer.chars().take(80).collect::<String>())));
        }
        add(sheet, &Answer { question, answer, rater: self.rater.clone() }).map_err(Refused::Unwritten)?;
        Ok(json!({ "open": questions.len() - 1 }))
    }
}

/// What a sheet is called; where it lies is nobody's business.
fn name(sheet: &Path) -> String {
    sheet.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
