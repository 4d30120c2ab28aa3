//! Outside numbers for every method of `methods.json`: the formula language's value, metrics and derivatives against
//! closed forms that other programs computed. `ALIGN_GOLDEN` names another directory with the same files; a case that
//! is not known here fails.

mod build;
mod cases;
mod evidence;
mod families;
mod objectives;
mod trl;

use std::path::PathBuf;

use serde_json::Value;

/// One golden case.
#[derive(Debug)]
pub struct Case {
    pub id: String,
    pub inputs: Value,
    pub expected: Value,
    pub rtol: f64,
    pub atol: f64,
}

impl Case {
    /// An input number.
    pub fn x(&self, name: &str) -> f64 {
        self.inputs[name].as_f64().unwrap_or_else(|| panic!("{}: no input `{name}`", self.id))
    }

    /// An input list.
    pub fn xs(&self, name: &str) -> Vec<f64> {
        numbers(&self.inputs[name])
    }

    /// An expected list.
    pub fn xs_expected(&self, name: &str) -> Vec<f64> {
        numbers(&self.expected[name])
    }

    /// Compares with the expected value of a name, number by number.
    pub fn is(&self, name: &str, found: impl Into<Value>) {
        let (found, expected) = (numbers(&found.into()), numbers(&self.expected[name]));
        assert_eq!(found.len(), expected.len(), "{}: `{name}` has another size", self.id);
        for (a, b) in found.iter().zip(&expected) {
            let near = (a - b).abs() <= self.atol + self.rtol * b.abs();
            assert!(near, "{}: `{name}` is {a}, expected {b}", self.id);
        }
    }
}

/// All numbers in a value, depth first; true counts as 1.
pub fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        Value::Bool(b) => vec![f64::from(u8::from(*b))],
        other => other.as_f64().into_iter().collect(),
    }
}

/// Cases of methods that formulas alone do not cover, and what covers them.
const ELSEWHERE: [(&str, &str); 5] = [
    ("sft.packing", "the layout of sequences"),
    ("optim.", "the optimiser"),
    ("sample.", "sampling"),
    ("stat.", "estimates"),
    ("self_correct.pass_gate", "rounds of a recipe: tests/rounds.rs"),
];

/// A golden file.
fn golden(name: &str) -> Value {
    let here = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let file = std::env::var_os("ALIGN_GOLDEN").map_or_else(here, PathBuf::from).join(name);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    serde_json::from_str(&text).expect("a JSON file")
}

#[test]
fn trl_ppo() {
    trl::ppo(&golden("ppo.json"));
}

#[test]
fn trl_kto() {
    trl::kto(&golden("kto.json"));
}

#[test]
fn trl_grpo() {
    trl::grpo(&golden("grpo.json"));
}

#[test]
fn numbers_in_the_text() {
    cases::selected_values();
}

#[test]
fn methods() {
    let golden = golden("methods.json");
    let mut unknown = Vec::new();
    for case in golden["cases"].as_array().expect("a list of cases") {
        let case = Case {
            id: case["id"].as_str().expect("an id").to_owned(),
            inputs: case["inputs"].clone(),
            expected: case["expected"].clone(),
            rtol: case["rtol"].as_f64().unwrap_or(1e-6),
            atol: case["atol"].as_f64().unwrap_or(1e-9),
        };
        let known = cases::check(&case) || evidence::check(&case) || families::check(&case);
        if !known && !ELSEWHERE.iter().any(|(prefix, _)| case.id.starts_with(prefix)) {
            unknown.push(case.id);
        }
    }
    assert!(unknown.is_empty(), "cases that nothing here knows: {unknown:?}");
}
