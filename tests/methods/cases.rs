//! Each golden case: its inputs as rows, the objective or formula that it is about, and what must come out.

use align::formula::at::{self, Answer};
use align::formula::expr::{Axis, Loss, ObjectiveDef, Output};
use align::formula::text::{jaccard, ngrams};
use serde_json::{Value, json};

use crate::build::*;
use crate::objectives::*;
use crate::{Case, numbers};

/// Checks a case; false when it is not known here.
pub fn check(case: &Case) -> bool {
    match case.id.as_str() {
        "num.logsigmoid" => case.is("y", values(&col("x").w("log_sigmoid"), &rows("x", &case.xs("x")))),
        "num.logsumexp" => case.is("y", one(&col("x").r("log_sum_exp", Axis::All), &rows("x", &case.xs("x")))),
        "num.log1mexp" => case.is("y", values(&col("x").w("log1m_exp"), &rows("x", &case.xs("logp")))),
        "sft.masked_ce" | "sft.masked_ce_grad" | "dpo.logp_mask" => masked(case),
        "sft.normalisation" => normalisation(case),
        "rm.bradley_terry" => bradley_terry_case(case),
        "rm.centered" => centred(case),
        "rm.soft_label" => case.is("loss", at_pairs(case, &soft_bradley_terry()).loss),
        "rm.kwise_instructgpt" => kwise_case(case),
        "rm.plackett_luce" => plackett_luce_case(case),
        "rm.pick_best" => pick_best_case(case),
        "rm.pmp_total" => pmp(case),
        "rm.ece" => {
            let rows = zip(&[("p", case.xs("p")), ("y", case.xs("y"))]);
            case.is("ece", one(&word("ece", &[col("p"), col("y")]), &rows));
        }
        "christiano.segment" => segment(case),
        "ppo.token_rewards" => token_rewards(case),
        id if id.starts_with("ppo.adaptive_kl.") => adaptive(case),
        "ppo.gae" => gae_case(case),
        "ppo.whiten" => whiten(case),
        "ppo.policy_loss" => policy_loss(case),
        "ppo.value_loss" => value_loss(case),
        "bon.kl" => {
            let n = col("n");
            case.is("kl", values(&(n.clone().w("log") - (n.clone() - 1.0) / n), &rows("n", &case.xs("n"))));
        }
        "bon.unbiased" => best_of(case),
        "rloo.kl_in_reward" => rloo(case),
        "grpo.adv" => grpo_advantage(case),
        "grpo.norm" => grpo_norm(case),
        "grpo.token" => grpo_token(case),
        "dpo.sigmoid" | "dpo.init" | "dpo.cdpo" | "dpo.hinge" | "slic.paper" | "simpo" | "orpo" | "cpo" => pair_case(case),
        "spin.logistic" | "spin.hinge" | "dpo.length_normalised" | "dpo.robust" | "dpo.ipo_sum" | "dpo.ipo_mean" => pair_case(case),
        "kto.init" => kto_init(case),
        "kto.grad" => kto_grad(case),
        "redteam.asr" => attack_success(case),
        "dedupe.jaccard" => {
            let n = usize::try_from(case.inputs["n"].as_u64().expect("n")).expect("small");
            let text = |name: &str| ngrams(case.inputs[name].as_str().expect("a text"), n);
            case.is("j", jaccard(&text("a"), &text("b")));
        }
        _ => return false,
    }
    true
}

fn eval(def: &ObjectiveDef, file: &Value) -> Answer {
    at::objective(def, file, &names).unwrap_or_else(|e| panic!("{e:?}"))
}

/// A formula's values, one per element of its shape.
fn values(f: &F, rows: &Value) -> Vec<f64> {
    let answer = at::formula(&f.0, rows, &names).unwrap_or_else(|e| panic!("{e:?}"));
    numbers(&answer["values"])
}

fn one(f: &F, rows: &Value) -> f64 {
    values(f, rows)[0]
}

/// A row per number.
fn rows(column: &str, xs: &[f64]) -> Value {
    xs.iter().map(|x| json!({ column: x })).collect()
}

/// A row per place of several lists.
fn zip(columns: &[(&str, Vec<f64>)]) -> Value {
    let row = |i: usize| columns.iter().map(|(name, xs)| ((*name).to_owned(), json!(xs[i]))).collect::<Value>();
    (0..columns[0].1.len()).map(row).collect()
}

fn derivative(answer: &Answer, leaf: &str) -> Value {
    answer.derivatives.get(leaf).unwrap_or_else(|| panic!("no derivative of `{leaf}` among {:?}", answer.derivatives.keys())).clone()
}

fn lists(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().expect("lists").iter().map(numbers).collect()
}

fn masked(case: &Case) {
    let (logits, targets) = (lists(&case.inputs["logits"]), case.xs("targets"));
    let mask = if case.inputs["mask"].is_null() { case.xs("completion_mask") } else { case.xs("mask") };
    let log_softmax = |row: &[f64]| {
        let norm = row.iter().map(|x| x.exp()).sum::<f64>().ln();
        row.iter().map(|x| x - norm).collect::<Vec<f64>>()
    };
    let log_probs: Vec<Vec<f64>> = logits.iter().map(|row| log_softmax(row)).collect();
    let scored: Vec<usize> = (0..mask.len()).filter(|&t| mask[t] > 0.0).collect();
    let target = |t: usize| targets[t] as usize;
    let logp: Vec<f64> = scored.iter().map(|&t| log_probs[t][target(t)]).collect();
    let answer = eval(&nll(), &json!([{ "model.logp(.completion)": logp }]));
    match case.id.as_str() {
        "sft.masked_ce" => {
            case.is("nll", log_probs.iter().enumerate().map(|(t, row)| -row[target(t)]).collect::<Vec<f64>>());
            case.is("loss_token_mean", answer.loss);
            case.is("loss_sum", answer.loss * logp.len() as f64);
            case.is("ppl", answer.loss.exp());
        }
        "dpo.logp_mask" => {
            let of = |f: F| one(&f, &json!([{ "model.logp(.completion)": logp }]));
            case.is("sum", of(crate::build::logp(model(), seq("completion")).sum()));
            case.is("mean", of(crate::build::logp(model(), seq("completion")).mean()));
        }
        _ => {
            let d = numbers(&derivative(&answer, "model.logp(.completion)"));
            let mut gradient = vec![vec![0.0; logits[0].len()]; logits.len()];
            for (&t, d) in scored.iter().zip(d) {
                for (v, g) in gradient[t].iter_mut().enumerate() {
                    *g = d * (f64::from(u8::from(v == target(t))) - log_probs[t][v].exp());
                }
            }
            case.is("dlogits", json!(gradient));
        }
    }
}

fn normalisation(case: &Case) {
    let logp = |name: &str| case.xs(name).iter().map(|x| -x).collect::<Vec<f64>>();
    let file = json!([{ "model.logp(.completion)": logp("nll_seq0") }, { "model.logp(.completion)": logp("nll_seq1") }]);
    let nll = -crate::build::logp(model(), seq("completion"));
    case.is("global_token_mean", eval(&plain(nll.clone()), &file).loss);
    case.is("mean_of_sequence_means", eval(&plain(nll.clone().mean()), &file).loss);
    case.is("sum_per_sequence_mean", eval(&plain(nll.sum()), &file).loss);
}

fn scores(chosen: &[f64], rejected: &[f64]) -> Value {
    let row = |(at, (c, r)): (usize, (&f64, &f64))| {
        json!({
            "prompt": "x", "chosen": format!("{at}"), "rejected": "worse", "model.score(.chosen)": c, "model.score(.rejected)": r,
            "length(.chosen)": at, "length(.rejected)": 1,
        })
    };
    chosen.iter().zip(rejected).enumerate().map(row).collect()
}

fn at_pairs(case: &Case, def: &ObjectiveDef) -> Answer {
    let mut rows = scores(&case.xs("chosen"), &case.xs("rejected"));
    if case.inputs["p"].is_array() {
        for (row, p) in rows.as_array_mut().expect("rows").iter_mut().zip(case.xs("p")) {
            row["p"] = json!(p);
        }
    }
    eval(def, &rows)
}

fn bradley_terry_case(case: &Case) {
    let answer = at_pairs(case, &bradley_terry(0.0));
    case.is("loss", answer.loss);
    let strict = (score("chosen") - score("rejected")).above(num(0.0));
    let counted = if_else(strict, num(1.0), num(0.0)).r("mean", Axis::All);
    case.is("accuracy", one(&counted, &scores(&case.xs("chosen"), &case.xs("rejected"))));
    case.is("accuracy_ties_half", answer.metrics["accuracy"]);
    case.is("dchosen", derivative(&answer, "model.score(.chosen)"));
    case.is("drejected", derivative(&answer, "model.score(.rejected)"));
    let margin = score("chosen") - score("rejected");
    case.is("per_pair", values(&-margin.w("log_sigmoid"), &scores(&case.xs("chosen"), &case.xs("rejected"))));
}

fn centred(case: &Case) {
    case.is("loss", at_pairs(case, &bradley_terry(case.x("coef"))).loss);
    let aux = (score("chosen") + score("rejected")).pow(2.0).r("mean", Axis::All);
    case.is("aux", one(&old(aux), &old_scores(case)));
}

fn old_scores(case: &Case) -> Value {
    let pair = |(c, r): (&f64, &f64)| json!({ "old(model.score(.chosen))": c, "old(model.score(.rejected))": r });
    case.xs("chosen").iter().zip(&case.xs("rejected")).map(pair).collect()
}

/// Every pair of one prompt's ranked answers; the derivative of an answer is the sum over its pairs.
fn kwise_case(case: &Case) {
    let r = case.xs("rewards_best_to_worst");
    let pairs: Vec<(usize, usize)> = (0..r.len()).flat_map(|i| (i + 1..r.len()).map(move |j| (i, j))).collect();
    let pick = |side: fn(&(usize, usize)) -> usize| pairs.iter().map(|p| r[side(p)]).collect::<Vec<f64>>();
    let answer = eval(&kwise(), &scores(&pick(|p| p.0), &pick(|p| p.1)));
    case.is("loss", answer.loss);
    let mut gradient = vec![0.0; r.len()];
    let sides = [numbers(&derivative(&answer, "model.score(.chosen)")), numbers(&derivative(&answer, "model.score(.rejected)"))];
    for (k, (i, j)) in pairs.iter().enumerate() {
        gradient[*i] += sides[0][k];
        gradient[*j] += sides[1][k];
    }
    case.is("grad", gradient);
}

/// One row per answer and tail: the tail from place k on holds the answers ranked k and worse, and k is its best.
fn plackett_luce_case(case: &Case) {
    let r = case.xs("rewards_best_to_worst");
    let row = |tail: usize, i: usize| json!({ "prompt": "x", "tail": tail, "best": i == tail, "model.score(.completion)": r[i] });
    let rows: Value = (0..r.len()).flat_map(|tail| (tail..r.len()).map(move |i| (tail, i))).map(|(tail, i)| row(tail, i)).collect();
    case.is("loss", eval(&plackett_luce(), &rows).loss);
}

fn pick_best_case(case: &Case) {
    let best = case.x("best") as usize;
    let row = |(i, r): (usize, &f64)| json!({ "prompt": "x", "best": i == best, "model.score(.completion)": r });
    case.is("loss", eval(&pick_best(), &case.xs("rewards").iter().enumerate().map(row).collect()).loss);
}

fn pmp(case: &Case) {
    let mut def = bradley_terry(0.0);
    let nll = -logp(model(), seq("completion"));
    def.losses.push(Loss { value: nll.0, weight: None, scale: num(case.x("mu")).0, on: Some(text()) });
    let rows = scores(&[case.x("pm_chosen")], &[case.x("pm_rejected")]);
    let file = json!({ "rows": rows, "on": { "text": [{ "model.logp(.completion)": [-case.x("lm_nll_good_token_mean")] }] } });
    case.is("total", eval(&def, &file).loss);
}

fn segment(case: &Case) {
    let value = |column| word("value", &[model(), seq(column)]).sum();
    let (r1, r2, mu) = (case.xs("r_seg1"), case.xs("r_seg2"), case.xs("mu")[0]);
    let loss = |noise: f64, p: f64| {
        let share = (1.0 - noise) * (value("chosen") - value("rejected")).w("sigmoid") + noise / 2.0;
        let def = objective(&[(-p * share.clone().w("log") - (1.0 - p) * (1.0 - share.clone()).w("log"), None)], &[("share", share)]);
        eval(&def, &json!([{ "model.value(.chosen)": r1, "model.value(.rejected)": r2 }]))
    };
    let (plain, noisy) = (loss(0.0, mu), loss(case.x("noise"), mu));
    case.is("p", plain.metrics["share"]);
    case.is("loss", plain.loss);
    case.is("p_noise", noisy.metrics["share"]);
    case.is("loss_noise", noisy.loss);
    case.is("loss_equal", loss(0.0, 0.5).loss);
}

fn token_rewards(case: &Case) {
    let drift = old(logp(model(), seq("completion"))) - logp(reference(), seq("completion"));
    let row = json!([{ "score": case.x("score"), "old(model.logp(.completion))": case.xs("logp"), "reference.logp(.completion)": case.xs("ref_logp") }]);
    let earned = col("score").w("at_end") - case.x("kl_coef") * drift.clone();
    case.is("k1", values(&drift, &row));
    case.is("rewards", values(&earned, &row));
    case.is("seq_kl", values(&drift.clone().sum(), &row));
    case.is("rlhf_reward", values(&earned.sum(), &row));
}

/// The whole controller of `ppo_loss`, on as many one-token rollouts as there are episodes.
fn adaptive(case: &Case) {
    let row = json!({
        "reward": 0.0, "model.logp(.completion)": [-1.0], "old(model.logp(.completion))": [-1.0],
        "reference.logp(.completion)": [-1.0 - case.x("current_kl")],
        "critic.value(.completion)": [0.0], "old(critic.value(.completion))": [0.0],
    });
    let rows: Value = (0..case.x("n_steps") as usize).map(|_| row.clone()).collect();
    let text = [("beta", "coef"), ("target", "target"), ("horizon", "horizon")];
    let def = library("ppo_loss", &text.map(|(param, input)| (param, case.x(input))));
    let networks = |output: &Output| ["critic", "reference"][output.stage.0].to_owned();
    let answer = at::objective(&def, &rows, &networks).unwrap_or_else(|e| panic!("{e:?}"));
    case.is("coef", answer.next["penalty"]);
}

fn gae_case(case: &Case) {
    let value = old(word("value", &[critic(), seq("completion")]));
    let reward = old(word("value", &[model(), seq("completion")]));
    let row = json!([{ "old(critic.value(.completion))": case.xs("values"), "old(model.value(.completion))": case.xs("rewards") }]);
    let advantages = gae(reward, value.clone(), case.x("gamma"), case.x("lam"));
    case.is("advantages", values(&advantages, &row));
    case.is("returns", values(&(advantages + value), &row));
}

fn whiten(case: &Case) {
    let rows = rows("x", &case.xs("x"));
    let x = col("x");
    case.is("population", values(&standard(x.clone(), 0.0), &rows));
    case.is("population_keep_mean", values(&(standard(x.clone(), 0.0) + x.clone().r("mean", Axis::All)), &rows));
    case.is("bessel", values(&standard(x, 1.0), &rows));
}

fn policy_loss(case: &Case) {
    let new = logp(model(), seq("completion"));
    let rho = ratio(new.clone() - old(new.clone()));
    let k2 = 0.5 * (new.clone() - old(new)).pow(2.0);
    let loss = clipped(col("adv"), rho.clone(), case.x("clip"));
    let outside = (rho.clone() - 1.0).w("abs").above(num(case.x("clip")));
    let gained = larger(num(0.0), outside.clone());
    let def = objective(&[(loss.clone(), None)], &[("k2", k2), ("outside", gained)]);
    let (news, olds, advantages) = (case.xs("logp_new"), case.xs("logp_old"), case.xs("adv"));
    let row = |i: usize| json!({ "adv": advantages[i], "model.logp(.completion)": [news[i]], "old(model.logp(.completion))": [olds[i]] });
    let rows: Value = (0..news.len()).map(row).collect();
    let answer = eval(&def, &rows);
    case.is("loss", answer.loss);
    case.is("per_token", values(&loss, &rows));
    case.is("ratio", values(&rho, &rows));
    case.is("dlogp", derivative(&answer, "model.logp(.completion)"));
    case.is("approx_kl_k2", answer.metrics["k2"]);
    // The share of tokens on which the clipped branch is the larger one.
    let plain = -col("adv") * rho.clone();
    let clipped = -col("adv") * clamp(rho, num(1.0 - case.x("clip")), num(1.0 + case.x("clip")));
    case.is("clipfrac", values(&clipped.above(plain), &rows).iter().sum::<f64>() / news.len() as f64);
}

fn value_loss(case: &Case) {
    let (now, clip) = (word("value", &[critic(), seq("completion")]), case.x("clip"));
    let before = old(now.clone());
    let loss = clipped_error(now.clone(), before.clone(), col("target"), clip);
    let near = clamp(now.clone(), before.clone() - clip, before + clip);
    let (v, v0, r) = (case.xs("v_new"), case.xs("v_old"), case.xs("returns"));
    let row = |i: usize| json!({ "target": r[i], "critic.value(.completion)": [v[i]], "old(critic.value(.completion))": [v0[i]] });
    let rows: Value = (0..v.len()).map(row).collect();
    case.is("loss", eval(&plain(loss.clone()), &rows).loss);
    case.is("per_token", values(&loss, &rows));
    case.is("clipped", values(&near, &rows));
    let worse = (near - col("target")).pow(2.0).above((now - col("target")).pow(2.0));
    case.is("clipfrac", values(&worse, &rows).iter().sum::<f64>() / v.len() as f64);
}

fn best_of(case: &Case) {
    let (proxy, gold) = (case.xs("proxy"), case.xs("gold"));
    let row = |i: usize| json!({ "prompt": "x", "proxy": proxy[i], "gold": gold[i] });
    let rows: Value = (0..proxy.len()).map(row).collect();
    let at = |n: f64| {
        let place = col("proxy").r("rank", by(&["prompt"]));
        let pool = over("count", &[], by(&["prompt"]));
        let weight = word("choices", &[place, num(n - 1.0)]) / word("choices", &[pool, num(n)]);
        one(&(col("gold") * weight).r("sum", by(&["prompt"])).r("mean", Axis::All), &rows)
    };
    case.is("expected_gold", case.xs("n").into_iter().map(at).collect::<Vec<f64>>());
}

fn rloo(case: &Case) {
    let earned = col("reward") - case.x("beta") * col("kl");
    let others = (earned.clone().r("sum", by(&["prompt"])) - earned.clone()) / (over("count", &[], by(&["prompt"])) - 1.0);
    let rows = zip(&[("reward", case.xs("rewards")), ("kl", case.xs("seq_kl")), ("prompt", vec![0.0; case.xs("rewards").len()])]);
    case.is("r", values(&earned, &rows));
    case.is("adv", values(&(earned - others), &rows));
}

fn grpo_advantage(case: &Case) {
    let group = || by(&["prompt"]);
    let advantage = |ddof: f64| {
        let gap = col("reward") - col("reward").r("mean", group());
        gap / (over("std", &[col("reward"), num(ddof)], group()) + case.x("eps"))
    };
    let rewards = case.xs("group_rewards");
    let rows = zip(&[("reward", rewards.clone()), ("prompt", vec![0.0; rewards.len()])]);
    case.is("adv_ddof1", values(&advantage(1.0), &rows));
    case.is("adv_ddof0", values(&advantage(0.0), &rows));
    case.is("adv_none", values(&(col("reward") - col("reward").r("mean", group())), &rows));
    let flat = case.expected["zero_std_group"].as_array().expect("a list").len();
    case.is("zero_std_group", values(&advantage(1.0), &zip(&[("reward", vec![1.0; flat]), ("prompt", vec![0.0; flat])])));
}

fn grpo_norm(case: &Case) {
    let row = |tokens: &Vec<f64>| json!({ "model.value(.completion)": tokens });
    let rows: Value = lists(&case.inputs["per_token_loss"]).iter().map(row).collect();
    let token = word("value", &[model(), seq("completion")]);
    let loss = |per| eval(&plain(by_length(token.clone(), per)), &rows).loss;
    case.is("grpo", loss(Per::Completion));
    case.is("bnpo", loss(Per::Token));
    case.is("dr_grpo", loss(Per::Constant(case.x("max_len"))));
}

fn grpo_token(case: &Case) {
    let now = logp(model(), seq("completion"));
    let rho = ratio(now.clone() - old(now.clone()));
    let gap = logp(reference(), seq("completion")) - now;
    let k3 = ratio(gap.clone()) - gap - 1.0;
    let loss = clipped(col("adv"), rho, case.x("eps")) + case.x("beta") * k3;
    let row = json!([{
        "adv": case.x("adv"), "model.logp(.completion)": [case.x("logp")],
        "old(model.logp(.completion))": [case.x("logp") - case.x("ratio").ln()], "reference.logp(.completion)": [case.x("ref_logp")],
    }]);
    case.is("loss", eval(&plain(loss), &row).loss);
}

/// One preference pair given as sums and lengths.
fn pair(case: &Case) -> Value {
    if case.id == "dpo.init" {
        let same = json!([-1.0, -2.0]);
        return json!([{
            "model.logp(.chosen)": same, "reference.logp(.chosen)": same, "model.logp(.rejected)": same, "reference.logp(.rejected)": same,
        }]);
    }
    if case.id == "spin.hinge" {
        return json!([{
            "model.logp(.chosen)": case.x("h"), "reference.logp(.chosen)": 0.0, "model.logp(.rejected)": 0.0, "reference.logp(.rejected)": 0.0,
        }]);
    }
    json!([{
        "model.logp(.chosen)": case.x("logp_chosen"), "reference.logp(.chosen)": case.x("ref_chosen"),
        "model.logp(.rejected)": case.x("logp_rejected"), "reference.logp(.rejected)": case.x("ref_rejected"),
        "length(.chosen)": case.inputs["len_chosen"], "length(.rejected)": case.inputs["len_rejected"],
    }])
}

fn pair_case(case: &Case) {
    let def = match case.id.as_str() {
        "dpo.sigmoid" | "dpo.init" | "spin.logistic" => dpo(case.x("beta"), 0.0),
        "dpo.cdpo" => dpo(case.x("beta"), case.x("eps")),
        "dpo.hinge" | "spin.hinge" => hinge(case.x("beta")),
        "dpo.length_normalised" => dpo_per_token(case.x("beta")),
        "dpo.robust" => robust(case.x("beta"), case.x("eps")),
        "dpo.ipo_sum" | "dpo.ipo_mean" => ipo(case.x("tau"), case.id == "dpo.ipo_mean"),
        "slic.paper" => slic(case.x("delta"), case.x("lam")),
        "simpo" => simpo(case.x("beta"), case.x("gamma")),
        "orpo" => orpo(case.x("lam")),
        _ => cpo(case.x("beta"), case.x("alpha")),
    };
    let answer = eval(&def, &pair(case));
    case.is("loss", answer.loss);
    for side in ["chosen", "rejected"] {
        let name = format!("dloss_dlogp_{side}");
        if case.expected[&name].is_number() {
            // The file's derivatives are central differences; their error grows with the function's value.
            let found = numbers(&derivative(&answer, &format!("model.logp(.{side})")))[0];
            let expected = case.expected[&name].as_f64().expect("a number");
            assert!((found - expected).abs() < 1e-8, "{}: {name} is {found}, expected {expected}", case.id);
        }
    }
    for name in ["accuracy", "margin", "nll"] {
        if let (Some(found), true) = (answer.metrics.get(name), case.expected[name].is_number()) {
            case.is(name, *found);
        }
    }
    if case.expected["reward_chosen"].is_number() {
        rewards(case);
    }
    if case.id == "dpo.init" {
        case.is("ipo_loss_beta0_1", eval(&ipo(0.1, true), &pair(case)).loss);
    }
    if case.id == "orpo" {
        case.is("log_odds_ratio", answer.metrics["margin"]);
    }
}

/// Implicit rewards: β log π/π_ref, or without a reference β times the mean log-prob.
fn rewards(case: &Case) {
    let reward = |column| {
        let f = if case.id == "simpo" { logp(model(), seq(column)).mean() } else { log_ratio(column) };
        one(&(case.x("beta") * f), &pair(case))
    };
    case.is("reward_chosen", reward("chosen"));
    case.is("reward_rejected", reward("rejected"));
    if case.expected["logits"].is_number() {
        case.is("logits", one(&margin(1.0), &pair(case)));
    }
}

/// Rows of (desirable, log-ratio); the mismatched log-ratios all equal `drift`.
fn kto_rows(ratios: &[(bool, f64)], drift: f64) -> Value {
    let row = |(desirable, ratio): &(bool, f64)| {
        json!({
            "desirable": desirable, "model.logp(.completion)": [ratio], "reference.logp(.completion)": [0.0],
            "model.logp(.other)": [drift], "reference.logp(.other)": [0.0],
        })
    };
    ratios.iter().map(row).collect()
}

/// The numbers that METHODS gives in its text, at the pair of the `dpo.*` cases.
pub fn selected_values() {
    let pair = json!([{
        "model.logp(.chosen)": -10.0, "reference.logp(.chosen)": -11.0, "model.logp(.rejected)": -12.0, "reference.logp(.rejected)": -11.5,
        "length(.chosen)": 5, "length(.rejected)": 8,
    }]);
    let cases = [
        (dpo(0.1, 0.0), 0.620_957),
        (dpo(0.1, 0.1), 0.635_957),
        (robust(0.1, 0.1), 0.602_207),
        (ipo(0.1, false), 12.25),
        (ipo(0.1, true), 22.4439),
        (simpo(2.0, 1.0), 2.126_928),
        (orpo(0.1), 2.104_206),
        (cpo(0.1, 1.0), 2.598_139),
    ];
    for (def, expected) in cases {
        let found = eval(&def, &pair).loss;
        assert!((found - expected).abs() < 6e-5_f64.min(1e-5 * expected), "{found}, expected {expected}");
    }
}

fn kto_init(case: &Case) {
    let answer = eval(&kto(0.1, case.x("lambda_d"), case.x("lambda_u")), &kto_rows(&[(true, 0.0), (false, 0.0)], 0.0));
    case.is("loss", answer.loss);
    case.is("z0", answer.metrics["drift"]);
}

/// The case names another one, `kto`, for its inputs. They are the ones that give METHODS' loss of 0.578040 at z0 0.075.
fn kto_grad(case: &Case) {
    let rows = kto_rows(&[(true, 1.0), (true, -1.0), (false, 0.5), (false, -1.0)], 0.075);
    let answer = eval(&kto(0.1, 1.0, 1.33), &rows);
    assert!((answer.loss - 0.578_040).abs() < 5e-7, "{}", answer.loss);
    let d = numbers(&derivative(&answer, "model.logp(.completion)"));
    for (name, found) in [("dlogp_desirable", &d[..2]), ("dlogp_undesirable", &d[2..])] {
        for (a, b) in found.iter().zip(numbers(&case.expected[name])) {
            assert!((a - b).abs() < 1e-8, "kto.grad: {name} {a}, expected {b}");
        }
    }
    assert!(!answer.derivatives.contains_key("model.logp(.other)"), "the drift carries no derivative");
}

/// Share of successes, of behaviours with any, and 1 − C(n − c, k) / C(n, k) for every k.
fn attack_success(case: &Case) {
    let samples = lists(&case.inputs["success_by_behaviour_by_sample"]);
    let row = |(behaviour, s): (usize, &f64)| json!({ "prompt": behaviour, "harm": s });
    let rows: Value = samples.iter().enumerate().flat_map(|(b, s)| s.iter().map(move |s| (b, s))).map(row).collect();
    let group = || by(&["prompt"]);
    case.is("asr_mean", one(&col("harm").r("mean", Axis::All), &rows));
    case.is("asr_at_k_any", one(&col("harm").r("max", group()).above(num(0.5)).r("mean", Axis::All), &rows));
    let at = |k: usize| {
        let (n, c) = (over("count", &[], group()), col("harm").r("sum", group()));
        let none = word("choices", &[n.clone() - c, num(k as f64)]) / word("choices", &[n, num(k as f64)]);
        one(&(1.0 - none).r("mean", Axis::All), &rows)
    };
    case.is("best_of_n_curve", (1..=samples[0].len()).map(at).collect::<Vec<f64>>());
}
