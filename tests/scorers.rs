//! Fixed scorers against the programs they re-implement, on every case of `tests/golden`.

use std::path::{Path, PathBuf};

use align::score::FixedScorer;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    n: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    text: String,
    #[serde(alias = "compound", alias = "probability")]
    expected: f64,
}

fn repo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn compare(golden: &str, scorer: &str, tolerance: f64) {
    let other = std::env::var_os("ALIGN_GOLDEN").map(|folder| PathBuf::from(folder).join(golden)).filter(|path| path.exists());
    let path = other.unwrap_or_else(|| repo("tests/golden").join(golden));
    let golden: Golden = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let scorer = FixedScorer::load(&repo(scorer)).unwrap();
    assert_eq!(golden.cases.len(), golden.n);
    for case in &golden.cases {
        let found = scorer.score(&case.text);
        assert!((found - case.expected).abs() <= tolerance, "{found} is not {} for {:?}", case.expected, case.text);
    }
}

/// The package rounds to four places, so half a unit of the last place is all the agreement there is to have.
#[test]
fn sentiment_equals_vader() {
    compare("vader.json", "recipes/quickstart/vader_lexicon.txt", 0.500_01e-4);
}

/// The weights are stored in f32, the package computes with f64 ones.
#[test]
fn profanity_equals_the_package() {
    compare("profanity.json", "recipes/quickstart/profanity_linear.safetensors", 1e-6);
}
