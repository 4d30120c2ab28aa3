//! What formulas mean: refusals, values over rows, chance, phases of an objective, and fingerprints.

#[path = "methods/build.rs"]
#[allow(dead_code, reason = "shared with the golden tests, which use the rest")]
mod build;

use std::collections::BTreeMap;
use std::sync::Arc;

use align::formula::at::{self, AtError};
use align::formula::eval::{self, Call, Networks, Prepared};
use align::formula::expr::{Axis, Formula, Kind, ObjectiveDef, Output, StageId, State, Trained};
use align::formula::failure::Unanswered;
use align::formula::meaning::{meaning, objective_meaning};
use align::formula::objective::{Compiled, States, TrainedNumbers};
use align::formula::program::Program;
use align::formula::shape::{self, Shape, ShapeError, Under};
use align::value::{Cell, Completion, Table};
use build::*;
use serde_json::json;

// Refusals.

fn with_state(mut def: ObjectiveDef, name: &str, start: F, next: F) -> ObjectiveDef {
    def.states.push(State { name: name.into(), start: start.0, next: next.0 });
    def
}

fn refused(def: &ObjectiveDef, under: Under) -> Vec<ShapeError> {
    shape::check(def, under).expect_err("refused")
}

fn loss(f: F) -> ObjectiveDef {
    plain(f)
}

fn policy(column: &str) -> F {
    logp(model(), seq(column))
}

#[test]
fn objectives_that_make_no_sense() {
    use Under::{Rl, Train};
    let weighted = |value: F, weight: F| objective(&[(value, Some(weight))], &[]);
    let live = || score("completion");
    let cases: Vec<(ObjectiveDef, Under, &str, &str)> = vec![
        (loss(policy("chosen") - policy("rejected")), Train, "shape_clash", "the tokens of two sequences do not line up"),
        (weighted(live(), policy("chosen").w("detach")), Train, "shape_clash", "`loss` has shape row here and token there"),
        (loss(of(Kind::List(vec![live().0, live().0]))), Train, "shape_clash", "`loss` is a list"),
        (loss(live() - live().r("mean", Axis::All)), Train, "gradient_through_all", "a gradient cannot pass through `over: all`"),
        (
            loss(live() - live().w("detach").r("mean", Axis::All)),
            Train,
            "present_over_all",
            "`over: all` cannot hold what changes in every step",
        ),
        (loss(policy("x") - policy("x").w("old")), Train, "old_outside_rl", "`old` exists only under `rl`"),
        (loss(col("x").w("at_end")), Rl, "no_sequence", "a number at the end meets no tokens, so its length is unknown"),
        (loss(live().sum()), Train, "nothing_to_reduce", "there is nothing to reduce: it is one number per row"),
        (loss(live().w("next")), Train, "nothing_to_reduce", "`next` runs along tokens, and there are none"),
        (loss(policy("x").w("at_end")), Train, "one_per_row", "`at_end` takes one value per row"),
        (loss(over("rank", &[live()], Axis::Tokens) * live()), Train, "no_axis", "`rank` needs to know which rows it looks at"),
        (
            loss(live() * live().r("mean", Axis::Columns(vec![live().0]))),
            Train,
            "depends_on_weights",
            "rows cannot be grouped by what changes in every step",
        ),
        (loss(live().above(num(0.0))), Train, "no_gradient", "`loss` does not depend on anything that is trained"),
        (loss(live().w("detach")), Train, "no_gradient", "`loss` does not depend on anything that is trained"),
        (weighted(live(), live()), Train, "gradient_through_weight", "a gradient cannot pass through `weighted`"),
        (
            loss(live() + word("length", &[word("sample", &[model(), col("prompt")])])),
            Train,
            "asks_trained",
            "`sample` cannot be asked of a network while it is trained",
        ),
        (
            with_state(loss(live()), "s", num(0.0), live().r("mean", Axis::Batch)),
            Rl,
            "state_reads_present",
            "the next `s` depends on the networks as they change within a rollout",
        ),
        (with_state(loss(live()), "s", num(0.0), col("x")), Rl, "state_shape", "a state is one number, and this is one per row"),
    ];
    for (def, under, code, message) in cases {
        let errors = refused(&def, under);
        let told: Vec<_> = errors.iter().map(|e| (e.code().trim_start_matches("align::formula::"), e.diagnostic().message)).collect();
        assert!(told.contains(&(code, message.to_owned())), "{code} is not among {told:?}");
    }
}

#[test]
fn a_clash_names_both_sequences_and_what_to_do() {
    let told = refused(&loss(policy("chosen") - policy("rejected")), Under::Train)[0].diagnostic();
    let labels: Vec<_> = told.labels.iter().map(|l| l.text.as_str()).collect();
    assert_eq!(labels, ["one number per token of `.chosen`", "one per token of `.rejected`"]);
    assert_eq!(told.help.as_deref(), Some("reduce with `sum(…)` or `mean(…)`"));
}

#[test]
fn the_same_completion_after_another_prompt_lines_up() {
    let briefed = word("after", &[col("brief"), col("completion")]);
    assert!(shape::check(&loss(logp(model(), briefed) - policy("completion")), Under::Train).is_ok());
}

#[test]
fn rows_have_no_step() {
    let form = |f: &F| shape::check_rows(&f.0).map(|form| form.shape);
    assert_eq!(form(&col("x").r("mean", Axis::All)), Ok(Shape::Table));
    assert_eq!(form(&(col("x") - col("x").r("mean", Axis::All))), Ok(Shape::Row));
    assert!(matches!(form(&col("x").r("mean", by(&["g"]))), Ok(Shape::Group(_))));
    let batch = form(&col("x").r("mean", Axis::Batch)).expect_err("refused");
    assert_eq!(batch[0].code(), "align::formula::batch_outside_objective");
}

#[test]
fn words_and_networks_in_the_wrong_place() {
    let lowered = |f: F| Program::lower(&[f.0]).expect_err("refused").diagnostic().message;
    assert_eq!(lowered(word("logp", &[model()])), "`logp` takes 2 to 2 arguments, found 1");
    assert_eq!(lowered(word("no_such", &[])), "unknown word `no_such`");
    assert_eq!(lowered(model() + 1.0), "a network is no value: ask it something, as in `model.logp(…)`");
    let chosen = if_else(col("x"), model(), reference());
    assert_eq!(lowered(word("logp", &[chosen, seq("x")])), "`logp` reads a network, and which one must be known before the run");
}

// Values over rows.

fn table(columns: &[(&str, Vec<Cell>)]) -> Table {
    let rows = (0..columns[0].1.len()).map(|i| columns.iter().map(|(_, cells)| cells[i].clone()).collect()).collect();
    Table { columns: columns.iter().map(|(name, _)| (*name).into()).collect(), rows }
}

fn floats(xs: &[f64]) -> Vec<Cell> {
    xs.iter().map(|x| Cell::Float(*x)).collect()
}

fn texts(xs: &[&str]) -> Vec<Cell> {
    xs.iter().map(|x| Cell::text(*x)).collect()
}

/// Scores a completion by its length, samples its name of the row, and remembers what it was asked.
#[derive(Default)]
struct Asked(Vec<usize>);

impl Networks for Asked {
    fn call(&mut self, call: Call<'_>, rows: &[Vec<Cell>]) -> Result<Vec<Cell>, Unanswered> {
        self.0.push(rows.len());
        let sampled = |name: &u64| Cell::Completion(Arc::new(Completion { text: name.to_string().into(), tokens: None, finished: true }));
        Ok(match call.word {
            "sample" => call.names.iter().map(sampled).collect(),
            _ => rows.iter().map(|row| Cell::Float(length(&row[0]) as f64)).collect(),
        })
    }

    fn lengths(&mut self, sequences: &[Cell]) -> Result<Vec<usize>, Unanswered> {
        Ok(sequences.iter().map(length).collect())
    }

    fn artifact(&mut self, _: &Output) -> Result<Cell, Unanswered> {
        Ok(Cell::Float(2.0))
    }
}

fn length(sequence: &Cell) -> usize {
    let Cell::Sequence(sequence) = sequence else { panic!("a sequence") };
    sequence.completion.as_ref().expect("a completion").text.len()
}

fn column(f: &F, table: &Table) -> Vec<Cell> {
    eval::column(&f.0, table, [1, 2], &mut Asked::default()).unwrap_or_else(|e| panic!("{e:?}"))
}

fn numbers(f: &F, table: &Table) -> Vec<f64> {
    column(f, table).iter().map(|c| c.number().expect("a number")).collect()
}

fn frozen_score() -> F {
    word("score", &[reference(), seq("answer")])
}

#[test]
fn equal_questions_are_asked_once_and_all_in_one_call() {
    let table = table(&[("prompt", texts(&["p"; 4])), ("answer", texts(&["a", "bb", "a", "ccc"]))]);
    let mut asked = Asked::default();
    let cells = eval::column(&(frozen_score() + frozen_score()).0, &table, [0; 2], &mut asked).expect("scores");
    assert_eq!((asked.0, cells), (vec![3], floats(&[2.0, 4.0, 2.0, 6.0])));
}

#[test]
fn one_question_about_two_columns_is_put_in_one_call() {
    let table = table(&[("prompt", texts(&["p"; 3])), ("a", texts(&["1", "22", "333"])), ("b", texts(&["4444", "22", "1"]))]);
    let score = |column| word("score", &[reference(), seq(column)]);
    let mut asked = Asked::default();
    let cells = eval::column(&(score("a") - score("b")).0, &table, [0; 2], &mut asked).expect("scores");
    assert_eq!((asked.0, cells), (vec![4], floats(&[-3.0, 0.0, 2.0])), "1 and 22 stand twice");
    let mut asked = Asked::default();
    let longer = if_else(word(">", &[score("a"), num(1.5)]), score("b"), num(0.0));
    let cells = eval::column(&longer.0, &table, [0; 2], &mut asked).expect("scores");
    assert_eq!((asked.0, cells), (vec![3, 2], floats(&[0.0, 2.0, 1.0])), "what only a branch asks waits for its condition");
}

/// Knows lengths from its first answer on, as a stage knows them from the first network that it loads.
#[derive(Default)]
struct Late(Asked);

impl Networks for Late {
    fn call(&mut self, call: Call<'_>, rows: &[Vec<Cell>]) -> Result<Vec<Cell>, Unanswered> {
        self.0.call(call, rows)
    }

    fn lengths(&mut self, sequences: &[Cell]) -> Result<Vec<usize>, Unanswered> {
        if self.0.0.is_empty() { Err("no tokenizer is at hand".into()) } else { self.0.lengths(sequences) }
    }

    fn artifact(&mut self, output: &Output) -> Result<Cell, Unanswered> {
        self.0.artifact(output)
    }
}

#[test]
fn questions_that_cannot_be_put_together_are_put_one_by_one() {
    let table = table(&[("prompt", texts(&["p"; 2])), ("a", texts(&["1", "22"])), ("b", texts(&["4444", "1"]))]);
    let score = |column| word("score", &[reference(), column]);
    let shorter = if_else(word(">", &[word("length", &[seq("b")]), num(2.0)]), seq("a"), seq("b"));
    let mut late = Late::default();
    let cells = eval::column(&(score(seq("a")) - score(shorter)).0, &table, [0; 2], &mut late).expect("scores");
    assert_eq!((late.0.0, cells), (vec![2, 1], floats(&[0.0, 1.0])));
}

#[test]
fn an_if_asks_only_about_the_rows_that_need_it() {
    let table =
        table(&[("prompt", texts(&["p"; 4])), ("answer", texts(&["a", "bb", "ccc", "dddd"])), ("x", floats(&[1.0, 0.0, 1.0, 0.0]))]);
    let mut asked = Asked::default();
    let mean = col("x").r("mean", Axis::All);
    let cells = eval::column(&if_else(col("x"), frozen_score() + mean, num(-1.0)).0, &table, [0; 2], &mut asked).expect("values");
    assert_eq!((asked.0, cells), (vec![2], floats(&[1.5, -1.0, 3.5, -1.0])));
}

#[test]
fn samples_are_keyed_by_the_row_and_never_by_its_place() {
    let sample = word("sample", &[reference(), col("prompt")]);
    let forward = table(&[("prompt", texts(&["p", "p", "q"])), ("item", floats(&[0.0, 1.0, 0.0]))]);
    let backward = Table { rows: forward.rows.iter().rev().cloned().collect(), ..forward.clone() };
    let (mut a, b) = (column(&sample, &forward), column(&sample, &backward));
    assert_ne!(a[0], a[1]);
    a.reverse();
    assert_eq!(a, b);
    let equal = table(&[("prompt", texts(&["p", "p"]))]);
    let both = column(&sample, &equal);
    assert_ne!(both[0], both[1], "equal rows are samples of their own");
}

#[test]
fn dice_are_keyed_by_seed_and_row() {
    let t = table(&[("g", texts(&["a", "b", "a", "c"])), ("x", floats(&[0.0, 1.0, 2.0, 3.0]))]);
    let dice = |axis| over("dice", &[num(1e9)], axis);
    let own = numbers(&dice(Axis::Row), &t);
    let grouped = numbers(&dice(by(&["g"])), &t);
    assert_eq!(grouped[0], grouped[2]);
    assert!(own[0] != own[2] && grouped[0] != grouped[1]);
    let other = eval::column(&dice(Axis::Row).0, &t, [1, 3], &mut Asked::default()).expect("dice");
    assert_ne!(other, column(&dice(Axis::Row), &t));
    let fewer = Table { rows: t.rows[2..].to_vec(), ..t.clone() };
    assert_eq!(numbers(&dice(Axis::Row), &fewer), own[2..]);
}

#[test]
fn a_value_per_group_counts_once_per_group() {
    let t = table(&[("g", texts(&["a", "a", "a", "b"])), ("x", floats(&[1.0, 2.0, 3.0, 10.0]))]);
    let largest = col("x").r("max", by(&["g"]));
    assert_eq!(numbers(&largest.clone().r("mean", Axis::All), &t)[0], 6.5);
    assert_eq!(numbers(&largest, &t), [3.0, 3.0, 3.0, 10.0]);
    assert_eq!(numbers(&over("count", &[], by(&["g"])), &t), [3.0, 3.0, 3.0, 1.0]);
}

#[test]
fn a_resampled_row_is_a_row_of_its_own() {
    let t = table(&[("g", texts(&["a", "a", "b"])), ("x", floats(&[1.0, 3.0, 10.0]))]);
    let f = col("x").r("sum", by(&["g"])).r("mean", Axis::All);
    let prepared = Prepared::new(&f.0, &t, [0; 2], &mut Asked::default()).expect("prepared");
    assert_eq!(prepared.whole().expect("a value"), Cell::Float(7.0));
    // Group `a` twice, `b` once: (4 + 4 + 10) / 3.
    assert_eq!(prepared.on(&[0, 1, 2, 0, 1]).expect("a value"), Cell::Float(6.0));
}

#[test]
fn other_rows() {
    let t = table(&[("g", texts(&["a", "b", "a", "a"])), ("x", floats(&[5.0, 1.0, 7.0, 5.0])), ("t", texts(&["p", "q", "r", "s"]))]);
    assert_eq!(numbers(&over("rank", &[col("x")], by(&["g"])), &t), [0.0, 0.0, 2.0, 1.0]);
    assert_eq!(column(&over("shifted", &[col("t"), num(1.0)], by(&["g"])), &t), texts(&["r", "q", "s", "p"]));
    assert_eq!(column(&over("arg_max", &[col("t"), col("x")], by(&["g"])), &t), texts(&["r", "q", "r", "r"]));
    let near = table(&[("t", texts(&["a b c d e", "x y", "e d c b a", "a b c d z"]))]);
    let first = column(&word("distinct", &[col("t"), num(0.8)]), &near);
    assert_eq!(first, [true, true, false, true].map(Cell::Bool));
}

#[test]
fn lists_fields_items_and_templates() {
    let t = table(&[("x", floats(&[1.0, 2.0])), ("t", texts(&["a", "b"]))]);
    let list = of(Kind::List(vec![col("x").0, num(4.0).0]));
    assert_eq!(numbers(&list.clone().sum(), &t), [5.0, 6.0]);
    assert_eq!(numbers(&word("dot", &[list.clone(), list.clone()]), &t), [17.0, 20.0]);
    assert_eq!(numbers(&(list.clone() * col("x")).r("max", Axis::Tokens), &t), [4.0, 8.0]);
    assert_eq!(numbers(&list.clone().w("index_of_max"), &t), [1.0, 1.0]);
    assert_eq!(numbers(&of(Kind::Index { of: list.0, index: num(0.0).0 }), &t), [1.0, 2.0]);
    let turn = col("t").w("user").w("last");
    assert_eq!(column(&of(Kind::Field { of: turn.0, name: "text".into() }), &t), texts(&["a", "b"]));
    let template = of(Kind::Template(vec![of(Kind::Const(Cell::text("<"))).0, col("t").0, col("x").0]));
    assert_eq!(column(&template, &t), texts(&["<a1", "<b2"]));
}

#[test]
fn none_is_neither_a_number_nor_true() {
    let t = table(&[("x", vec![Cell::None, Cell::Float(2.0)])]);
    let none = of(Kind::Const(Cell::None));
    assert_eq!(column(&word("==", &[col("x"), none.clone()]), &t), [true, false].map(Cell::Bool));
    assert_eq!(numbers(&if_else(word("==", &[col("x"), none]), num(0.0), col("x")), &t), [0.0, 2.0]);
    assert_eq!(column(&col("x").above(num(1.0)), &t), [false, true].map(Cell::Bool));
}

#[test]
fn a_failure_names_the_row() {
    let t = table(&[("x", vec![Cell::Float(1.0), Cell::text("two")])]);
    let failure = eval::column(&col("x").w("exp").0, &t, [0; 2], &mut Asked::default()).expect_err("no number");
    assert_eq!((failure.row, failure.to_string()), (Some(1), "expected a number, found a text".to_owned()));
    let missing = eval::column(&col("y").0, &t, [0; 2], &mut Asked::default()).expect_err("no column");
    assert_eq!(missing.to_string(), "column `.y` is missing");
}

#[test]
fn expectations_read_other_stages() {
    let artifact = reference();
    assert_eq!(eval::single(&(artifact * 3.0).above(num(5.0)).0, &mut Asked::default()).expect("a value"), Cell::Bool(true));
}

// Phases.

fn kto() -> ObjectiveDef {
    let log_ratio = |column| (logp(model(), seq(column)) - logp(reference(), seq(column))).sum();
    let drift = larger(num(0.0), log_ratio("other").r("mean", Axis::Batch).w("detach"));
    plain(-(log_ratio("completion") - drift).w("sigmoid"))
}

/// A loss that looks across the rows of its step without a gradient is computed in parts all the same.
#[test]
fn what_carries_no_gradient_comes_before_the_parts() {
    let compiled = Compiled::new(&kto(), Under::Train).expect("accepted");
    let source = &compiled.sources[0];
    let leaves: Vec<_> = source.leaves().iter().map(|l| (source.name(l), l.gradient, l.early)).collect();
    assert_eq!(leaves, [("model.logp(.completion)".to_owned(), true, false), ("model.logp(.other)".to_owned(), false, true)]);
    assert!(source.separable());
    assert!(!Compiled::new(&loss(score("x") - score("x").r("mean", Axis::Batch)), Under::Train).expect("accepted").sources[0].separable());
}

#[test]
fn groups_that_a_loss_looks_across_stay_together() {
    let def = loss(score("x").r("log_sum_exp", by(&["g"])) + score("x").r("max", by(&["h"])));
    let source = Compiled::new(&def, Under::Train).expect("accepted").sources[0].clone();
    let t = table(&[
        ("prompt", texts(&["p"; 5])),
        ("x", texts(&["a"; 5])),
        ("g", floats(&[1.0, 2.0, 1.0, 3.0, 4.0])),
        ("h", floats(&[1.0, 1.0, 2.0, 3.0, 2.0])),
    ]);
    let fixed = source.fixed(&t, [0; 2], &States::new(), &TrainedNumbers::new(), &mut Asked::default()).expect("fixed");
    assert_eq!(fixed.blocks(), [vec![0, 1, 2, 4], vec![3]]);
}

/// Under `train` a controller moves with every step; under `rl` with every rollout.
#[test]
fn controllers_move() {
    let s = || of(Kind::State("s".into()));
    let step = with_state(loss(score("x") * s()), "s", num(1.0), s() + score("x").w("detach").r("mean", Axis::Batch));
    let file = json!({ "rows": [{ "model.score(.x)": 2.0 }, { "model.score(.x)": 4.0 }], "states": { "s": 10.0 } });
    let answer = at::objective(&step, &file, &names).expect("an answer");
    assert_eq!((answer.loss, answer.next["s"]), (30.0, 13.0));
    assert_eq!(answer.derivatives["model.score(.x)"], json!([5.0, 5.0]));
    let rollout = with_state(loss(score("x") * s()), "s", num(1.0), s() + score("x").w("old").r("mean", Axis::All));
    let file = json!([{ "model.score(.x)": 2.0, "old(model.score(.x))": 1.5 }]);
    assert_eq!(at::objective(&rollout, &file, &names).expect("an answer").next["s"], 2.5);
}

#[test]
fn trained_numbers_have_derivatives_too() {
    let mut def = loss((col("y") - of(Kind::TrainedNumber("a".into())) * col("x")).pow(2.0));
    def.trained.push(Trained::Number { name: "a".into(), start: num(1.0).0 });
    let answer = at::objective(&def, &json!([{ "x": 1.0, "y": 2.0 }, { "x": 2.0, "y": 2.0 }]), &names).expect("an answer");
    assert_eq!((answer.loss, &answer.derivatives["a"]), (0.5, &json!(-1.0)));
}

#[test]
fn metrics_without_their_values_are_left_out() {
    let entropy = word("entropy", &[model(), seq("x")]);
    let def = objective(&[(policy("x"), None)], &[("entropy", entropy), ("logp", policy("x").sum())]);
    let answer = at::objective(&def, &json!([{ "model.logp(.x)": [-1.0, -2.0] }]), &names).expect("an answer");
    assert_eq!(answer.metrics, BTreeMap::from([("logp".to_owned(), -3.0)]));
}

#[test]
fn a_weighted_loss_divides_by_its_weights() {
    let def = objective(&[(-policy("x"), Some(col("w")))], &[]);
    let file = json!([{ "w": 1.0, "model.logp(.x)": [-1.0, -2.0] }, { "w": 3.0, "model.logp(.x)": [-4.0] }]);
    assert_eq!(at::objective(&def, &file, &names).expect("an answer").loss, (3.0 + 12.0) / 5.0);
    let none = json!([{ "w": 0.0, "model.logp(.x)": [-1.0] }]);
    assert_eq!(at::objective(&def, &none, &names).expect("an answer").loss, 0.0);
}

#[test]
fn a_number_for_tokens_is_the_sum_of_equal_parts() {
    let def = loss(-policy("x").mean());
    let sums = at::objective(&def, &json!([{ "model.logp(.x)": -6.0, "length(.x)": 3 }]), &names).expect("an answer");
    let arrays = at::objective(&def, &json!([{ "model.logp(.x)": [-2.0, -2.0, -2.0] }]), &names).expect("an answer");
    assert_eq!((sums.loss, arrays.loss), (2.0, 2.0));
    let derivative = |answer: &at::Answer| answer.derivatives["model.logp(.x)"][0].clone();
    assert!((derivative(&sums).as_f64().expect("a number") + 1.0 / 3.0).abs() < 1e-15);
    assert_eq!(derivative(&arrays).as_array().expect("one per token").len(), 3);
}

#[test]
fn a_file_that_lacks_something_is_told_so() {
    let told = |file: serde_json::Value| {
        at::objective(&loss(policy("x") - logp(reference(), seq("x"))), &file, &names).expect_err("lacking").to_string()
    };
    assert_eq!(told(json!([{ "model.logp(.x)": [-1.0] }])), "row 1 does not give `reference.logp(.x)`");
    let uneven = json!([{ "model.logp(.x)": [-1.0], "reference.logp(.x)": [-1.0, -2.0] }]);
    assert_eq!(told(uneven), "row 1: `reference.logp(.x)` has 2 numbers, and `length(.x)` 1");
    assert_eq!(told(json!("rows")), "expected a list of rows, found \"rows\"");
    assert!(matches!(at::objective(&loss(num(1.0)), &json!([]), &names), Err(AtError::Refused(_))));
}

#[test]
fn clamped_ratios_are_counted() {
    let rho = clamp(policy("x") - policy("x").w("old"), num(-20.0), num(20.0)).w("exp");
    let def = loss(rho);
    let source = Compiled::new(&def, Under::Rl).expect("accepted").sources[0].clone();
    let t = table(&[("prompt", texts(&["p"])), ("x", texts(&["abc"]))]);
    struct Constant;
    impl Networks for Constant {
        fn call(&mut self, _: Call<'_>, rows: &[Vec<Cell>]) -> Result<Vec<Cell>, Unanswered> {
            Ok(rows.iter().map(|_| Cell::Tokens(vec![-1.0; 3].into())).collect())
        }
        fn lengths(&mut self, sequences: &[Cell]) -> Result<Vec<usize>, Unanswered> {
            Ok(vec![3; sequences.len()])
        }
        fn artifact(&mut self, _: &Output) -> Result<Cell, Unanswered> {
            Err("none".into())
        }
    }
    let fixed = source.fixed(&t, [0; 2], &States::new(), &TrainedNumbers::new(), &mut Constant).expect("fixed");
    let values = [Some(vec![-1.0, -50.0, -60.0])];
    let step = source.begin(&fixed, &[0], &States::new(), &TrainedNumbers::new(), &values).expect("a step");
    let outcome = source.part(&step, &[0], &values).expect("a part");
    assert_eq!(outcome.clamped, 2);
    assert_eq!(outcome.coefficients, [Some(vec![1.0 / 3.0, 0.0, 0.0])]);
}

// Meaning.

fn means(f: &Formula) -> serde_json::Value {
    meaning(f, &mut |output: &Output| format!("stage {}", output.stage.0))
}

#[test]
fn meaning_does_not_see_sharing_or_folding() {
    let margin = score("chosen") - score("rejected");
    let shared = margin.clone() * margin;
    let copied = (score("chosen") - score("rejected")) * (score("chosen") - score("rejected"));
    assert_eq!(means(&shared.0), means(&copied.0));
    assert_eq!(means(&(num(1.0) + num(2.0)).0), means(&num(3.0).0));
    assert_ne!(means(&(score("x") * 2.0).0), means(&(score("x") * 2.5).0));
    let per = of(Kind::Const(Cell::text("token")));
    let asked = word("==", &[per, of(Kind::Const(Cell::text("token")))]);
    assert_eq!(means(&if_else(asked, col("a"), col("b")).0), means(&col("a").0));
}

#[test]
fn meaning_holds_what_artifacts_are() {
    let of_stage = |stage| of(Kind::Artifact(Output { stage: StageId(stage), path: vec![] })) + 1.0;
    assert_ne!(means(&of_stage(1).0), means(&of_stage(2).0));
    let same = |f: &Formula| meaning(f, &mut |_: &Output| "the same".to_owned());
    assert_eq!(same(&of_stage(1).0), same(&of_stage(2).0));
}

#[test]
fn renaming_a_state_means_nothing() {
    let def = |name: &str| with_state(loss(score("x") * of(Kind::State(name.into()))), name, num(1.0), of(Kind::State(name.into())) * 2.0);
    let means = |def: &ObjectiveDef| objective_meaning(def, &mut |_: &Output| String::new());
    assert_eq!(means(&def("a")), means(&def("b")));
    assert_ne!(means(&def("a")), means(&loss(score("x"))));
}

// Lists of rows.

#[test]
fn rows_come_together_and_apart() {
    let list = |x: &[f64]| Cell::List(x.iter().map(|x| Cell::Float(*x)).collect());
    let rows = table(&[
        ("key", texts(&["a", "b", "a"])),
        ("x", floats(&[1.0, 2.0, 5.0])),
        ("h", vec![list(&[0.0, 1.0]), list(&[9.0, 9.0]), list(&[2.0, 3.0])]),
    ]);
    let own = by(&["key"]);
    assert_eq!(column(&over("gathered", &[col("x")], own.clone()), &rows), [list(&[1.0, 5.0]), list(&[2.0]), list(&[1.0, 5.0])]);
    assert_eq!(column(&over("gathered", &[col("x")], Axis::All), &rows)[1], list(&[1.0, 2.0, 5.0]));
    let mean = column(&over("centroid", &[col("h")], own), &rows);
    assert_eq!((&mean[0], &mean[1]), (&list(&[1.0, 2.0]), &list(&[9.0, 9.0])));
    assert_eq!(numbers(&word("cluster", &[col("h"), num(2.0)]), &rows), [0.0, 1.0, 0.0]);
    // a list of numbers takes part in arithmetic item by item
    let gathered = over("gathered", &[col("x")], Axis::All);
    assert_eq!(numbers(&word(">=", &[gathered, col("x")]).sum(), &rows), [3.0, 2.0, 1.0]);
    let uneven = table(&[("h", vec![list(&[0.0]), list(&[9.0, 9.0])])]);
    assert!(eval::column(&over("centroid", &[col("h")], Axis::All).0, &uneven, [0; 2], &mut Asked::default()).is_err());
}
