//! `quantise`: a network whose projections are held in blocks of few bits.

use crate::formula::expr::Output;
use crate::model::{BlockFormat, Network};

use super::call::Call;
use super::context::Context;
use super::cost::{Cost, Size, Sizes};
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::Product;

/// The primitive.
#[derive(Debug)]
pub struct Quantise;

impl Primitive for Quantise {
    fn name(&self) -> &'static str {
        "quantise"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let base = Network::open(&context.network(&call.get::<Output>("base")?)?.path)?;
        base.quantised(format(call)?)?.save(&context.folder().join("network"))?;
        Ok(Product::network("network"))
    }

    fn estimate(&self, call: &Call<'_>, inputs: &Sizes<'_>) -> Cost {
        let network = call.get::<Output>("base").ok().and_then(|base| inputs(&base).network);
        let held = network.zip(format(call).ok()).map(|(network, format)| network.quantised(format));
        let size = Size { network: held, bytes: network.map(|network| network.plain().frozen()), ..Size::default() };
        // every tensor is rounded on the host before the first is written
        Cost { memory: size.bytes, disk: size.bytes, ..Cost::of(size) }
    }
}

fn format(call: &Call<'_>) -> Result<BlockFormat, Failure> {
    let word: String = call.get("format")?;
    BlockFormat::of(&word).ok_or_else(|| Failure::mistake("a format that the prelude does not name was not refused"))
}
