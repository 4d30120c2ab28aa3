//! Red teaming, debate, interpretability, judges, Stable Alignment, opinions, evidence, rules, oversight, self-correction:
//! the standard library's own `fn`s and objectives at the golden inputs.

use align::formula::at;
use align::formula::expr::{Axis, ObjectiveDef};
use align::recipe::{Subject, subject};
use align::world::Sources;
use serde_json::{Value, json};

use crate::build::*;
use crate::objectives::{library, of_text};
use crate::{Case, numbers};

/// Checks a case; false when it is not known here.
pub fn check(case: &Case) -> bool {
    let is = |name: &str, of: &str, row: Value| case.is(name, call(of, &[row]));
    match case.id.as_str() {
        "redteam.min_harmless" => {
            let row = [json!({ "x": case.inputs["turn_scores"] })];
            case.is("min", values(&col("x").r("min", Axis::Tokens), &row));
            case.is("mean", values(&col("x").mean(), &row));
        }
        "redteam.self_bleu2" => self_bleu(case),
        "a2c.klmix" => is("total", "mixed", case.inputs_as(&[("a2c", "a"), ("kl", "b"), ("alpha", "alpha")])),
        "debate.payoff" => {
            let p = case.x("judge_p_a");
            let (a, b) = (call("stake", &[json!({ "p": p })])[0], call("stake", &[json!({ "p": 1.0 - p })])[0]);
            case.is("u_a", a);
            case.is("u_b", b);
            case.is("sum", a + b);
        }
        "debate.matrix_game" => {
            let game = numbers(&case.inputs["payoff_row"]);
            let row = json!({ "a": game[0], "b": game[1], "c": game[2], "d": game[3] });
            is("row_p0", "first_row", row.clone());
            is("value", "game_value", row);
        }
        "interp.integrated_gradients" => integrated_gradients(case),
        "interp.patching_recovery" => {
            let row = |patched: &f64| json!({ "clean": case.x("clean"), "corrupt": case.x("corrupt"), "patched": patched });
            case.is("recovery", call("recovered", &case.xs("patched").iter().map(row).collect::<Vec<_>>()));
        }
        "interp.logit_lens" => logit_lens(case),
        "interp.kl_between" => is("kl_pq", "kl_between", json!({ "p": case.inputs["p"], "q": case.inputs["q"] })),
        "eval.position_swap" => position_swap(case),
        "eval.agreement" => {
            case.is("kendall_tau_b", agreement("kendall", case));
            case.is("pearson", agreement("pearson", case));
            // of the ranks, ties averaged: [1, 2, 2] and [1, 3, 2] agree once
            let rows: Vec<Value> = ranks(&case.xs("a")).iter().zip(ranks(&case.xs("b"))).map(|(a, b)| json!({ "a": a, "b": b })).collect();
            case.is("exact", values(&word("==", &[col("a"), col("b")]).r("mean", Axis::All), &rows)[0]);
        }
        "eval.cohen_kappa" => {
            case.is("po", agreement("==", case));
            case.is("kappa", agreement("kappa", case));
            // what is left follows from the two
            let (po, kappa) = (agreement("==", case), agreement("kappa", case));
            case.is("pe", (po - kappa) / (1.0 - kappa));
        }
        "eval.expected_rating" => {
            is("expected", "expected_of", json!({ "logps": case.inputs["logp_tokens_1_to_5"] }));
            case.is("sample_mean", over_rows(&col("x").r("mean", Axis::All), "x", &case.xs("sampled")));
        }
        "eval.bradley_terry_fit" => strengths(case),
        "eval.paired_bootstrap_se" => {
            let (x, all) = (case.xs("outcomes"), Axis::All);
            case.is("mean", over_rows(&col("x").r("mean", all.clone()), "x", &x));
            let se = over("std", &[col("x"), num(1.0)], all.clone()) / over("count", &[], all).w("sqrt");
            case.is("se", over_rows(&se, "x", &x));
        }
        "lm.perplexity_bits" => {
            is("ppl", "perplexity", json!({ "nll": case.inputs["nll_nats"] }));
            is("bits_per_byte", "bits_per_byte", json!({ "nll": case.inputs["nll_nats"], "bytes": case.inputs["bytes"] }));
        }
        "stable.cpo" => rated_hinge(case),
        "opinion.collapse" => {
            let halves =
                |n: f64| (0..n as u64).flat_map(move |i| call("half", &[json!({ "choice": i, "choices": n })])).collect::<Vec<_>>();
            case.is("bucket", case.xs("n_choices").into_iter().flat_map(halves).collect::<Vec<_>>());
        }
        "opinion.accuracy" => opinions(case),
        "opinion.wd" => {
            let found = call("opinion_alignment", &[json!({ "p": case.inputs["p"], "q": case.inputs["q"] })])[0];
            case.is("alignment", found);
            case.is("wasserstein_ordinal", (1.0 - found) * (case.xs("p").len() - 1) as f64);
        }
        "cite.abstain" => abstention(case),
        "cite.parse" => citation(case),
        "cite.rm_loss" => cited(case),
        "sparrow.rerank" => {
            let row = json!({ "preference": case.x("r_pref"), "average": case.x("avg_pref"), "kept": case.inputs["rule_ok_prob"] });
            is("score", "reranked", row.clone());
            is("sum_reward", "ruled_reward", row);
        }
        "sparrow.violation" => {
            let row = [json!({ "broken": case.inputs["rule_p"] })];
            let worst = call("worst_rule", &row);
            case.is("max_p", worst.clone());
            case.is("any", worst[0] > case.x("thr"));
            case.is("worst_rule", values(&col("broken").w("index_of_max"), &row));
            let none = (1.0 - col("broken")).w("log").sum().w("exp");
            case.is("prob_any_indep", values(&(1.0 - none), &row));
        }
        "oversight.sandwich" => {
            let row =
                case.inputs_as(&[("human_plus_model", "assisted"), ("human_alone", "alone"), ("model", "helper"), ("expert", "expert")]);
            is("uplift_over_best", "uplift", row.clone());
            is("gap_closed", "gap_closed", row);
        }
        "weak_to_strong.pgr" => is("pgr", "gap_recovered", case.inputs_as(&[("weak", "weak"), ("w2s", "taught"), ("strong", "strong")])),
        "moral.bbq" => {
            let row = case.inputs_as(&[("n_biased", "biased"), ("n_nonunknown", "known")]);
            is("s_dis", "bias_score", row.clone());
            let score = call("bias_score", &[row])[0];
            is("s_amb", "ambiguous_bias", json!({ "accuracy": case.x("acc_ambiguous"), "score": score }));
        }
        "moral.winogender" => {
            let rows = |name: &str| case.xs(name);
            let pairs: Vec<Value> = rows("bls_female").iter().zip(rows("p_female")).map(|(a, b)| json!({ "a": a, "b": b })).collect();
            case.is("pearson", values(&word("pearson", &[col("a"), col("b")]), &pairs)[0]);
            let far: f64 = rows("p_female").iter().map(|p| call("from_even", &[json!({ "p": p })])[0]).sum();
            case.is("mean_abs_from_half", far / rows("p_female").len() as f64);
        }
        "moral.admission" => {
            let twins = case.xs("p_yes_group1").into_iter().zip(case.xs("p_yes_group2"));
            let rows: Vec<Value> = twins.map(|(a, b)| json!({ "a": a, "b": b })).collect();
            case.is("gap", values(&(col("a") - col("b")).r("mean", Axis::All), &rows)[0]);
        }
        _ => return false,
    }
    true
}

impl Case {
    /// Inputs under other names, as one row.
    fn inputs_as(&self, names: &[(&str, &str)]) -> Value {
        names.iter().map(|(from, to)| ((*to).to_owned(), self.inputs[*from].clone())).collect()
    }
}

fn values(f: &F, rows: &[Value]) -> Vec<f64> {
    let answer = at::formula(&f.0, &Value::from(rows.to_vec()), &names).unwrap_or_else(|e| panic!("{e:?}"));
    numbers(&answer["values"])
}

/// A number over rows of one column.
fn over_rows(f: &F, column: &str, xs: &[f64]) -> f64 {
    values(f, &xs.iter().map(|x| json!({ column: x })).collect::<Vec<_>>())[0]
}

/// A `fn` of the standard library at rows that hold its arguments.
fn call(name: &str, rows: &[Value]) -> Vec<f64> {
    match subject(&mut Sources::default(), None, name, &[]) {
        Ok((Subject::Formula(formula), _)) => values(&F(formula), rows),
        other => panic!("{name}: {other:?}"),
    }
}

/// Its text, or none.
fn text(name: &str, row: &Value) -> Option<String> {
    let Ok((Subject::Formula(formula), _)) = subject(&mut Sources::default(), None, name, &[]) else { panic!("{name}") };
    let columns: Vec<_> = row.as_object().expect("a row").iter().collect();
    let table = align::value::Table {
        columns: columns.iter().map(|(name, _)| name.as_str().into()).collect(),
        rows: vec![columns.iter().map(|(_, x)| align::value::Cell::from_json((*x).clone()).expect("a value")).collect()],
    };
    let cells = align::formula::eval::column(&formula, &table, [0; 2], &mut align::formula::eval::Alone).expect("a value");
    match &cells[0] {
        align::value::Cell::Text(text) => Some(text.to_string()),
        align::value::Cell::Bool(yes) => Some(yes.to_string()),
        _ => None,
    }
}

fn eval(def: &ObjectiveDef, file: &Value) -> at::Answer {
    at::objective(def, file, &names).unwrap_or_else(|e| panic!("{e:?}"))
}

fn self_bleu(case: &Case) {
    assert_eq!((&case.inputs["tokeniser"], &case.inputs["smoothing"]), (&json!("whitespace"), &json!("none")));
    let rows: Vec<Value> = case.inputs["sentences"].as_array().expect("sentences").iter().map(|t| json!({ "t": t })).collect();
    let each = over("self_bleu", &[col("t"), num(case.x("max_n"))], Axis::All);
    case.is("per", values(&each, &rows));
    case.is("mean", values(&each.r("mean", Axis::All), &rows));
}

/// Midpoints of the way from the baseline, each a derivative that `align eval` gives.
fn integrated_gradients(case: &Case) {
    let (w, x, steps) = (case.xs("w"), case.xs("x"), case.x("steps") as usize);
    assert!(case.xs("baseline").iter().all(|b| *b == 0.0) && case.inputs["rule"] == "midpoint");
    let mut slope = vec![0.0; x.len()];
    for k in 0..steps {
        let share = (k as f64 + 0.5) / steps as f64;
        let given: Vec<f64> = x.iter().map(|x| share * x).collect();
        let row = json!([{ "w": w, "model.logp(.completion)": given }]);
        let f = (col("w") * logp(model(), seq("completion"))).sum().w("sigmoid");
        let answer = at::formula(&f.0, &row, &names).unwrap_or_else(|e| panic!("{e:?}"));
        let derivative = numbers(&answer["derivatives"]["model.logp(.completion)"]);
        slope.iter_mut().zip(derivative).for_each(|(sum, d)| *sum += d / steps as f64);
    }
    let shares: Vec<f64> = slope.iter().zip(&x).map(|(d, x)| d * x).collect();
    case.is("attr", shares.clone());
    case.is("sum", shares.iter().sum::<f64>());
    let f = |scale: f64| 1.0 / (1.0 + (-scale * w.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>()).exp());
    case.is("delta", f(1.0) - f(0.0));
}

fn logit_lens(case: &Case) {
    let unembed: Vec<Vec<f64>> = case.inputs["unembed_d_by_v"].as_array().expect("a matrix").iter().map(numbers).collect();
    let column = |v: usize| unembed.iter().map(|row| row[v]).collect::<Vec<f64>>();
    let rows: Vec<Value> = (0..unembed[0].len()).map(|v| json!({ "h": case.inputs["hidden"], "u": column(v) })).collect();
    let normed = col("h") / (col("h").pow(2.0).mean() + 1e-6).w("sqrt");
    let logits = values(&word("dot", &[normed, col("u")]), &rows);
    case.is("logits", logits.clone());
    case.is("probs", call("shares", &[json!({ "logps": logits })]));
}

fn position_swap(case: &Case) {
    let share = |name: &str| {
        let one = |x: &Value| match x.as_str().expect("a verdict") {
            "A" => 1.0,
            "B" => 0.0,
            _ => 0.5,
        };
        case.inputs[name].as_array().expect("verdicts").iter().map(one).collect::<Vec<f64>>()
    };
    let (first, swapped) = (share("order1"), share("order2"));
    let rows: Vec<Value> = first.iter().zip(&swapped).map(|(a, b)| json!({ "first": a, "swapped": b })).collect();
    let wins = call("consistent", &rows);
    let words: Vec<&str> = wins
        .iter()
        .map(|x| {
            if *x == 1.0 {
                "A"
            } else if *x == 0.0 {
                "B"
            } else {
                "tie"
            }
        })
        .collect();
    assert_eq!(json!(words), case.expected["conservative"], "{}", case.id);
    case.is("win_rate_A_ties_half", over_rows(&col("x").r("mean", Axis::All), "x", &wins));
    case.is("consistency", values(&word("==", &[col("first"), col("swapped")]).r("mean", Axis::All), &rows)[0]);
}

/// An aggregate of two raters, or how often they say the same.
/// Places from the lowest, 1 first; equal ones share the mean of theirs.
fn ranks(xs: &[f64]) -> Vec<f64> {
    let count = |of: &dyn Fn(&&f64) -> bool| xs.iter().filter(of).count() as f64;
    xs.iter().map(|x| count(&|y| *y < x) + (count(&|y| *y == x) + 1.0) / 2.0).collect()
}

fn agreement(name: &'static str, case: &Case) -> f64 {
    let rows: Vec<Value> = case.xs("a").iter().zip(case.xs("b")).map(|(a, b)| json!({ "a": a, "b": b })).collect();
    let both = word(name, &[col("a"), col("b")]);
    values(&if name == "==" { both.r("mean", Axis::All) } else { both }, &rows)[0]
}

/// At the golden strengths the likelihood has no slope, and their mean is 0.
fn strengths(case: &Case) {
    let wins = case.inputs["wins"].as_array().expect("a table");
    let mut rows = Vec::new();
    for (winner, row) in wins.iter().enumerate() {
        for (loser, count) in numbers(row).into_iter().enumerate() {
            rows.extend((0..count as usize).map(|_| json!({ "winner": winner, "loser": loser })));
        }
    }
    let best = numbers(&case.expected["scores_mean0"]);
    let slope = |strengths: &[f64]| {
        let file = json!({ "rows": rows, "trained": { "strength": strengths } });
        numbers(&eval(&library("strengths_loss", &[]), &file).derivatives["strength"])
    };
    assert!(slope(&best).iter().all(|d| d.abs() < 1e-6), "{:?}", slope(&best));
    assert!(slope(&best.iter().map(|s| s + 0.1).collect::<Vec<_>>()).iter().all(|d| *d > 0.01), "the mean is pinned");
    assert!(slope(&[best[0] + 0.1, best[1] - 0.05, best[2] - 0.05])[0] > 0.001);
    case.is("elo", best.iter().map(|s| 400.0 / std::f64::consts::LN_10 * s).collect::<Vec<_>>());
}

fn rated_hinge(case: &Case) {
    let ratings = case.xs("ratings");
    let row = |(nll, rating): (&f64, &f64)| json!({ "prompt": "q", "rating": rating, "model.logp(.completion)": [-nll] });
    let rows: Value = case.xs("nll_token_mean").iter().zip(&ratings).map(row).collect();
    let params = |worst: bool| {
        [("margin", case.x("margin")), ("share", case.x("ratio")), ("scale", case.x("rating_scale"))]
            .map(|(n, x)| (n.to_owned(), x.to_string()))
            .into_iter()
            .chain([("worst".to_owned(), worst.to_string())])
            .collect::<Vec<_>>()
    };
    let loss = |worst: bool| eval(&of_text("rated_hinge_loss", &params(worst)), &rows).loss;
    case.is("mean_then_relu", loss(false));
    case.is("max_flow", loss(true));
    // here no term of the others is below 0, so that both orders of mean and hinge agree
    case.is("relu_then_mean", loss(false));
    let best = ratings.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    case.is("best", ratings.iter().position(|r| *r == best).expect("one is best"));
    let margins: Vec<f64> = ratings.iter().filter(|r| **r < best).map(|r| case.x("margin") * (best - r) / case.x("rating_scale")).collect();
    case.is("margins", margins);
    assert!(
        (loss(false) - case.expected["released_code_value"].as_f64().expect("a number")).abs() > 0.1,
        "ours is not the released code's"
    );
}

fn opinions(case: &Case) {
    let choice = |x: &Value| u64::from(x.as_str().expect("a letter").as_bytes()[0] - b'A');
    let mut rows = Vec::new();
    for (user, answers) in case.inputs["users"].as_array().expect("users").iter().enumerate() {
        let list = |name: &str| answers[name].as_array().expect("answers").iter().map(choice).collect::<Vec<u64>>();
        let halves = |x: u64| call("half", &[json!({ "choice": x, "choices": case.x("choices") })])[0];
        rows.extend(
            list("pred").into_iter().zip(list("gold")).map(|(p, g)| json!({ "user": user, "hit": p == g, "near": halves(p) == halves(g) })),
        );
    }
    let users = |name: &str| col(name).r("mean", by(&["user"])).r("mean", Axis::All);
    case.is("macro_user", values(&users("hit"), &rows)[0]);
    case.is("micro", values(&col("hit").r("mean", Axis::All), &rows)[0]);
    case.is("collapsed_macro", values(&users("near"), &rows)[0]);
}

fn abstention(case: &Case) {
    let (scores, labels) = (case.xs("score"), case.xs("sp_label"));
    let mut rows: Vec<Value> = scores.iter().map(|s| json!({ "score": s, "scores": scores, "labels": labels })).collect();
    // the golden curve begins with everything attempted: the lowest threshold
    rows.reverse();
    let right = call("right_at", &rows);
    let apart = |(found, given): (f64, f64)| (found - given).abs();
    assert!(call("coverage_at", &rows).into_iter().zip(case.xs("coverage")).map(apart).all(|d| d < 1e-9), "{}: coverage", case.id);
    case.is("sp_if_attempted", right.clone());
    case.is("threshold", scores.iter().rev().copied().collect::<Vec<_>>());
    case.is("aurc", right.iter().map(|r| 1.0 - r).sum::<f64>() / right.len() as f64);
}

fn citation(case: &Case) {
    let row = json!({ "t": case.inputs["text"], "document": case.inputs["doc"] });
    for (name, of) in [("claim", "claim_of"), ("title", "title_of"), ("quote", "quote_of")] {
        assert_eq!(text(of, &row).as_deref(), case.expected[name].as_str(), "{}: {name}", case.id);
    }
    assert_eq!(text("verbatim", &row).as_deref(), Some(if case.expected["verbatim"] == true { "true" } else { "false" }), "{}", case.id);
    let quote = text("quote_of", &row).expect("a quote");
    let start = values(&word("place", &[col("q"), col("document")]), &[json!({ "q": quote, "document": case.inputs["doc"] })])[0];
    case.is("span", vec![start, start + quote.chars().count() as f64]);
    let changed = json!({ "t": "%<A>%(B)%[C]%", "document": "c" });
    assert_eq!(text("verbatim", &changed).as_deref(), Some("false"));
    assert_eq!(text("claim_of", &json!({ "t": "no quote", "document": "" })), None);
}

fn cited(case: &Case) {
    let (logits, labels) = (case.xs("sp_logits"), case.xs("sp_labels"));
    let row = json!([{
        "p": case.x("pref"), "chosen_supported": labels[0], "rejected_supported": labels[1],
        "model.score(.chosen)": case.x("r1"), "model.score(.rejected)": case.x("r2"),
        "support.score(.chosen)": logits[0], "support.score(.rejected)": logits[1],
    }]);
    case.is("loss", eval(&library("cite_loss", &[]), &row).loss);
}
