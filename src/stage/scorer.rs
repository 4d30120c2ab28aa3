//! `scorer` and `critic`: a new head on a network's trunk, read at the last token or at every completion token.

use crate::formula::expr::Output;
use crate::model::{Head, HeadStart, Network};

use super::call::Call;
use super::context::Context;
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::Product;

/// `scorer(base, start)`: one number a sequence.
#[derive(Debug)]
pub struct Scorer;

/// `critic(base)`: one number a completion token. A scorer's head is kept, so that values start as its scores.
#[derive(Debug)]
pub struct Critic;

impl Primitive for Scorer {
    fn name(&self) -> &'static str {
        "scorer"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let start = match call.get::<String>("start")?.as_str() {
            "zero" => HeadStart::Zero,
            _ => HeadStart::Normal { seed: seed(context) },
        };
        let members = call.given("members")?.unwrap_or(1);
        with_head(call, context, (Head::Score, members), |_| start)
    }
}

impl Primitive for Critic {
    fn name(&self) -> &'static str {
        "critic"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        with_head(call, context, (Head::Value, 1), |base| if base.head == Head::Score { HeadStart::Kept } else { HeadStart::Zero })
    }
}

fn seed(context: &Context<'_>) -> u64 {
    let [high, low] = context.stage_key();
    u64::from(high) << 32 | u64::from(low)
}

fn with_head(
    call: &Call<'_>,
    context: &Context<'_>,
    (head, scores): (Head, usize),
    start: impl FnOnce(&Network) -> HeadStart,
) -> Result<Product, Failure> {
    let base: Output = call.get("base")?;
    let network = Network::open(&context.network(&base)?.path)?;
    let start = start(&network);
    let headed = network.with_heads(head, start, scores)?;
    headed.save(&context.folder().join("network"))?;
    Ok(Product::network("network"))
}
