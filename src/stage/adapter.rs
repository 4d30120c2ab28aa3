//! Adapters of recipes: the options that ask for them, how they are kept beside what was trained, `adapter`, which takes
//! them out again, and `load_adapter`.
//!
//! What a stage hands on is the network with its adapters merged in: whoever reads it needs no other artifact, samples at
//! full speed, and need not know how it was trained. The adapters stand beside it in the same artifact.

use std::fs;
use std::path::{Path, PathBuf};

use crate::durable::{MANIFEST, files_under};
use crate::formula::expr::Output;
use crate::hub::Want;
use crate::model::{Adapter, AdapterSpec, Network, Target};

use super::call::Call;
use super::context::Context;
use super::failure::Failure;
use super::primitive::Primitive;
use super::product::Product;

/// The network and its adapters in an artifact.
const NETWORK: &str = "network";
const ADAPTER: &str = "adapter";

/// What the options of a training stage say of adapters; `None` where every weight is trained.
///
/// # Errors
/// When the declaration and this reading disagree.
pub fn asked(call: &Call<'_>) -> Result<Option<AdapterSpec>, Failure> {
    // options that belong to one that is `none` are no part of a call
    if !call.stage().args.contains_key("lora") {
        return Ok(None);
    }
    let plain = AdapterSpec::new(call.get("lora")?);
    let targets: Vec<String> = call.get("lora_targets")?;
    let among = |target: Target| targets.iter().any(|word| word == "all" || word == target.word());
    Ok(Some(AdapterSpec {
        alpha: call.get::<Option<f64>>("lora_alpha")?.unwrap_or(plain.alpha),
        by_root: call.get::<String>("lora_scale")? == "root",
        magnitude: call.get("lora_magnitude")?,
        targets: Target::ALL.map(among),
        ..plain
    }))
}

/// Writes a network and, beside it, its adapters.
///
/// # Errors
/// When the disk refuses.
pub fn keep(network: &Network, context: &Context<'_>) -> Result<Product, Failure> {
    network.save(&context.folder().join(NETWORK))?;
    if network.adapter.is_some() {
        let folder = context.folder().join(ADAPTER);
        fs::create_dir(&folder)?;
        Adapter::write(network, &folder)?;
    }
    Ok(Product::network(NETWORK))
}

/// `adapter(network)`: the adapters that a stage trained.
#[derive(Debug)]
pub struct TakeAdapter;

impl Primitive for TakeAdapter {
    fn name(&self) -> &'static str {
        "adapter"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let network = context.network(&call.get::<Output>("network")?)?;
        // of an artifact of the store, not of whatever lies beside a folder outside
        let artifact = network.path.parent().filter(|artifact| artifact.join(MANIFEST).is_file());
        let kept = artifact.map(|artifact| artifact.join(ADAPTER)).filter(|folder| Adapter::is_at(folder));
        let kept = kept.ok_or_else(|| Failure::mistake("a network without adapters was not refused before the run"))?;
        copy(&kept, &context.folder().join(ADAPTER))?;
        Ok(Product::network(ADAPTER))
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir(to)?;
    for file in files_under(from)? {
        fs::copy(from.join(&file), to.join(&file))?;
        fs::File::open(to.join(&file))?.sync_all()?;
    }
    Ok(())
}

/// `load_adapter(base, path)`: a network with the adapters of a folder merged in.
#[derive(Debug)]
pub struct LoadAdapter;

impl Primitive for LoadAdapter {
    fn name(&self) -> &'static str {
        "load_adapter"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let base = Network::open(&context.network(&call.get::<Output>("base")?)?.path)?;
        let folder = context.path(&call.get::<PathBuf>("path")?);
        let adapted = Adapter::open(&folder, &base)?;
        Adapter::check_base(&folder, &base)?;
        keep(&adapted, context)
    }

    fn file_arguments(&self) -> &'static [&'static str] {
        &["path"]
    }

    fn want(&self) -> Want {
        Want::Adapter
    }

    /// Notes and the states of optimisers beside an adapter change nothing.
    fn outside_files(&self, path: &Path) -> std::io::Result<Vec<PathBuf>> {
        fs::metadata(path)?;
        let names = ["adapter_config.json", "adapter_model.safetensors", "align.json"];
        Ok(names.iter().map(|name| path.join(name)).filter(|file| file.is_file()).collect())
    }
}
