//! Every stage and every objective of the standard library does its work on the quickstart's model: two steps each, on
//! real rows. What they learn is tested elsewhere; here none may be missing, refused, or not finite.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// One line for each stage and objective.
const RECIPE: &str = r#"
use std.{sft, weighted_nll_loss, generate, best, feedback}
use std.{reward_model, soft_bt_loss, margin_bt_loss, kwise_loss, binary_loss, scale}
use std.{dpo, robust_dpo_loss, ipo_loss, hinge_loss, slic_loss, simpo_loss, orpo_loss, cpo_loss, rpo_loss, kto}
use std.{ppo, grpo, rloo, best_of}
use std.harm.{variations, attack_success, over_refusal}

recipe all {
    base    = load_model("model.safetensors")
    gold    = load_scorer("vader_lexicon.txt")
    prompts = load_data("openings.jsonl", rows: 6) as { prompt: Text, event: Text }

    told    = generate(base, prompts, count: 4, max_tokens: 12).with(reward: gold.score(.completion))
    prefs   = told.pairs(by: .reward, take: extremes)
    graded  = prefs.with(p: 0.75)
    judged  = feedback(prefs)

    tuned   = sft(base, told.best(by: .reward), eval: told.best(by: -.reward), lr: 1e-4, batch: 3, steps: 2)
    weighed = train(base, told.with(weight: .reward + 1), weighted_nll_loss(), lr: 1e-4, batch: 4, steps: 2)

    rm      = reward_model(base, prefs, eval: prefs, batch: 3, steps: 2)
    soft    = train(scorer(base), graded, soft_bt_loss(), batch: 3, steps: 2)
    margin  = train(scorer(base), graded, margin_bt_loss(), batch: 3, steps: 2)
    kwise   = train(scorer(base), prefs, kwise_loss(), batch: 3, steps: 2)
    binary  = train(scorer(base), judged, binary_loss(), batch: 3, steps: 2)
    unit    = scale(rm, told)

    direct  = dpo(base, prefs, eval: prefs, lr: 1e-3, batch: 6, steps: 2)
    parted  = dpo(base, prefs, eval: prefs, lr: 1e-3, batch: 6, steps: 2, tokens_at_once: 24)
    robust  = train(base, prefs, robust_dpo_loss(base), batch: 3, steps: 2)
    ipo     = train(base, prefs, ipo_loss(base), batch: 3, steps: 2)
    hinge   = train(base, prefs, hinge_loss(base), batch: 3, steps: 2)
    slic    = train(base, prefs, slic_loss(), batch: 3, steps: 2)
    simpo   = train(base, prefs, simpo_loss(), batch: 3, steps: 2)
    orpo    = train(base, prefs, orpo_loss(), batch: 3, steps: 2)
    cpo     = train(base, prefs, cpo_loss(), batch: 3, steps: 2)
    rpo     = train(base, prefs, rpo_loss(base), batch: 3, steps: 2)
    single  = kto(base, judged, batch: 4, steps: 2)

    whole   = ppo(base, prompts, reward: gold.score(.completion), lr: 1e-4, batch: 3, steps: 2, passes: 2, max_tokens: 12, target: 6)
    grouped = grpo(base, prompts, reward: gold.score(.completion), lr: 1e-4, batch: 2, steps: 2, samples: 4, max_tokens: 12)
    held    = grpo(base, prompts, reward: gold.score(.completion), beta: 0.1, lr: 1e-4, batch: 2, steps: 2, samples: 4, max_tokens: 12)
    left    = rloo(base, prompts, reward: gold.score(.completion), lr: 1e-4, batch: 2, steps: 2, samples: 4, max_tokens: 12)
    chosen  = best_of(base, prompts, reward: gold.score(.completion), count: 3, max_tokens: 12)

    probes  = variations(base, prompts, count: 2)
    attack  = attack_success(whole, probes, harm: -gold.score(.completion), card: gloom(), samples: 2, max_tokens: 12)
    refuse  = over_refusal(direct, prompts, refusal: if contains(.completion, "no") then 1 else 0, card: gloom(), max_tokens: 12)

    expect attack.any >= attack.success.lower95, "an attack that succeeds counts once for its prompt"
    expect unit.gain > 0
    expect abs(direct.margin - parted.margin) < 1e-3, "a step in parts is the same step"
    expect grouped.length == 12 and left.length == 12, "no story ends within twelve tokens"
}

fn gloom() -> HarmCard = {
    definition: "a story whose words the lexicon finds gloomy",
    kind: representational,
    unit: instance,
    context: "stories for small children",
    recipients: ["the child who reads it"],
    groups: [],
    annotators: "the VADER lexicon",
    language: "en",
    classifier: "VADER 3.3.2",
    known_gaps: "irony",
}
"#;

/// Names of top-level items that follow `word` in the standard library.
fn library(word: &str) -> Vec<String> {
    let mut names = Vec::new();
    for file in fs::read_dir("stdlib").expect("the library is there") {
        let text = fs::read_to_string(file.expect("an entry").path()).expect("a text");
        let declared = text.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
        names.extend(declared.map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned()));
    }
    names
}

#[test]
fn every_stage_and_objective_is_run() {
    let inside = [
        "nll_loss",
        "bt_loss",
        "dpo_loss",
        "kto_loss",
        "ppo_loss",
        "grpo_loss",
        "rloo_loss",
        "a2c_loss",
        "rated_hinge_loss",
        "said_cases",
        "under_rules",
        "probed",
        "probe_loss",
    ];
    // what other stages of tests/families.rs call
    let deeper =
        ["distill_loss", "told_by", "revise", "wins_over", "proxies", "ird_loss", "temperature_loss", "cost_loss", "ppo_lagrange_loss"];
    // objectives of numbers alone, which no network stage takes
    let numbers = ["length_controlled_loss", "strengths_loss"];
    let evidence = fs::read_to_string("tests/stages/evidence.align").expect("a recipe");
    let families = fs::read_to_string("tests/families.rs").expect("the tests of families");
    let texts = [RECIPE, &evidence, &families];
    let called = |name: &str| texts.iter().any(|r| r.contains(&format!("{name}("))) || numbers.contains(&name) || deeper.contains(&name);
    let missing = |names: Vec<String>| names.into_iter().filter(|n| !called(n) && !inside.contains(&n.as_str())).collect::<Vec<_>>();
    assert_eq!(missing(library("stage")), Vec::<String>::new());
    assert_eq!(missing(library("objective")), Vec::<String>::new());

    let folder = quickstart("all.align", RECIPE);
    fs::copy("tests/stages/rules.jsonl", folder.path().join("rules.jsonl")).expect("copied");
    for (recipe, count) in [(RECIPE, 4), (&evidence, 7)] {
        fs::write(folder.path().join("all.align"), recipe).expect("written");
        assert_eq!(unforeseen(folder.path()), Vec::<String>::new(), "stages whose memory is not known beforehand");
        let outcome = align(folder.path(), &["run", "all.align", "--device", "cpu"]);
        assert!(outcome.1, "{}", outcome.0);
        assert!(outcome.0.contains(&format!("all {count} expectations hold")), "{}", outcome.0);
    }
}

/// A step of more rows than a batch holds. Rows that wait for nobody go through batch by batch; a gradient across the
/// step, even one that is 0, holds them together.
const LARGE: &str = r#"
use std.{nll_loss, dpo_loss, generate, best}

objective held_loss() for Demonstration {
    loss = -model.logp(.completion)
    loss = 0 * mean(sum(model.logp(.completion)), over: batch)
}

objective held_pairs_loss(reference: Model) for Preference {
    margin = 0.1 * (sum(model.logp(.chosen) - reference.logp(.chosen)) - sum(model.logp(.rejected) - reference.logp(.rejected)))
    loss = -log_sigmoid(margin)
    loss = 0 * mean(margin, over: batch)
}

recipe large {
    base    = load_model("model.safetensors")
    gold    = load_scorer("vader_lexicon.txt")
    prompts = load_data("openings.jsonl", rows: 90) as { prompt: Text, event: Text }
    told    = generate(base, prompts, count: 2, max_tokens: 48).with(reward: gold.score(.completion))
    prefs   = told.pairs(by: .reward, take: extremes)

    apart = train(base, told.best(by: .reward), nll_loss(), lr: 1e-3, batch: 90, epochs: 2)
    held  = train(base, told.best(by: .reward), held_loss(), lr: 1e-3, batch: 90, epochs: 2)
    pairs = train(base, prefs, dpo_loss(base), lr: 1e-3, batch: 90, epochs: 2)
    bound = train(base, prefs, held_pairs_loss(base), lr: 1e-3, batch: 90, epochs: 2)

    export apart to "out/apart"
    export held to "out/held"
    export pairs to "out/pairs"
    export bound to "out/bound"
}
"#;

#[test]
fn a_step_is_the_same_in_one_part_and_in_several() {
    let folder = quickstart("large.align", LARGE);
    let outcome = align(folder.path(), &["run", "large.align", "--device", "cpu"]);
    assert!(outcome.1, "{}", outcome.0);
    let base = weights(Path::new("recipes/quickstart/model.safetensors"));
    for (parts, whole) in [("apart", "held"), ("pairs", "bound")] {
        let [parts, whole] = [parts, whole].map(|name| weights(&folder.path().join("out").join(name)));
        let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>();
        // sums in another order: AdamW's first steps are of one size, whatever the gradient's
        let (moved, apart) = (apart(&parts, &base), apart(&parts, &whole));
        assert!(moved > 1.0 && apart < 1e-3 * moved, "weights moved by {moved}, and part by {apart}");
    }
}

fn weights(path: &Path) -> Vec<f32> {
    let network = align::model::Network::open(path).expect("a network");
    let tensors = network.parameters();
    tensors.iter().enumerate().flat_map(|(at, p)| network.tensor(at, p).expect("a tensor").into_owned()).collect()
}

/// A folder with the quickstart's data and a recipe.
fn quickstart(name: &str, recipe: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in fs::read_dir("recipes/quickstart").expect("the quickstart's data") {
        let file = file.expect("an entry").path();
        fs::copy(&file, folder.path().join(file.file_name().expect("a name"))).expect("copied");
    }
    fs::write(folder.path().join(name), recipe).expect("written");
    folder
}

/// What it said, and whether it succeeded.
/// Stages that train, of whose memory the plan knows nothing.
fn unforeseen(folder: &Path) -> Vec<String> {
    let (text, planned) = align(folder, &["plan", "all.align", "--device", "cpu", "--json"]);
    assert!(planned, "{text}");
    let plan: Value = serde_json::from_str(&text).expect("JSON");
    let trains = |stage: &&Value| stage["primitive"] == "train" || stage["primitive"] == "rl";
    let stages = plan["stages"].as_array().expect("stages").iter().filter(trains);
    stages.filter(|stage| !stage["memory"].is_u64()).map(|stage| stage["name"].to_string()).collect()
}

fn align(folder: &Path, args: &[&str]) -> (String, bool) {
    let output = Command::new(env!("CARGO_BIN_EXE_align")).current_dir(folder).args(args).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout) + &text(&output.stderr), output.status.success())
}
