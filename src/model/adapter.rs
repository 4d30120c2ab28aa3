//! Low-rank adapters (Hu et al. 2022): beside a projection's frozen weight W (N, K) stand A (R, K) and B (N, R), and the
//! projection becomes x (W + s B A)ᵀ.
//!
//! s is alpha / R, or alpha / √R where it is stabilised for large ranks (Kalajdzievski 2023). With magnitudes
//! (Liu et al. 2024) each row of W + s B A is brought to a length m (1, N) that is learnt too.
//!
//! Projections that lie in one tensor of a file have one A together: they are one projection to PEFT and to the paper, and
//! only taken apart here.

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

/// The name that files have for a projection whose weight is `parameter`, alone or with others.
pub(super) fn projection(parameter: &Parameter) -> &str {
    parameter.stored.trim_end_matches(".weight")
}

/// A site, the weight that it stands beside and its own tensors.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub site: Site,
    /// Among the network's own parameters.
    pub weight: usize,
    /// A, B and m among the adapter's tensors. Several sites may have one A.
    pub down: usize,
    pub up: usize,
    pub magnitude: Option<usize>,
}

/// The tensors of adapters at `sites`, named as PEFT names them, and where each site finds its own.
pub(super) fn arrange(spec: &AdapterSpec, sites: &[(Site, usize)], weights: &[Parameter]) -> (Vec<Place>, Vec<Parameter>) {
    let (mut places, mut tensors) = (Vec::<Place>::new(), Vec::<Parameter>::new());
    for &(site, at) in sites {
        let (weight, (rows, cols)) = (&weights[at], shape(&weights[at]));
        let mut push = |name: &str, end: &str, shape: &[usize]| {
            let full = |name: &str| format!("base_model.model.{}.{end}", name.trim_end_matches(".weight"));
            tensors.push(Parameter { stored: full(&weight.stored), ..Parameter::new(full(name), shape) });
            tensors.len() - 1
        };
        let shared = places.iter().rfind(|other| weights[other.weight].stored == weight.stored);
        let down = shared.map_or_else(|| push(&weight.stored, "lora_A.weight", &[spec.rank, cols]), |other| other.down);
        let up = push(&weight.name, "lora_B.weight", &[rows, spec.rank]);
        let magnitude = spec.magnitude.then(|| push(&weight.name, "lora_magnitude_vector", &[rows]));
        places.push(Place { site, weight: at, down, up, magnitude });
    }
    (places, tensors)
}

/// A network's adapters with their numbers. Cheap to clone.
#[derive(Clone, PartialEq, Debug)]
pub struct Adapter {
    pub spec: AdapterSpec,
    /// In order.
    pub(super) places: Vec<Place>,
    /// Of every tensor, in the order of [`Adapter::parameters`].
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
        let (places, tensors) = arrange(&spec, &sites, &parameters);
        let mut numbers: Vec<Arc<[f32]>> = tensors.iter().map(|tensor| vec![0.0; tensor.len()].into()).collect();
        // backwards, so that the first of the sites with one A says what it starts from
        for place in places.iter().rev() {
            let (Site { block, target }, weight) = (place.site, &parameters[place.weight]);
            numbers[place.down] = first_a(spec.rank, shape(weight).1, key, [stream, word(block) << 3 | target as u32]);
            if let Some(magnitude) = place.magnitude {
                numbers[magnitude] = lengths(&network.tensor(place.weight, weight)?, weight);
            }
        }
        Ok(Self { spec, places, numbers })
    }

    /// Where the adapters stand.
    pub(super) fn sites(&self) -> Vec<(Site, usize)> {
        self.places.iter().map(|place| (place.site, place.weight)).collect()
    }

    /// The adapters' tensors, named as PEFT names them.
    pub fn parameters(&self, network: &Network) -> Vec<Parameter> {
        arrange(&self.spec, &self.sites(), &network.parameters()).1
    }

    /// The same adapters with ones that change nothing beside every weight that lies in a tensor with an adapted one: as
    /// files have them.
    ///
    /// # Errors
    /// When the network's weights cannot be read.
    pub(super) fn completed(&self, network: &Network) -> Result<Self, ModelError> {
        let weights = network.parameters();
        let beside = |at: usize| self.places.iter().find(|own| weights[own.weight].stored == weights[at].stored);
        let mut sites = Site::all(&network.spec, &weights);
        sites.retain(|(_, at)| beside(*at).is_some());
        let (places, tensors) = arrange(&self.spec, &sites, &weights);
        let mut numbers: Vec<Arc<[f32]>> = tensors.iter().map(|tensor| vec![0.0; tensor.len()].into()).collect();
        for place in &places {
            let own = self.places.iter().find(|own| own.site == place.site);
            let near = beside(place.weight).expect("only such sites were kept");
            numbers[place.down] = self.numbers[near.down].clone();
            if let Some(own) = own {
                numbers[place.up] = self.numbers[own.up].clone();
            }
            if let Some(magnitude) = place.magnitude {
                numbers[magnitude] = match own.and_then(|own| own.magnitude) {
                    Some(own) => self.numbers[own].clone(),
                    None => lengths(&network.tensor(place.weight, &weights[place.weight])?, &weights[place.weight]),
                };
            }
        }
        Ok(Self { spec: self.spec, places, numbers })
    }

    /// The same adapters with other numbers.
    pub(super) fn with_numbers(&self, numbers: Vec<Arc<[f32]>>) -> Self {
        Self { numbers, ..self.clone() }
    }

    /// `weight`, parameter `at` of the network, with its adapter merged in; `None` where there is no adapter.
    #[expect(clippy::cast_possible_truncation, reason = "the device counts in f32")]
    pub(super) fn merged(&self, at: usize, weight: &[f32], parameter: &Parameter) -> Option<Vec<f32>> {
        let place = self.places.iter().find(|place| place.weight == at)?;
        let (down, up) = (&self.numbers[place.down], &self.numbers[place.up]);
        let magnitude = place.magnitude.map(|at| &self.numbers[at]);
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

fn lengths(weight: &[f32], parameter: &Parameter) -> Arc<[f32]> {
    weight.chunks(shape(parameter).1).map(length).collect()
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
