//! Networks behind formulas: loads what a formula names, batches what it asks, answers in cells.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::diagnostic::{counted, verb};
use crate::formula::eval::{Call, Networks};
use crate::formula::expr::Output;
use crate::formula::failure::Unanswered;
use crate::formula::program::{Network as Asked, When};
use crate::formula::text::text_of;
use crate::model::{Engine, Extras, ModelError, NetId, Network, Readout, Request, Sampling, Sides, TokenSequence, Tokenizer, Want};
use crate::score::{FixedScorer, ScorerError};
use crate::value::statistics::mean;
use crate::value::{Cell, Completion, Dialogue, Role, Sequence, Turn};

use super::ahead::Ahead;
use super::asking::want_of;
use super::context::{Artifact, Context};
use super::failure::Failure;
use super::inside;
use super::report::Progress;

/// Between two words about a column that is being worked out.
const TOLD_EVERY: Duration = Duration::from_millis(200);

/// Sequences that are read between two such words at least, some tens of batches.
const READ_AT_ONCE: usize = 1024;

/// A network that a formula named.
#[derive(Debug)]
enum Loaded {
    Fixed(Box<FixedScorer>),
    Net(NetId),
}

/// Answers the network words of formulas for one stage. Networks stay loaded as long as it lives.
#[derive(Debug)]
pub struct Service<'c> {
    context: &'c Context<'c>,
    /// By the key of the network's artifact.
    loaded: BTreeMap<Arc<str>, Loaded>,
    /// The networks being trained, which belong to the stage.
    trained: Vec<(Asked, NetId)>,
    tokenizer: Option<Arc<Tokenizer>>,
    /// Logits are divided by it in every log-prob: that of the sampling under `rl`, else 1.
    temperature: f64,
    /// The longest sequence, in tokens; longer ones are cut and counted.
    longest: usize,
    tokens: HashMap<Sequence, TokenSequence>,
    /// What frozen networks said of a sequence, by network and word: a table is asked about once, not once an epoch.
    answers: HashMap<(NetId, &'static str), HashMap<Sequence, Cell>>,
    /// Log-probs that the policy gave as it was when it sampled, for comparing with the sampler's own.
    sampled: HashMap<Sequence, Arc<[f64]>>,
    pub(super) ahead: Ahead,
    cut: usize,
    /// Whether something went beyond what a network was made for.
    beyond: std::cell::Cell<bool>,
    /// When something was told of the rows that are done; `None` where a stage has steps, tells of those and stops between them.
    told: Option<std::cell::Cell<Instant>>,
}

impl<'c> Service<'c> {
    /// A service without trained networks.
    pub fn new(context: &'c Context<'c>) -> Self {
        Self {
            context,
            loaded: BTreeMap::new(),
            trained: Vec::new(),
            tokenizer: None,
            temperature: 1.0,
            longest: usize::MAX,
            tokens: HashMap::new(),
            answers: HashMap::new(),
            sampled: HashMap::new(),
            ahead: Ahead::default(),
            cut: 0,
            beyond: std::cell::Cell::new(false),
            told: Some(std::cell::Cell::new(Instant::now())),
        }
    }

    /// The same for a stage of steps, reading sequences of at most `longest` tokens at a sampling temperature.
    #[must_use]
    pub fn in_steps(mut self, longest: usize, temperature: f64) -> Self {
        (self.longest, self.temperature, self.told) = (longest, temperature, None);
        self
    }

    /// Makes a network that is being trained answer for a name.
    pub fn train(&mut self, name: Asked, net: NetId, tokenizer: &Arc<Tokenizer>) {
        self.trained.push((name, net));
        self.tokenizer.get_or_insert_with(|| tokenizer.clone());
    }

    /// The temperature of every log-prob.
    pub fn temperature(&self) -> f64 {
        self.temperature
    }

    /// How many different sequences were cut to the maximal length.
    pub fn cut(&self) -> usize {
        self.cut
    }

    /// Forgets the rows of the rollout before.
    pub fn forget(&mut self) {
        self.tokens.clear();
        self.answers.clear();
        self.sampled.clear();
    }

    /// What `old(model.logp(…))` was answered for each sequence.
    pub fn sampled(&self) -> &HashMap<Sequence, Arc<[f64]>> {
        &self.sampled
    }

    /// A sequence in tokens.
    ///
    /// # Errors
    /// When the cell is no sequence, or its text cannot be encoded.
    pub fn sequence(&mut self, cell: &Cell) -> Result<TokenSequence, Unanswered> {
        let sequence = sequence_of(cell).ok_or("a network reads a dialogue or a completion after a prompt")?;
        if let Some(known) = self.tokens.get(&*sequence) {
            return Ok(known.clone());
        }
        let tokenizer = self.tokenizer()?;
        let mut tokens = tokenizer.encode_sequence(&sequence)?;
        let cut = tokens.cut(self.longest);
        self.cut += usize::from(cut.prompt + cut.completion > 0);
        self.tokens.insert(Sequence::clone(&sequence), tokens.clone());
        Ok(tokens)
    }

    fn tokenizer(&mut self) -> Result<Arc<Tokenizer>, Unanswered> {
        if let Some(known) = &self.tokenizer {
            return Ok(known.clone());
        }
        let reason = Failure::new("align::formula::evaluation", "`length` counts a model's tokens, and this stage reads no model");
        Err(Stopped(reason.help("use `length` in a stage that also asks a model, such as `model.logp(…)`, or leave it out")).into())
    }

    /// The network on the device that a name stands for, trained or frozen.
    ///
    /// # Errors
    /// When it cannot be loaded, or is no network but a rule.
    pub fn net_of(&mut self, asked: &Asked) -> Result<NetId, Unanswered> {
        if let Some((_, net)) = self.trained.iter().find(|(name, _)| name == asked) {
            return Ok(*net);
        }
        match self.net(asked)? {
            Loaded::Net(net) => Ok(*net),
            Loaded::Fixed(_) => Err("a fixed rule has no distribution over words".into()),
        }
    }

    /// Both networks of a call and what each reads, compared.
    fn compare(&mut self, call: &Call<'_>, rows: &[Vec<Cell>]) -> Result<Vec<Cell>, Unanswered> {
        let other = call.other.ok_or("a comparison takes two networks")?;
        let nets = [self.net_of(call.network)?, self.net_of(other)?];
        let mut read = |side: usize| rows.iter().map(|row| self.sequence(&row[side])).collect::<Result<Vec<_>, _>>();
        let sequences = [read(0)?, read(1)?];
        let sides = Sides { nets, sequences: [&sequences[0], &sequences[1]] };
        let kl = self.engine()?.divergence(sides, self.temperature)?;
        Ok(kl.into_iter().map(Cell::Tokens).collect())
    }

    /// The share of each option, by the log-prob of its whole text behind the dialogue; no end token is counted.
    fn choose(&mut self, net: NetId, rows: &[Vec<Cell>]) -> Result<Vec<Cell>, Unanswered> {
        let mut sequences = Vec::new();
        let mut counts = Vec::with_capacity(rows.len());
        for row in rows {
            let prompt = dialogue_of(&row[0]).ok_or("a model chooses after a dialogue")?;
            let Cell::List(options) = &row[1] else { return Err("a model chooses among a list of texts".into()) };
            if options.is_empty() {
                return Err("a model chooses among at least one option".into());
            }
            counts.push(options.len());
            for option in options.iter() {
                let text = text_of(option).map_err(|_| "an option is a text")?.clone();
                let completion = Completion { text, tokens: None, finished: false };
                let sequence =
                    self.sequence(&Cell::Sequence(Arc::new(Sequence { prompt: prompt.clone(), completion: Some(completion.into()) })))?;
                if sequence.scored_len() == 0 {
                    return Err("an option has no tokens of its own: an empty text cannot be chosen".into());
                }
                sequences.push(sequence);
            }
        }
        let read = self.engine()?.readout(net, &sequences, Want::LOGP, self.temperature)?;
        let sums: Vec<f64> = read.logp.iter().map(|tokens| tokens.iter().sum()).collect();
        let mut rest = &sums[..];
        let share = |count: usize| {
            let (own, after) = rest.split_at(count);
            rest = after;
            let most = own.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = own.iter().map(|x| (x - most).exp()).sum();
            Cell::List(own.iter().map(|x| Cell::Float((x - most).exp() / total)).collect())
        };
        Ok(counts.into_iter().map(share).collect())
    }

    fn net(&mut self, asked: &Asked) -> Result<&Loaded, Unanswered> {
        let Asked::Artifact(output) = asked else { return Err("the network being trained cannot be asked here".into()) };
        let Artifact::Network(found) = self.context.artifact(output).map_err(unanswered)? else {
            return Err("this is no network".into());
        };
        if !self.loaded.contains_key(&found.key) {
            let loaded = match fixed(&found.path)? {
                Some(scorer) => Loaded::Fixed(Box::new(scorer)),
                None => {
                    let network = Network::open(&found.path)?;
                    self.tokenizer.get_or_insert_with(|| network.tokenizer.clone());
                    Loaded::Net(self.context.engine().map_err(unanswered)?.load(&network, false)?)
                }
            };
            self.loaded.insert(found.key.clone(), loaded);
        }
        Ok(&self.loaded[&found.key])
    }

    /// Asks a frozen network what it was not asked before.
    fn recall(&mut self, net: NetId, call: &Call<'_>, rows: &[Vec<Cell>]) -> Result<Vec<Cell>, Unanswered> {
        let sequences: Option<Vec<Arc<Sequence>>> = rows.iter().map(|row| sequence_of(&row[0])).collect();
        let Some(sequences) = sequences.filter(|_| rows.iter().all(|row| row.len() == 1)) else { return self.answer(net, call, rows) };
        let place = (net, call.word);
        let known = self.answers.entry(place).or_default();
        let new: Vec<usize> = (0..rows.len()).filter(|&row| !known.contains_key(&*sequences[row])).collect();
        let asked: Vec<Vec<Cell>> = new.iter().map(|&row| rows[row].clone()).collect();
        let answers = if asked.is_empty() { Vec::new() } else { self.answer(net, call, &asked)? };
        let known = self.answers.entry(place).or_default();
        known.extend(new.iter().map(|&row| Sequence::clone(&sequences[row])).zip(answers));
        Ok(sequences.iter().map(|sequence| known[&**sequence].clone()).collect())
    }

    fn answer(&mut self, net: NetId, call: &Call<'_>, rows: &[Vec<Cell>]) -> Result<Vec<Cell>, Unanswered> {
        match call.word {
            "sample" => return self.sample(net, call, rows),
            "choose" => return self.choose(net, rows),
            _ => {}
        }
        if inside::knows(call.word) {
            return rows.iter().map(|row| self.inside(net, call, row)).collect();
        }
        let sequences = rows.iter().map(|row| self.sequence(&row[0])).collect::<Result<Vec<_>, _>>()?;
        self.within(self.engine()?.spec(net).max_positions, sequences.iter().map(TokenSequence::len));
        let want = want_of(call.word);
        let temperature = self.temperature;
        let heads = self.engine()?.spec(net).scores;
        if call.when == When::Now {
            return self.read(net, call.word, &sequences, heads);
        }
        let read = self.ahead.readout(&mut *self.context.engine().map_err(unanswered)?, (net, &sequences, want), temperature)?;
        if want.logp && *call.network == Asked::Model {
            let asked = rows.iter().filter_map(|row| sequence_of(&row[0])).map(|s| Sequence::clone(&s));
            self.sampled.extend(asked.zip(read.logp.iter().cloned()));
        }
        Ok(cells(call.word, &read, heads))
    }

    /// What a word says of sequences, for a stage without steps so many at a time.
    fn read(&self, net: NetId, word: &str, sequences: &[TokenSequence], heads: usize) -> Result<Vec<Cell>, Unanswered> {
        let at_once = if self.told.is_some() { READ_AT_ONCE } else { usize::MAX };
        let (begun, mut tokens) = (Instant::now(), 0);
        let mut answers = Vec::with_capacity(sequences.len());
        for part in sequences.chunks(at_once) {
            self.go_on()?;
            let read = self.engine()?.readout(net, part, want_of(word), self.temperature)?;
            answers.extend(cells(word, &read, heads));
            tokens += part.iter().map(TokenSequence::len).sum::<usize>();
            self.tell((answers.len(), sequences.len()), (tokens, begun));
        }
        Ok(answers)
    }

    fn inside(&mut self, net: NetId, call: &Call<'_>, row: &[Cell]) -> Result<Cell, Unanswered> {
        if self.context.interrupted() {
            return Err(Stopped(Failure::interrupted(None)).into());
        }
        let sequence = self.sequence(&row[0])?;
        let other = match row.get(1) {
            Some(cell @ Cell::Sequence(_)) => Some(self.sequence(cell)?),
            _ => None,
        };
        let prompt = sequence_of(&row[0]).ok_or("a network reads a dialogue or a completion after a prompt")?;
        let question = inside::Question { sequence: &sequence, other: other.as_ref(), prompt: &prompt.prompt, args: row };
        inside::answer(call.word, &mut *self.engine()?, net, question)
    }

    fn engine(&self) -> Result<std::cell::RefMut<'c, Engine>, Unanswered> {
        self.context.engine().map_err(unanswered)
    }

    /// Warns, once a stage, of texts with more tokens than `most`, the positions that a network was made for: rotary
    /// positions go on beyond them without an error, and what a network says there is worth little.
    pub(super) fn within(&self, most: usize, lengths: impl ExactSizeIterator<Item = usize>) {
        let all = lengths.len();
        let beyond = lengths.filter(|length| *length > most).count();
        if beyond > 0 && !self.beyond.replace(true) {
            let are = verb(beyond, "is", "are");
            let message = format!("{beyond} of {} {are} longer than the {most} tokens that the network was made for", counted(all, "text"));
            let help = "what it says of them is worth little: take shorter texts, a smaller `max_tokens` or `max_length`";
            self.context.warn("align::run::beyond_context", message, Some(help.into()));
        }
    }

    /// Fails where the run is interrupted. A stage with steps stops between them, and keeps them.
    fn go_on(&self) -> Result<(), Unanswered> {
        if self.told.is_some() && self.context.interrupted() { Err(Stopped(Failure::interrupted(None)).into()) } else { Ok(()) }
    }

    /// Says now and then how many rows are done, and how many tokens a second were drawn or read for them.
    fn tell(&self, (done, rows): (usize, usize), (tokens, begun): (usize, Instant)) {
        let Some(told) = self.told.as_ref().filter(|told| told.get().elapsed() >= TOLD_EVERY) else { return };
        told.set(Instant::now());
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = tokens as f64 / begun.elapsed().as_secs_f64().max(1e-9);
        let (step, total) = (done as u64, Some(rows as u64));
        self.context.progress(Progress { step, total, rate: Some((rate, "tokens")), ..Progress::default() });
    }

    fn sample(&self, net: NetId, call: &Call<'_>, rows: &[Vec<Cell>]) -> Result<Vec<Cell>, Unanswered> {
        let begun = Instant::now();
        let mut engine = self.engine()?;
        let tokenizer = engine.tokenizer(net).clone();
        // rows that are sampled in one way are sampled at once
        let mut ways: Vec<(Sampling, Vec<usize>)> = Vec::new();
        for (place, row) in rows.iter().enumerate() {
            let options = sampling(&row[1], call.key)?;
            match ways.iter_mut().find(|(way, _)| *way == options) {
                Some((_, places)) => places.push(place),
                None => ways.push((options, vec![place])),
            }
        }
        let mut answers = vec![Cell::None; rows.len()];
        let (mut done, mut drawn) = (0, 0);
        for (options, places) in ways {
            let mut requests = Vec::with_capacity(places.len());
            for &place in &places {
                let dialogue = dialogue_of(&rows[place][0]).ok_or("a model samples after a dialogue")?;
                requests.push(Request { prompt: tokenizer.encode_prompt(&dialogue)?.into(), key: call.names[place] });
            }
            let forms: Vec<Option<Arc<str>>> = places.iter().map(|&place| form(&rows[place][1].field("constraint")?)).collect();
            let mut now = 0;
            let mut observe = |finished: usize, tokens: usize| {
                now = tokens;
                self.tell((done + finished, rows.len()), (drawn + tokens, begun));
                if self.go_on().is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let extras = Extras { forms: &forms, observe: Some(&mut observe), ..Extras::default() };
            let sampled = engine.generate(net, &requests, &options, extras)?;
            self.go_on()?;
            let lengths = requests.iter().zip(&sampled).map(|(request, sample)| request.prompt.len() + sample.tokens.len());
            self.within(engine.spec(net).max_positions, lengths);
            (done, drawn) = (done + places.len(), drawn + now);
            for (place, sample) in places.into_iter().zip(sampled) {
                answers[place] = Cell::Completion(Arc::new(sample.completion()));
            }
        }
        Ok(answers)
    }
}

impl Networks for Service<'_> {
    fn call(&mut self, call: Call<'_>, rows: &[Vec<Cell>]) -> Result<Vec<Cell>, Unanswered> {
        if call.other.is_some() {
            return self.compare(&call, rows);
        }
        if let Some((_, net)) = self.trained.iter().find(|(name, _)| name == call.network) {
            return self.answer(*net, &call, rows);
        }
        match self.net(call.network)? {
            Loaded::Net(net) => {
                let net = *net;
                self.recall(net, &call, rows)
            }
            Loaded::Fixed(scorer) => rows
                .iter()
                .map(|row| {
                    let sequence = sequence_of(&row[0]).ok_or("a scorer reads a completion after a prompt")?;
                    let score = Cell::Float(scorer.score_sequence(&sequence));
                    Ok(if call.word == "scores" { Cell::List([score].into()) } else { score })
                })
                .collect(),
        }
    }

    fn lengths(&mut self, sequences: &[Cell]) -> Result<Vec<usize>, Unanswered> {
        let count = |this: &mut Self, cell: &Cell| -> Result<usize, Unanswered> {
            let sampled = sequence_of(cell).and_then(|s| s.completion.as_ref().and_then(|c| c.tokens.as_ref().map(|t| t.len())));
            match sampled.filter(|_| this.tokenizer.is_none()) {
                Some(length) => Ok(length),
                None => Ok(this.sequence(cell)?.scored_len()),
            }
        };
        sequences.iter().map(|cell| count(self, cell)).collect()
    }

    fn artifact(&mut self, output: &Output) -> Result<Cell, Unanswered> {
        self.context.cell(output).map_err(unanswered)
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        let nets: Vec<NetId> = self.loaded.values().filter_map(|l| if let Loaded::Net(net) = l { Some(*net) } else { None }).collect();
        if nets.is_empty() {
            return;
        }
        if let Ok(mut engine) = self.context.engine() {
            for net in nets {
                engine.unload(net);
            }
        }
    }
}

/// A stage's failure on its way through a formula, whole: the run was asked to stop, the device is gone.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Stopped(pub Failure);

/// A stage's failure as a formula's.
fn unanswered(failure: Failure) -> Unanswered {
    Stopped(failure).into()
}

/// The other way round: a cause that has a code of its own keeps it.
impl From<Unanswered> for Failure {
    fn from(cause: Unanswered) -> Self {
        let known = cause.downcast::<Stopped>().map(|stopped| stopped.0);
        let known = known.or_else(|cause| cause.downcast::<ModelError>().map(|error| Self::from(*error)));
        let known = known.or_else(|cause| cause.downcast::<ScorerError>().map(|error| Self::from(*error)));
        known.unwrap_or_else(|other| Self::new("align::formula::evaluation", other.to_string()))
    }
}

/// A network's answers as the cells of a word; `heads` scores a sequence, whose mean is its score.
pub fn cells(word: &str, read: &Readout, heads: usize) -> Vec<Cell> {
    let tokens = |all: &[Arc<[f64]>]| all.iter().map(|t| Cell::Tokens(t.clone())).collect();
    match word {
        "logp" => tokens(&read.logp),
        "entropy" => tokens(&read.entropy),
        "value" => tokens(&read.value),
        "scores" => read.score.chunks(heads).map(|own| Cell::List(own.iter().map(|x| Cell::Float(*x)).collect())).collect(),
        _ => read.score.chunks(heads).map(|own| Cell::Float(mean(own))).collect(),
    }
}

/// A sequence, whatever the cell calls it: a dialogue's assistant turns are scored.
pub fn sequence_of(cell: &Cell) -> Option<Arc<Sequence>> {
    match cell {
        Cell::Sequence(sequence) => Some(sequence.clone()),
        Cell::Dialogue(_) | Cell::Text(_) => Some(Arc::new(Sequence { prompt: dialogue_of(cell)?, completion: None })),
        _ => None,
    }
}

/// A dialogue; a text is one user turn.
pub fn dialogue_of(cell: &Cell) -> Option<Arc<Dialogue>> {
    match cell {
        Cell::Dialogue(dialogue) => Some(dialogue.clone()),
        Cell::Text(text) => Some(Arc::new(vec![Turn { role: Role::User, text: text.clone() }])),
        _ => None,
    }
}

/// The fixed scorer at a path. A `.safetensors` file may also be a network's.
fn fixed(path: &Path) -> Result<Option<FixedScorer>, Unanswered> {
    if !FixedScorer::is_at(path) {
        return Ok(None);
    }
    match FixedScorer::load(path) {
        Ok(scorer) => Ok(Some(scorer)),
        Err(_) if path.extension().is_some_and(|e| e == "safetensors") => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A `constraint`.
pub fn form(constraint: &Cell) -> Option<Arc<str>> {
    if let Cell::Text(form) = constraint { Some(form.clone()) } else { None }
}

/// The options of `sample`, as the checker flattened them.
pub fn sampling(options: &Cell, key: [u32; 2]) -> Result<Sampling, Unanswered> {
    let number = |name: &str| options.field(name).and_then(|c| c.number());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the declared ranges keep them small and positive")]
    let count = |name: &str| number(name).map(|x| x as usize);
    let stop = match options.field("stop") {
        Some(Cell::List(items)) => items.iter().filter_map(|c| if let Cell::Text(t) = c { Some(t.to_string()) } else { None }).collect(),
        _ => Vec::new(),
    };
    let share = |name: &str, neutral: f64| number(name).filter(|x| *x != neutral);
    Ok(Sampling {
        temperature: number("temperature").ok_or("`sample` needs a temperature")?,
        top_k: count("top_k"),
        top_p: share("top_p", 1.0),
        min_p: share("min_p", 0.0),
        repetition_penalty: None,
        stop,
        max_tokens: count("max_tokens").ok_or("`sample` needs `max_tokens`")?,
        seed: u64::from(key[0]) << 32 | u64::from(key[1]),
    })
}
