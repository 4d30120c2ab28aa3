//! Adapters as folders that PEFT reads and writes: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! Which weights have an adapter is told by the tensors that are there; the configuration says how they are scaled. What
//! it asks for beyond that is refused.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::adapter::{Adapter, AdapterSpec, Site, Target, arrange, projection};
use super::checkpoint::write_file;
use super::config::Config;
use super::tensorfile::{TensorFile, write_tensors};
use super::tokenizer_files::bytes;
use super::{Head, ModelError, Network, Parameter, Tensors};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

/// Fields that change what an adapter computes, or the weights beside it. Each must be absent, false, empty, or this.
const REFUSED: &[(&str, Option<&str>)] = &[
    ("alora_invocation_tokens", None),
    ("alpha_pattern", None),
    ("bias", Some("none")),
    ("layer_replication", None),
    ("lora_bias", None),
    ("rank_pattern", None),
    ("target_parameters", None),
    ("trainable_token_indices", None),
    ("use_bdlora", None),
    ("use_qalora", None),
];

/// Ways of starting that leave the base's weights as they are; PiSSA, OLoRA, LoftQ and CorDA do not.
const STARTS: &[&str] = &["gaussian", "eva", "orthogonal"];

impl Adapter {
    /// Whether a folder holds an adapter rather than a network.
    pub fn is_at(folder: &Path) -> bool {
        folder.join(CONFIG).is_file() && !folder.join("config.json").exists()
    }

    /// `network` with the adapters in a folder that PEFT or [`Adapter::write`] wrote; where they come with a score head and
    /// the network has one, with that too.
    ///
    /// # Errors
    /// When a file is missing or damaged, the tensors do not belong to this network, or the configuration asks for what
    /// is not computed.
    pub fn open(folder: &Path, network: &Network) -> Result<Network, ModelError> {
        if let Err(e) = std::fs::metadata(folder) {
            return Err(ModelError::unreadable(folder, &e));
        }
        if let Some(missing) = [CONFIG, WEIGHTS].into_iter().find(|name| !folder.join(name).is_file()) {
            return Err(ModelError::NotAnAdapter { path: folder.to_owned(), missing });
        }
        let config = Config::read(&folder.join(CONFIG))?;
        let mut spec = spec_of(&config)?;
        let file = TensorFile::open(&[folder.join(WEIGHTS)])?;
        let parameters = network.parameters();
        let mut sites = Site::all(&network.spec, &parameters);
        sites.retain(|site| {
            let (_, tensors) = arrange(&spec, &[*site], &parameters);
            tensors.iter().any(|tensor| file.shape(&tensor.stored).is_some())
        });
        let (places, tensors) = arrange(&spec, &sites, &parameters);
        let mut numbers: Vec<Arc<[f32]>> = vec![Arc::default(); tensors.len()];
        let mut known = Vec::new();
        for stored in network.spec.stored_of(&tensors) {
            file.check(&stored.name, &stored.shape)?;
            for (part, own) in stored.parts.iter().zip(stored.split(file.read(&stored.name)?)) {
                numbers[*part] = own.into();
            }
            known.push(stored.name);
        }
        let head = network.own_head().filter(|(_, head)| file.shape(&saved(&head.name)).is_some());
        known.extend(head.iter().map(|(_, head)| saved(&head.name)));
        if let Some(extra) = file.names().find(|name| !known.iter().any(|k| k == name)) {
            return Err(ModelError::ExtraTensor { path: folder.join(WEIGHTS), tensor: extra.into() });
        }
        if sites.is_empty() {
            return Err(ModelError::Damaged { path: folder.join(WEIGHTS), reason: "it adapts nothing".into() });
        }
        spec.targets = Target::ALL.map(|target| sites.iter().any(|(site, _)| site.target == target));
        let headed = match head {
            Some((at, head)) => {
                file.check(&saved(&head.name), &head.shape)?;
                network.with_tensor(at, file.read(&saved(&head.name))?.into())?
            }
            None => network.clone(),
        };
        Ok(headed.with_adapter(Self { spec, places, numbers }))
    }

    /// Refuses an adapter that was trained beside other weights, where its folder says so: those that PEFT wrote do not.
    ///
    /// # Errors
    /// When the weights are others, or cannot be read.
    pub fn check_base(folder: &Path, network: &Network) -> Result<(), ModelError> {
        let path = folder.join("align.json");
        if !path.is_file() {
            return Ok(());
        }
        match Config::read(&path)?.text("base") {
            Some(base) if base != network.content()? => Err(ModelError::OtherBase { path: folder.to_owned() }),
            _ => Ok(()),
        }
    }

    /// Writes the adapters of `network` into `folder`, which must exist, with its score or value head if it has one.
    ///
    /// # Errors
    /// When the network has no adapters, or a file cannot be written.
    pub fn write(network: &Network, folder: &Path) -> Result<(), ModelError> {
        let adapter = network.adapter.as_ref().ok_or_else(|| ModelError::NotAnAdapter { path: folder.to_owned(), missing: WEIGHTS })?;
        let adapter = adapter.completed(network)?;
        write_file(folder, CONFIG, &bytes(&config_of(&adapter, network)))?;
        write_file(folder, "align.json", &bytes(&json!({ "base": network.content()? })))?;
        let stored = network.spec.stored_of(&adapter.parameters(network));
        let joined: Vec<Vec<f32>> =
            stored.iter().map(|s| s.join(&s.parts.iter().map(|&part| &adapter.numbers[part][..]).collect::<Vec<_>>())).collect();
        let mut named: Vec<_> = stored.iter().zip(&joined).map(|(s, n)| (s.name.as_str(), &s.shape[..], &n[..])).collect();
        let head = network.own_head();
        let head = head.as_ref().map(|(at, p)| Ok::<_, ModelError>((saved(&p.name), &p.shape[..], network.tensor(*at, p)?))).transpose()?;
        named.extend(head.as_ref().map(|(name, shape, numbers)| (name.as_str(), *shape, &numbers[..])));
        write_tensors(&folder.join(WEIGHTS), named)
    }
}

impl Network {
    /// The score or value head, which is trained beside adapters: its place and tensor.
    fn own_head(&self) -> Option<(usize, Parameter)> {
        let head = (self.head != Head::Language).then(|| self.parameters().pop())??;
        Some((self.parameters().len() - 1, head))
    }

    /// The same network with other numbers in one tensor.
    fn with_tensor(&self, at: usize, numbers: Arc<[f32]>) -> Result<Self, ModelError> {
        let parameters = self.parameters();
        let tensors = parameters.iter().enumerate().map(|(index, p)| match index == at {
            true => Ok(numbers.clone()),
            false => self.tensor(index, p).map(Arc::from),
        });
        Ok(self.with_weights(tensors.collect::<Result<_, ModelError>>()?))
    }

    /// Names the decoder's weights by their content, whatever head, adapter or file they come with.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn content(&self) -> Result<String, ModelError> {
        let mut hasher = blake3::Hasher::new();
        for (index, parameter) in self.parameters().iter().enumerate().filter(|(_, p)| !self.is_head(p)) {
            hasher.update(format!("{}\0{:?}\0", parameter.name, parameter.shape).as_bytes());
            hasher.update(bytemuck::cast_slice(&self.tensor(index, parameter)?));
        }
        Ok(hasher.finalize().to_hex()[..32].to_owned())
    }
}

/// What PEFT calls a tensor that is saved whole.
fn saved(name: &str) -> String {
    format!("base_model.model.{name}")
}

fn spec_of(config: &Config) -> Result<AdapterSpec, ModelError> {
    let unsupported = |feature: String| ModelError::UnsupportedFeature { path: config.path().to_owned(), feature };
    if let Some(kind) = config.text("peft_type").filter(|kind| *kind != "LORA") {
        return Err(unsupported(format!("an adapter of the kind `{kind}`")));
    }
    for (field, allowed) in REFUSED {
        let plain = match config.field(field) {
            None | Some(Value::Bool(false)) => true,
            Some(Value::Array(items)) => items.is_empty(),
            Some(Value::Object(fields)) => fields.is_empty(),
            Some(other) => other.as_str() == *allowed && allowed.is_some(),
        };
        if !plain {
            return Err(unsupported(format!("`{field}`")));
        }
    }
    if let Some(start) = config.text("init_lora_weights").filter(|start| !STARTS.contains(start)) {
        return Err(unsupported(format!("`init_lora_weights: {start}`, which changes the weights beside the adapter")));
    }
    Ok(AdapterSpec {
        rank: config.size("r")?,
        alpha: config.optional_positive("lora_alpha")?.unwrap_or(8.0),
        by_root: config.flag_or("use_rslora", false)?,
        magnitude: config.flag_or("use_dora", false)?,
        targets: [false; 7],
    })
}

fn config_of(adapter: &Adapter, network: &Network) -> Value {
    let spec = &adapter.spec;
    let here = |site: &Site| adapter.places.iter().any(|place| place.site == *site);
    let parameters = network.parameters();
    let everywhere = Site::all(&network.spec, &parameters).iter().all(|(site, _)| !spec.targets[site.target as usize] || here(site));
    let name = |at: usize| {
        let name = projection(&parameters[at]);
        if everywhere { name.rsplit('.').next().unwrap_or_default().to_owned() } else { name.to_owned() }
    };
    let mut modules: Vec<String> = adapter.places.iter().map(|place| name(place.weight)).collect();
    modules.sort();
    modules.dedup();
    let head = network.spec.family.names.score_head;
    let saved = if network.head == Head::Language { Value::Null } else { json!([head]) };
    #[expect(clippy::cast_possible_truncation, reason = "a whole number stays one for readers who expect it")]
    let alpha = if spec.alpha.fract() == 0.0 && spec.alpha < 1e9 { json!(spec.alpha as i64) } else { json!(spec.alpha) };
    json!({
        "peft_type": "LORA",
        "task_type": if network.head == Head::Language { "CAUSAL_LM" } else { "SEQ_CLS" },
        "base_model_name_or_path": null,
        "r": spec.rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "use_rslora": spec.by_root,
        "use_dora": spec.magnitude,
        "target_modules": modules,
        "modules_to_save": saved,
        "bias": "none",
        "fan_in_fan_out": network.spec.family.transposed,
        "init_lora_weights": true,
        "inference_mode": true,
    })
}
