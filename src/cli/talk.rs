//! `align chat` and `align generate`: what a network says.

use std::io::{self, BufRead, IsTerminal};
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::{Value, json};

use crate::model::{Engine, Extras, ModelError, NetId, Request, Sample, Sampling, Tokenizer};
use crate::talk::{answer, turn};
use crate::value::{Dialogue, Role, Turn};

use super::Exit;
use super::args::{ChatArgs, GenerateArgs, SamplingArgs};
use super::network::{Open, find, load, refuse};
use super::out;

/// What can be typed between two turns.
const COMMANDS: &str = "\
/again        answer the last turn once more, with another seed
/undo         take the last turn and its answer back
/clear        begin anew
/system TEXT  begin anew under another system prompt
/help         this list
/exit         leave; so does the end of input";

pub(super) fn chat(args: &ChatArgs) -> Exit {
    let paths: Option<Vec<_>> = args.networks.iter().map(|word| find(word, &args.from, &args.device)).collect();
    let Some(open) = paths.and_then(|paths| load(&paths, &args.device)) else { return Exit::Failed };
    let mut talk = Talk::new(args, open);
    if io::stdin().is_terminal() {
        out::error("/help lists what else can be typed, /exit leaves");
    }
    for line in asking_lines() {
        match talk.turn(line.trim_end()) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => refuse(&error.diagnostic()),
        }
    }
    Exit::Done
}

/// Lines of standard input, with a prompt in front where a person types them.
fn asking_lines() -> impl Iterator<Item = String> {
    let is_typed = io::stdin().is_terminal();
    let mut lines = io::stdin().lock().lines();
    std::iter::from_fn(move || {
        if is_typed {
            out::print("> ");
        }
        lines.next()?.ok()
    })
}

/// A conversation with one or more networks, each in its own words.
struct Talk<'a> {
    args: &'a ChatArgs,
    open: Open,
    /// One a network.
    dialogues: Vec<Dialogue>,
    /// Answers so far: each has its own draws.
    answers: u64,
}

impl<'a> Talk<'a> {
    fn new(args: &'a ChatArgs, open: Open) -> Self {
        let mut talk = Self { args, dialogues: vec![Vec::new(); open.nets.len()], open, answers: 0 };
        talk.begin(args.system.as_deref());
        talk
    }

    fn begin(&mut self, system: Option<&str>) {
        let turns: Dialogue = system.iter().map(|text| turn(Role::System, text)).collect();
        self.dialogues.fill(turns);
    }

    /// Whether to go on after a line.
    fn turn(&mut self, line: &str) -> Result<bool, ModelError> {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("", _) => {}
            ("/exit" | "/quit", _) => return Ok(false),
            ("/help", _) => out::line(COMMANDS),
            ("/clear", _) => self.begin(self.args.system.as_deref()),
            ("/system", text) => self.begin(Some(text)),
            ("/undo", _) => self.take_back(2),
            ("/again", _) => {
                self.take_back(1);
                self.answer()?;
            }
            (command, _) if command.starts_with('/') => out::error(&format!("`{command}` is no command\n{COMMANDS}")),
            _ => {
                self.dialogues.iter_mut().for_each(|dialogue| dialogue.push(turn(Role::User, line)));
                if let Err(error) = self.answer() {
                    self.take_back(1);
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    fn take_back(&mut self, turns: usize) {
        for dialogue in &mut self.dialogues {
            let kept = dialogue.iter().take_while(|turn| turn.role == Role::System).count();
            dialogue.truncate(dialogue.len().saturating_sub(turns).max(kept));
        }
    }

    /// Lets every network answer its own dialogue.
    fn answer(&mut self) -> Result<(), ModelError> {
        if self.dialogues.iter().any(|dialogue| dialogue.last().is_none_or(|turn| turn.role != Role::User)) {
            out::error("there is nothing to answer yet");
            return Ok(());
        }
        self.answers += 1;
        let sampling = self.args.sampling.sampling(0.7);
        for (at, word) in self.args.networks.iter().enumerate() {
            if self.args.networks.len() > 1 {
                out::line(&format!("{word}:"));
            }
            let net = self.open.nets[at];
            let prompt = self.open.engine.tokenizer(net).encode_prompt(&self.dialogues[at])?;
            let sample = stream(&mut self.open.engine, net, prompt, &sampling, self.answers)?;
            self.dialogues[at].push(turn(Role::Assistant, &sample.text));
            let cut = if sample.finished { "" } else { " […]" };
            out::line(&format!("{cut}\n"));
        }
        Ok(())
    }
}

/// Samples one answer and prints it as it comes.
fn stream(engine: &mut Engine, net: NetId, prompt: Vec<u32>, sampling: &Sampling, key: u64) -> Result<Sample, ModelError> {
    let mut print = |text: &str| {
        out::print(text);
        ControlFlow::Continue(())
    };
    answer(engine, net, prompt, sampling, key, &mut print)
}

pub(super) fn generate(args: &GenerateArgs) -> Exit {
    let prompts = match prompts(args) {
        Ok(prompts) => prompts,
        Err(message) => {
            out::error(&message);
            return Exit::Failed;
        }
    };
    let Some(found) = find(&args.network, &args.from, &args.device) else { return Exit::Failed };
    let Some(mut open) = load(&[found], &args.device) else { return Exit::Failed };
    match samples(args, &mut open, &prompts) {
        Ok(()) => Exit::Done,
        Err(error) => {
            refuse(&error.diagnostic());
            Exit::Failed
        }
    }
}

/// Samples every prompt, one as it comes, several together.
fn samples(args: &GenerateArgs, open: &mut Open, prompts: &[Dialogue]) -> Result<(), ModelError> {
    let net = open.nets[0];
    let tokenizer = open.engine.tokenizer(net).clone();
    let sampling = args.sampling.sampling(1.0);
    let encoded: Vec<Vec<u32>> = prompts.iter().map(|prompt| prompt_ids(&tokenizer, prompt, args.raw)).collect::<Result<_, _>>()?;
    if let ([prompt], 1, false) = (&encoded[..], args.samples, args.json) {
        stream(&mut open.engine, net, prompt.clone(), &sampling, 0)?;
        out::line("");
        return Ok(());
    }
    let requests = encoded.iter().flat_map(|prompt| std::iter::repeat_n(prompt.as_slice().into(), args.samples));
    let requests: Vec<Request> = requests.zip(0..).map(|(prompt, key)| Request { prompt, key }).collect();
    let sampled = open.engine.generate(net, &requests, &sampling, Extras::default())?;
    for (at, (prompt, samples)) in prompts.iter().zip(sampled.chunks(args.samples)).enumerate() {
        for (number, sample) in samples.iter().enumerate() {
            if args.json {
                out::line(&shown(prompt, number, sample).to_string());
            } else {
                let heading =
                    if number == 0 { format!("{}── {}\n", if at > 0 { "\n" } else { "" }, last(prompt)) } else { "·\n".to_owned() };
                out::line(&format!("{heading}{}{}", sample.text, if sample.finished { "" } else { " […]" }));
            }
        }
    }
    Ok(())
}

/// A prompt through the chat template, or as it is written.
pub(super) fn prompt_ids(tokenizer: &Tokenizer, prompt: &[Turn], raw: bool) -> Result<Vec<u32>, ModelError> {
    if !raw {
        return tokenizer.encode_prompt(prompt);
    }
    let text: String = prompt.iter().map(|turn| &*turn.text).collect();
    Ok(tokenizer.start().into_iter().chain(tokenizer.encode(&text)?).collect())
}

fn last(prompt: &Dialogue) -> &str {
    prompt.last().map_or("", |turn| &*turn.text)
}

fn shown(prompt: &Dialogue, number: usize, sample: &Sample) -> Value {
    let turns: Vec<Value> = prompt.iter().map(|turn| json!({ "role": turn.role.name(), "content": &*turn.text })).collect();
    json!({
        "prompt": turns, "sample": number, "completion": sample.text, "finished": sample.finished,
        "tokens": sample.tokens, "logp": sample.logps.iter().sum::<f64>(),
    })
}

/// The prompts that were asked for: arguments, lines of a file or of standard input.
fn prompts(args: &GenerateArgs) -> Result<Vec<Dialogue>, String> {
    let mut prompts: Vec<Dialogue> = args.prompts.iter().map(|text| vec![turn(Role::User, text)]).collect();
    if let Some(path) = &args.file {
        let text = std::fs::read_to_string(path).map_err(|e| format!("`{}` cannot be read: {e}", path.display()))?;
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = |why: &str| format!("`{}`, line {}: {why}", path.display(), number + 1);
            prompts.push(if is_jsonl(path) { dialogue(line).map_err(|why| wrong(&why))? } else { vec![turn(Role::User, line)] });
        }
    }
    if prompts.is_empty() && !io::stdin().is_terminal() {
        prompts = io::stdin().lock().lines().map_while(Result::ok).filter(|l| !l.is_empty()).map(|l| vec![turn(Role::User, &l)]).collect();
    }
    if prompts.is_empty() {
        return Err("what is to be continued? write prompts behind the network, `--file PROMPTS`, or pipe in lines".to_owned());
    }
    if let Some(system) = &args.system {
        prompts.iter_mut().for_each(|prompt| prompt.insert(0, turn(Role::System, system)));
    }
    Ok(prompts)
}

fn is_jsonl(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "jsonl" || e == "json")
}

/// The dialogue of a line of JSON; see [`crate::talk::dialogue`].
pub(super) fn dialogue(line: &str) -> Result<Dialogue, String> {
    crate::talk::dialogue(&serde_json::from_str(line).map_err(|e| e.to_string())?)
}

impl SamplingArgs {
    /// As the engine takes it.
    pub(super) fn sampling(&self, temperature: f64) -> Sampling {
        Sampling {
            temperature: self.temperature.unwrap_or(temperature),
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            stop: self.stop.clone(),
            max_tokens: self.max_tokens,
            seed: self.seed,
        }
    }
}
