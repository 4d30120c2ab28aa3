//! Goldens of families that the standard library writes: each by its text there, evaluated as `align eval` does.

use std::sync::Arc;

use align::formula::at::{self, Answer};
use align::formula::eval::Alone;
use align::formula::expr::{Axis, Output};
use align::formula::fit::Problem;
use align::formula::halfspace;
use align::formula::objective::Compiled;
use align::formula::shape::Under;
use align::recipe::{Subject, subject};
use align::value::{Cell, Table};
use align::world::Sources;
use serde_json::{Value, json};

use crate::build::{F, col, num, word};
use crate::{Case, numbers};

/// Checks a case; false when it is not known here.
pub fn check(case: &Case) -> bool {
    match case.id.as_str() {
        "rm.normalise_ref" => normalised(case),
        "christiano.query_select" => disputed(case),
        "christiano.anneal" => {
            let rows = column("t", &case.xs("t"));
            case.is("relative_label_rate", call("label_share", &[("half", case.x("T"))], &rows));
        }
        "kto.weights" => kto_weights(case),
        "rlhf.closed_form_policy" => closed_form(case),
        "reinforce.kl_objective_grad_bandit" => bandit(case),
        "spin.equilibrium" | "spin.bandit_step" => self_play(case),
        "distill.kl" => distilled(case),
        "cai.label" => label(case),
        "cai.swap_average" => swapped(case),
        "cai.multi_cot" => thoughts(case),
        "sea.ensemble" => ensemble(case),
        "sea.regulariser" => regulariser(case),
        "sea.acquisition" => acquisition(case),
        "safe.cost_loss" => cost(case),
        "safe.advantage" => {
            let (gain, harm) = (case.xs("adv_reward"), case.xs("adv_cost"));
            let rows: Value = (0..gain.len()).map(|i| json!({ "gain": gain[i], "harm": harm[i] })).collect();
            case.is("adv", call("balanced", &[("lambda", case.x("lam"))], &rows));
        }
        "safe.lambda_update" => multiplier(case),
        "safe.kl_split" => split_kl(case),
        "a2c.loss" => actor_critic(case),
        "ird.posterior" => inverse_reward(case),
        "ird.risk_averse" => risk(case),
        "vav.minimal_test" => minimal_test(case),
        "vav.confusion" => confusion(case),
        "vav.set_cover" => cover(case),
        "overopt.rl" | "overopt.bon" => curve(case),
        "overopt.fit" => fitted(case),
        _ => return false,
    }
    true
}

/// An objective or function of the standard library, or of the small worlds beside this file, with numbers filled in.
fn find(name: &str, params: &[(&str, f64)]) -> (Subject, Vec<String>) {
    let params: Vec<(String, String)> = params.iter().map(|(name, x)| ((*name).to_owned(), x.to_string())).collect();
    let mut sources = Sources::default();
    let worlds = sources.add("bandit.align", include_str!("bandit.align"), None);
    subject(&mut sources, Some(worlds), name, &params).unwrap_or_else(|d| panic!("{name}: {d:#?}"))
}

/// A function's values.
fn call(name: &str, params: &[(&str, f64)], rows: &Value) -> Vec<f64> {
    let (Subject::Formula(formula), names) = find(name, params) else { panic!("{name} is a function") };
    let named = |output: &Output| names[output.stage.0].clone();
    numbers(&at::formula(&formula, rows, &named).unwrap_or_else(|e| panic!("{name}: {e:?}"))["values"])
}

/// An objective's value, derivatives and metrics.
fn eval(name: &str, params: &[(&str, f64)], file: &Value) -> Answer {
    let (Subject::Objective(def), names) = find(name, params) else { panic!("{name} is an objective") };
    let named = |output: &Output| names[output.stage.0].clone();
    at::objective(&def, file, &named).unwrap_or_else(|e| panic!("{name}: {e:?}"))
}

fn values(f: &F, rows: &Value) -> Vec<f64> {
    numbers(&at::formula(&f.0, rows, &crate::build::names).unwrap_or_else(|e| panic!("{e:?}"))["values"])
}

fn one(f: &F, rows: &Value) -> f64 {
    values(f, rows)[0]
}

fn column(name: &str, xs: &[f64]) -> Value {
    xs.iter().map(|x| json!({ name: x })).collect()
}

fn lists(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().expect("lists").iter().map(numbers).collect()
}

fn largest(x: &[f64]) -> usize {
    (0..x.len()).rev().max_by(|a, b| x[*a].total_cmp(&x[*b])).expect("a list with items")
}

/// `scale` gives mean and deviation of a reward; what makes it unit follows from both.
fn normalised(case: &Case) {
    let rows = column("x", &case.xs("raw"));
    let (mean, std) = (one(&col("x").r("mean", Axis::All), &rows), one(&col("x").r("std", Axis::All), &rows));
    case.is("gain", case.x("target_std") / std);
    case.is("bias", case.x("target_mean") - mean * case.x("target_std") / std);
    case.is("mean_only_bias", case.x("target_mean") - mean);
}

fn disputed(case: &Case) {
    let members = lists(&case.inputs["p_members_by_pair"]);
    let logit = |p: f64| (p / (1.0 - p)).ln();
    let pair = |at: usize| {
        let said: Vec<f64> = members.iter().map(|member| logit(member[at])).collect();
        json!({ "prompt": "x", "chosen": format!("{at}"), "rejected": "r", "rm.scores(.chosen)": said, "rm.scores(.rejected)": vec![0.0; said.len()] })
    };
    let rows: Value = (0..members[0].len()).map(pair).collect();
    let doubt = call("disagreement", &[], &rows);
    case.is("var_population", doubt.clone());
    let mut order: Vec<usize> = (0..doubt.len()).collect();
    order.sort_by(|a, b| doubt[*b].total_cmp(&doubt[*a]));
    case.is("selected", order[..case.x("k") as usize].to_vec());
}

fn kto_weights(case: &Case) {
    let at = |ratio: f64| {
        let params = [
            ("ratio", ratio),
            ("desirable", case.x("n_desirable")),
            ("undesirable", case.x("n_undesirable")),
            ("lambda", case.x("lambda_u")),
        ];
        call("desirable_weight", &params, &json!([{}]))[0]
    };
    case.is("lambda_d_range", case.xs("ratio_target").into_iter().map(at).collect::<Vec<f64>>());
}

fn closed_form(case: &Case) {
    let (reference, reward, beta) = (case.xs("ref"), case.xs("reward"), case.x("beta"));
    let row = |i: usize| json!({ "prompt": "x", "reference_logp": reference[i].ln(), "reward": reward[i] });
    let rows: Value = (0..reward.len()).map(row).collect();
    case.is("pi", call("optimal_share", &[("beta", beta)], &rows));
    let normaliser = (col("reference_logp") + col("reward") / num(beta)).r("log_sum_exp", Axis::All);
    case.is("logZ", one(&normaliser, &rows));
    case.is("objective", beta * one(&normaliser, &rows));
}

fn bandit(case: &Case) {
    let file = json!({ "rows": [{ "reference": case.inputs["ref"], "reward": case.inputs["reward"] }], "trained": { "logits": case.inputs["pi_logits"] } });
    let answer = eval("kl_bandit_loss", &[("beta", case.x("beta"))], &file);
    case.is("J", -answer.loss);
    case.is("dJ_dlogits", numbers(&answer.derivatives["logits"]).into_iter().map(|d| -d).collect::<Vec<f64>>());
}

fn self_play(case: &Case) {
    let data = case.xs("data_p");
    let opponent = if case.inputs["opponent"].is_array() { case.xs("opponent") } else { case.xs("policy") };
    let pairs = (0..2).flat_map(|real| (0..2).map(move |rival| (real, rival)));
    let row = |(real, rival): (usize, usize)| json!({ "real": real, "rival": rival, "opponent": opponent, "share": data[real] * opponent[rival] });
    let logits: Vec<f64> = opponent.iter().map(|p| p.ln()).collect();
    let file = json!({ "rows": pairs.map(row).collect::<Value>(), "trained": { "logits": logits } });
    let answer = eval("self_play_loss", &[("beta", case.x("beta"))], &file);
    case.is("loss", answer.loss);
    let slope = numbers(&answer.derivatives["logits"]);
    if case.id == "spin.equilibrium" {
        assert!(slope.iter().all(|d| d.abs() < 1e-12), "{slope:?}");
    } else {
        // central differences in the file
        slope.iter().zip(case.xs_expected("dloss_dlogits")).for_each(|(a, b)| assert!((a - b).abs() < 1e-9, "{a} {b}"));
    }
}

fn distilled(case: &Case) {
    let (teacher, logits) = (case.xs("teacher_p"), case.xs("student_logits"));
    let file = json!({ "rows": [{ "teacher": teacher }], "trained": { "logits": logits } });
    let answer = eval("student_loss", &[], &file);
    case.is("forward_kl", answer.loss);
    case.is("dlogits", answer.derivatives["logits"].clone());
    let norm = logits.iter().map(|z| z.exp()).sum::<f64>();
    let row = |i: usize| json!({ "teacher": teacher[i], "student": logits[i].exp() / norm });
    let rows: Value = (0..teacher.len()).map(row).collect();
    case.is("topk_plus_residual", call("kept_kl", &[("k", case.x("k"))], &rows)[0]);
}

fn clamped(x: F, low: f64, high: f64) -> F {
    word("clamp", &[x, num(low), num(high)])
}

fn label(case: &Case) {
    // two options' shares are a softmax of their log-probs, as `choose` gives them
    let rows = json!([{ "a": case.x("logp_A"), "b": case.x("logp_B") }]);
    let share = (col("a") - col("b")).w("sigmoid");
    let held = case.xs("clamp");
    case.is("p_A", one(&share, &rows));
    case.is("p_A_clamped", one(&clamped(share.clone(), held[0], held[1]), &rows));
    case.is("p_A_2080", one(&clamped(share, 0.2, 0.8), &rows));
}

fn swapped(case: &Case) {
    // the second question names the answers the other way round: its first option is B
    let (forward, backward) = (case.x("pA_order1"), 1.0 - case.x("pA_order2_as_B"));
    case.is("p", call("either_way", &[], &json!([{ "forward": forward, "backward": backward }]))[0]);
    case.is("consistent", (forward > 0.5) == (1.0 - backward > 0.5));
}

fn thoughts(case: &Case) {
    let rows = column("p", &case.xs("p_samples"));
    let mean = col("p").r("mean", Axis::All);
    case.is("mean", one(&mean, &rows));
    case.is("clamped_mean_then", one(&clamped(mean, 0.4, 0.6), &rows));
    case.is("clamp_then_mean", one(&clamped(col("p"), 0.4, 0.6).r("mean", Axis::All), &rows));
}

fn ensemble(case: &Case) {
    let rewards = lists(&case.inputs["rewards_E_by_N"]);
    let count = rewards[0].len();
    let of = |candidate: usize| rewards.iter().map(|member| member[candidate]).collect::<Vec<f64>>();
    let mean: Vec<f64> = (0..count).map(|i| one(&col("r").r("mean", Axis::Tokens), &json!([{ "r": of(i) }]))).collect();
    case.is("mean", mean.clone());
    case.is("best_of_n", largest(&mean));
    let pair = |i: usize, j: usize| json!([{ "a": of(i), "b": of(j) }]);
    let table = |f: &dyn Fn(usize, usize) -> f64| (0..count).map(|i| (0..count).map(|j| f(i, j)).collect()).collect::<Vec<Vec<f64>>>();
    let variance = table(&|i, j| one(&crate::build::over("var", &[col("a") - col("b"), num(1.0)], Axis::Tokens), &pair(i, j)));
    case.is("logit_var_ddof1", json!(variance));
    let share = (col("a") - col("b")).w("sigmoid");
    case.is("pref_prob_mean", json!(table(&|i, j| one(&share.clone().r("mean", Axis::Tokens), &pair(i, j)))));
    let gain = table(&|i, j| call("information_gain", &[], &json!([{ "p": values(&share, &pair(i, j)) }]))[0]);
    for (found, wanted) in gain.iter().flatten().zip(numbers(&case.expected["bald"])) {
        assert!((found - wanted).abs() < 1e-9, "{found} {wanted}");
    }
    // the best by one head, and the one that the heads doubt most against it, or the best by the first other head that differs
    let first = largest(&rewards[case.x("ts_member") as usize]);
    case.is("bai_first", first);
    case.is("ee_first", first);
    case.is("bai_second", largest(&variance[first]));
    let rivals = case.xs("ts_other_order").into_iter().map(|member| largest(&rewards[member as usize]));
    case.is("ee_second", rivals.into_iter().find(|rival| *rival != first).expect("a head that disagrees"));
    let widest =
        (0..count * count).rev().max_by(|a, b| variance[a / count][a % count].total_cmp(&variance[b / count][b % count])).expect("a pair");
    case.is("pure_uncertainty_pair", json!([widest / count, widest % count]));
}

fn regulariser(case: &Case) {
    let weight = call(
        "anchor_weight",
        &[("lambda", case.x("lam")), ("batch", case.x("train_bs")), ("queries", case.x("total_queries"))],
        &json!([{}]),
    )[0];
    case.is("coef", weight);
    let (now, start) = (case.xs("params"), case.xs("init"));
    let square: f64 = now.iter().zip(&start).map(|(a, b)| (a - b).powi(2)).sum();
    case.is("loss_reg", weight * square / now.len() as f64);
}

fn acquisition(case: &Case) {
    let rows = column("p", &case.xs("p"));
    let entropy = call("binary_entropy", &[], &rows);
    case.is("entropy", entropy.clone());
    case.is("bernoulli_var", values(&(col("p") * (1.0 - col("p"))), &rows));
    case.is("pick_entropy", largest(&entropy));
    case.is("pick_variance", largest(&case.xs("ensemble_var")));
}

fn cost(case: &Case) {
    let (more, less) = (case.x("cost_more_harmful"), case.x("cost_less_harmful"));
    let row = json!({
        "prompt": "x", "chosen": "a", "rejected": "b", "model.score(.chosen)": more, "model.score(.rejected)": less,
        "chosen_unsafe": case.x("sign_more") > 0.0, "rejected_unsafe": case.x("sign_less") > 0.0,
    });
    let total = eval("cost_loss", &[], &json!([row])).loss;
    case.is("total", total);
    let rank = -one(&col("d").w("log_sigmoid"), &json!([{ "d": more - less }]));
    case.is("rank", rank);
    case.is("sign", total - rank);
}

fn multiplier(case: &Case) {
    let (lambda, over) = (case.x("lam"), case.x("mean_cost") - case.x("threshold"));
    let params = [
        ("lambda", lambda),
        ("rate", case.x("lr")),
        ("cost", case.x("mean_cost")),
        ("budget", case.x("threshold")),
        ("most", case.x("lam_max")),
    ];
    let next = call("next_multiplier", &params, &json!([{}]))[0];
    case.is("lam", next);
    case.is("loss", -over * lambda);
    if next < case.x("lam_max") {
        case.is("log_lambda", next.ln());
    }
}

/// Both streams get the whole token penalty (`full`, ours) or half of it.
fn split_kl(case: &Case) {
    let (k1, end) = (case.xs("k1"), case.x("end_index") as usize);
    for (name, beta) in [("full", case.x("kl_coef")), ("half", case.x("kl_coef") / 2.0)] {
        let stream = |sign: f64, last: f64| {
            let token = |t: usize| sign * beta * k1[t] + if t == end { last } else { 0.0 };
            (0..k1.len()).map(token).collect::<Vec<f64>>()
        };
        let wanted =
            Case { id: case.id.clone(), inputs: Value::Null, expected: case.expected[name].clone(), rtol: case.rtol, atol: case.atol };
        wanted.is("rewards", stream(-1.0, case.x("reward")));
        wanted.is("costs", stream(1.0, case.x("cost")));
        // what the policy feels of the KL: both streams over 1 + λ, whatever λ is
        for lambda in [0.0, 0.7, 3.0] {
            let felt = call("balanced", &[("lambda", lambda)], &json!([{ "gain": -beta, "harm": beta }]))[0];
            assert!((-felt - numbers(&case.expected["effective_kl_weight"][name])[0]).abs() < 1e-12);
        }
    }
}

fn actor_critic(case: &Case) {
    let [logp, returns, before, entropy] = ["logp", "returns", "values", "entropy"].map(|name| case.xs(name));
    let rows = |value_weight: f64, entropy_weight: f64| {
        let row = |i: usize| {
            json!({ "logp": logp[i], "earned": returns[i], "value": before[i], "before": before[i], "entropy": entropy[i],
                    "value_weight": value_weight, "entropy_weight": entropy_weight })
        };
        let found = call("actor_critic", &[], &(0..logp.len()).map(row).collect());
        found.iter().sum::<f64>() / found.len() as f64
    };
    let policy = rows(0.0, 0.0);
    case.is("policy", policy);
    case.is("value", rows(1.0, 0.0) - policy);
    case.is("total", rows(case.x("vf_coef"), case.x("ent_coef")));
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The posterior over a grid of weights: the objective at each of them.
fn inverse_reward(case: &Case) {
    let options = lists(&case.inputs["features_options"]);
    let picks = |w: &[f64]| largest(&options.iter().map(|option| dot(option, w)).collect::<Vec<f64>>());
    let grid: Vec<Vec<f64>> = (0..27).map(|i| [i / 9, i / 3 % 3, i % 3].iter().map(|x| f64::from(*x) - 1.0).collect()).collect();
    let mine = picks(&case.xs("proxy"));
    case.is("optimal_option_under_proxy", mine);
    let votes = |option: usize| grid.iter().filter(|w| picks(w) == option).count();
    let row =
        |option: usize| json!({ "environment": "dev", "features": options[option], "votes": votes(option), "written": option == mine });
    let rows: Value = (0..options.len()).filter(|option| votes(*option) > 0).map(row).collect();
    let weight =
        |w: &Vec<f64>| (-eval("ird_loss", &[("beta", case.x("beta"))], &json!({ "rows": rows, "trained": { "w": w } })).loss).exp();
    let weights: Vec<f64> = grid.iter().map(weight).collect();
    let total: f64 = weights.iter().sum();
    let posterior: Vec<f64> = weights.iter().map(|x| x / total).collect();
    case.is("posterior", posterior.clone());
    let mean = |i: usize| posterior.iter().zip(&grid).map(|(p, w)| p * w[i]).sum::<f64>();
    case.is("posterior_mean", (0..3).map(mean).collect::<Vec<f64>>());
    case.is("entropy", -posterior.iter().map(|p| p * p.ln()).sum::<f64>());
}

fn risk(case: &Case) {
    let candidates = lists(&case.inputs["candidates"]);
    let rows: Value = candidates
        .iter()
        .map(|c| json!({ "weights": case.inputs["weight_samples"], "features": c, "baseline": case.inputs["baseline"] }))
        .collect();
    let worths: Vec<Vec<f64>> =
        call("worths", &[], &rows).chunks(lists(&case.inputs["weight_samples"]).len()).map(<[f64]>::to_vec).collect();
    let rows: Value = worths.iter().map(|worths| json!({ "worths": worths })).collect();
    let least = values(&word("lowest", &[col("worths"), num(0.0)]), &rows);
    case.is("min_scores", least.clone());
    case.is("pick", largest(&least));
    case.is("mean_pick", largest(&call("lower_bound", &[("kappa", 0.0)], &rows)));
    case.is("lcb_kappa1", call("lower_bound", &[("kappa", 1.0)], &rows));
}

fn places(kept: &[bool]) -> Vec<usize> {
    (0..kept.len()).filter(|i| kept[*i]).collect()
}

fn minimal_test(case: &Case) {
    let differences = lists(&case.inputs["feature_diffs"]);
    case.is("after_dedupe", places(&halfspace::directions(&differences)));
    let rows: Value = differences.iter().map(|d| json!({ "difference": d })).collect();
    let minimal = values(&word("irreducible", &[col("difference")]), &rows);
    let minimal = places(&minimal.iter().map(|x| *x > 0.0).collect::<Vec<bool>>());
    case.is("minimal", minimal.clone());
    let agents = &case.expected["agents"];
    let passes = |w: &Vec<f64>, test: &[usize]| test.iter().all(|row| dot(w, &differences[*row]) > 0.0);
    let all: Vec<usize> = (0..differences.len()).collect();
    for (at, w) in lists(&agents["w"]).iter().enumerate() {
        assert_eq!(json!(passes(w, &all)), agents["aligned"][at]);
        assert_eq!(json!(passes(w, &minimal)), agents["aligned_minimal"][at]);
    }
}

fn confusion(case: &Case) {
    let (aligned, passed) = (case.xs("truth_aligned"), case.xs("test_pass"));
    let row = |i: usize| json!({ "aligned": aligned[i] > 0.0, "passed": passed[i] > 0.0 });
    let rows: Value = (0..passed.len()).map(row).collect();
    case.is("false_positive_rate", call("false_positive_rate", &[], &rows)[0]);
    case.is("false_negative_rate", call("false_negative_rate", &[], &rows)[0]);
    case.is("accuracy", one(&word("==", &[col("aligned"), col("passed")]).r("mean", Axis::All), &rows));
}

fn cover(case: &Case) {
    let sets = lists(&case.inputs["sets"]);
    let kept = halfspace::covering(&sets);
    case.is("greedy", places(&kept));
    let mut covered: Vec<f64> = sets.iter().zip(&kept).filter(|(_, kept)| **kept).flat_map(|(set, _)| set.clone()).collect();
    covered.sort_by(f64::total_cmp);
    covered.dedup();
    case.is("covered", covered);
}

fn curve(case: &Case) {
    let (name, objective) = if case.id == "overopt.rl" { ("rl_curve", "rl_curve_loss") } else { ("best_of_curve", "best_of_curve_loss") };
    let (alpha, beta) = (case.x("alpha"), case.x("beta"));
    let found = call(name, &[("alpha", alpha), ("beta", beta)], &column("d", &case.xs("d")));
    case.is("R", found.clone());
    let rows: Value = case.xs("d").iter().zip(&found).map(|(d, gold)| json!({ "d": d, "gold": gold })).collect();
    let answer = eval(objective, &[], &json!({ "rows": rows, "trained": { "alpha": alpha, "beta": beta } }));
    case.is("d_peak", answer.metrics["peak"]);
    case.is("R_peak", answer.metrics["height"]);
    assert!(answer.loss < 1e-20 && (answer.metrics["r2"] - 1.0).abs() < 1e-12);
}

/// Least squares by the search that `fit` runs.
fn fitted(case: &Case) {
    let row = |(d, gold): (f64, f64)| vec![Cell::Float(d), Cell::Float(gold)];
    let rows: Vec<Vec<Cell>> = case.xs("d").into_iter().zip(case.xs("R")).map(row).collect();
    let table = Arc::new(Table { columns: vec!["d".into(), "gold".into()], rows });
    for (objective, name) in [("rl_curve_loss", "rl"), ("best_of_curve_loss", "bon")] {
        let (Subject::Objective(def), _) = find(objective, &[]) else { panic!("{objective} is an objective") };
        let compiled = Compiled::new(&def, Under::Train).expect("it holds");
        let problem = Problem::new(&compiled, std::slice::from_ref(&table), [0; 2], &mut Alone).expect("plain columns");
        let all: Vec<usize> = (0..problem.rows()).collect();
        let found = problem.minimise(&all, problem.start()).expect("a value for every row");
        assert!(found.converged);
        case.is(&format!("{name}_alpha"), found.numbers["alpha"].values[0]);
        case.is(&format!("{name}_beta"), found.numbers["beta"].values[0]);
        let metrics = problem.metrics(&all, &found.numbers).expect("metrics");
        let residual = metrics.iter().find(|m| &*m.name == "residual").expect("a metric").mean();
        case.is(&format!("{name}_rss"), residual);
    }
}
