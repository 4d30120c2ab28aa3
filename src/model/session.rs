//! Networks on a device: load them, read log-probs, values and scores off them, train them, take them back.
//!
//! One step of any objective is `forward` (keeps activations, returns numbers), the objective on the host, `backward`
//! (takes the objective's derivatives), `update`. Frozen networks answer through `readout`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Weak};

use crate::engine::{Arena, BlockFormat, BufferId, Device, DeviceInfo, Gradients, MemoryUse, View};

use super::frozen::Frozen;
use super::pass::activation_bytes;
use super::tensorfile::write_fetched;
use super::tokens::Tables;
use super::transformer::{LowRank, Tensors};
use super::{Adapter, Head, ModelError, ModelSpec, Network, Numbers, Parameter, TensorFile, Tensors as _, Tokenizer};

/// A device and the networks loaded on it.
#[derive(Debug)]
pub struct Engine {
    pub(super) device: Box<dyn Device>,
    pub(super) arena: Arena,
    networks: Vec<Option<Loaded>>,
    frozen: Frozen,
    /// Temporaries of passes whose backward is still to come, until their token is dropped.
    live: Vec<(Weak<()>, Vec<BufferId>)>,
    pub(super) budget: Budget,
}

/// How many rows (tokens) are computed at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Rows of one batch; more are computed batch by batch.
    pub rows: usize,
    /// Bytes of activations kept between forward and backward; batches beyond are computed a second time.
    pub kept_bytes: u64,
    /// Completions sampled at once, where the cache has room for as many.
    pub slots: usize,
    /// Bytes of keys and values kept while sampling.
    pub cache_bytes: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { rows: 2048, kept_bytes: 1 << 30, slots: 128, cache_bytes: 1 << 29 }
    }
}

/// Fewer rows than these would not fill a product.
const LEAST_ROWS: usize = 256;

impl Budget {
    /// The usual budget, with at most so many rows of one batch.
    pub fn of_rows(most: Option<usize>) -> Self {
        let usual = Self::default();
        Self { rows: most.unwrap_or(usual.rows).min(usual.rows), ..usual }
    }

    /// Rows of one batch whose activations are kept: as many as there is room for.
    pub(super) fn kept_rows(&self, spec: &ModelSpec) -> usize {
        let room = usize::try_from(self.kept_bytes / activation_bytes(spec, 1)).unwrap_or(usize::MAX);
        self.rows.min(room.max(LEAST_ROWS))
    }
}

/// A network loaded on an [`Engine`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NetId(usize);

/// What of a network is trained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Learns {
    Nothing,
    /// Every weight, or with an adapter that and a score or value head.
    All,
    /// A score or value head.
    Head,
}

/// One network on the device.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The network without its numbers.
    pub network: Network,
    /// The network's own tensors, then its adapter's.
    pub parameters: Vec<Parameter>,
    pub views: Vec<View>,
    /// Places of those whose words are blocks.
    pub in_blocks: BTreeSet<usize>,
    pub tensors: Tensors,
    /// For as many positions as were needed so far.
    pub tables: Tables,
    pub training: Option<Training>,
}

/// What a trained network has beside its weights. With an adapter, the adapter and a score or value head are trained, and
/// every other weight is frozen: without gradient or moments, and shared with whoever holds the same numbers.
#[derive(Debug)]
pub(super) struct Training {
    /// What is trained.
    pub parameters: Vec<Parameter>,
    pub weights: Vec<View>,
    pub gradients: Vec<View>,
    pub first: Vec<View>,
    pub second: Vec<View>,
    /// The weights that [`super::AdamStep::anchor`] pulls back to, where they are remembered.
    pub start: Vec<View>,
    pub tape: Gradients,
    /// Optimiser steps taken.
    pub steps: u64,
}

/// The tensors of a network that is being loaded.
#[derive(Default)]
struct Parts {
    parameters: Vec<Parameter>,
    views: Vec<View>,
    /// Places of those that are learnt.
    learnt: Vec<usize>,
}

impl Engine {
    /// An engine without networks.
    pub fn new(device: Box<dyn Device>) -> Self {
        let budget = Budget::default();
        Self { device, arena: Arena::new(), networks: Vec::new(), frozen: Frozen::default(), live: Vec::new(), budget }
    }

    /// Changes how much is computed at a time. Results may differ in their last bits.
    pub fn set_budget(&mut self, budget: Budget) {
        self.budget = budget;
    }

    /// The device under it.
    pub fn describe(&self) -> DeviceInfo {
        self.device.describe()
    }

    /// Bytes in use on the device, and the most there ever were.
    pub fn memory(&self) -> MemoryUse {
        self.device.memory()
    }

    /// Copies a network to the device; a `trainable` one gets memory for gradients and moments of what it learns: every
    /// weight, or with an adapter that and a score or value head. Weights that are only read are held once on the device,
    /// however many networks have them.
    ///
    /// # Errors
    /// When its files cannot be read, or the device has no room.
    pub fn load(&mut self, network: &Network, trainable: bool) -> Result<NetId, ModelError> {
        self.load_for(network, if trainable { Learns::All } else { Learns::Nothing })
    }

    /// The same, naming what is trained.
    ///
    /// # Errors
    /// As [`Engine::load`], and when only a head is to be trained that a language model does not have.
    pub fn load_for(&mut self, network: &Network, learns: Learns) -> Result<NetId, ModelError> {
        if learns == Learns::Head && network.head == Head::Language {
            return Err(ModelError::WrongHead { expected: "score", found: network.head.word() });
        }
        let mut parts = Parts::default();
        match self.load_parts(network, learns, &mut parts) {
            Ok(loaded) => {
                self.networks.push(Some(loaded));
                Ok(NetId(self.networks.len() - 1))
            }
            Err(error) => {
                self.free(parts.views);
                Err(error)
            }
        }
    }

    fn load_parts(&mut self, network: &Network, learns: Learns, parts: &mut Parts) -> Result<Loaded, ModelError> {
        let adapter = network.adapter.as_deref();
        let own = network.parameters();
        let learnt = |p: &Parameter| learns.of(network, p);
        let blocked = network.blocked(&own);
        let in_blocks: BTreeSet<usize> = blocked.iter().map(|(_, at)| *at).collect();
        network.check_learning(learns)?;
        // files may hold tensors in another order
        let mut placed: Vec<(usize, View)> = Vec::with_capacity(own.len());
        let read = network.each_tensor(|index, numbers| {
            let view = match network.blocks.filter(|_| in_blocks.contains(&index)) {
                Some(format) => self.place_blocks(&own[index], numbers, format)?,
                None => self.place(&own[index], numbers, learnt(&own[index]))?,
            };
            placed.push((index, view));
            Ok(())
        });
        placed.sort_unstable_by_key(|(index, _)| *index);
        parts.views = placed.iter().map(|(_, view)| *view).collect();
        read?;
        parts.learnt = (0..own.len()).filter(|at| learnt(&own[*at])).collect();
        parts.parameters.clone_from(&own);
        for (parameter, numbers) in adapter.map(|a| a.parameters(network)).iter().flatten().zip(adapter.iter().flat_map(|a| &a.numbers)) {
            self.put(parts, parameter, numbers, learns == Learns::All)?;
        }
        let training = if learns != Learns::Nothing { Some(self.training(parts)?) } else { None };
        let mut tensors = Tensors::new(&network.spec, network.head, &parts.views[..own.len()]);
        adapt(&mut tensors, adapter, &parts.views[own.len()..]);
        network.blocks.iter().for_each(|format| blocked.iter().for_each(|(site, _)| tensors.in_blocks(*site, *format)));
        let Parts { parameters, views, .. } = std::mem::take(parts);
        Ok(Loaded { network: network.without_weights(), parameters, views, in_blocks, tensors, tables: Tables::default(), training })
    }

    /// Puts a tensor on the device: for good where it is learnt, shared where it is only read.
    fn put(&mut self, parts: &mut Parts, parameter: &Parameter, numbers: &[f32], learnt: bool) -> Result<(), ModelError> {
        let view = self.place(parameter, numbers, learnt)?;
        parts.parameters.push(parameter.clone());
        parts.views.push(view);
        parts.learnt.extend(learnt.then_some(parts.views.len() - 1));
        Ok(())
    }

    fn place(&mut self, parameter: &Parameter, numbers: &[f32], learnt: bool) -> Result<View, ModelError> {
        let (rows, cols) = matrix(parameter);
        Ok(match learnt {
            true => self.device.load(numbers, rows, cols)?,
            false => self.frozen.hold((rows, cols), bytemuck::cast_slice(numbers), || self.device.load(numbers, rows, cols))?,
        })
    }

    /// Puts a weight that is only read on the device, in blocks.
    fn place_blocks(&mut self, parameter: &Parameter, numbers: &[f32], format: BlockFormat) -> Result<View, ModelError> {
        let (rows, cols) = matrix(parameter);
        let (words, cols) = (format.encode(numbers, cols), format.words(cols));
        Ok(self.frozen.hold((rows, cols), bytemuck::cast_slice(&words), || self.device.load_words(&words, rows, cols))?)
    }

    fn training(&mut self, parts: &mut Parts) -> Result<Training, ModelError> {
        let parameters: Vec<Parameter> = parts.learnt.iter().map(|at| parts.parameters[*at].clone()).collect();
        let weights: Vec<View> = parts.learnt.iter().map(|at| parts.views[*at]).collect();
        let mut all = || parameters.iter().map(|p| self.allocate(p)).collect::<Result<Vec<_>, _>>();
        let (gradients, first, second) = (all()?, all()?, all()?);
        let mut tape = Gradients::new();
        for (weight, gradient) in weights.iter().zip(&gradients) {
            tape.leaf(*weight, *gradient);
        }
        Ok(Training { parameters, weights, gradients, first, second, start: Vec::new(), tape, steps: 0 })
    }

    fn allocate(&mut self, parameter: &Parameter) -> Result<View, ModelError> {
        let (rows, cols) = matrix(parameter);
        Ok(View::new(self.device.alloc(rows * cols)?, rows, cols))
    }

    fn free(&mut self, views: impl IntoIterator<Item = View>) {
        for view in views {
            if !self.frozen.let_go(&mut *self.device, view) {
                self.device.free(view.buffer);
            }
        }
    }

    /// Gives a network's memory back. Its id is void.
    pub fn unload(&mut self, net: NetId) {
        let Some(loaded) = self.networks.get_mut(net.0).and_then(Option::take) else { return };
        let training = loaded.training.iter().flat_map(|t| t.gradients.iter().chain(&t.first).chain(&t.second).chain(&t.start));
        let tables = loaded.tables.0.iter().flatten();
        let views: Vec<View> = loaded.views.iter().chain(tables).chain(training).copied().collect();
        self.free(views);
    }

    /// Gives the memory of temporaries back; the next step takes it anew. For the end of a stage.
    pub fn trim(&mut self) {
        self.sweep();
        if self.live.is_empty() {
            self.arena.clear(&mut *self.device);
        }
    }

    /// The sizes of a network.
    pub fn spec(&self, net: NetId) -> &ModelSpec {
        &self.loaded(net).network.spec
    }

    /// The head of a network.
    pub fn head(&self, net: NetId) -> Head {
        self.loaded(net).network.head
    }

    /// The tensors that training a network changes, in the order of a state and of [`Engine::gradients`];
    /// all tensors of a frozen one.
    pub fn parameters(&self, net: NetId) -> &[Parameter] {
        let loaded = self.loaded(net);
        loaded.training.as_ref().map_or(&loaded.parameters, |training| &training.parameters)
    }

    /// The tokenizer of a network.
    pub fn tokenizer(&self, net: NetId) -> &Arc<Tokenizer> {
        &self.loaded(net).network.tokenizer
    }

    /// A copy of a network as it is now, to be kept or written.
    ///
    /// # Errors
    /// When the device is lost.
    pub fn network(&mut self, net: NetId) -> Result<Network, ModelError> {
        let Loaded { network, parameters, views, in_blocks, .. } = self.loaded(net);
        let format = |at: usize| network.blocks.filter(|_| in_blocks.contains(&at));
        let held = views.iter().enumerate().map(|(at, view)| (*view, format(at), matrix(&parameters[at]).1));
        let mut weights: Vec<Arc<[f32]>> = Vec::with_capacity(views.len());
        for (view, format, cols) in held.collect::<Vec<_>>() {
            weights.push(match format {
                Some(format) => format.decode_all(&self.device.read_u32(view)?, cols).into(),
                None => self.device.read_f32(view)?.into(),
            });
        }
        let network = &self.loaded(net).network;
        let numbers = weights.split_off(network.parameters().len());
        let adapter = network.adapter.as_ref().map(|adapter| Arc::new(adapter.with_numbers(numbers)));
        Ok(Network { adapter, ..network.with_weights(weights) })
    }

    /// The tensors that training changes, under their names in a checkpoint: `weights.00000`, `first.…` and `second.…`,
    /// the moments of AdamW. A frozen network has weights alone.
    fn trained(&self, net: NetId) -> Vec<(String, View)> {
        let loaded = self.loaded(net);
        let kinds = match &loaded.training {
            Some(t) => [("weights", &t.weights[..]), ("first", &t.first), ("second", &t.second)],
            None => [("weights", &loaded.views[..]), ("first", &[]), ("second", &[])],
        };
        kinds.iter().flat_map(|(kind, views)| views.iter().enumerate().map(move |(at, view)| (format!("{kind}.{at:05}"), *view))).collect()
    }

    /// Writes everything that training changes as one file, bit for bit and a tensor at a time. Returns the optimiser steps
    /// taken, which the file does not hold.
    ///
    /// # Errors
    /// When the device is lost or the file cannot be written.
    pub fn write_state(&mut self, net: NetId, path: &Path) -> Result<u64, ModelError> {
        let tensors = self.trained(net);
        let shapes: Vec<[usize; 1]> = tensors.iter().map(|(_, view)| [view.words()]).collect();
        let named: Vec<(&str, &[usize])> = tensors.iter().zip(&shapes).map(|((name, _), shape)| (name.as_str(), &shape[..])).collect();
        write_fetched(path, &named, Numbers::F32, |at| Ok(self.device.read_f32(tensors[at].1)?.into()))?;
        Ok(self.loaded(net).training.as_ref().map_or(0, |t| t.steps))
    }

    /// Puts back what [`Engine::write_state`] wrote when `steps` optimiser steps had been taken.
    ///
    /// # Errors
    /// When it is the state of another network, the network is frozen, the file is damaged, or the device is lost.
    pub fn read_state(&mut self, net: NetId, path: &Path, steps: u64) -> Result<(), ModelError> {
        let tensors = self.trained(net);
        if self.loaded(net).training.is_none() {
            return Err(ModelError::Frozen);
        }
        let file = TensorFile::open(&[path.to_owned()])?;
        let fits = |(name, view): &(String, View)| file.shape(name).is_some_and(|shape| shape == [view.words()]);
        if file.names().count() != tensors.len() || !tensors.iter().all(fits) {
            return Err(ModelError::State { reason: "its tensors are not those of this network".into() });
        }
        for (name, view) in tensors {
            self.device.write_f32(view, &file.read(&name)?)?;
        }
        let training = self.loaded_mut(net).training.as_mut().expect("seen above");
        training.steps = steps;
        training.tape.begin();
        Ok(())
    }

    /// The accumulated gradients, one vector a parameter.
    ///
    /// # Errors
    /// When the network is frozen or the device is lost.
    pub fn gradients(&mut self, net: NetId) -> Result<Vec<Vec<f32>>, ModelError> {
        self.clear_unreached(net)?;
        self.read_all(|loaded| loaded.training.as_ref().map_or(&[][..], |t| &t.gradients), net)
    }

    fn read_all(&mut self, views: impl Fn(&Loaded) -> &[View], net: NetId) -> Result<Vec<Vec<f32>>, ModelError> {
        let views = views(self.loaded(net)).to_vec();
        views.into_iter().map(|view| Ok(self.device.read_f32(view)?)).collect()
    }

    pub(super) fn loaded(&self, net: NetId) -> &Loaded {
        self.networks[net.0].as_ref().expect("an id stands for a loaded network")
    }

    pub(super) fn loaded_mut(&mut self, net: NetId) -> &mut Loaded {
        self.networks[net.0].as_mut().expect("an id stands for a loaded network")
    }

    /// The rotary tables of a network for positions below `positions`.
    pub(super) fn tables(&mut self, net: NetId, positions: usize) -> Result<Tables, ModelError> {
        let ropes = [self.spec(net).rope, self.spec(net).window_rope.filter(|_| self.spec(net).window.is_some())];
        for (at, rope) in ropes.into_iter().enumerate() {
            let old = self.loaded(net).tables.0[at];
            let Some(rope) = rope.filter(|_| old.is_none_or(|old| old.rows < positions)) else { continue };
            let rows = positions.next_power_of_two().max(64);
            let new = self.device.load(&rope.table(rows), rows, rope.turned)?;
            if let Some(old) = self.loaded_mut(net).tables.0[at].replace(new) {
                self.device.free(old.buffer);
            }
        }
        Ok(self.loaded(net).tables)
    }

    /// Refuses sequences that go beyond learned positions.
    pub(super) fn check_lengths(&self, net: NetId, mut lengths: impl Iterator<Item = usize>) -> Result<(), ModelError> {
        let Some(most) = self.spec(net).longest() else { return Ok(()) };
        lengths.find(|length| *length > most).map_or(Ok(()), |tokens| Err(ModelError::TooLong { tokens, most }))
    }

    /// Keeps the temporaries taken now until the returned token is dropped.
    pub(super) fn hold(&mut self) -> Arc<()> {
        let free = |buffer: &BufferId| !self.live.iter().any(|(_, held)| held.contains(buffer));
        let taken = self.arena.taken().into_iter().filter(free).collect();
        let token = Arc::new(());
        self.live.push((Arc::downgrade(&token), taken));
        token
    }

    /// Gives back every temporary that nothing holds.
    pub(super) fn sweep(&mut self) {
        self.live.retain(|(pass, _)| pass.strong_count() > 0);
        for buffer in self.arena.taken() {
            if !self.live.iter().any(|(_, held)| held.contains(&buffer)) {
                self.arena.release(View::new(buffer, 0, 0));
            }
        }
    }
}

impl Network {
    /// The network whose training is at the state that [`Engine::write_state`] wrote.
    ///
    /// # Errors
    /// When it is the state of another network, or the file is damaged.
    pub fn restored(&self, state: &Path, learns: Learns) -> Result<Self, ModelError> {
        let file = TensorFile::open(&[state.to_owned()])?;
        let own = self.parameters();
        let learnt: Vec<usize> = (0..own.len()).filter(|at| learns.of(self, &own[*at])).collect();
        let adapters = self.adapter.as_ref().map(|adapter| adapter.parameters(self)).unwrap_or_default();
        let tensors: Vec<&Parameter> = learnt.iter().map(|at| &own[*at]).chain(&adapters).collect();
        let name = |at: usize| format!("weights.{at:05}");
        let fits = |(at, p): (usize, &&Parameter)| file.shape(&name(at)).is_some_and(|shape| shape == [p.len()]);
        if file.shape(&name(tensors.len())).is_some() || !tensors.iter().enumerate().all(fits) {
            return Err(ModelError::State { reason: "its tensors are not those of this network".into() });
        }
        let mut numbers = (0..tensors.len()).map(|at| file.read(&name(at)).map(Arc::<[f32]>::from));
        let mut weights = Vec::with_capacity(own.len());
        for (at, parameter) in own.iter().enumerate() {
            weights.push(if learnt.contains(&at) { numbers.next().expect("counted")? } else { self.tensor(at, parameter)?.into() });
        }
        let numbers = numbers.collect::<Result<_, _>>()?;
        let adapter = self.adapter.as_ref().map(|adapter| Arc::new(adapter.with_numbers(numbers)));
        Ok(Self { adapter, ..self.with_weights(weights) })
    }
}

impl Learns {
    /// Whether it is to learn a weight of the network's own.
    fn of(self, network: &Network, parameter: &Parameter) -> bool {
        let is_new_head = network.head != Head::Language && network.is_head(parameter);
        match self {
            Self::Nothing => false,
            Self::Head => is_new_head,
            Self::All => network.adapter.is_none() || is_new_head,
        }
    }
}

/// Rows and columns of a tensor on the device.
fn matrix(parameter: &Parameter) -> (usize, usize) {
    match parameter.shape[..] {
        [rows, cols] => (rows, cols),
        _ => (1, parameter.len()),
    }
}

/// Hangs the adapter's tensors beside the projections they belong to.
#[expect(clippy::cast_possible_truncation, reason = "the device counts in f32")]
fn adapt(tensors: &mut Tensors, adapter: Option<&Adapter>, views: &[View]) {
    let Some(adapter) = adapter else { return };
    for place in &adapter.places {
        let (down, up, magnitude) = (views[place.down], views[place.up], place.magnitude.map(|at| views[at]));
        tensors.adapt(place.site, LowRank { down, up, magnitude, scale: adapter.spec.scale() as f32 });
    }
}
