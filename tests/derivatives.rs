//! Derivatives of random objectives against central differences, and what must hold of any objective: parts add up,
//! the order of rows does not matter.

#[path = "methods/build.rs"]
#[allow(dead_code, reason = "shared with the golden tests, which use the rest")]
mod build;

use std::collections::BTreeMap;

use align::chance;
use align::formula::eval::{Call, Networks};
use align::formula::expr::Output;
use align::formula::expr::{Axis, ObjectiveDef, Trained};
use align::formula::failure::Unanswered;
use align::formula::objective::{Compiled, Per, Source, States, TrainedNumbers};
use align::formula::phases::Fixed;
use align::formula::shape::Under;
use align::value::{Cell, Table};
use build::*;

/// A stream of chance for building things.
struct Dice {
    key: u32,
    next: u32,
}

impl Dice {
    fn word(&mut self) -> [u32; 4] {
        self.next += 1;
        chance::uniform([self.key, 7], [self.next, 0, 0, 0])
    }

    fn below(&mut self, n: u64) -> usize {
        let w = self.word();
        usize::try_from(chance::below(n, w[0], w[1])).expect("small")
    }

    /// Between −1.5 and 1.5.
    fn real(&mut self) -> f64 {
        let w = self.word();
        3.0 * chance::unit(w[0], w[1]) - 1.5
    }

    fn smooth(&mut self, x: F) -> F {
        match self.below(8) {
            0 => clamp(x, num(-2.0), num(2.0)).w("exp"),
            1 => (x.w("abs") + 0.5).w("log"),
            2 => (x.w("abs") + 0.5).w("sqrt"),
            3 => x.w("tanh"),
            4 => x.w("sigmoid"),
            5 => x.w("log_sigmoid"),
            6 => (-(x.w("abs") + 0.3)).w("log1m_exp"),
            _ => -x,
        }
    }

    fn two(&mut self, a: F, b: F) -> F {
        match self.below(7) {
            0 => a + b,
            1 => a - b,
            2 => a * b,
            3 => a / (b.w("abs") + 0.7),
            4 => larger(a, b),
            5 => word("smaller", &[a, b]),
            _ => if_else(a.clone().above(b.clone()), a, b * 0.5),
        }
    }

    fn reduction(&mut self) -> &'static str {
        ["sum", "mean", "max", "min", "log_sum_exp", "var", "std"][self.below(7)]
    }

    fn token(&mut self, depth: usize) -> F {
        let s = || seq("completion");
        match if depth == 0 { self.below(4) } else { 4 + self.below(5) } {
            0 => logp(model(), s()),
            1 => word("value", &[critic(), s()]),
            2 => old(logp(model(), s())),
            3 => word("entropy", &[model(), s()]),
            4 => {
                let x = self.token(depth - 1);
                self.smooth(x)
            }
            5 => {
                let (a, b) = (self.token(depth - 1), self.row(depth - 1));
                self.two(a, b)
            }
            6 => {
                let (a, b) = (self.token(depth - 1), self.token(depth - 1));
                self.two(a, b)
            }
            7 => word("tail_sum", &[self.row(depth - 1).w("at_end") - self.token(depth - 1), self.row(depth - 1).w("sigmoid")]),
            _ => self.token(depth - 1).w("next"),
        }
    }

    fn row(&mut self, depth: usize) -> F {
        match if depth == 0 { self.below(4) } else { 4 + self.below(9) } {
            0 => word("score", &[model(), seq("completion")]),
            1 => col("x"),
            2 => number("slope"),
            3 => number("weights").pick(self.below(2)),
            4 => {
                let x = self.row(depth - 1);
                self.smooth(x)
            }
            5 => {
                let (a, b) = (self.row(depth - 1), self.row(depth - 1));
                self.two(a, b)
            }
            6 => self.token(depth - 1).r(self.reduction(), Axis::Tokens),
            7 => self.row(depth - 1).r(self.reduction(), by(&["g"])),
            8 => self.token(depth - 1).r(self.reduction(), by(&["g"])),
            9 => self.row(depth - 1).r(self.reduction(), Axis::Batch),
            10 => list(&[self.row(depth - 1), self.row(depth - 1)]).r(self.reduction(), Axis::Tokens),
            11 => word("dot", &[number("weights"), list(&[self.row(depth - 1), self.row(depth - 1)])]),
            _ => match self.below(2) {
                0 => over("shifted", &[self.row(depth - 1), num(1.0)], by(&["g"])),
                _ => over("arg_max", &[self.row(depth - 1), col("x")], by(&["g"])),
            },
        }
    }

    /// One or two losses, perhaps weighted; two of the leaves always matter.
    fn objective(&mut self) -> ObjectiveDef {
        let anchor = 0.01 * word("score", &[model(), seq("completion")]) + 0.01 * number("slope");
        let weight = if self.below(2) == 0 { Some((col("x").w("abs") + 0.1) * over("count", &[], by(&["g"]))) } else { None };
        let first = match self.below(2) {
            0 => self.token(3) + anchor,
            _ => self.row(3) + anchor,
        };
        let mut def = objective(&[(first, weight), (self.row(2) + number("slope") * 0.1, None)], &[]);
        for (name, start) in [("slope", num(0.4)), ("weights", list(&[num(0.7), num(-0.9)]))] {
            def.trained.push(Trained::Number { name: name.into(), start: start.0 });
        }
        with_critic(def)
    }
}

fn old(x: F) -> F {
    x.w("old")
}

fn number(name: &str) -> F {
    of(align::formula::expr::Kind::TrainedNumber(name.into()))
}

fn list(items: &[F]) -> F {
    of(align::formula::expr::Kind::List(items.iter().map(|f| f.0.clone()).collect()))
}

trait Pick {
    fn pick(self, place: usize) -> F;
}

impl Pick for F {
    fn pick(self, place: usize) -> F {
        of(align::formula::expr::Kind::Index { of: self.0, index: num(place as f64).0 })
    }
}

/// Answers by chance, keyed by the question.
struct Oracle;

impl Networks for Oracle {
    fn call(&mut self, call: Call<'_>, rows: &[Vec<Cell>]) -> Result<Vec<Cell>, Unanswered> {
        let answer = |row: &Vec<Cell>| {
            let mut dice = Dice { key: length(&row[0]) as u32 + call.word.len() as u32, next: 0 };
            Cell::Tokens((0..length(&row[0])).map(|_| dice.real()).collect())
        };
        Ok(rows.iter().map(answer).collect())
    }

    fn lengths(&mut self, sequences: &[Cell]) -> Result<Vec<usize>, Unanswered> {
        Ok(sequences.iter().map(length).collect())
    }

    fn artifact(&mut self, _: &Output) -> Result<Cell, Unanswered> {
        Err("none".into())
    }
}

fn length(sequence: &Cell) -> usize {
    let Cell::Sequence(sequence) = sequence else { panic!("a sequence") };
    sequence.completion.as_ref().expect("a completion").text.len()
}

fn table() -> Table {
    let text = ["a", "bbb", "cccc", "dd", "eeeee", "f"];
    let row = |i: usize| vec![Cell::text("q"), Cell::text(text[i]), Cell::Float(0.3 * i as f64 - 0.7), Cell::Int(i as i64 / 2)];
    Table { columns: ["prompt", "completion", "x", "g"].map(Into::into).to_vec(), rows: (0..text.len()).map(row).collect() }
}

struct Setup {
    source: Source,
    fixed: Fixed,
    numbers: TrainedNumbers,
    leaves: Vec<Option<Vec<f64>>>,
}

impl Setup {
    fn new(def: &ObjectiveDef, key: u32) -> Self {
        let compiled = Compiled::new(def, Under::Rl).unwrap_or_else(|e| panic!("{e:?}"));
        let numbers = compiled.start_numbers(&mut Oracle).expect("numbers");
        let source = compiled.sources[0].clone();
        let fixed = source.fixed(&table(), [1, 2], &States::new(), &numbers, &mut Oracle).unwrap_or_else(|e| panic!("{e:?}"));
        let mut dice = Dice { key, next: 10_000 };
        let size =
            |i: usize, per: Per| if per == Per::Token { (0..fixed.rows()).map(|row| fixed.length(i, row)).sum() } else { fixed.rows() };
        let leaves =
            source.leaves().iter().enumerate().map(|(i, leaf)| Some((0..size(i, leaf.per)).map(|_| dice.real()).collect())).collect();
        Self { source, fixed, numbers, leaves }
    }

    fn loss(&self, leaves: &[Option<Vec<f64>>], numbers: &TrainedNumbers) -> f64 {
        let rows: Vec<usize> = (0..self.fixed.rows()).collect();
        let step = self.source.begin(&self.fixed, &rows, &States::new(), numbers, leaves).expect("a step");
        self.source.part(&step, &rows, leaves).expect("a part").loss
    }

    /// A central difference, and whether the function is smooth there.
    fn difference(&self, nudge: impl Fn(f64) -> f64) -> Option<f64> {
        let (h, here) = (1e-5, nudge(0.0));
        let (forward, backward) = ((nudge(h) - here) / h, (here - nudge(-h)) / h);
        ((forward - backward).abs() < 1e-2 * (1.0 + forward.abs())).then_some((nudge(h) - nudge(-h)) / (2.0 * h))
    }
}

fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 2e-6 + 2e-5 * expected.abs()
}

#[test]
fn derivatives_are_central_differences() {
    let (mut checked, mut kinks) = (0, 0);
    for key in 0..150 {
        let setup = Setup::new(&Dice { key, next: 0 }.objective(), key);
        let rows: Vec<usize> = (0..setup.fixed.rows()).collect();
        let step = setup.source.begin(&setup.fixed, &rows, &States::new(), &setup.numbers, &setup.leaves).expect("a step");
        let outcome = setup.source.part(&step, &rows, &setup.leaves).expect("a part");
        assert!(outcome.loss.is_finite(), "objective {key}");
        let mut compare = |found: f64, difference: Option<f64>, what: String| match difference {
            Some(expected) => {
                assert!(near(found, expected), "objective {key}, {what}: {found}, expected {expected}");
                checked += 1;
            }
            None => kinks += 1,
        };
        for (i, coefficients) in outcome.coefficients.iter().enumerate() {
            let zeros = vec![0.0; setup.leaves[i].as_ref().map_or(0, Vec::len)];
            for (j, &found) in coefficients.as_ref().unwrap_or(&zeros).iter().enumerate() {
                let nudge = |h: f64| {
                    let mut leaves = setup.leaves.clone();
                    leaves[i].as_mut().expect("given")[j] += h;
                    setup.loss(&leaves, &setup.numbers)
                };
                compare(found, setup.difference(nudge), format!("{} {j}", setup.source.name(&setup.source.leaves()[i])));
            }
        }
        for (name, derivative) in &outcome.numbers {
            for (j, &found) in derivative.iter().enumerate() {
                let nudge = |h: f64| {
                    let mut numbers = setup.numbers.clone();
                    numbers.get_mut(name).expect("trained").values[j] += h;
                    setup.loss(&setup.leaves, &numbers)
                };
                compare(found, setup.difference(nudge), format!("{name} {j}"));
            }
        }
    }
    assert!(checked > 2000 && kinks * 50 < checked, "{checked} derivatives, {kinks} kinks");
}

/// The values of some rows, taken out of those of all rows.
fn of_rows(setup: &Setup, rows: &[usize]) -> Vec<Option<Vec<f64>>> {
    of_rows_from(setup, rows, &setup.leaves)
}

fn of_rows_from(setup: &Setup, rows: &[usize], all: &[Option<Vec<f64>>]) -> Vec<Option<Vec<f64>>> {
    let leaf = |(i, values): (usize, &Option<Vec<f64>>)| {
        let per = setup.source.leaves()[i].per;
        let length = |row: usize| if per == Per::Token { setup.fixed.length(i, row) } else { 1 };
        let start = |row: usize| (0..row).map(length).sum::<usize>();
        let values = values.as_ref().expect("given");
        if values.is_empty() {
            return None;
        }
        Some(rows.iter().flat_map(|&row| values[start(row)..start(row) + length(row)].to_vec()).collect())
    };
    all.iter().enumerate().map(leaf).collect()
}

#[test]
fn parts_add_up_to_the_step() {
    let mut separable = 0;
    for key in 0..150 {
        let setup = Setup::new(&Dice { key, next: 0 }.objective(), key);
        if !setup.source.separable() {
            continue;
        }
        separable += 1;
        let rows: Vec<usize> = (0..setup.fixed.rows()).collect();
        let step = setup.source.begin(&setup.fixed, &rows, &States::new(), &setup.numbers, &setup.leaves).expect("a step");
        let whole = setup.source.part(&step, &rows, &setup.leaves).expect("a part");
        let (mut loss, mut numbers) = (0.0, BTreeMap::new());
        for block in setup.fixed.blocks() {
            let part = setup.source.part(&step, block, &of_rows(&setup, block)).expect("a part");
            loss += part.loss;
            let coefficients = whole.coefficients.iter().map(|c| Some(c.clone().unwrap_or_default())).collect::<Vec<_>>();
            for (leaf, (found, expected)) in part.coefficients.iter().zip(of_rows_from(&setup, block, &coefficients)).enumerate() {
                let pairs = found.iter().flatten().zip(expected.into_iter().flatten());
                assert!(pairs.into_iter().all(|(a, b)| near(*a, b)), "objective {key}, leaf {leaf}");
            }
            for (name, derivative) in part.numbers {
                let sum = numbers.entry(name).or_insert_with(|| vec![0.0; derivative.len()]);
                sum.iter_mut().zip(derivative).for_each(|(a, b)| *a += b);
            }
        }
        assert!(near(loss, whole.loss), "objective {key}: {loss} and {}", whole.loss);
        for (name, sum) in numbers {
            assert!(sum.iter().zip(&whole.numbers[&name]).all(|(a, b)| near(*a, *b)), "objective {key}: {name}");
        }
    }
    assert!(separable > 20, "{separable}");
}

#[test]
fn the_order_of_rows_does_not_matter() {
    for key in 0..60 {
        let mut def = Dice { key, next: 0 }.objective();
        // `shifted` reads the order of rows; that is what it is for.
        def.losses.retain(|loss| !format!("{:?}", loss.value).contains("shifted"));
        if def.losses.is_empty() {
            continue;
        }
        let setup = Setup::new(&def, key);
        let order = [4, 0, 5, 2, 1, 3];
        let step = setup.source.begin(&setup.fixed, &order, &States::new(), &setup.numbers, &of_rows(&setup, &order)).expect("a step");
        let places: Vec<usize> = (0..order.len()).collect();
        let shuffled = setup.source.part(&step, &places, &of_rows(&setup, &order)).expect("a part").loss;
        let plain = setup.loss(&setup.leaves, &setup.numbers);
        assert!(near(shuffled, plain), "objective {key}: {shuffled} and {plain}");
    }
}
