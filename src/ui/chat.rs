//! Talking with the networks of a run: one answer at a time, its text as it comes.
//!
//! The page keeps the dialogue and sends it whole; here are the networks, loaded when they are first asked, the last two
//! kept. Whoever goes away while an answer is sampled, or waits for its turn, ends it.

use std::io::{self, Write};
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::durable;
use crate::model::{Engine, ModelError, NetId, Network, Sampling};
use crate::report::{Folder, ReportError};
use crate::run::{Kept, Lost, Speaker, Store};
use crate::stage::{Failure, LazyEngine, NetworkAt};
use crate::talk;
use crate::value::{Dialogue, Role};

use super::http::events;

/// Networks that stay on the device: a stage's and its parent's.
const RESIDENT: usize = 2;

/// An answer is no longer than this, whatever is asked for.
const LONGEST: usize = 4096;

/// Who answers, on which device.
#[derive(Debug)]
pub(super) struct Chat {
    /// Remembers which artifacts it has read and compared.
    store: Mutex<Store>,
    speaking: Mutex<Speaking>,
}

#[derive(Debug)]
struct Speaking {
    engine: LazyEngine,
    /// Networks on the device by what they are, the one that spoke last at the end.
    loaded: Vec<(Arc<str>, NetId)>,
}

/// Why nothing is said.
#[derive(Debug, thiserror::Error)]
pub(super) enum Silent {
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error("{0}")]
    NoDialogue(String),
    #[error("`{name}` is still training; it can be talked to when it has ended")]
    Training { name: String },
    #[error(transparent)]
    Lost(#[from] Lost),
    #[error("`{name}` scores texts and writes none")]
    NoSpeaker { name: String },
    #[error("the context is full: the dialogue has {tokens} tokens, and `{name}` was made for {most}")]
    Full { name: String, tokens: usize, most: usize },
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("{0}")]
    Failure(Failure),
}

impl From<Failure> for Silent {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Silent {
    pub(super) fn status(&self) -> &'static str {
        match self {
            Self::NoDialogue(_) => "400 Bad Request",
            Self::Report(ReportError::NoRun { .. }) | Self::Lost(Lost::NoStage { .. }) => "404 Not Found",
            Self::Training { .. } | Self::Lost(_) | Self::NoSpeaker { .. } | Self::Full { .. } => "409 Conflict",
            Self::Report(_) | Self::Model(_) | Self::Failure(_) => "500 Internal Server Error",
        }
    }
}

/// What a browser sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    messages: Value,
    temperature: f64,
    max_tokens: usize,
    seed: u64,
}

/// What is to be answered, by whom.
#[derive(Debug)]
pub(super) struct Asked {
    name: String,
    network: NetworkAt,
    dialogue: Dialogue,
    sampling: Sampling,
}

fn speaks(name: &str, network: &NetworkAt) -> Result<(), Silent> {
    let language = !network.is_fixed_scorer() && Network::head_at(&network.path)? == crate::model::Head::Language;
    if language { Ok(()) } else { Err(Silent::NoSpeaker { name: name.to_owned() }) }
}

impl Chat {
    pub(super) fn new(store: &Path, engine: LazyEngine) -> Self {
        let store = Mutex::new(Store::new(durable::parent(store)));
        Self { store, speaking: Mutex::new(Speaking { engine, loaded: Vec::new() }) }
    }

    /// The networks of a run that write text.
    pub(super) fn list(&self, run: &Path) -> Result<Value, Silent> {
        let each = self.kept(run, |kept| Ok(kept.speakers()))?.into_iter();
        Ok(each.map(|Speaker { name, parent, made }| json!({ "name": name, "parent": parent, "made": made })).collect())
    }

    /// What the page says of one of them.
    pub(super) fn show(&self, run: &Path, name: &str) -> Result<Value, Silent> {
        let (found, parent) = self.kept(run, |kept| Ok((kept.network(name)?, kept.parent(name))))?;
        speaks(name, &found)?;
        let network = Network::open(&found.path)?;
        Ok(json!({
            "name": name, "parent": parent, "template": network.tokenizer.has_template(), "positions": network.spec.max_positions,
            "parameters": network.spec.parameter_count(network.head),
        }))
    }

    /// Takes what a page sent, and finds the network.
    pub(super) fn asked(&self, run: &Path, name: &str, body: &[u8]) -> Result<Asked, Silent> {
        let Sent { messages, temperature, max_tokens, seed } =
            serde_json::from_slice(body).map_err(|e| Silent::NoDialogue(format!("this is nothing to answer: {e}")))?;
        let wrong = |what: &str| Err(Silent::NoDialogue(what.to_owned()));
        let dialogue = talk::dialogue(&messages).map_err(Silent::NoDialogue)?;
        if dialogue.last().is_none_or(|turn| turn.role != Role::User) {
            return wrong("there is nothing to answer: the last turn is not the user's");
        }
        if !(0.0..=100.0).contains(&temperature) {
            return wrong("the temperature is a number from 0 to 100");
        }
        if !(1..=LONGEST).contains(&max_tokens) {
            return wrong(&format!("an answer has 1 to {LONGEST} tokens"));
        }
        let network = self.kept(run, |kept| Ok(kept.network(name)?))?;
        speaks(name, &network)?;
        let sampling = Sampling { temperature, max_tokens, seed, ..Sampling::default() };
        Ok(Asked { name: name.to_owned(), network, dialogue, sampling })
    }

    /// Asks the stages of a run; what has not ended is said to be training while the run goes on.
    fn kept<T>(&self, run: &Path, ask: impl Fn(&Kept<'_>) -> Result<T, Silent>) -> Result<T, Silent> {
        let run = Folder::told(run)?;
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let told = ask(&Kept::new(&store, durable::parent(store.root()), &run.plan));
        told.map_err(|silent| match silent {
            Silent::Lost(Lost::NotMade { name } | Lost::Begun { name, .. }) if run.summary.is_null() => Silent::Training { name },
            other => other,
        })
    }

    /// Answers, telling the browser everything as events.
    pub(super) fn answer(&self, asked: &Asked, stream: &mut TcpStream, stop: &AtomicBool) -> io::Result<()> {
        events(stream)?;
        let mut wire = Wire { stream, stop };
        let Some(mut speaking) = self.turn(&mut wire) else { return Ok(()) };
        let said = speaking.say(asked, &mut wire);
        drop(speaking);
        let last = said.unwrap_or_else(|silent| json!({ "error": silent.to_string() }));
        // a browser that went away does not want to know
        let _ = wire.tell(&last);
        Ok(())
    }

    /// Waits until nobody else is speaking; `None` when the browser did not wait as long.
    fn turn(&self, wire: &mut Wire<'_>) -> Option<MutexGuard<'_, Speaking>> {
        loop {
            match self.speaking.try_lock() {
                Ok(speaking) => return Some(speaking),
                Err(TryLockError::Poisoned(left)) => return Some(left.into_inner()),
                Err(TryLockError::WouldBlock) if wire.tell(&json!({ "state": "waits" })).is_break() => return None,
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }
}

impl Speaking {
    fn say(&mut self, asked: &Asked, wire: &mut Wire<'_>) -> Result<Value, Silent> {
        let Self { engine, loaded } = self;
        let mut engine = engine.get()?;
        let net = resident(&mut engine, loaded, asked, wire)?;
        let prompt = engine.tokenizer(net).encode_prompt(&asked.dialogue)?;
        let (tokens, most) = (prompt.len(), engine.spec(net).max_positions);
        if tokens >= most {
            return Err(Silent::Full { name: asked.name.clone(), tokens, most });
        }
        let sampling = Sampling { max_tokens: asked.sampling.max_tokens.min(most - tokens), ..asked.sampling.clone() };
        let turns = asked.dialogue.iter().filter(|turn| turn.role == Role::User).count() as u64;
        let begun = Instant::now();
        let mut hear = |text: &str| wire.tell(&json!({ "text": text }));
        let sample = talk::answer(&mut engine, net, prompt, &sampling, turns, &mut hear)?;
        let used = tokens + sample.tokens.len();
        Ok(json!({
            "done": { "finished": sample.finished, "tokens": sample.tokens.len(), "seconds": begun.elapsed().as_secs_f64(), "full": used >= most },
        }))
    }
}

/// The network on the device. The one that has been silent for longest makes room.
fn resident(engine: &mut Engine, loaded: &mut Vec<(Arc<str>, NetId)>, asked: &Asked, wire: &mut Wire<'_>) -> Result<NetId, Silent> {
    let found = match loaded.iter().position(|(key, _)| *key == asked.network.key) {
        Some(at) => loaded.remove(at),
        None => {
            // nobody waits for what is loaded for a browser that went away, and the next one may ask for it too
            let _ = wire.tell(&json!({ "state": "loads" }));
            if loaded.len() >= RESIDENT {
                engine.unload(loaded.remove(0).1);
                engine.trim();
            }
            (asked.network.key.clone(), engine.load(&Network::open(&asked.network.path)?, false)?)
        }
    };
    let net = found.1;
    loaded.push(found);
    Ok(net)
}

/// The way to one browser.
struct Wire<'a> {
    stream: &'a mut TcpStream,
    stop: &'a AtomicBool,
}

impl Wire<'_> {
    /// Sends an event; breaks when the browser is gone, or the server is to end.
    fn tell(&mut self, event: &Value) -> ControlFlow<()> {
        let sent = write!(self.stream, "data: {event}\n\n").and_then(|()| self.stream.flush());
        if sent.is_err() || self.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
