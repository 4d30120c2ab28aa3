//! The standard library's objectives, and formulas that goldens ask for by themselves.

use align::formula::expr::{Axis, ObjectiveDef};
use align::recipe::{Subject, subject};
use align::world::Sources;

use crate::build::*;

/// An objective of the standard library, from its text.
pub fn library(name: &str, params: &[(&str, f64)]) -> ObjectiveDef {
    let params: Vec<(String, String)> = params.iter().map(|(name, x)| ((*name).to_owned(), x.to_string())).collect();
    of_text(name, &params)
}

/// The same with words among its params.
pub fn of_text(name: &str, params: &[(String, String)]) -> ObjectiveDef {
    match subject(&mut Sources::default(), None, name, params) {
        Ok((Subject::Objective(def), _)) => def.as_ref().clone(),
        other => panic!("{name}: {other:?}"),
    }
}

pub fn nll() -> ObjectiveDef {
    library("nll_loss", &[])
}

/// log π / π_ref, summed.
pub fn log_ratio(column: &str) -> F {
    (logp(model(), seq(column)) - logp(reference(), seq(column))).sum()
}

pub fn margin(beta: f64) -> F {
    beta * (log_ratio("chosen") - log_ratio("rejected"))
}

pub fn dpo(beta: f64, smoothing: f64) -> ObjectiveDef {
    library("dpo_loss", &[("beta", beta), ("smoothing", smoothing)])
}

pub fn robust(beta: f64, flips: f64) -> ObjectiveDef {
    library("robust_dpo_loss", &[("beta", beta), ("flips", flips)])
}

pub fn hinge(beta: f64) -> ObjectiveDef {
    library("hinge_loss", &[("beta", beta)])
}

pub fn ipo(tau: f64, per_token: bool) -> ObjectiveDef {
    let per = if per_token { "token" } else { "completion" };
    of_text("ipo_loss", &[("tau".to_owned(), tau.to_string()), ("per".to_owned(), per.to_owned())])
}

pub fn dpo_per_token(beta: f64) -> ObjectiveDef {
    let side = |column| (logp(model(), seq(column)) - logp(reference(), seq(column))).mean();
    plain(-(beta * (side("chosen") - side("rejected"))).w("log_sigmoid"))
}

pub fn slic(delta: f64, lambda: f64) -> ObjectiveDef {
    library("slic_loss", &[("delta", delta), ("lambda", lambda)])
}

pub fn simpo(beta: f64, gamma: f64) -> ObjectiveDef {
    library("simpo_loss", &[("beta", beta), ("gamma", gamma)])
}

pub fn orpo(lambda: f64) -> ObjectiveDef {
    library("orpo_loss", &[("lambda", lambda)])
}

pub fn cpo(beta: f64, alpha: f64) -> ObjectiveDef {
    library("cpo_loss", &[("beta", beta), ("alpha", alpha)])
}

pub fn kto(beta: f64, desirable: f64, undesirable: f64) -> ObjectiveDef {
    library("kto_loss", &[("beta", beta), ("desirable", desirable), ("undesirable", undesirable)])
}

pub fn bradley_terry(centre: f64) -> ObjectiveDef {
    library("bt_loss", &[("centre", centre)])
}

pub fn soft_bradley_terry() -> ObjectiveDef {
    library("soft_bt_loss", &[])
}

pub fn kwise() -> ObjectiveDef {
    library("kwise_loss", &[])
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
