//! Intervals against outside numbers, and against what they promise: to hold the truth 95 times in 100.

use std::path::PathBuf;

use align::chance;
use align::value::estimate::Z95;
use align::value::{Estimate, bootstrap};
use serde_json::Value;

fn golden(id: &str) -> Value {
    let folder =
        std::env::var_os("ALIGN_GOLDEN").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), PathBuf::from);
    let file: Value = serde_json::from_slice(&std::fs::read(folder.join("methods.json")).unwrap()).unwrap();
    file["cases"].as_array().unwrap().iter().find(|case| case["id"] == id).unwrap_or_else(|| panic!("no case {id}")).clone()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-9 + 1e-6 * expected.abs(), "{found} is not {expected}");
}

#[test]
fn wilson() {
    let case = golden("stat.wilson");
    close(Z95, case["inputs"]["z"].as_f64().unwrap());
    let counts = floats(&case["inputs"]["k"]).into_iter().zip(floats(&case["inputs"]["n"]));
    for ((k, n), expected) in counts.zip(case["expected"]["ci"].as_array().unwrap()) {
        let share = Estimate::share(k as u64, n as u64);
        let cases: Vec<f64> = (0..n as usize).map(|i| f64::from(u8::from(i < k as usize))).collect();
        assert_eq!(Estimate::of_values(&cases, None, 0), share);
        close(share.mean, k / n);
        close(share.lower95, floats(expected)[0]);
        close(share.upper95, floats(expected)[1]);
    }
}

#[test]
fn standard_error() {
    let case = golden("eval.paired_bootstrap_se");
    let outcomes = floats(&case["inputs"]["outcomes"]);
    let (mean, se) = (case["expected"]["mean"].as_f64().unwrap(), case["expected"]["se"].as_f64().unwrap());
    let zeros = vec![0.0; outcomes.len()];
    for estimate in [Estimate::of_mean(&outcomes), Estimate::of_difference(&outcomes, &zeros)] {
        close(estimate.mean, mean);
        close((estimate.upper95 - estimate.lower95) / 2.0 / Z95, se);
    }
}

/// Uniform numbers of one world; worlds are independent.
struct World {
    key: [u32; 2],
    drawn: u32,
}

impl World {
    fn new(number: u32) -> Self {
        Self { key: [0x7465_7374, number], drawn: 0 }
    }

    fn unit(&mut self) -> f64 {
        self.drawn += 1;
        let word = chance::uniform(self.key, [self.drawn, 0, 0, 0]);
        chance::unit(word[0], word[1])
    }
}

/// How often the interval of a world holds the truth.
fn coverage(worlds: u32, truth: f64, estimate: impl Fn(&mut World, u64) -> Estimate) -> f64 {
    let holds = |number: u32| {
        let interval = estimate(&mut World::new(number), u64::from(number));
        interval.lower95 <= truth && truth <= interval.upper95
    };
    f64::from((0..worlds).map(|number| u32::from(holds(number))).sum::<u32>()) / f64::from(worlds)
}

/// 40 prompts of 8 answers; whether an answer is harmful depends mostly on its prompt.
fn attacks(world: &mut World) -> (Vec<f64>, Vec<Vec<usize>>) {
    let mut cases = Vec::new();
    for _ in 0..40 {
        let weak = world.unit() < 0.3;
        cases.extend((0..8).map(|_| f64::from(u8::from(world.unit() < if weak { 0.8 } else { 0.1 }))));
    }
    (cases, (0..40).map(|prompt| (prompt * 8..prompt * 8 + 8).collect()).collect())
}

#[test]
fn intervals_of_grouped_shares_hold_the_truth() {
    let truth = 0.3 * 0.8 + 0.7 * 0.1;
    let grouped = coverage(1500, truth, |world, _| {
        let (cases, groups) = attacks(world);
        Estimate::grouped_share(&cases, &groups)
    });
    assert!((0.93..0.98).contains(&grouped), "{grouped}");
    let careless = coverage(1500, truth, |world, _| Estimate::of_values(&attacks(world).0, None, 0));
    assert!(careless < 0.85, "samples of one prompt are not independent: {careless}");
}

#[test]
fn intervals_of_means_hold_the_truth() {
    let closed = coverage(2000, 0.5, |world, _| Estimate::of_mean(&(0..60).map(|_| world.unit()).collect::<Vec<_>>()));
    assert!((0.93..0.97).contains(&closed), "{closed}");
    let grouped = coverage(100, 1.0, |world, seed| {
        let values: Vec<f64> = (0..50)
            .flat_map(|_| {
                let prompt = world.unit();
                [prompt + world.unit(), prompt + world.unit(), prompt + world.unit()]
            })
            .collect();
        let groups: Vec<Vec<usize>> = (0..50).map(|g| vec![3 * g, 3 * g + 1, 3 * g + 2]).collect();
        Estimate::of_values(&values, Some(&groups), seed)
    });
    assert!((0.88..=1.0).contains(&grouped), "{grouped}");
}

#[test]
fn pairing_narrows_a_difference() {
    let mut world = World::new(0);
    let before: Vec<f64> = (0..100).map(|_| 10.0 * world.unit()).collect();
    let after: Vec<f64> = before.iter().map(|x| x + 0.2 + 0.5 * world.unit()).collect();
    let paired = Estimate::of_difference(&after, &before);
    let (a, b) = (Estimate::of_mean(&after), Estimate::of_mean(&before));
    assert!(paired.lower95 > 0.3 && a.lower95 < b.upper95);
}

#[test]
fn a_ratio_has_an_interval_too() {
    let mut world = World::new(1);
    let (top, bottom): (Vec<f64>, Vec<f64>) = (0..200).map(|_| (world.unit(), 1.0 + world.unit())).unzip();
    let sum = |x: &[f64], rows: &[usize]| rows.iter().map(|row| x[*row]).sum::<f64>();
    let ratio = |rows: &[usize]| sum(&top, rows) / sum(&bottom, rows);
    let all: Vec<usize> = (0..200).collect();
    let estimate = bootstrap::interval(ratio(&all), &align::value::group::singles(200), 3, bootstrap::DRAWS, ratio);
    assert!(estimate.lower95 < 1.0 / 3.0 && 1.0 / 3.0 < estimate.upper95 && estimate.upper95 - estimate.lower95 < 0.08, "{estimate:?}");
}
