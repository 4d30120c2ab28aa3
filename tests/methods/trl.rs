//! What TRL computed in f32 from given log-probs and values: `ppo.json`, `kto.json`, `grpo.json`. Models play no part here.

use align::formula::at::{self, Answer};
use align::formula::expr::{Axis, ObjectiveDef};
use serde_json::{Value, json};

use crate::build::*;
use crate::numbers;
use crate::objectives::*;

fn near(found: f64, golden: &Value, what: &str) {
    let expected = golden.as_f64().unwrap_or_else(|| panic!("{what}: no number"));
    assert!((found - expected).abs() <= 2e-6 + 2e-5 * expected.abs(), "{what}: {found}, expected {expected}");
}

fn all_near(found: &Value, golden: &Value, what: &str) {
    let (found, expected) = (numbers(found), numbers(golden));
    assert_eq!(found.len(), expected.len(), "{what}: another size");
    found.iter().zip(expected).for_each(|(a, b)| near(*a, &json!(b), what));
}

fn eval(def: &ObjectiveDef, rows: &Value) -> Answer {
    at::objective(def, rows, &names).unwrap_or_else(|e| panic!("{e:?}"))
}

fn lists(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().expect("lists").iter().map(numbers).collect()
}

// PPO. TRL's values run one token longer than its log-probs, so both lie on one axis with a mask each.

fn masked_mean(x: F, mask: &F) -> F {
    (x * mask.clone()).r("sum", Axis::All) / mask.clone().r("sum", Axis::All)
}

fn masked_whiten(x: F, mask: &F, shift: bool) -> F {
    let mean = masked_mean(x.clone(), mask);
    let n = mask.clone().r("sum", Axis::All);
    let spread = masked_mean((x.clone() - mean.clone()).pow(2.0), mask) * (n.clone() / (n - 1.0));
    let centred = (x - mean.clone()) / (spread + 1e-8).w("sqrt");
    if shift { centred } else { centred + mean }
}

fn ppo_as_trl(params: &Value) -> ObjectiveDef {
    let x = |name: &str| params[name].as_f64().unwrap_or_else(|| panic!("no parameter `{name}`"));
    let (m, m1) = (col("mask"), col("mask1"));
    let new = logp(model(), seq("completion"));
    let gap = logp(reference(), seq("completion")) - old(new.clone());
    let kl = if params["kl_estimator"] == "k1" { -gap.clone() } else { gap.clone().w("exp") - 1.0 - gap };
    let mut reward = col("bonus") - x("kl_coef") * kl;
    if params["whiten_rewards"] == true {
        reward = masked_whiten(reward, &m1, false) * m1.clone();
    }
    let value = word("value", &[critic(), seq("completion")]);
    let before = old(value.clone());
    let raw = gae(reward.clone(), before.clone(), x("gamma"), x("lam"));
    let advantage = masked_whiten(raw.clone(), &m, true) * m.clone();
    let policy = clipped(advantage.clone(), (new.clone() - old(new)).w("exp"), x("cliprange"));
    let target = raw.clone() + before.clone();
    let error = clipped_error(value, before, target.clone(), x("cliprange_value"));
    let metrics = [("rewards", reward), ("advantages", advantage), ("returns", target)];
    with_critic(objective(&[(policy, Some(m)), (x("vf_coef") * error, Some(m1))], &metrics))
}

fn ppo_rows(case: &Value) -> Value {
    let input = |name: &str| lists(&case["inputs"][name]);
    let (padding, padding1, lengths) = (lists(&case["padding_mask"]), lists(&case["padding_mask_p1"]), numbers(&case["sequence_lengths"]));
    let (scores, invalid) = (numbers(&case["scores_after_eos_penalty"]), case["params"]["invalid_logprob"].as_f64().expect("a number"));
    let row = |i: usize| {
        let width = padding[i].len();
        let fill = |name: &str, mask: &[f64], blank: f64| {
            (0..width).map(|t| if mask[t] > 0.0 { blank } else { input(name)[i][t] }).collect::<Vec<f64>>()
        };
        let keep = |mask: &[f64]| mask.iter().map(|p| 1.0 - p).collect::<Vec<f64>>();
        let end = (lengths[i] as usize + 1).min(width - 1);
        let end = if lengths[i] as usize + 1 < width { end } else { lengths[i] as usize };
        let bonus: Vec<f64> = (0..width).map(|t| if t == end { scores[i] } else { 0.0 }).collect();
        json!({
            "mask": keep(&padding[i]), "mask1": keep(&padding1[i]), "bonus": bonus,
            "old(model.logp(.completion))": fill("logprobs", &padding[i], invalid),
            "reference.logp(.completion)": fill("ref_logprobs", &padding[i], invalid),
            "model.logp(.completion)": fill("new_logprobs", &padding[i], invalid),
            "old(critic.value(.completion))": fill("values", &padding1[i], 0.0),
            "critic.value(.completion)": fill("vpred", &padding1[i], 0.0),
        })
    };
    (0..padding.len()).map(row).collect()
}

pub fn ppo(golden: &Value) {
    for (name, case) in golden["cases"].as_object().expect("cases") {
        let answer = eval(&ppo_as_trl(&case["params"]), &ppo_rows(case));
        near(answer.loss, &case["loss"], name);
        near(answer.losses[0], &case["pg_loss"], name);
        all_near(&answer.derivatives["model.logp(.completion)"], &case["grad_new_logprobs"], &format!("{name}: d logp"));
        all_near(&answer.derivatives["critic.value(.completion)"], &case["grad_vpred"], &format!("{name}: d value"));
    }
}

// KTO.

pub fn kto(golden: &Value) {
    for (name, case) in golden["cases"].as_object().expect("cases") {
        let params = &case["params"];
        if params["loss_type"] != "kto" {
            assert_eq!(params["loss_type"], "apo_zero_unpaired", "{name} is not known here");
            continue;
        }
        let (policy, frozen) = if name.ends_with("_swapped_models") { ("reference", "policy") } else { ("policy", "reference") };
        let logps =
            |role: &str, which: &str| numbers(&golden[golden[role].as_str().expect("a model").trim_start_matches("models/")][which]);
        let (p, r, pk, rk) = (logps(policy, "logps"), logps(frozen, "logps"), logps(policy, "KL_logps"), logps(frozen, "KL_logps"));
        let row = |i: usize| {
            json!({
                "desirable": golden["batch"]["label"][i], "model.logp(.completion)": p[i], "reference.logp(.completion)": r[i],
                "model.logp(.other)": pk[i], "reference.logp(.other)": rk[i],
            })
        };
        let rows: Value = (0..p.len()).map(row).collect();
        let weight = |name: &str| params[name].as_f64().expect("a weight");
        let answer = eval(&crate::objectives::kto(weight("beta"), weight("desirable_weight"), weight("undesirable_weight")), &rows);
        near(answer.loss, &case["loss"], name);
        near(answer.metrics["drift"], &case["metrics"]["kl"], name);
    }
}

// GRPO and RLOO.

pub fn grpo(golden: &Value) {
    let inputs = &golden["inputs"];
    let mask = lists(&inputs["completion_mask"]);
    let scored =
        |all: &Value, i: usize| lists(all)[i].iter().zip(&mask[i]).filter(|(_, m)| **m > 0.0).map(|(x, _)| *x).collect::<Vec<f64>>();
    let (advantages, rewards) = (numbers(&inputs["advantages"]), numbers(&golden["rewards"]));
    let group = golden["num_generations"].as_u64().expect("a number") as usize;
    let rows = |on_policy: bool, given: &[f64]| -> Value {
        let now = &golden["policy_per_token_logps"];
        let row = |i: usize| {
            json!({
                "prompt": i / group, "reward": rewards[i], "advantage": given[i], "model.logp(.completion)": scored(now, i),
                "old(model.logp(.completion))": scored(if on_policy { now } else { &inputs["old_per_token_logps"] }, i),
                "reference.logp(.completion)": scored(&inputs["ref_per_token_logps"], i),
            })
        };
        (0..rewards.len()).map(row).collect()
    };
    for (name, case) in golden["cases"].as_object().expect("cases") {
        let params = &case["params"];
        let def = if name == "rloo" { rloo_as_trl(params) } else { grpo_as_trl(name, params) };
        let Some(def) = def else { continue };
        let on_policy = params["old_logps"].as_str().is_some_and(|s| s.starts_with("current"));
        let given = if name == "rloo" { numbers(&golden["rloo_advantages"]) } else { advantages.clone() };
        near(eval(&def, &rows(on_policy, &given)).loss, &case["loss"], name);
    }
    let own = by(&["prompt"]);
    let gap = col("reward") - col("reward").r("mean", own.clone());
    let scaled = gap / (over("std", &[col("reward"), num(1.0)], own.clone()) + 1e-4);
    let others = (col("reward").r("sum", own.clone()) - col("reward")) / (over("count", &[], own) - 1.0);
    for (formula, name) in [(scaled, "/advantages/group"), (col("reward") - others, "/rloo_advantages")] {
        let found = at::formula(&formula.0, &rows(false, &advantages), &names).unwrap_or_else(|e| panic!("{e:?}"));
        all_near(&found["values"], golden.pointer(name).expect("golden advantages"), name);
    }
}

fn log_ratio_to_old() -> F {
    let now = logp(model(), seq("completion"));
    now.clone() - old(now)
}

/// One ratio for a whole completion.
fn rloo_as_trl(params: &Value) -> Option<ObjectiveDef> {
    let clip = params["epsilon_low"].as_f64()?;
    Some(plain(clipped(col("advantage"), log_ratio_to_old().sum().w("exp"), clip)))
}

/// TRL's objective for given advantages; `None` for those that the standard library does not hold.
fn grpo_as_trl(name: &str, params: &Value) -> Option<ObjectiveDef> {
    if matches!(params["loss_type"].as_str()?, "cispo" | "sapo" | "luspo") {
        return None;
    }
    let x = |name: &str| params[name].as_f64().unwrap_or(0.0);
    assert_eq!(x("top_entropy_quantile"), 1.0, "{name} masks tokens, which is not known here");
    let sequence = params["importance_sampling_level"] == "sequence";
    let rho = if sequence { log_ratio_to_old().mean().w("exp") } else { log_ratio_to_old().w("exp") };
    let near = clamp(rho.clone(), num(1.0 - x("epsilon_low")), num(1.0 + x("epsilon_high")));
    let free = if params["delta"].is_number() { word("smaller", &[rho.clone(), num(x("delta"))]) } else { rho.clone() };
    let mut token = larger(-col("advantage") * free, -col("advantage") * near);
    let now = logp(model(), seq("completion"));
    let off = logp(reference(), seq("completion")) - now.clone();
    if x("beta") != 0.0 {
        let k3 = off.clone().w("exp") - off - 1.0;
        // TRL multiplies the estimate by the importance ratio unless told not to.
        token = token + x("beta") * if params["use_bias_correction_kl"] == false { k3 } else { rho * k3 };
    }
    // One ratio for the whole completion counts once per token.
    let token = token + 0.0 * now;
    let per = match params["loss_type"].as_str()? {
        "grpo" => Per::Completion,
        "bnpo" | "dapo" => Per::Token,
        "dr_grpo" => Per::Constant(x("max_completion_length")),
        other => panic!("{name}: `{other}` is not known here"),
    };
    Some(plain(by_length(token, per)))
}
