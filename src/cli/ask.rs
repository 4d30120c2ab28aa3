//! `align ask`: goes through the questions that a run has queued, one person at a terminal.
//!
//! Every answer is on the disk before the next question is asked, so that it can be left at any time and taken up again.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use crate::formula::aggregate::kappa;
use crate::stage::ask::{Answer, Queue, add, answers, open_to, queue, waiting};

use super::Exit;
use super::args::AskArgs;
use super::out;

pub(super) fn ask(args: &AskArgs) -> Exit {
    match through(args) {
        Ok(exit) => exit,
        Err(message) => {
            out::error(&message);
            Exit::Failed
        }
    }
}

fn through(args: &AskArgs) -> Result<Exit, String> {
    let sheet = &args.sheet;
    let Some(queue) = queue(sheet).map_err(|e| e.to_string())? else {
        out::line("nothing waits for an answer");
        return Ok(Exit::Done);
    };
    let mut given = answers(sheet).map_err(|e| e.to_string())?;
    let open = open_to(&queue, &given, &args.rater);
    let mut lines = io::stdin().lock().lines();
    let mut answered = 0;
    for (at, question) in open.iter().enumerate() {
        out::print(&format!("\n{}/{}\n{question}\n{}", at + 1, open.len(), menu(&queue)));
        match reply(&mut lines, &queue)? {
            Reply::Answer(answer) => {
                let line = Answer { question: question.clone(), answer, rater: args.rater.clone() };
                add(sheet, &line).map_err(|e| format!("`{}` cannot be written: {e}", sheet.display()))?;
                given.push(line);
                answered += 1;
            }
            Reply::Skip => {}
            Reply::Quit => break,
        }
    }
    let left = waiting(&queue.questions, &given, queue.raters).len();
    out::line(&format!("\n{answered} answered, {left} of {} questions still wait", queue.questions.len()));
    agreement(&queue, &given).into_iter().for_each(|line| out::line(&line));
    Ok(Exit::Done)
}

enum Reply {
    Answer(String),
    Skip,
    Quit,
}

fn menu(queue: &Queue) -> String {
    let options: Vec<String> = (1..).zip(&queue.answers).map(|(n, answer)| format!("{n} {answer}")).collect();
    format!("{}   s skip   q quit\n> ", options.join("   "))
}

/// A number or the answer's own words; the end of the input quits.
fn reply(lines: &mut impl Iterator<Item = io::Result<String>>, queue: &Queue) -> Result<Reply, String> {
    for line in lines {
        let line = line.map_err(|e| e.to_string())?;
        let said = line.trim();
        let by_number = said.parse::<usize>().ok().and_then(|n| queue.answers.get(n.checked_sub(1)?));
        let by_words = queue.answers.iter().find(|answer| answer.eq_ignore_ascii_case(said));
        match (by_words.or(by_number), said) {
            (Some(answer), _) => return Ok(Reply::Answer(answer.clone())),
            (None, "s") => return Ok(Reply::Skip),
            (None, "q") => return Ok(Reply::Quit),
            _ => out::print(&format!("`{said}` is none of them\n{}", menu(queue))),
        }
    }
    Ok(Reply::Quit)
}

/// How far every two raters agree on what both have answered.
fn agreement(queue: &Queue, given: &[Answer]) -> Vec<String> {
    let mut by: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for answer in given {
        if let Some(place) = queue.answers.iter().position(|a| *a == answer.answer) {
            by.entry(&answer.rater).or_default().entry(&answer.question).or_insert(place);
        }
    }
    let raters: Vec<_> = by.iter().collect();
    let mut lines = Vec::new();
    for (at, (first, own)) in raters.iter().enumerate() {
        for (second, other) in &raters[at + 1..] {
            #[expect(clippy::cast_precision_loss, reason = "places in a short list")]
            let both: (Vec<f64>, Vec<f64>) = own.iter().filter_map(|(q, a)| Some((*a as f64, *other.get(q)? as f64))).unzip();
            if !both.0.is_empty() {
                let k = kappa(&both.0, &both.1);
                lines.push(format!("{first} and {second}: kappa {:.2} [{:.2}, {:.2}] on {} questions", k.mean, k.lower95, k.upper95, k.n));
            }
        }
    }
    lines
}
