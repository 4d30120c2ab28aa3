//! Every way in which the checker refuses a recipe: one case a code, shown with its source as a reader sees it.

use align::cli::render::{Style, render};
use align::recipe::{self, Options, mistake::CODES};
use align::world::Sources;

/// Reason, and the recipe that shows it. `…` in front of a body stands for the usual first lines.
const CASES: &[(&str, &str)] = &[
    ("unreadable_use", "use \"nowhere.align\".{card}\nrecipe r { }"),
    ("unknown_module", "use stdd.{sft}\nrecipe r { }"),
    ("unknown_import", "use std.{dppo}\nrecipe r { }"),
    ("private_item", "use \"tests/cases/private.align\".{_secret}\nrecipe r { }"),
    ("use_cycle", "use \"tests/cases/circle_a.align\".{a}\nrecipe r { }"),
    ("defined_twice", "…    a = base.sft(demos)\n    a = base.sft(demos, lr: 1e-3)\n"),
    ("unset_param", "param beta: Float\n…    p = base.dpo(prefs, beta: beta)\n"),
    ("unknown_setting", "param beta: Float = 0.1\nprofile smoke { bata = 0.2 }\n…    p = base.dpo(prefs, beta: beta)\n"),
    ("no_recipe", "param beta: Float = 0.1"),
    ("which_recipe", "recipe a { }\nrecipe b { }"),
    ("unknown_name", "…    p = bsae.sft(demos)\n"),
    ("unknown_function", "…    p = base.dpoo(prefs)\n"),
    ("unknown_type", "…    x = load_data(\"x.jsonl\") as Preferences\n"),
    ("unknown_word", "…    p = base.sft(demos, schedule: cosin)\n"),
    ("unknown_column", "…    x = prefs.filter(length(.chosn) > 3)\n"),
    ("unknown_member", "…    part = prefs.split(test: 10%, by: .prompt)\n    p = base.dpo(part.trian)\n"),
    ("unknown_metric", "…    p = base.dpo(prefs, eval: prefs)\n    expect p.acuracy > 0.5\n"),
    ("no_eval", "…    p = base.dpo(prefs)\n    expect p.accuracy > 0.5\n"),
    ("column_without_dot", "…    x = prefs.filter(length(chosen) > 3)\n"),
    ("item_without_call", "…    p = base.train(prefs, simpo_loss)\n"),
    ("not_callable", "…    p = base(prefs)\n"),
    ("shadowed", "objective mine(beta: Float) for Preference {\n    beta = 2\n    loss = beta * sum(model.logp(.chosen))\n}\nrecipe r { }"),
    ("no_row", "…    p = base.sft(demos, lr: .prompt)\n"),
    ("unknown_argument", "…    p = base.dpo(prefs, betta: 0.2)\n"),
    ("repeated_argument", "…    p = base.dpo(prefs, beta: 0.2, beta: 0.3)\n"),
    ("missing_argument", "…    p = dpo(base)\n"),
    ("too_many_arguments", "…    p = base.train(prefs, simpo_loss(), prefs, 3)\n"),
    ("field_without_name", "…    slow = { 16 }\n"),
    ("options_without_type", "param beta = 0.1\nrecipe r { }"),
    ("no_columns", "…    x = prefs.with()\n"),
    ("out_of_range", "…    p = base.dpo(prefs, beta: -0.1)\n"),
    ("not_constant", "…    p = base.dpo(prefs, eval: prefs)\n    q = base.sft(demos, seed: p.accuracy.n)\n"),
    ("idle_option", "…    p = base.sft(demos, lora_alpha: 32)\n"),
    ("type_mismatch", "…    p = base.dpo(prefs, beta: \"high\")\n    q = sft(\"model\", demos)\n"),
    ("missing_column", "…    x = load_data(\"x.jsonl\") as { prompt: Text, preferred: Text, dispreferred: Text }\n    p = base.dpo(x)\n"),
    ("type_arguments", "fn f(rows: Data) -> Float = 1\nrecipe r { x = f(1) }"),
    ("not_a_row", "fn f(rows: Data<Float>) -> Float = 1\nrecipe r { x = f(1) }"),
    ("not_a_list", "…    x = sweep beta in 0.1 { p = base.dpo(prefs, beta: beta) }\n"),
    ("not_a_record", "…    p = base.sft(demos, ...prefs)\n"),
    ("not_a_range", "…    x = repeat round in [1, 2] carrying p = base { p = p.sft(demos) }\n"),
    ("not_text", "…    x = prefs.with(note: \"{simpo_loss()}\")\n"),
    ("not_a_formula", "…    x = prefs.with(note: simpo_loss())\n"),
    ("not_an_axis", "…    x = prefs.measure(n: mean(length(.chosen), over: rows))\n"),
    ("mixed_list", "…    x = [base, prefs]\n"),
    ("different_branches", "…    x = prefs.with(note: if length(.chosen) > 3 then \"long\" else 3)\n"),
    ("never_equal", "…    x = prefs.filter(length(.chosen) == \"long\")\n"),
    ("text_sum", "…    x = demos.with(note: .completion.text + \"!\")\n"),
    ("one_number_a_row", "…    x = prefs.measure(n: mean(length(.chosen)))\n"),
    ("no_prompt", "…    x = prefs.select(chosen: .chosen).with(n: length(.chosen))\n"),
    ("nothing_to_score", "…    gold = load_scorer(\"gold.txt\")\n    x = prefs.with(n: 2 * gold)\n"),
    ("index_out_of_range", "…    x = [base, base][2]\n"),
    ("late_choice", "…    p = base.dpo(prefs, eval: prefs)\n    q = if p.accuracy > 0.5 then simpo_loss() else bt_loss()\n"),
    ("stage_in_formula", "…    x = prefs.with(n: base.dpo(prefs))\n"),
    ("stage_cycle", "…    a = b.sft(demos)\n    b = a.sft(demos)\n"),
    ("recursion", "fn f(x: Float) -> Float = f(x)\nrecipe r { x = f(1) }"),
    ("missing_extra", "stage mine(m: Model) -> Model with { kl: Float } { m }\nrecipe r { x = mine(load_model(\"m\")) }"),
    ("no_loss", "objective mine() for Preference {\n    metric n = length(.chosen)\n}\nrecipe r { }"),
    ("objective_arithmetic", "…    p = base.train(prefs, simpo_loss() - simpo_loss())\n"),
    ("wrong_network", "…    p = base.train(prefs, bt_loss())\n"),
    ("trains_network", "…    x = prefs.fit(simpo_loss())\n"),
    ("misplaced", "…    gate 1 > 0\n"),
    ("round_count", "…    x = repeat round in 1..=0 carrying p = base { p = p.sft(demos) }\n"),
    ("keep_form", "…    x = repeat round in 1..=2 carrying p = base { p = p.sft(demos) } keep best\n"),
    ("not_exportable", "…    export 3 to \"x\"\n"),
    (
        "export_form",
        "…    export prefs to \"x\" as f16\n    export base to \"y\" as q8_0\n    export base to \"v\" as q8\n    export prefs to \"z.gguf\"\n",
    ),
    ("export_twice", "…    export base to \"x\"\n    export prefs to \"x\"\n"),
];

/// Cases that need the command line.
const OPTIONS: &[(&str, &str, fn() -> Options)] = &[
    ("unknown_param", "param beta: Float = 0.1\nrecipe r { }", || Options {
        params: vec![("bata".into(), "1".into())],
        ..Options::default()
    }),
    ("bad_param", "param beta: Float = 0.1\nrecipe r { }", || Options {
        params: vec![("beta".into(), "much".into())],
        ..Options::default()
    }),
    ("unknown_profile", "profile smoke { limit steps = 4 }\nrecipe r { }", || Options {
        profile: Some("smok".into()),
        ..Options::default()
    }),
    ("unknown_recipe", "recipe harmless { }", || Options { recipe: Some("harmles".into()), ..Options::default() }),
];

/// Codes that no text of a user can reach: the library itself would have to be wrong.
const UNREACHABLE: &[&str] = &["align::recipe::word_without_rust", "align::recipe::nothing_to_evaluate"];

fn whole(text: &str) -> String {
    let start = "recipe r {\n    base = load_model(\"model\")\n    prefs = load_data(\"prefs.jsonl\") as Preference\n    demos = demonstrations(prefs)\n";
    match text.split_once('…') {
        Some((before, body)) => format!("use std.{{sft, dpo, train, simpo_loss, bt_loss, demonstrations}}\n{before}{start}{body}}}\n"),
        None => text.to_owned(),
    }
}

fn refused(text: &str, options: &Options) -> (Vec<&'static str>, String) {
    let mut sources = Sources::default();
    let file = sources.add("case.align", text, Some(".".into()));
    let (checked, diagnostics) = recipe::check(&mut sources, file, options);
    assert!(checked.is_none(), "accepted:\n{text}");
    (diagnostics.iter().map(|d| d.code).collect(), render(&diagnostics, &sources, Style::Plain))
}

#[test]
fn every_code_is_shown() {
    let (mut shown, mut wrong) = (Vec::new(), Vec::new());
    let plain = CASES.iter().map(|(reason, text)| (*reason, whole(text), Options::default()));
    let special = OPTIONS.iter().map(|(reason, text, options)| (*reason, (*text).to_owned(), options()));
    for (reason, text, options) in plain.chain(special) {
        let (codes, drawn) = refused(&text, &options);
        let code = format!("align::recipe::{reason}");
        if !codes.contains(&code.as_str()) {
            wrong.push(format!("{code} expected, found {codes:?} for\n{text}\n{drawn}"));
            continue;
        }
        insta::with_settings!({ snapshot_path => "snapshots/refusals", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(reason, format!("{text}\n────\n{drawn}"));
        });
        shown.push(code);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let missing: Vec<&&str> = CODES.iter().filter(|c| !shown.iter().any(|s| s == **c) && !UNREACHABLE.contains(c)).collect();
    assert!(missing.is_empty(), "codes without a case: {missing:?}");
}

#[test]
fn all_mistakes_at_once() {
    let text = whole(
        "…    a = base.dpoo(prefs)\n    b = base.sft(demos, lrr: 1e-3)\n    c = a.sft(demos)\n    expect b.nll > 3\n    d = prefs.filter(.gap > 1)\n",
    );
    let (codes, _) = refused(&text, &Options::default());
    assert_eq!(codes, ["align::recipe::unknown_function", "align::recipe::unknown_argument", "align::recipe::unknown_column"]);
}

/// A type variable that one argument binds is that argument's: the others are not blamed for it.
#[test]
fn an_argument_answers_for_what_it_binds() {
    for call in ["quantise(prefs)", "load_adapter(prefs, \"a\")", "train(prefs, prefs, simpo_loss())"] {
        let (codes, text) = refused(&whole(&format!("…    x = {call}\n")), &Options::default());
        assert_eq!(codes, ["align::recipe::type_mismatch"], "{call}: {text}");
    }
}

#[test]
fn adapters_are_checked_like_every_option() {
    let wrong = [
        ("lora: 0", "out_of_range"),
        ("lora: 8, lora_targets: [q_proj, v_prj]", "unknown_word"),
        ("lora: 8, lora_scale: sqrt", "unknown_word"),
        ("lora: 8, lora_alpha: -1", "out_of_range"),
        ("lorra: 8", "unknown_argument"),
        ("lora: none, lora_magnitude: true", "idle_option"),
        ("lora_targets: [q_proj, v_proj]", "idle_option"),
        ("...{ lora_alpha: 8 }", "idle_option"),
    ];
    for (options, reason) in wrong {
        for call in ["base.sft(demos, {})", "base.train(prefs, simpo_loss(), {})"] {
            let text = whole(&format!("…    p = {}\n", call.replace("{}", options)));
            assert_eq!(refused(&text, &Options::default()).0, [format!("align::recipe::{reason}")], "{text}");
        }
    }
}

/// A stage of the user's own file is checked with its type variables as what bounds them, and a range is a list.
#[test]
fn a_stage_may_bound_its_rows_and_take_a_range_for_a_list() {
    let text = "objective o(trained w: [Float] = [0.0]) for { x: [Float] } {\n    loss = -log_sigmoid(dot(w, .x))\n    loss = dot(w, w)\n}\n\
         stage named<P: Prompt>(asked: Data<P>) -> Data<P + { said: Text }> {\n    asked.with(said: transcript(.prompt))\n}\n\
         recipe r {\n    rows = blank(3).with(prompt: \"a\", more: 1, x: [1, 2, 3]).named()\n    one = rows.filter(.more == 1 and .said != \"\")\n    \
         found = one.fit(o(0 * (0..3)))\n    expect dot(found.w, [1, 0, 0]) > 0\n}\n";
    let mut sources = Sources::default();
    let file = sources.add("case.align", text, Some(".".into()));
    let (checked, diagnostics) = recipe::check(&mut sources, file, &Options::default());
    assert!(checked.is_some() && diagnostics.is_empty(), "{}", render(&diagnostics, &sources, Style::Plain));
}
