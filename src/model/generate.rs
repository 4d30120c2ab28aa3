//! Sampling: many prompts at once over a cache of keys and values.
//!
//! A prompt is read once for all its samples, which attend to its rows as a shared prefix. A finished sample's place
//! is filled by the next one. What chance says of a token depends on the seed, the sample's key and the token's position,
//! never on what is computed beside it; the last digits of the logits may, where many rows have another kernel than few.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use rayon::prelude::*;

use crate::engine::{Precision, Recorder, View};
use crate::value::Completion;

use super::cache::{Cache, FreeRows, Remember};
use super::guide::{Guide, Guides};
use super::sampling::{Choice, Sampling};
use super::session::{Engine, Loaded, NetId};
use super::tokens::{Fed, Tables, Tokens};
use super::transformer::{Tensors, decoder};
use super::{Head, ModelError, ModelSpec, Tokenizer};

/// Weights of more words than this come from memory for every token, whatever the processor's cache: then half the bytes
/// are half the time.
pub(super) const CACHED_WORDS: usize = 1 << 22;

/// One completion to sample.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// What [`Tokenizer::encode_prompt`] gives; requests of equal prompts share its computation.
    pub prompt: Arc<[u32]>,
    /// Names the sample: with the seed it decides every draw.
    pub key: u64,
}

/// A sampled completion.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// The end token included, when it was sampled.
    pub tokens: Vec<u32>,
    /// One a token; see [`Choice::logp`].
    pub logps: Vec<f64>,
    /// Whether an end token or a stop text ended it, rather than its length.
    pub finished: bool,
    /// Without end token and stop text.
    pub text: String,
}

impl Sample {
    /// As a value that flows between stages.
    pub fn completion(&self) -> Completion {
        Completion { text: self.text.as_str().into(), tokens: Some(self.tokens[..].into()), finished: self.finished }
    }
}

/// Sets logits (V) of forbidden tokens to -∞, given the request's index and the tokens sampled so far.
pub type Constraint<'a> = dyn Fn(usize, &[u32], &mut [f32]) + Sync + 'a;

/// What may be given beside requests and sampling.
#[derive(Default)]
pub struct Extras<'a> {
    pub constraint: Option<&'a Constraint<'a>>,
    /// The form of each request's text, `None` for any; no entries at all where no request has one. See [`super::guide`].
    pub forms: &'a [Option<Arc<str>>],
    /// Told how many samples are finished and how many tokens were drawn, after every step; whoever breaks wants no more of
    /// any, and all end there, unfinished.
    pub observe: Option<&'a mut dyn FnMut(usize, usize) -> ControlFlow<()>>,
    /// Told each request's tokens so far, after every step that drew one for it; whoever breaks has heard enough of it,
    /// and it ends there, unfinished.
    pub said: Option<&'a mut Hear<'a>>,
}

/// Hears a request's tokens; see [`Extras::said`].
pub type Hear<'a> = dyn FnMut(usize, &[u32]) -> ControlFlow<()> + 'a;

impl std::fmt::Debug for Extras<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let given = [self.constraint.is_some(), self.observe.is_some(), self.said.is_some()];
        f.debug_struct("Extras")
            .field("constraint", &given[0])
            .field("forms", &self.forms)
            .field("observe", &given[1])
            .field("said", &given[2])
            .finish()
    }
}

/// A prompt in the cache.
struct Prompt {
    rows: Range<usize>,
    users: usize,
    /// Whether its keys and values are there already.
    read: bool,
}

/// A sample under way.
struct Slot {
    request: usize,
    own: Range<usize>,
    tokens: Vec<u32>,
    logps: Vec<f64>,
    guide: Option<Guide>,
}

/// One step: rows to feed, and which slots each row of logits is for.
#[derive(Default)]
struct Step {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    cache_rows: Vec<u32>,
    ranges: Vec<u32>,
    predicting: Vec<u32>,
    /// For each slot, its row among `predicting`.
    of_slot: Vec<usize>,
}

impl Engine {
    /// Samples one completion a request.
    ///
    /// # Errors
    /// When the network has no language head, a prompt has no tokens or foreign ones, or the device fails.
    pub fn generate(
        &mut self,
        net: NetId,
        requests: &[Request],
        sampling: &Sampling,
        extras: Extras<'_>,
    ) -> Result<Vec<Sample>, ModelError> {
        self.check_requests(net, requests)?;
        self.check_lengths(net, requests.iter().map(|request| request.prompt.len() + sampling.max_tokens))?;
        let formed = extras.forms.iter().any(Option::is_some);
        let guides = formed.then(|| Guides::new(self.tokenizer(net), self.spec(net).vocabulary)).transpose()?;
        let longest = requests.iter().map(|r| r.prompt.len()).max().unwrap_or(0);
        let (slots, rows) = self.cache_size(self.spec(net), requests, sampling.max_tokens);
        let spec = self.spec(net).clone();
        self.sweep();
        let cache = Cache::new(&mut *self.device, &mut self.arena, &spec, rows)?;
        let held = self.hold();
        let tables = self.tables(net, longest + sampling.max_tokens);
        let mut run = Run {
            requests,
            sampling,
            tokenizer: self.tokenizer(net).clone(),
            slots: Vec::new(),
            width: slots,
            next: 0,
            free: FreeRows::new(rows),
            prompts: HashMap::new(),
            samples: vec![None; requests.len()],
            forms: extras.forms,
            guides,
        };
        let frozen = self.freeze(net);
        let done = frozen.and(tables).and_then(|tables| {
            let network = Decode { spec, tensors: self.loaded(net).tensors.clone(), tables, cache: &cache };
            self.run_all(&network, &mut run, extras)
        });
        self.device.thaw();
        drop(held);
        self.sweep();
        done?;
        Ok(run.samples.into_iter().map(|sample| sample.expect("every request was sampled")).collect())
    }

    /// Bytes of weights that a step of sampling reads.
    pub(super) fn decoded_bytes(&self, net: NetId) -> usize {
        let (weights, precision) = self.read_by_sampling(net);
        let Loaded { views, in_blocks, .. } = self.loaded(net);
        let blocks: usize = in_blocks.iter().map(|at| 4 * views[*at].words()).sum();
        blocks + precision.bytes() * weights.iter().map(|view| view.words()).sum::<usize>()
    }

    /// Tells the device that the network stays as it is while it samples.
    fn freeze(&mut self, net: NetId) -> Result<(), ModelError> {
        let (weights, precision) = self.read_by_sampling(net);
        Ok(self.device.freeze(&weights, precision)?)
    }

    /// The plain factors of a step's products, and how exactly they are kept.
    fn read_by_sampling(&self, net: NetId) -> (Vec<View>, Precision) {
        let Loaded { views, tensors, in_blocks, .. } = self.loaded(net);
        let is_factor = |view: &View| {
            view.rows > 1 && view.cols > 1 && (*view != tensors.embedding || *view == tensors.head) && tensors.positions != Some(*view)
        };
        // a weight in blocks is read from them: a copy would be larger
        let plain = views.iter().enumerate().filter(|(at, _)| !in_blocks.contains(at)).map(|(_, view)| *view);
        let weights: Vec<View> = plain.filter(is_factor).collect();
        let words: usize = weights.iter().map(|view| view.words()).sum();
        let precision = if words > CACHED_WORDS { Precision::Half } else { Precision::Single };
        (weights, precision)
    }

    fn run_all(&mut self, network: &Decode<'_>, run: &mut Run<'_>, mut extras: Extras<'_>) -> Result<(), ModelError> {
        let mut drawn = 0;
        loop {
            run.admit();
            if run.slots.is_empty() {
                return Ok(());
            }
            let step = run.step();
            let logits = self.decode(network, &step)?;
            let choices = run.choose(&step, &logits, &network.spec, extras.constraint)?;
            drawn += choices.len();
            run.append(&choices, &mut extras.said);
            if let Some(observe) = &mut extras.observe
                && observe(run.next - run.slots.len(), drawn).is_break()
            {
                run.abandon();
                return Ok(());
            }
        }
    }

    /// Runs one step: logits (R, V) of the predicting rows, not yet under the cap.
    fn decode(&mut self, network: &Decode<'_>, step: &Step) -> Result<Vec<f32>, ModelError> {
        let rows = step.tokens.len();
        let mut rec = Recorder::new(&mut *self.device, &mut self.arena);
        let fed = Fed { ids: &step.tokens, positions: &step.positions, ranges: &step.ranges, differentiable: false };
        let tokens = Tokens::upload(&mut rec, &network.spec, fed, network.tables);
        let cache_rows = rec.upload_u32(&step.cache_rows, rows, 1);
        let mut memory = Remember { cache: network.cache, rows: cache_rows };
        let needed = (step.predicting.len() < rows).then(|| rec.indices(&step.predicting));
        let hidden = decoder(&mut rec, &network.spec, &network.tensors, (tokens, needed), &mut memory, false);
        let logits = rec.linear(hidden, network.tensors.head, None);
        let recording = rec.finish()?;
        self.device.run(&recording)?;
        let logits = self.device.read_f32(logits)?;
        self.sweep();
        Ok(logits)
    }

    fn check_requests(&self, net: NetId, requests: &[Request]) -> Result<(), ModelError> {
        if self.head(net) != Head::Language {
            return Err(ModelError::WrongHead { expected: Head::Language.word(), found: self.head(net).word() });
        }
        let vocabulary = self.spec(net).vocabulary;
        match requests.iter().flat_map(|r| r.prompt.iter().copied()).find(|id| *id as usize >= vocabulary) {
            Some(id) => Err(ModelError::TokenOutside { id, vocabulary }),
            None if requests.iter().any(|r| r.prompt.is_empty()) => Err(ModelError::NothingToRead),
            None => Ok(()),
        }
    }

    /// How many samples are under way at once, and the cache rows for them.
    fn cache_size(&self, spec: &ModelSpec, requests: &[Request], max_tokens: usize) -> (usize, usize) {
        let longest = requests.iter().map(|r| r.prompt.len()).max().unwrap_or(0);
        let row_bytes = 8 * (spec.layers * spec.kv_heads * spec.head_dim) as u64;
        let of_slot = longest + max_tokens;
        let room = usize::try_from(self.budget.cache_bytes / row_bytes.max(1)).unwrap_or(usize::MAX);
        let slots = (room / of_slot.max(1)).clamp(1, self.budget.slots).min(requests.len().max(1));
        (slots, slots * of_slot)
    }
}

/// The network of a run.
struct Decode<'a> {
    spec: ModelSpec,
    tensors: Tensors,
    tables: Tables,
    cache: &'a Cache,
}

/// All requests and the samples under way.
struct Run<'a> {
    requests: &'a [Request],
    sampling: &'a Sampling,
    tokenizer: Arc<Tokenizer>,
    slots: Vec<Slot>,
    width: usize,
    /// The next request to begin.
    next: usize,
    free: FreeRows,
    prompts: HashMap<Arc<[u32]>, Prompt>,
    samples: Vec<Option<Sample>>,
    forms: &'a [Option<Arc<str>>],
    guides: Option<Guides>,
}

impl Run<'_> {
    /// Begins requests while there are slots and rows.
    fn admit(&mut self) {
        while self.slots.len() < self.width && self.next < self.requests.len() {
            if self.sampling.max_tokens == 0 {
                self.finish(Slot::new(self.next, 0..0, None), false);
                self.next += 1;
                continue;
            }
            let prompt = &self.requests[self.next].prompt;
            // The last token of a sample is never fed.
            let Some(own) = self.free.take(self.sampling.max_tokens - 1) else { return };
            if !self.prompts.contains_key(prompt) {
                let Some(rows) = self.free.take(prompt.len()) else {
                    self.free.give(own);
                    return;
                };
                self.prompts.insert(prompt.clone(), Prompt { rows, users: 0, read: false });
            }
            self.prompts.get_mut(prompt).expect("it is resident").users += 1;
            let form = self.forms.get(self.next).cloned().flatten();
            self.slots.push(Slot::new(self.next, own, form.map(Guide::new)));
            self.next += 1;
        }
    }

    /// What to feed: the last token of each sample, and the prompts of those that begin.
    fn step(&mut self) -> Step {
        let mut step = Step::default();
        let mut begun: HashMap<&[u32], usize> = HashMap::new();
        for slot in &self.slots {
            let ids = &self.requests[slot.request].prompt;
            let prompt = self.prompts.get_mut(ids).expect("a sample's prompt is resident");
            if let Some(&last) = slot.tokens.last() {
                let at = slot.tokens.len() - 1;
                step.feed(last, ids.len() + at, slot.own.start + at, &prompt.rows, slot.own.start);
            } else if let Some(&row) = begun.get(&ids[..]) {
                step.of_slot.push(row);
                continue;
            } else {
                // A prompt that is there already is asked again by its last token alone.
                let from = if prompt.read { ids.len() - 1 } else { 0 };
                for (i, &id) in ids.iter().enumerate().skip(from) {
                    step.feed(id, i, prompt.rows.start + i, &(0..0), prompt.rows.start);
                }
                prompt.read = true;
                begun.insert(ids, step.predicting.len());
            }
            step.of_slot.push(step.predicting.len());
            step.predicting.push(narrow(step.tokens.len() - 1));
        }
        step
    }

    /// Draws the next token of every slot from logits (R, V).
    fn choose(
        &mut self,
        step: &Step,
        logits: &[f32],
        spec: &ModelSpec,
        constraint: Option<&Constraint<'_>>,
    ) -> Result<Vec<Choice>, ModelError> {
        let Self { slots, guides, requests, sampling, .. } = self;
        let draw = |(slot, &row): (&mut Slot, &usize)| {
            let mut logits = Cow::Borrowed(&logits[row * spec.vocabulary..(row + 1) * spec.vocabulary]);
            if spec.logit_cap > 0.0 {
                logits.to_mut().iter_mut().for_each(|logit| *logit = spec.logit_cap * (*logit / spec.logit_cap).tanh());
            }
            let Request { prompt, key } = &requests[slot.request];
            let previous = match sampling.repetition_penalty {
                Some(_) => [&prompt[..], &slot.tokens].concat(),
                None => Vec::new(),
            };
            let Slot { request, tokens, guide, .. } = slot;
            let mut held = Ok(());
            let constrain = (constraint.is_some() || guide.is_some()).then_some(|logits: &mut [f32]| {
                constraint.into_iter().for_each(|constraint| constraint(*request, tokens, logits));
                if let (Some(guides), Some(guide)) = (&*guides, guide) {
                    held = guide.allow(guides, tokens, logits);
                }
            });
            let choice = sampling.choose(&logits, &previous, constrain, *key, narrow(tokens.len()));
            held.map(|()| choice)
        };
        slots.par_iter_mut().zip(&step.of_slot).map(draw).collect()
    }

    /// Adds the drawn tokens, and ends what is at its end.
    fn append(&mut self, choices: &[Choice], said: &mut Option<&mut Hear<'_>>) {
        let mut going = Vec::with_capacity(self.slots.len());
        for (mut slot, choice) in std::mem::take(&mut self.slots).into_iter().zip(choices) {
            slot.tokens.push(choice.token);
            slot.logps.push(choice.logp);
            let halted = said.as_mut().is_some_and(|said| said(slot.request, &slot.tokens).is_break());
            let ended = self.tokenizer.end().contains(&choice.token) || self.stopped(&slot);
            if ended || halted || slot.tokens.len() >= self.sampling.max_tokens {
                self.give_back(&slot);
                self.finish(slot, ended);
            } else {
                going.push(slot);
            }
        }
        self.slots = going;
    }

    /// Ends every sample where it is.
    fn abandon(&mut self) {
        for slot in std::mem::take(&mut self.slots) {
            self.finish(slot, false);
        }
        while self.next < self.requests.len() {
            self.finish(Slot::new(self.next, 0..0, None), false);
            self.next += 1;
        }
    }

    fn give_back(&mut self, slot: &Slot) {
        self.free.give(slot.own.clone());
        let ids = &self.requests[slot.request].prompt;
        let prompt = self.prompts.get_mut(ids).expect("a sample's prompt is resident");
        prompt.users -= 1;
        // Kept while the next request in line asks for it too.
        let wanted = self.requests.get(self.next).is_some_and(|next| next.prompt == *ids);
        if prompt.users == 0 && !wanted {
            let prompt = self.prompts.remove(ids).expect("a sample's prompt is resident");
            self.free.give(prompt.rows);
        }
    }

    /// Whether a stop text has appeared. Only the end is looked at: the rest was looked at before.
    fn stopped(&self, slot: &Slot) -> bool {
        let Some(longest) = self.sampling.stop.iter().map(String::len).max() else { return false };
        let (before, tail) = slot.tokens.split_at(slot.tokens.len().saturating_sub(longest + 16));
        let before = if before.is_empty() { &self.requests[slot.request].prompt[..] } else { before };
        let text = self.tokenizer.decode_completion(before, tail);
        self.sampling.stop.iter().any(|stop| text.contains(stop.as_str()))
    }

    fn finish(&mut self, slot: Slot, finished: bool) {
        let mut text = self.tokenizer.decode_completion(&self.requests[slot.request].prompt, &slot.tokens);
        let stop = self.sampling.stop.iter().filter_map(|stop| text.find(stop.as_str())).min();
        text.truncate(stop.unwrap_or(text.len()));
        let Slot { request, tokens, logps, .. } = slot;
        self.samples[request] = Some(Sample { tokens, logps, finished, text });
    }
}

impl Slot {
    fn new(request: usize, own: Range<usize>, guide: Option<Guide>) -> Self {
        Self { request, own, tokens: Vec::new(), logps: Vec::new(), guide }
    }
}

impl Step {
    fn feed(&mut self, token: u32, position: usize, row: usize, prefix: &Range<usize>, own: usize) {
        self.tokens.push(token);
        self.positions.push(narrow(position));
        self.cache_rows.push(narrow(row));
        self.ranges.extend([prefix.start, prefix.end, own, row + 1].map(narrow));
    }
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).expect("a cache has fewer than 2^32 rows")
}
