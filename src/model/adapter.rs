//! Low-rank adapters (Hu et al. 2022): beside a projection's frozen weight W (N, K) stand A (R, K) and B (N, R), and the
//! projection becomes x (W + s B A)ᵀ.
//!
//! s is alpha / R, or alpha / √R where it is stabilised for large ranks (Kalajdzievski 2023). With magnitudes
//! (Liu et al. 2024) each row of W + s B A is brought to a length m (1, N) that is learnt too.

use std::borrow::Cow;
use std::sync::Arc;

use rayon::prelude::*;

use crate::chance::{uniform, unit};

use super::{ModelError, ModelSpec, Network, Parameter};

/// The random stream of a first A.
const STREAM: u32 = 0x4c4f_5241;

/// A projection of a block that may have an adapter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Target {
    Query,
    Key,
    Value,
    Output,
    Gate,
    Up,
    Down,
}

impl Target {
    /// Every one, in the order in which a block holds them.
    pub const ALL: [Self; 7] = [Self::Query, Self::Key, Self::Value, Self::Output, Self::Gate, Self::Up, Self::Down];

    /// The word for it in recipes: what most checkpoints call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Query => "q_proj",
            Self::Key => "k_proj",
            Self::Value => "v_proj",
            Self::Output => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }

    /// The target of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.word() == word)
    }

    /// What the family calls it inside a block, and the part that it is of a tensor with several; `None` where the family
    /// has no such projection.
    fn names(self, spec: &ModelSpec) -> Option<(&'static str, &'static str)> {
        let names = &spec.family.names;
        Some(match self {
            Self::Query => (names.query, ".query"),
            Self::Key => (names.key, ".key"),
            Self::Value => (names.value, ".value"),
            Self::Output => (names.output, ""),
            Self::Gate => (names.gate?, ".gate"),
            Self::Up => (names.up, ".up"),
            Self::Down => (names.down, ""),
        })
    }
}

/// How adapters are made.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AdapterSpec {
    /// R, at least 1.
    pub rank: usize,
    pub alpha: f64,
    /// s = alpha / √R rather than alpha / R.
    pub by_root: bool,
    /// Whether the rows of the adapted weight have learnt lengths.
    pub magnitude: bool,
    /// By place in [`Target::ALL`].
    pub targets: [bool; 7],
}

impl AdapterSpec {
    /// Adapters of every projection, scaled by 2: twice the rank over the rank.
    #[expect(clippy::cast_precision_loss, reason = "ranks are small")]
    pub fn new(rank: usize) -> Self {
        Self { rank, alpha: 2.0 * rank as f64, by_root: false, magnitude: false, targets: [true; 7] }
    }

    /// s.
    #[expect(clippy::cast_precision_loss, reason = "ranks are small")]
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.by_root { rank.sqrt() } else { rank }
    }
}

/// Where an adapter stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Site {
    pub block: usize,
    pub target: Target,
}

impl Site {
    /// Every projection of a network that a weight of `parameters` stands for, with the weight's place there.
    pub(super) fn all(spec: &ModelSpec, parameters: &[Parameter]) -> Vec<(Self, usize)> {
        let sites = (0..spec.layers).flat_map(|block| Target::ALL.map(|target| Self { block, target }));
        let place = |site: Self| {
            let (name, part) = site.target.names(spec)?;
            let block = spec.family.names.block.replace("{}", &site.block.to_string());
            let is_its = |p: &Parameter| [part, ""].iter().any(|part| p.name == format!("{block}{name}{part}.weight"));
            parameters.iter().position(is_its).map(|at| (site, at))
        };
        sites.filter_map(place).collect()
    }
}

/// The name of a projection whose weight is `parameter`.
pub(super) fn projection(parameter: &Parameter) -> &str {
    parameter.name.trim_end_matches(".weight")
}

/// A network's adapters with their numbers. Cheap to clone.
#[derive(Clone, PartialEq, Debug)]
pub struct Adapter {
    pub spec: AdapterSpec,
    /// In order; the place among the network's own parameters of the weight that each stands beside.
    pub(super) sites: Vec<(Site, usize)>,
    /// A, B and, with magnitudes, m of each site.
    pub(super) numbers: Vec<Arc<[f32]>>,
}

impl Adapter {
    /// Adapters that change nothing yet: A uniform within ±1/√K (He et al. 2015 with a slope of √5, as PEFT starts it), B
    /// zero, each length what it is. The numbers of A depend on `key` and `stream` and their places only.
    ///
    /// # Errors
    /// When the network has no projection of a target, or its weights cannot be read.
    pub fn new(network: &Network, spec: AdapterSpec, key: [u32; 2], stream: u32) -> Result<Self, ModelError> {
        let parameters = network.parameters();
        let mut sites = Site::all(&network.spec, &parameters);
        let wanted = |target: Target| spec.targets[target as usize];
        // a family without one of the projections has all the others adapted when all are asked for
        if let Some(missing) = Target::ALL.into_iter().find(|t| wanted(*t) && sites.iter().all(|(s, _)| s.target != *t))
            && spec.targets != [true; 7]
        {
            return Err(ModelError::NoProjection { target: missing.word() });
        }
        sites.retain(|(site, _)| wanted(site.target));
        let mut numbers = Vec::new();
        for (site, at) in &sites {
            let (rows, cols) = shape(&parameters[*at]);
            numbers.push(first_a(spec.rank, cols, key, [stream, word(site.block) << 3 | site.target as u32]));
            numbers.push(vec![0.0; rows * spec.rank].into());
            if spec.magnitude {
                numbers.push(network.tensor(*at, &parameters[*at])?.chunks(cols).map(length).collect());
            }
        }
        Ok(Self { spec, sites, numbers })
    }

    /// How many tensors each site has.
    pub(super) fn per_site(&self) -> usize {
        2 + usize::from(self.spec.magnitude)
    }

    /// The adapters' tensors, named as PEFT names them.
    pub fn parameters(&self, network: &Network) -> Vec<Parameter> {
        let weights = network.parameters();
        let mut found = Vec::new();
        for (_, at) in &self.sites {
            found.extend(tensors_of(&self.spec, &weights[*at]));
        }
        found
    }

    /// The same adapters with other numbers.
    pub(super) fn with_numbers(&self, numbers: Vec<Arc<[f32]>>) -> Self {
        Self { numbers, ..self.clone() }
    }

    /// `weight`, parameter `at` of the network, with its adapter merged in; `None` where there is no adapter.
    #[expect(clippy::cast_possible_truncation, reason = "the device counts in f32")]
    pub(super) fn merged(&self, at: usize, weight: &[f32], parameter: &Parameter) -> Option<Vec<f32>> {
        let place = self.sites.iter().position(|(_, weight)| *weight == at)? * self.per_site();
        let (down, up) = (&self.numbers[place], &self.numbers[place + 1]);
        let magnitude = self.spec.magnitude.then(|| &self.numbers[place + 2]);
        let (scale, rank, (_, cols)) = (self.spec.scale() as f32, self.spec.rank, shape(parameter));
        let mut merged = vec![0.0; weight.len()];
        merged.par_chunks_mut(cols).enumerate().for_each(|(n, row)| {
            for (r, share) in up[n * rank..(n + 1) * rank].iter().enumerate() {
                row.iter_mut().zip(&down[r * cols..(r + 1) * cols]).for_each(|(y, a)| *y += share * a);
            }
            row.iter_mut().zip(&weight[n * cols..]).for_each(|(y, w)| *y = w + scale * *y);
            if let Some(magnitude) = magnitude {
                let gain = magnitude[n] / length(row);
                row.iter_mut().for_each(|y| *y *= gain);
            }
        });
        Some(merged)
    }
}

/// The tensors of an adapter beside `weight` (N, K).
pub(super) fn tensors_of(adapter: &AdapterSpec, weight: &Parameter) -> Vec<Parameter> {
    let (rows, cols) = shape(weight);
    let tensor = |end: &str, shape: &[usize]| Parameter::new(format!("base_model.model.{}.{end}", projection(weight)), shape);
    let mut found = vec![tensor("lora_A.weight", &[adapter.rank, cols]), tensor("lora_B.weight", &[rows, adapter.rank])];
    if adapter.magnitude {
        found.push(tensor("lora_magnitude_vector", &[rows]));
    }
    found
}

impl Network {
    /// The same network with adapters beside its weights, in the place of those it has.
    #[must_use]
    pub fn with_adapter(&self, adapter: Adapter) -> Self {
        Self { adapter: Some(Arc::new(adapter)), ..self.clone() }
    }

    /// The same network without its adapters.
    #[must_use]
    pub fn without_adapter(&self) -> Self {
        Self { adapter: None, ..self.clone() }
    }

    /// The numbers of tensor `index` of `parameter`, its adapter merged in.
    ///
    /// # Errors
    /// As [`Network::tensor`].
    pub fn merged_tensor(&self, index: usize, parameter: &Parameter) -> Result<Cow<'_, [f32]>, ModelError> {
        Ok(self.merged(index, parameter, self.tensor(index, parameter)?))
    }

    /// The same where the tensor's own numbers are at hand.
    pub(super) fn merged<'a>(&self, index: usize, parameter: &Parameter, weight: Cow<'a, [f32]>) -> Cow<'a, [f32]> {
        let merged = self.adapter.as_ref().and_then(|adapter| adapter.merged(index, &weight, parameter));
        merged.map_or(weight, Cow::Owned)
    }
}

/// Rows and columns of a weight.
pub(super) fn shape(parameter: &Parameter) -> (usize, usize) {
    (parameter.shape[0], parameter.shape[1])
}

fn length(row: &[f32]) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "the device counts in f32")]
    let length = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() as f32;
    length
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "the device counts in f32")]
fn first_a(rank: usize, cols: usize, key: [u32; 2], [stream, site]: [u32; 2]) -> Arc<[f32]> {
    let bound = 1.0 / (cols as f64).sqrt();
    let number = |i: usize| {
        let words = uniform(key, [word(i / 2), site, stream, STREAM]);
        let from = 2 * (i % 2);
        (bound * (2.0 * unit(words[from], words[from + 1]) - 1.0)) as f32
    };
    (0..rank * cols).map(number).collect()
}

fn word(x: usize) -> u32 {
    u32::try_from(x).expect("a network's sizes fit 32 bits")
}
