//! Objectives of the standard library at outside numbers, one JSON file a case, and each derivative against central
//! differences. `ALIGN_OBJECTIVES` replaces the folder.

use std::fs;
use std::path::PathBuf;

use align::formula::at;
use align::formula::expr::Output;
use align::recipe::{Subject, subject};
use align::world::Sources;
use serde_json::Value;

fn folder() -> PathBuf {
    std::env::var_os("ALIGN_OBJECTIVES").map_or_else(|| PathBuf::from("tests/objectives"), PathBuf::from)
}

/// Loss, metrics and derivatives of a case's rows.
fn evaluate(case: &Value, rows: &Value) -> Value {
    let name = case["objective"].as_str().expect("`objective` names one");
    let params: Vec<(String, String)> =
        case["params"].as_object().into_iter().flatten().map(|(n, v)| (n.clone(), v.to_string().trim_matches('"').to_owned())).collect();
    let mut sources = Sources::default();
    let (subject, names) = subject(&mut sources, None, name, &params).unwrap_or_else(|d| panic!("{name}: {d:#?}"));
    let named = |output: &Output| names[output.stage.0].clone();
    match subject {
        Subject::Objective(def) => {
            serde_json::to_value(at::objective(&def, rows, &named).unwrap_or_else(|e| panic!("{name}: {e}"))).expect("plain numbers")
        }
        Subject::Formula(formula) => at::formula(&formula, rows, &named).unwrap_or_else(|e| panic!("{name}: {e}")),
    }
}

fn close(found: &Value, wanted: &Value, tolerance: f64, place: &str) {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            for (key, wanted) in wanted {
                close(found.get(key).unwrap_or(&Value::Null), wanted, tolerance, &format!("{place}.{key}"));
            }
        }
        (Value::Array(found), Value::Array(wanted)) => {
            assert_eq!(found.len(), wanted.len(), "{place}");
            found.iter().zip(wanted).enumerate().for_each(|(at, (f, w))| close(f, w, tolerance, &format!("{place}[{at}]")));
        }
        _ => {
            let (f, w) = (found.as_f64(), wanted.as_f64());
            let (Some(f), Some(w)) = (f, w) else { panic!("{place}: expected {wanted}, found {found}") };
            assert!((f - w).abs() <= tolerance * w.abs().max(1.0), "{place}: expected {w}, found {f}");
        }
    }
}

/// Moves one number of one leaf and compares the change of the loss with its derivative.
fn central_differences(case: &Value, answer: &Value, name: &str) {
    const H: f64 = 1e-5;
    for (leaf, rows) in answer["derivatives"].as_object().into_iter().flatten() {
        // of rows, or of a trained number or the items of a trained list
        let each = rows.as_array().map_or_else(|| std::slice::from_ref(rows), Vec::as_slice);
        for (row, derivative) in each.iter().enumerate() {
            let each: Vec<f64> = derivative
                .as_array()
                .map_or_else(|| vec![derivative.as_f64().unwrap_or(0.0)], |a| a.iter().filter_map(Value::as_f64).collect());
            for (token, wanted) in each.iter().enumerate() {
                let loss = |step: f64| {
                    let mut moved = case["at"].clone();
                    let own = moved["trained"].get(leaf).is_some();
                    let place = if own { &mut moved["trained"][leaf] } else { &mut moved["rows"][row][leaf] };
                    let number = if place.is_array() { &mut place[if own { row } else { token }] } else { place };
                    *number = Value::from(number.as_f64().expect("a leaf's number") + step);
                    evaluate(case, &moved)["loss"].as_f64().expect("a loss")
                };
                let found = (loss(H) - loss(-H)) / (2.0 * H);
                assert!(
                    (found - wanted).abs() < 1e-5 * wanted.abs().max(1.0),
                    "{name}: d loss / d {leaf} [{row}][{token}] is {wanted}, differences say {found}"
                );
            }
        }
    }
}

#[test]
fn every_case_holds() {
    let mut cases: Vec<PathBuf> = fs::read_dir(folder()).expect("a folder of cases").map(|e| e.expect("an entry").path()).collect();
    cases.sort();
    assert!(cases.len() >= 3, "too few cases: {cases:?}");
    for path in cases {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let case: Value =
            serde_json::from_str(&fs::read_to_string(&path).expect("a readable case")).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(case["source"].is_string(), "{name}: a case says where its numbers come from");
        let answer = evaluate(&case, &case["at"]);
        close(&answer, &case["expected"], case["tolerance"].as_f64().unwrap_or(1e-9), &name);
        if answer["loss"].is_number() && case["kink"] != Value::Bool(true) {
            central_differences(&case, &answer, &name);
        }
    }
}
