//! The standard library's objectives, built by hand.

use align::formula::expr::{Axis, ObjectiveDef};

use crate::build::*;

pub fn nll() -> ObjectiveDef {
    plain(-logp(model(), seq("completion")))
}

/// log π / π_ref, summed.
pub fn log_ratio(column: &str) -> F {
    (logp(model(), seq(column)) - logp(reference(), seq(column))).sum()
}

pub fn margin(beta: f64) -> F {
    beta * (log_ratio("chosen") - log_ratio("rejected"))
}

pub fn dpo(beta: f64, smoothing: f64) -> ObjectiveDef {
    let m = margin(beta);
    let loss = -(1.0 - smoothing) * m.clone().w("log_sigmoid") - smoothing * (-m.clone()).w("log_sigmoid");
    objective(&[(loss, None)], &[("accuracy", m.clone().above(num(0.0))), ("margin", m)])
}

pub fn robust(beta: f64, flips: f64) -> ObjectiveDef {
    let m = margin(beta);
    plain((flips * (-m.clone()).w("log_sigmoid") - (1.0 - flips) * m.w("log_sigmoid")) / (1.0 - 2.0 * flips))
}

pub fn hinge(beta: f64) -> ObjectiveDef {
    plain(larger(num(0.0), 1.0 - margin(beta)))
}

pub fn ipo(tau: f64, per_token: bool) -> ObjectiveDef {
    let side = |column| {
        let ratio = log_ratio(column);
        if per_token { ratio / word("length", &[seq(column)]) } else { ratio }
    };
    plain((side("chosen") - side("rejected") - 1.0 / (2.0 * tau)).pow(2.0))
}

pub fn dpo_per_token(beta: f64) -> ObjectiveDef {
    let side = |column| (logp(model(), seq(column)) - logp(reference(), seq(column))).mean();
    plain(-(beta * (side("chosen") - side("rejected"))).w("log_sigmoid"))
}

pub fn slic(delta: f64, lambda: f64) -> ObjectiveDef {
    let (chosen, rejected) = (logp(model(), seq("chosen")).sum(), logp(model(), seq("rejected")).sum());
    objective(&[(larger(num(0.0), delta - chosen.clone() + rejected), None), (-lambda * chosen, None)], &[])
}

pub fn simpo(beta: f64, gamma: f64) -> ObjectiveDef {
    let (chosen, rejected) = (logp(model(), seq("chosen")).mean(), logp(model(), seq("rejected")).mean());
    plain(-(beta * (chosen - rejected) - gamma).w("log_sigmoid"))
}

pub fn orpo(lambda: f64) -> ObjectiveDef {
    let odds = |p: F| p.clone() - p.w("log1m_exp");
    let (chosen, rejected) = (logp(model(), seq("chosen")).mean(), logp(model(), seq("rejected")).mean());
    let m = odds(chosen.clone()) - odds(rejected);
    objective(&[(-chosen.clone() - lambda * m.clone().w("log_sigmoid"), None)], &[("nll", -chosen), ("margin", m)])
}

pub fn cpo(beta: f64, alpha: f64) -> ObjectiveDef {
    let (chosen, rejected) = (logp(model(), seq("chosen")), logp(model(), seq("rejected")));
    plain(-(beta * (chosen.clone().sum() - rejected.sum())).w("log_sigmoid") - alpha * chosen.mean())
}

pub fn kto(beta: f64, desirable: f64, undesirable: f64) -> ObjectiveDef {
    let drift = larger(num(0.0), log_ratio("other").r("mean", Axis::Batch).w("detach"));
    let pull = beta * (log_ratio("completion") - drift.clone());
    let good = desirable * (1.0 - pull.clone().w("sigmoid"));
    let bad = undesirable * (1.0 - (-pull).w("sigmoid"));
    objective(&[(if_else(col("desirable"), good, bad), None)], &[("drift", drift)])
}

pub fn bradley_terry(centre: f64) -> ObjectiveDef {
    let m = score("chosen") - score("rejected");
    let loss = -m.clone().w("log_sigmoid") + centre * (score("chosen") + score("rejected")).pow(2.0);
    let accuracy = if_else(word("==", &[m.clone(), num(0.0)]), num(0.5), if_else(m.clone().above(num(0.0)), num(1.0), num(0.0)));
    objective(&[(loss, None)], &[("accuracy", accuracy), ("strict", m.above(num(0.0)))])
}

pub fn soft_bradley_terry() -> ObjectiveDef {
    let m = score("chosen") - score("rejected");
    plain(-col("p") * m.clone().w("log_sigmoid") - (1.0 - col("p")) * (-m).w("log_sigmoid"))
}

pub fn kwise() -> ObjectiveDef {
    let m = score("chosen") - score("rejected");
    objective(&[(-m.w("log_sigmoid"), Some(1.0 / over("count", &[], by(&["prompt"]))))], &[])
}

pub fn pick_best() -> ObjectiveDef {
    let s = score("completion");
    let best = if_else(col("best"), -s.clone(), num(0.0)).r("sum", by(&["prompt"]));
    plain(best + s.r("log_sum_exp", by(&["prompt"])))
}

pub fn plackett_luce() -> ObjectiveDef {
    let s = score("completion");
    let tail = s.clone().r("log_sum_exp", by(&["prompt", "tail"]));
    plain(if_else(col("best"), tail - s, num(0.0)).r("sum", by(&["prompt"])))
}

/// max(−A ρ, −A clip(ρ)).
pub fn clipped(advantage: F, rho: F, clip: f64) -> F {
    larger(-advantage.clone() * rho.clone(), -advantage * clamp(rho, num(1.0 - clip), num(1.0 + clip)))
}

pub fn clipped_error(now: F, before: F, target: F, clip: f64) -> F {
    let near = clamp(now.clone(), before.clone() - clip, before + clip);
    0.5 * larger((now - target.clone()).pow(2.0), (near - target).pow(2.0))
}

pub fn gae(reward: F, value: F, gamma: f64, lambda: f64) -> F {
    word("tail_sum", &[reward + gamma * value.clone().w("next") - value, num(gamma * lambda)])
}

/// Mean 0, variance 1 over the whole table.
pub fn standard(x: F, ddof: f64) -> F {
    let spread = over("var", &[x.clone(), num(ddof)], Axis::All);
    (x.clone() - x.r("mean", Axis::All)) / (spread + 1e-8).w("sqrt")
}

pub fn ratio(x: F) -> F {
    clamp(x, num(-20.0), num(20.0)).w("exp")
}

pub fn old(x: F) -> F {
    x.w("old")
}

/// Everything of `ppo_loss` that a golden can set.
pub struct Ppo {
    pub beta: f64,
    pub target: Option<f64>,
    pub horizon: f64,
    pub clip: f64,
    pub value_clip: f64,
    pub value_weight: f64,
    pub gamma: f64,
    pub lambda: f64,
}

pub fn ppo(options: &Ppo) -> ObjectiveDef {
    let now = logp(model(), seq("completion"));
    let drift = old(now.clone()) - logp(reference(), seq("completion"));
    let kl = drift.clone().sum().r("mean", Axis::All);
    let earned = col("reward").w("at_end") - state("penalty") * drift.clone();
    let value = word("value", &[critic(), seq("completion")]);
    let before = old(value.clone());
    let raw = gae(earned.clone(), before.clone(), options.gamma, options.lambda);
    let rho = ratio(now.clone() - old(now));
    let policy = clipped(standard(raw.clone(), 0.0), rho.clone(), options.clip);
    let error = clipped_error(value, before.clone(), raw.clone() + before.clone(), options.value_clip);
    let next = match options.target {
        None => state("penalty"),
        Some(target) => {
            let off = clamp(kl.clone() / target - 1.0, num(-0.2), num(0.2));
            state("penalty") * (1.0 + off * over("count", &[], Axis::All) / options.horizon)
        }
    };
    let metrics = [
        ("kl", kl),
        ("rewards", earned.sum()),
        ("clipped", (rho - 1.0).w("abs").above(num(options.clip))),
        ("returns", (raw + before).sum()),
    ];
    with_critic(with_state(objective(&[(policy + options.value_weight * error, None)], &metrics), "penalty", num(options.beta), next))
}

/// How GRPO averages over length.
#[derive(Clone, Copy)]
pub enum Per {
    Completion,
    Token,
    Constant(f64),
}

pub fn by_length(token: F, per: Per) -> F {
    let length = word("length", &[seq("completion")]);
    match per {
        Per::Token => token.sum() / length.r("mean", Axis::Batch),
        Per::Completion => token.sum() / length,
        Per::Constant(n) => token.sum() / n,
    }
}
