//! Row primitives as a run calls them: plain arguments and tables in, tables and estimates out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use align::diagnostic::Diagnostic;
use align::formula::expr::{Axis, Expr, Formula, Kind, Output, StageId};
use align::recipe::checked::{Arg, StageCall};
use align::recipe::types::{Row, Type};
use align::stage::{Artifact, Call, Checkpoints, Context, Failure, Item, LazyEngine, NetworkAt, Product, Report, Setting};
use align::syntax::span::{FileId, Span};
use align::value::{Cell, Estimate, Table};

fn span() -> Span {
    Span::new(FileId(0), 0, 1)
}

fn formula(kind: Kind) -> Formula {
    Arc::new(Expr { span: span(), kind })
}

fn column(name: &str) -> Formula {
    formula(Kind::Column(name.into()))
}

fn constant(x: impl Into<f64>) -> Formula {
    formula(Kind::Const(Cell::Float(x.into())))
}

fn word(word: &'static str, args: &[&Formula]) -> Formula {
    formula(Kind::Word { word, args: args.iter().map(|arg| (*arg).clone()).collect() })
}

fn over(word: &'static str, arg: &Formula, axis: Axis) -> Formula {
    formula(Kind::Over { word, args: vec![arg.clone()], axis })
}

fn of(name: &str) -> Output {
    Output { stage: StageId(0), path: vec![name.into()] }
}

fn data(name: &str) -> Arg {
    Arg::Artifact(of(name))
}

fn columns(named: &[(&str, &Formula)]) -> Arg {
    Arg::Columns(named.iter().map(|(name, formula)| (Arc::from(*name), (*formula).clone())).collect())
}

fn value(cell: Cell) -> Arg {
    Arg::Value(cell)
}

fn texts(name: &str, values: &[&str]) -> Table {
    Table { columns: vec![name.into()], rows: values.iter().map(|text| vec![Cell::text(*text)]).collect() }
}

/// What a run gives a stage, and what the stage said.
struct World {
    inputs: BTreeMap<Output, Artifact>,
    folder: tempfile::TempDir,
    warnings: RefCell<Vec<String>>,
    seed: i64,
}

impl World {
    fn new(tables: &[(&str, Table)]) -> Self {
        let artifact = |table: &Table| Artifact::Table(Arc::new(table.clone()));
        let inputs = tables.iter().map(|(name, table)| (of(name), artifact(table))).collect();
        Self { inputs, folder: tempfile::tempdir().unwrap(), warnings: RefCell::default(), seed: 0 }
    }

    fn run(&self, primitive: &str, args: Vec<(&str, Arg)>) -> Result<Product, Failure> {
        let stage = StageCall {
            name: "here".into(),
            primitive: primitive.into(),
            args: args.into_iter().map(|(name, arg)| (Arc::from(name), arg)).collect(),
            seed: self.seed,
            span: span(),
            when: Vec::new(),
            rounds: Vec::new(),
            output: Type::Data(Row::new()),
            extras: BTreeMap::new(),
        };
        let (out, checkpoints) = (self.folder.path().join("out"), self.folder.path().join("checkpoints"));
        std::fs::create_dir_all(&out).unwrap();
        let report = |report: Report| {
            if let Report::Warning(warning) = report {
                self.warnings.borrow_mut().push(warning.message);
            }
        };
        let checkpoints = Checkpoints::new(checkpoints, Duration::from_secs(1));
        let interrupted = AtomicBool::new(false);
        let engine = LazyEngine::new(|| Err(Failure::new("align::test::no_engine", "row primitives need no engine")));
        let context = Context::new(Setting {
            inputs: &self.inputs,
            folder: &out,
            checkpoints: &checkpoints,
            root: self.folder.path(),
            seed: self.seed,
            stage_key: [u32::try_from(self.seed).unwrap(), 1],
            span: span(),
            interrupted: &interrupted,
            report: &report,
            engine: &engine,
        });
        align::stage::primitive(primitive).unwrap().run(&Call::new(&stage), &context)
    }

    fn table(&self, primitive: &str, args: Vec<(&str, Arg)>) -> Table {
        table(self.run(primitive, args).unwrap().main)
    }

    fn warned(&self) -> Vec<String> {
        self.warnings.borrow().clone()
    }
}

fn table(item: Item) -> Table {
    match item {
        Item::Table(table) => (*table).clone(),
        other => panic!("expected a table, found {other:?}"),
    }
}

fn parts(item: Item) -> BTreeMap<Arc<str>, Item> {
    match item {
        Item::Record(parts) => parts.into_iter().collect(),
        other => panic!("expected a record, found {other:?}"),
    }
}

fn path_of(item: &Item) -> PathBuf {
    match item {
        Item::Network(path) => path.clone(),
        other => panic!("expected a network, found {other:?}"),
    }
}

fn shown(table: &Table) -> Vec<String> {
    (0..table.len()).map(|row| table.row(row).map(|(name, cell)| format!("{name}={}", cell.key())).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn columns_see_the_ones_before_them() {
    let world = World::new(&[("rows", texts("text", &["a", "b"]))]);
    let (one, two) = (constant(1), word("+", &[&column("x"), &constant(1)]));
    let added = world.table("with", vec![("data", data("rows")), ("columns", columns(&[("x", &one), ("y", &two), ("x", &two)]))]);
    assert_eq!(shown(&added), ["text=\"a\" x=2.0 y=2.0", "text=\"b\" x=2.0 y=2.0"]);
    let selected = world.table("select", vec![("data", data("rows")), ("columns", columns(&[("t", &column("text")), ("n", &one)]))]);
    assert_eq!(shown(&selected), ["t=\"a\" n=1.0", "t=\"b\" n=1.0"]);
}

#[test]
fn rows_are_made_exploded_and_filtered() {
    let world = World::new(&[("rows", texts("text", &["a", "b"]))]);
    let made = world.table("blank", vec![("count", value(Cell::Int(3)))]);
    assert_eq!((made.len(), made.columns.len()), (3, 0));
    let items = formula(Kind::Const(Cell::List([Cell::Int(0), Cell::Int(1)].into())));
    let exploded = world.table("explode", vec![("data", data("rows")), ("items", Arg::Formula(items))]);
    assert_eq!(shown(&exploded), ["text=\"a\" item=0", "text=\"a\" item=1", "text=\"b\" item=0", "text=\"b\" item=1"]);
    let is_b = word("==", &[&column("text"), &formula(Kind::Const(Cell::text("b")))]);
    let kept = world.table("filter", vec![("data", data("rows")), ("where", Arg::Formula(is_b.clone()))]);
    assert_eq!(shown(&kept), ["text=\"b\""]);
    let never = word("and", &[&is_b, &word("not", &[&is_b])]);
    assert!(world.table("filter", vec![("data", data("rows")), ("where", Arg::Formula(never))]).is_empty());
    assert_eq!(world.warned(), ["none of 2 rows passes this filter"]);
}

fn answers() -> Table {
    let row = |prompt: &str, answer: &str, score: f64| vec![Cell::text(prompt), Cell::text(answer), Cell::Float(score)];
    let columns = ["prompt", "completion", "score"].map(Arc::from).to_vec();
    let rows = vec![row("p", "good", 2.0), row("q", "same", 1.0), row("p", "bad", -1.0), row("q", "equal", 1.0), row("p", "fair", 0.5)];
    Table { columns, rows }
}

#[test]
fn pairs_prefer_the_higher_answer() {
    let world = World::new(&[("rows", answers())]);
    let made = |take: &str| {
        let args = vec![("data", data("rows")), ("by", Arg::Formula(column("score"))), ("take", value(Cell::text(take)))];
        let pairs = world.table("pairs", args);
        let texts = |name: &str| pairs.column(name).unwrap().iter().map(Cell::key).collect::<Vec<_>>();
        texts("chosen")
            .into_iter()
            .zip(texts("rejected"))
            .zip(texts("gap"))
            .map(|((a, b), gap)| format!("{a}>{b} by {gap}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(made("extremes"), ["\"good\">\"bad\" by 3.0"]);
    assert_eq!(made("all"), ["\"good\">\"bad\" by 3.0", "\"good\">\"fair\" by 1.5", "\"fair\">\"bad\" by 1.5"]);
    assert_eq!(made("random").len(), 1);
    assert_eq!(world.warned()[0], "no pair from 1 of 2 prompts: the answers tie");
}

#[test]
fn both_sides_of_a_split_have_their_own_prompts() {
    let prompts: Vec<String> = (0..100).map(|n| format!("prompt {}", n / 2)).collect();
    let table = texts("prompt", &prompts.iter().map(String::as_str).collect::<Vec<_>>());
    let world = World::new(&[("rows", table)]);
    let args = || vec![("data", data("rows")), ("test", value(Cell::Float(0.2))), ("by", Arg::Formula(column("prompt")))];
    let mut sides = parts(world.run("split", args()).unwrap().main);
    let (train, test) = (table_of(&mut sides, "train"), table_of(&mut sides, "test"));
    assert_eq!((train.len(), test.len()), (80, 20));
    assert!(test.rows.iter().all(|row| !train.rows.contains(row)));
    assert!(world.warned().is_empty());
}

fn table_of(sides: &mut BTreeMap<Arc<str>, Item>, name: &str) -> Table {
    table(sides.remove(name).unwrap())
}

#[test]
fn near_copies_across_a_split_are_told() {
    let world = World::new(&[("rows", texts("prompt", &["Once upon a time", "once upon a time!"]))]);
    world.run("split", vec![("data", data("rows")), ("test", value(Cell::Float(0.5))), ("by", Arg::Formula(column("prompt")))]).unwrap();
    assert_eq!(world.warned(), ["1 of 1 prompt is in both `train` and `test`"]);
    let one = World::new(&[("rows", texts("prompt", &["a", "a"]))]);
    assert!(
        one.run("split", vec![("data", data("rows")), ("test", value(Cell::Float(0.5))), ("by", Arg::Formula(column("prompt")))]).is_err()
    );
}

#[test]
fn mixtures_keep_their_weights() {
    let world = World::new(&[("a", texts("text", &["1", "2", "3", "4"])), ("b", texts("text", &["x", "y"]))]);
    let args = |weights: &[f64], count: Cell| {
        let weights = Cell::List(weights.iter().map(|w| Cell::Float(*w)).collect());
        vec![("data", Arg::Artifacts(vec![of("a"), of("b")])), ("weights", value(weights)), ("count", value(count))]
    };
    assert_eq!(world.table("mix", args(&[], Cell::None)).len(), 6);
    let even = world.table("mix", args(&[1.0, 1.0], Cell::None));
    assert_eq!(even.len(), 4);
    assert_eq!(shown(&even)[2..], ["text=\"x\"", "text=\"y\""]);
    assert_eq!(world.table("mix", args(&[1.0, 3.0], Cell::Int(8))).len(), 8);
    assert!(world.run("mix", args(&[1.0], Cell::None)).is_err());
}

fn measured(table: Table, metric: &Formula, by: Option<&str>) -> Result<Estimate, Failure> {
    let world = World::new(&[("rows", table)]);
    let by = by.map_or(value(Cell::None), |by| Arg::Formula(column(by)));
    let args = vec![("data", data("rows")), ("metrics", columns(&[("m", metric)])), ("by", by), ("about", value(Cell::None))];
    match parts(world.run("measure", args)?.main).remove("m") {
        Some(Item::Value(Cell::Estimate(estimate))) => Ok(estimate),
        other => panic!("expected an estimate, found {other:?}"),
    }
}

/// 20 prompts with 4 answers each, whose score is mostly the prompt's.
fn scored() -> Table {
    let row = |n: usize| vec![Cell::text(format!("p{}", n / 4)), Cell::Float((n / 4) as f64 + (n % 4) as f64 / 10.0)];
    Table { columns: vec!["prompt".into(), "score".into()], rows: (0..80).map(row).collect() }
}

fn width(estimate: Estimate) -> f64 {
    estimate.upper95 - estimate.lower95
}

#[test]
fn shares_means_and_others_get_their_intervals() {
    let score = column("score");
    let high = word(">", &[&score, &constant(9.95)]);
    let share = measured(scored(), &over("mean", &high, Axis::All), None).unwrap();
    assert_eq!(share, Estimate::share(40, 80));
    assert_eq!(measured(scored(), &high, None).unwrap(), share, "a number per row is its mean");
    let values: Vec<f64> = scored().column("score").unwrap().iter().filter_map(Cell::number).collect();
    assert_eq!(measured(scored(), &over("mean", &score, Axis::All), None).unwrap(), Estimate::of_mean(&values));
    let range = word("-", &[&over("max", &score, Axis::All), &over("min", &score, Axis::All)]);
    let range = measured(scored(), &range, None).unwrap();
    assert!((range.mean - 19.3).abs() < 1e-9 && range.lower95 < 19.3 && range.upper95 <= 19.3 + 1e-9, "{range:?}");
}

#[test]
fn rows_of_one_prompt_are_one_draw() {
    let mean = over("mean", &column("score"), Axis::All);
    let (alone, grouped) = (measured(scored(), &mean, None).unwrap(), measured(scored(), &mean, Some("prompt")).unwrap());
    assert_eq!((alone.mean, alone.n), (grouped.mean, grouped.n));
    assert!(width(grouped) > 1.7 * width(alone), "{alone:?} {grouped:?}");
    let high = over("mean", &word(">", &[&column("score"), &constant(9.95)]), Axis::All);
    assert!(width(measured(scored(), &high, Some("prompt")).unwrap()) > 1.7 * width(measured(scored(), &high, None).unwrap()));
}

#[test]
fn a_number_per_group_counts_once_per_group() {
    let worst = over("max", &column("score"), Axis::Columns(vec![column("prompt")]));
    let any = over("mean", &word(">", &[&worst, &constant(14.5)]), Axis::All);
    assert_eq!(measured(scored(), &any, None).unwrap(), Estimate::share(5, 20));
    assert_eq!(measured(scored(), &any, Some("prompt")).unwrap(), Estimate::share(5, 20));
}

#[test]
fn aggregates_bring_their_own_interval_unless_rows_are_grouped() {
    let rows = (0..40).map(|n| vec![Cell::Float(f64::from(n) / 40.0), Cell::Bool(n * 7 % 40 > 19), Cell::Int(n.into())]).collect();
    let table = Table { columns: ["p", "truth", "n"].map(Arc::from).to_vec(), rows };
    let auroc = word("auroc", &[&column("p"), &column("truth")]);
    let (alone, grouped) = (measured(table.clone(), &auroc, None).unwrap(), measured(table, &auroc, Some("n")).unwrap());
    assert_eq!(alone.mean, grouped.mean);
    assert!(grouped.lower95 < grouped.mean && grouped.mean < grouped.upper95);
    assert!((width(alone) - width(grouped)).abs() < 0.15, "{alone:?} {grouped:?}");
}

#[test]
fn a_device_that_fails_behind_a_formula_keeps_its_code() {
    let mut world = World::new(&[("rows", answers())]);
    let path = PathBuf::from("recipes/quickstart/model.safetensors");
    world.inputs.insert(of("base"), Artifact::Network(NetworkAt { key: "base".into(), path }));
    let base = formula(Kind::Artifact(of("base")));
    let asked = word("logp", &[&base, &word("after", &[&column("prompt"), &column("completion")])]);
    let failure = world.run("with", vec![("data", data("rows")), ("columns", columns(&[("y", &asked)]))]).unwrap_err();
    assert_eq!(drawn(&failure).code, "align::test::no_engine");
}

fn drawn(failure: &Failure) -> Diagnostic {
    match failure {
        Failure::Failed(reason) => reason.diagnostic("x", span()),
        Failure::Interrupted { .. } => panic!("nobody asked it to stop"),
    }
}

#[test]
fn what_cannot_be_measured_says_why() {
    let message = |result: Result<Estimate, Failure>| drawn(&result.unwrap_err());
    let empty = Table::empty([Arc::from("score")]);
    assert_eq!(message(measured(empty, &column("score"), None)).message, "there are no rows to measure");
    let holes = Table { columns: vec!["score".into()], rows: vec![vec![Cell::Float(1.0)], vec![Cell::None]] };
    let shown = message(measured(holes, &column("score"), None));
    assert!(shown.help.is_some_and(|help| help.contains("filter")) || shown.message.contains("number"), "{}", shown.message);
    assert!(measured(texts("score", &["high"]), &column("score"), None).is_err());
}

#[test]
fn files_become_tables_and_repeats_are_told() {
    let world = World::new(&[]);
    std::fs::write(world.folder.path().join("x.jsonl"), "{\"prompt\": \"a\"}\n{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}\n").unwrap();
    let args = |rows: Cell, asked: &str| {
        let row = Row::from([(Arc::from(asked), Type::Dialogue)]);
        vec![
            ("path", value(Cell::text("x.jsonl"))),
            ("rows", value(rows)),
            ("unfit", value(Cell::text("refuse"))),
            ("as", Arg::Rows(Type::Record(row))),
        ]
    };
    assert_eq!(world.table("load_data", args(Cell::None, "prompt")).len(), 3);
    assert_eq!(world.warned(), ["1 of 3 rows in `x.jsonl` repeats an earlier row"]);
    assert_eq!(world.table("load_data", args(Cell::Int(2), "prompt")).len(), 2);
    let failure = drawn(&world.run("load_data", args(Cell::None, "question")).unwrap_err());
    assert_eq!(failure.message, "column `.question` is missing in `x.jsonl`; it has `prompt`");
}

#[test]
fn a_scorer_is_copied_whole_and_scores_completions() {
    let mut world = World::new(&[("rows", answers())]);
    std::fs::write(world.folder.path().join("mood.txt"), "good\t2\nbad\t-2\n").unwrap();
    let product = world.run("load_scorer", vec![("path", value(Cell::text("mood.txt")))]).unwrap();
    let score = score_of(&mut world, &product);
    let scored = world.table("with", vec![("data", data("rows")), ("columns", columns(&[("mood", &score)]))]);
    let moods: Vec<f64> = scored.column("mood").unwrap().iter().filter_map(Cell::number).collect();
    assert!(moods[0] > 0.4 && moods[2] < -0.4 && moods[1] == 0.0, "{moods:?}");
    let failure = drawn(&world.run("load_scorer", vec![("path", value(Cell::text("none.txt")))]).unwrap_err());
    assert!(failure.message.contains("none.txt"), "{}", failure.message);
}

/// `scorer.score(after(.prompt, .completion))` for a scorer that a stage has just made.
fn score_of(world: &mut World, product: &Product) -> Formula {
    let path = world.folder.path().join("out").join(path_of(&product.main));
    world.inputs.insert(of("scorer"), Artifact::Network(NetworkAt { key: "scorer".into(), path }));
    let scorer = formula(Kind::Artifact(of("scorer")));
    word("score", &[&scorer, &word("after", &[&column("prompt"), &column("completion")])])
}

#[test]
fn a_bag_of_words_learns_what_is_preferred() {
    let pair = |chosen: &str, rejected: &str| vec![Cell::text("p"), Cell::text(chosen), Cell::text(rejected)];
    let prefs = Table {
        columns: ["prompt", "chosen", "rejected"].map(Arc::from).to_vec(),
        rows: vec![pair("a good day", "a bad day"), pair("good soup", "bad soup"), pair("so good", "so bad")],
    };
    let mut world = World::new(&[("prefs", prefs), ("rows", answers())]);
    let product = world.run("bag_of_words", vec![("prefs", data("prefs")), ("decay", value(Cell::Float(1.0)))]).unwrap();
    let first = std::fs::read(world.folder.path().join("out").join(path_of(&product.main))).unwrap();
    let score = score_of(&mut world, &product);
    let scored = world.table("with", vec![("data", data("rows")), ("columns", columns(&[("s", &score)]))]);
    let scores: Vec<f64> = scored.column("s").unwrap().iter().filter_map(Cell::number).collect();
    assert!(scores[0] > 0.1 && scores[2] < -0.1 && scores[1] == 0.0, "{scores:?}");
    let again = world.run("bag_of_words", vec![("prefs", data("prefs")), ("decay", value(Cell::Float(1.0)))]).unwrap();
    assert_eq!(std::fs::read(Path::new(&world.folder.path().join("out")).join(path_of(&again.main))).unwrap(), first);
}
