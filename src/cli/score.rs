//! `align score`: what a network thinks of a text, token by token.

use serde_json::{Value, json};

use crate::model::{Head, ModelError, TokenSequence, Tokenizer, Want};
use crate::score::FixedScorer;
use crate::value::statistics::mean;
use crate::value::{Completion, Role, Sequence, Turn};

use super::Exit;
use super::args::ScoreArgs;
use super::network::{Found, Open, find, load, refuse};
use super::out;
use super::talk::{dialogue, prompt_ids};

pub(super) fn score(args: &ScoreArgs) -> Exit {
    let asked = match Asked::new(args) {
        Ok(asked) => asked,
        Err(message) => {
            out::error(&message);
            return Exit::Code(2);
        }
    };
    let Some(found) = find(&args.network, &args.from, &args.device) else { return Exit::Failed };
    let answer = match fixed(&found, &asked) {
        Some(answer) => answer,
        None => {
            let Some(mut open) = load(&[found], &args.device) else { return Exit::Failed };
            match ask(&mut open, &asked, args.raw) {
                Ok(answer) => answer,
                Err(error) => {
                    refuse(&error.diagnostic());
                    return Exit::Failed;
                }
            }
        }
    };
    if args.json {
        out::line(&answer.json().to_string());
    } else {
        out::print(&answer.table());
    }
    Exit::Done
}

/// What is to be scored.
enum Asked {
    /// From its first token on.
    Text(String),
    Pair {
        prompt: Vec<Turn>,
        completion: String,
    },
    /// The assistant's turns.
    Dialogue(Vec<Turn>),
    Ids(Vec<u32>),
}

impl Asked {
    fn new(args: &ScoreArgs) -> Result<Self, String> {
        match (&args.text, &args.prompt, &args.completion, &args.dialogue, &args.ids) {
            (Some(text), None, None, None, None) => Ok(Self::Text(text.clone())),
            (None, Some(prompt), Some(completion), None, None) => {
                let prompt = vec![Turn { role: Role::User, text: prompt.as_str().into() }];
                Ok(Self::Pair { prompt, completion: completion.clone() })
            }
            (None, None, None, Some(path), None) => {
                let cannot = |why: String| format!("`{}` cannot be read: {why}", path.display());
                let text = std::fs::read_to_string(path).map_err(|e| cannot(e.to_string()))?;
                Ok(Self::Dialogue(dialogue(&text).map_err(cannot)?))
            }
            (None, None, None, None, Some(ids)) => Ok(Self::Ids(ids.clone())),
            _ => Err("give one of: a text; `--prompt` and `--completion`; `--dialogue FILE.json`; `--ids 1,2,3`".to_owned()),
        }
    }

    /// As a fixed scorer reads it.
    fn sequence(&self) -> Option<Sequence> {
        let written = |text: &String| Completion { text: text.as_str().into(), tokens: None, finished: true }.into();
        match self {
            Self::Text(text) => Some(Sequence { prompt: Vec::new().into(), completion: Some(written(text)) }),
            Self::Pair { prompt, completion } => Some(Sequence { prompt: prompt.clone().into(), completion: Some(written(completion)) }),
            Self::Dialogue(turns) => Some(Sequence { prompt: turns.clone().into(), completion: None }),
            Self::Ids(_) => None,
        }
    }

    fn tokens(&self, tokenizer: &Tokenizer, raw: bool) -> Result<TokenSequence, ModelError> {
        match self {
            Self::Text(text) => {
                let ids = prompt_ids(tokenizer, &[Turn { role: Role::User, text: text.as_str().into() }], true)?;
                Ok(TokenSequence::new([], ids))
            }
            Self::Ids(ids) => Ok(TokenSequence::new([], &ids[..])),
            Self::Pair { prompt, completion } if raw => {
                let before = prompt_ids(tokenizer, prompt, true)?;
                let both: Vec<Turn> = prompt.iter().cloned().chain([Turn { role: Role::User, text: completion.as_str().into() }]).collect();
                let whole = prompt_ids(tokenizer, &both, true)?;
                let same = before.iter().zip(&whole).take_while(|(a, b)| a == b).count();
                Ok(TokenSequence::new(&whole[..same], &whole[same..]))
            }
            Self::Pair { .. } | Self::Dialogue(_) => tokenizer.encode_sequence(&self.sequence().expect("it is text")),
        }
    }
}

/// A scorer that is no network.
fn fixed(found: &Found, asked: &Asked) -> Option<Answer> {
    let Found::At(path) = found else { return None };
    let scorer = FixedScorer::is_at(path).then(|| FixedScorer::load(path).ok()).flatten()?;
    Some(Answer { tokens: Vec::new(), score: Some(scorer.score_sequence(&asked.sequence()?)) })
}

fn ask(open: &mut Open, asked: &Asked, raw: bool) -> Result<Answer, ModelError> {
    let net = open.nets[0];
    let tokenizer = open.engine.tokenizer(net).clone();
    let sequence = asked.tokens(&tokenizer, raw)?;
    let head = open.engine.head(net);
    let want = Want { logp: head == Head::Language, value: head == Head::Value, score: head == Head::Score, ..Want::default() };
    let read = open.engine.readout(net, std::slice::from_ref(&sequence), want, 1.0)?;
    let numbers = if want.value { &read.value } else { &read.logp };
    let mut numbers = numbers.first().map_or(&[][..], |n| &n[..]).iter();
    let (before, scored) = (sequence.prompt().len(), |at: usize| sequence.is_scored(at));
    let ids: Vec<u32> = sequence.prompt().iter().chain(&sequence.completion()[..]).copied().collect();
    let tokens = (0..ids.len()).map(|at| {
        let number = (at >= before && scored(at - before)).then(|| numbers.next().copied()).flatten();
        Token { id: ids[at], piece: piece(&tokenizer, &ids[..at], ids[at]), number }
    });
    let tokens = tokens.collect();
    Ok(Answer { tokens, score: (!read.score.is_empty()).then(|| mean(&read.score)) })
}

struct Token {
    id: u32,
    piece: String,
    /// Its log-prob, or the value of the state before it; none where it is not scored.
    number: Option<f64>,
}

/// What an id adds to the text before it; a special token as it is spelled.
fn piece(tokenizer: &Tokenizer, before: &[u32], id: u32) -> String {
    let text = tokenizer.decode_completion(before, &[id]);
    if text.is_empty() { tokenizer.piece(id).unwrap_or_default() } else { text }
}

struct Answer {
    tokens: Vec<Token>,
    score: Option<f64>,
}

impl Answer {
    fn numbers(&self) -> Vec<f64> {
        self.tokens.iter().filter_map(|token| token.number).collect()
    }

    fn json(&self) -> Value {
        let tokens: Vec<Value> = self.tokens.iter().map(|t| json!({ "id": t.id, "text": t.piece, "logp": t.number })).collect();
        let numbers = self.numbers();
        match self.score {
            Some(score) => json!({ "score": score }),
            None => json!({ "tokens": tokens, "sum": numbers.iter().sum::<f64>(), "scored": numbers.len() }),
        }
    }

    fn table(&self) -> String {
        if let Some(score) = self.score {
            return format!("score  {score:.4}\n");
        }
        let width = self.tokens.iter().map(|t| format!("{:?}", t.piece).chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for token in &self.tokens {
            let number = token.number.map_or_else(|| "      ·".to_owned(), |x| format!("{x:9.4}"));
            text += &format!("{:>8}  {:width$}  {number}\n", token.id, format!("{:?}", token.piece));
        }
        let numbers = self.numbers();
        #[expect(clippy::cast_precision_loss, reason = "token counts are small")]
        let (sum, count) = (numbers.iter().sum::<f64>(), numbers.len() as f64);
        if !numbers.is_empty() {
            text += &format!("sum {sum:.4} over {count} tokens, mean {:.4}, perplexity {:.3}\n", sum / count, (-sum / count).exp());
        }
        text
    }
}
