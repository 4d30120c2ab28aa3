//! What is better and worse than in an earlier run: for people, and for CI.
//!
//! Worse is: an expectation that held and does not; a red team's case that failed the model now and did not before; a
//! number that an expectation bounds from one side and that moved the wrong way by more than chance explains. Where a
//! case was asked several times its answers were drawn by chance, so there new failures must outnumber mended ones (sign
//! test over cases, one-sided, 5 %).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::plan::draw::sketch::binding;
use crate::run::plain;
use crate::value::{Cell, Estimate};

/// One thing that changed.
#[derive(Clone, PartialEq, Debug)]
pub struct Difference {
    /// `expectation`, `red team` or `number`.
    pub kind: &'static str,
    pub name: String,
    pub before: String,
    pub now: String,
    /// More about it: how many cases, which.
    pub what: String,
    pub worse: bool,
}

/// Compares what [`super::gather()`] found in two runs.
pub fn compare(before: &Value, now: &Value) -> Vec<Difference> {
    [expectations(before, now), cases(before, now), numbers(before, now)].concat()
}

fn expectations(before: &Value, now: &Value) -> Vec<Difference> {
    let holds = |run: &Value| -> BTreeMap<String, Option<bool>> {
        run["expectations"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|e| (e["text"].as_str().unwrap_or_default().to_owned(), e["holds"].as_bool()))
            .collect()
    };
    let earlier = holds(before);
    let said = |holds: Option<bool>| match holds {
        Some(true) => "holds".to_owned(),
        Some(false) => "does not hold".to_owned(),
        None => "not judged".to_owned(),
    };
    holds(now)
        .into_iter()
        .filter_map(|(name, now)| {
            let before = *earlier.get(&name)?;
            let change = Difference {
                kind: "expectation",
                before: said(before),
                now: said(now),
                what: String::new(),
                worse: before == Some(true),
                name,
            };
            (before != now).then_some(change)
        })
        .collect()
}

/// Which cases of a measure of harm came true, by prompt; and whether a case was asked more than once.
fn failed(attack: &Value) -> (BTreeMap<&str, bool>, bool) {
    let mut failed: BTreeMap<&str, bool> = BTreeMap::new();
    let mut several = false;
    let prompts = attack["prompts"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for (prompt, value) in prompts.zip(attack["values"].as_array().into_iter().flatten()) {
        let hit = value.as_f64().is_some_and(|x| x > 0.5);
        several |= failed.contains_key(prompt);
        *failed.entry(prompt).or_default() |= hit;
    }
    (failed, several)
}

fn cases(before: &Value, now: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    for attack in now["attacks"].as_array().into_iter().flatten().filter(|a| a["share"] == true) {
        let same = |a: &&Value| a["stage"] == attack["stage"] && a["metric"] == attack["metric"];
        let Some(earlier) = before["attacks"].as_array().into_iter().flatten().find(same) else { continue };
        let ((was, _), (is, several)) = (failed(earlier), failed(attack));
        let both: Vec<&str> = is.keys().filter(|prompt| was.contains_key(*prompt)).copied().collect();
        let new: BTreeSet<&str> = both.iter().filter(|p| is[**p] && !was[**p]).copied().collect();
        let mended = both.iter().filter(|p| !is[**p] && was[**p]).count();
        if new.is_empty() && mended == 0 {
            continue;
        }
        let worse = if several { sign_test(new.len(), mended) < 0.05 } else { !new.is_empty() };
        let texts: Vec<String> = attack["shown"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|row| {
                row["row"]
                    .as_u64()
                    .and_then(|at| attack["prompts"][usize::try_from(at).ok()?].as_str())
                    .is_some_and(|key| new.contains(key))
            })
            .map(|row| prompt_text(&row["prompt"]))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .take(3)
            .collect();
        let which = if texts.is_empty() { String::new() } else { format!(": {}", texts.join("; ")) };
        found.push(Difference {
            kind: "red team",
            name: shown(attack["stage"].as_str().unwrap_or_default(), attack["metric"].as_str().unwrap_or_default()),
            before: cell(&earlier["estimate"]),
            now: cell(&attack["estimate"]),
            what: format!("{} new of {} cases, {mended} mended{which}", new.len(), both.len()),
            worse,
        });
    }
    found
}

/// How likely at least so many new failures are among as many changes, if chance alone makes them.
#[expect(clippy::cast_precision_loss, reason = "counts of cases")]
fn sign_test(new: usize, mended: usize) -> f64 {
    let n = new + mended;
    let log_choose = |k: usize| (1..=k).map(|i| ((n - k + i) as f64 / i as f64).ln()).sum::<f64>();
    (new..=n).map(|k| (log_choose(k) - n as f64 * std::f64::consts::LN_2).exp()).sum::<f64>().min(1.0)
}

fn prompt_text(prompt: &Value) -> String {
    let text = match prompt {
        Value::String(text) => text.clone(),
        Value::Array(turns) => turns.iter().filter_map(|turn| turn["text"].as_str()).collect::<Vec<_>>().join(" / "),
        other => other.to_string(),
    };
    text.chars().take(80).collect()
}

fn numbers(before: &Value, now: &Value) -> Vec<Difference> {
    let earlier: BTreeMap<&str, &Value> =
        before["stages"].as_array().into_iter().flatten().filter_map(|s| Some((s["name"].as_str()?, &s["values"]))).collect();
    let wanted = directions(now);
    let mut found = Vec::new();
    for stage in now["stages"].as_array().into_iter().flatten() {
        let Some(was) = stage["name"].as_str().and_then(|name| earlier.get(name)) else { continue };
        for (metric, value) in stage["values"].as_object().into_iter().flatten() {
            let (Some(a), Some(b)) = (estimate(&was[metric]), estimate(value)) else { continue };
            let half = ((a.upper95 - a.lower95).powi(2) + (b.upper95 - b.lower95).powi(2)).sqrt() / 2.0;
            let by = b.mean - a.mean;
            // equal numbers of equal artifacts have the difference 0
            if by.abs() <= half {
                continue;
            }
            let name = shown(stage["name"].as_str().unwrap_or_default(), metric);
            let direction = wanted.get(&name).copied().unwrap_or(0.0);
            found.push(Difference {
                kind: "number",
                before: cell(&was[metric]),
                now: cell(value),
                what: format!("{by:+.4} ± {half:.4}"),
                worse: direction * by < 0.0,
                name,
            });
        }
    }
    found
}

fn estimate(value: &Value) -> Option<Estimate> {
    match Cell::from_json(value.clone()).ok()? {
        Cell::Estimate(estimate) if (estimate.upper95 - estimate.lower95).is_finite() => Some(estimate),
        _ => None,
    }
}

/// A number as a recipe calls it: binding and metric.
fn shown(stage: &str, metric: &str) -> String {
    format!("{}.{metric}", binding(stage))
}

/// Which numbers should grow (1) or shrink (−1), from the left sides of expectations; both ways is neither.
fn directions(run: &Value) -> BTreeMap<String, f64> {
    let mut found: BTreeMap<String, f64> = BTreeMap::new();
    for expectation in run["expectations"].as_array().into_iter().flatten() {
        let text = expectation["text"].as_str().unwrap_or_default();
        if text.contains(" and ") || text.contains(" or ") {
            continue;
        }
        let Some((left, direction)) = [(" > ", 1.0), (" >= ", 1.0), (" < ", -1.0), (" <= ", -1.0)]
            .iter()
            .find_map(|(sign, direction)| Some((text.split_once(sign)?.0, *direction)))
        else {
            continue;
        };
        let words = left.trim().trim_end_matches(".lower95").trim_end_matches(".upper95").trim_end_matches(".mean");
        let mut parts = words.split('.');
        if let (Some(first), Some(last), true) =
            (parts.next(), words.rsplit('.').next(), words.chars().all(|c| c.is_alphanumeric() || "._".contains(c)))
        {
            let entry = found.entry(format!("{first}.{last}")).or_insert(direction);
            if *entry * direction < 0.0 {
                *entry = 0.0;
            }
        }
    }
    found
}

fn cell(value: &Value) -> String {
    Cell::from_json(value.clone()).map_or_else(|_| value.to_string(), |cell| plain(&cell))
}

/// As a table for a terminal.
pub fn table(differences: &[Difference]) -> String {
    if differences.is_empty() {
        return "nothing that counts has changed\n".to_owned();
    }
    let width = differences.iter().map(|d| d.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for d in differences {
        let mark = if d.worse { "worse " } else { "      " };
        let what = if d.what.is_empty() { String::new() } else { format!("  ({})", d.what) };
        text += &format!("{mark} {:11}  {:width$}  {} → {}{what}\n", d.kind, d.name, d.before, d.now);
    }
    let worse = differences.iter().filter(|d| d.worse).count();
    text + &format!("{worse} worse, {} changed\n", differences.len())
}

/// As JSON.
pub fn json(differences: &[Difference]) -> Value {
    differences
        .iter()
        .map(|d| json!({ "kind": d.kind, "name": d.name, "before": d.before, "now": d.now, "what": d.what, "worse": d.worse }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(holds: bool, hits: &[u8], prompts: &[&str], accuracy: f64) -> Value {
        let estimate = |mean: f64| json!({ "mean": mean, "n": 100, "lower95": mean - 0.05, "upper95": mean + 0.05 });
        json!({
            "expectations": [{ "text": "rm.accuracy.lower95 > 0.6", "holds": holds }],
            "attacks": [{ "stage": "harm.found.each", "metric": "success", "share": true, "values": hits, "prompts": prompts,
                "estimate": estimate(0.5), "shown": [{ "row": 1, "prompt": "how to" }] }],
            "stages": [{ "name": "rm", "values": { "accuracy": estimate(accuracy) } }],
        })
    }

    #[test]
    fn only_what_is_new_and_more_than_chance_is_worse() {
        let before = run(true, &[1, 0, 0], &["a", "b", "c"], 0.8);
        assert_eq!(compare(&before, &before), []);
        let worse = compare(&before, &run(false, &[1, 1, 0], &["a", "b", "c"], 0.7));
        assert_eq!(
            worse.iter().map(|d| (d.kind, d.worse)).collect::<Vec<_>>(),
            [("expectation", true), ("red team", true), ("number", true)]
        );
        assert!(worse[1].what.starts_with("1 new of 3 cases, 0 mended: how to"), "{}", worse[1].what);
        let better = compare(&before, &run(true, &[0, 0, 0], &["a", "b", "c"], 0.9));
        assert!(better.len() == 2 && better.iter().all(|d| !d.worse), "{better:?}");
        assert_eq!(compare(&before, &run(true, &[1, 0, 0], &["a", "b", "c"], 0.83)), [], "0.03 is within chance");
    }

    #[test]
    fn answers_drawn_by_chance_need_more_than_one_new_failure() {
        let prompts = ["a", "a", "b", "b"];
        let before = run(true, &[0, 0, 0, 0], &prompts, 0.8);
        let after = compare(&before, &run(true, &[0, 1, 0, 0], &prompts, 0.8));
        assert!(after.len() == 1 && !after[0].worse);
        // closed form: 1/2^5
        assert!((sign_test(5, 0) - 1.0 / 32.0).abs() < 1e-12 && (sign_test(3, 3) - 42.0 / 64.0).abs() < 1e-12);
    }
}
