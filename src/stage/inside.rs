//! The words that look inside a finished network: its states, what they say, what each input adds, who looks at whom.

use std::sync::Arc;

use crate::formula::failure::Unanswered;
use crate::model::{Engine, NetId, Read, TokenSequence, Tokenizer};
use crate::value::{Cell, Dialogue};

/// What a word is asked besides its network: the first sequence in tokens, and all its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub sequence: &'a TokenSequence,
    /// Of a second sequence, where the word takes one.
    pub other: Option<&'a TokenSequence>,
    /// The last turn of the first sequence's prompt.
    pub prompt: &'a Dialogue,
    pub args: &'a [Cell],
}

/// A word's answer.
type Answer = Result<Cell, Unanswered>;

/// The words and what answers them.
const ANSWERS: &[(&str, fn(&mut Engine, NetId, Question<'_>) -> Answer)] =
    &[("hidden", hidden), ("lens", lens), ("attention", attention), ("saliency", saliency), ("patched", patched), ("swaps", swaps)];

/// Whether a word is one of these.
pub fn knows(word: &str) -> bool {
    ANSWERS.iter().any(|(name, _)| *name == word)
}

/// Answers one row.
///
/// # Errors
/// When the network has no such layer, the arguments do not go together, or the device fails.
pub fn answer(word: &str, engine: &mut Engine, net: NetId, question: Question<'_>) -> Answer {
    let (_, answer) = ANSWERS.iter().find(|(name, _)| *name == word).expect("a word that looks inside");
    answer(engine, net, question)
}

impl Question<'_> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the declared ranges keep them small and not negative")]
    fn count(&self, at: usize) -> Option<usize> {
        self.args[at].number().map(|x| x as usize)
    }

    fn layer(&self, at: usize) -> Result<usize, Unanswered> {
        self.count(at).ok_or_else(|| "a layer is a whole number".into())
    }
}

fn list(numbers: impl IntoIterator<Item = f64>) -> Cell {
    Cell::List(numbers.into_iter().map(Cell::Float).collect())
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn real(n: usize) -> f64 {
    n as f64
}

fn hidden(engine: &mut Engine, net: NetId, question: Question<'_>) -> Answer {
    let (width, depth) = (engine.spec(net).width, engine.spec(net).layers);
    let states = engine.inside(net, question.sequence, 0..question.count(1).unwrap_or(depth), None, Read::States)?.states;
    if question.args[2] == Cell::text("mean") {
        let rows = states.len() / width;
        return Ok(list((0..width).map(|c| states.iter().skip(c).step_by(width).map(|x| f64::from(*x)).sum::<f64>() / real(rows))));
    }
    Ok(list(states[states.len() - width..].iter().map(|x| f64::from(*x))))
}

fn lens(engine: &mut Engine, net: NetId, question: Question<'_>) -> Answer {
    let logp = engine.inside(net, question.sequence, 0..question.layer(1)?, None, Read::LogProbs)?.logp;
    Ok(Cell::Tokens(logp.into()))
}

fn attention(engine: &mut Engine, net: NetId, question: Question<'_>) -> Answer {
    let rows = engine.attention(net, question.sequence, question.layer(1)?, question.count(2))?;
    Ok(Cell::List(rows.into_iter().map(list).collect()))
}

/// Gradient × input of the prompt's tokens, or integrated from the vocabulary's mean: the completion stays as it is.
fn saliency(engine: &mut Engine, net: NetId, question: Question<'_>) -> Answer {
    let (sequence, steps) = (question.sequence, question.layer(1)?);
    let (width, depth) = (engine.spec(net).width, engine.spec(net).layers);
    let states = engine.inside(net, sequence, 0..0, None, Read::States)?.states;
    let (embedding, mean) = engine.embeddings(net)?;
    let prompt = sequence.prompt();
    let own = |t: usize| &embedding[prompt[t] as usize * width..][..width];
    if steps == 0 {
        let gradient = engine.inside(net, sequence, 0..depth, Some(&states), Read::Gradient)?.gradient;
        return Ok(list((0..prompt.len()).map(|t| dot(&gradient[t * width..], own(t)))));
    }
    let delta = |t: usize| own(t).iter().zip(&mean).map(|(x, m)| x - m).collect::<Vec<f32>>();
    let deltas: Vec<f32> = (0..prompt.len()).flat_map(delta).collect();
    let mut added = vec![0.0; prompt.len()];
    for step in 0..steps {
        let left = 1.0 - (real(step) + 0.5) / real(steps);
        let mut on_the_way = states.clone();
        #[expect(clippy::cast_possible_truncation, reason = "the device counts in f32")]
        on_the_way.iter_mut().zip(&deltas).for_each(|(x, delta)| *x -= left as f32 * delta);
        let gradient = engine.inside(net, sequence, 0..depth, Some(&on_the_way), Read::Gradient)?.gradient;
        let share = |t: usize| dot(&gradient[t * width..], &deltas[t * width..][..width]) / real(steps);
        added.iter_mut().enumerate().for_each(|(t, sum)| *sum += share(t));
    }
    Ok(list(added))
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn patched(engine: &mut Engine, net: NetId, question: Question<'_>) -> Answer {
    let from = question.other.ok_or("`patched` takes two sequences")?;
    let (own, other) = (question.sequence.prompt().len(), from.prompt().len());
    if own != other {
        return Err(format!("`patched` needs prompts of as many tokens: one has {own}, the other {other}").into());
    }
    let (layer, depth, width) = (question.layer(2)?, engine.spec(net).layers, engine.spec(net).width);
    let mut states = engine.inside(net, question.sequence, 0..layer, None, Read::States)?.states;
    let donor = engine.inside(net, from, 0..layer, None, Read::States)?.states;
    let mut sums = Vec::with_capacity(own);
    for t in 0..own {
        let place = t * width..(t + 1) * width;
        let before = states[place.clone()].to_vec();
        states[place.clone()].copy_from_slice(&donor[place.clone()]);
        let logp = engine.inside(net, question.sequence, layer..depth, Some(&states), Read::LogProbs)?.logp;
        sums.push(logp.iter().sum());
        states[place].copy_from_slice(&before);
    }
    Ok(list(sums))
}

/// Swaps of one token, best first by (e' − e) · d Σ log π / d e.
fn swaps(engine: &mut Engine, net: NetId, question: Question<'_>) -> Answer {
    let (sequence, count, last) = (question.sequence, question.count(1).unwrap_or(1), question.count(2).unwrap_or(1));
    let (width, depth) = (engine.spec(net).width, engine.spec(net).layers);
    let tokenizer = engine.tokenizer(net).clone();
    let (start, own) = last_turn(&tokenizer, sequence, question.prompt)?;
    let states = engine.inside(net, sequence, 0..0, None, Read::States)?.states;
    let gradient = engine.inside(net, sequence, 0..depth, Some(&states), Read::Gradient)?.gradient;
    let (embedding, _) = engine.embeddings(net)?;
    let mut gains: Vec<(f64, usize, u32)> = Vec::new();
    for place in own.len().saturating_sub(last)..own.len() {
        let slope = &gradient[(start + place) * width..][..width];
        let now = dot(slope, &embedding[own[place] as usize * width..][..width]);
        for (id, row) in (0..).zip(embedding.chunks_exact(width)) {
            if id != own[place] {
                gains.push((dot(slope, row) - now, place, id));
            }
        }
    }
    gains.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
    let mut texts: Vec<Cell> = Vec::with_capacity(count);
    for (_, place, id) in gains {
        if texts.len() == count {
            break;
        }
        let mut swapped = own.clone();
        swapped[place] = id;
        let text = tokenizer.decode(&swapped);
        if tokenizer.encode(&text)? == swapped {
            texts.push(Cell::text(text));
        }
    }
    Ok(Cell::List(texts.into()))
}

/// Where the tokens of the prompt's last turn stand, and which they are.
fn last_turn(tokenizer: &Arc<Tokenizer>, sequence: &TokenSequence, prompt: &Dialogue) -> Result<(usize, Vec<u32>), Unanswered> {
    let text = prompt.last().map(|turn| turn.text.clone()).ok_or("a prompt without a turn has nothing to swap")?;
    let own = tokenizer.encode(&text)?;
    let found = sequence.prompt().windows(own.len().max(1)).rposition(|window| window == &own[..]);
    let start = found.filter(|_| !own.is_empty()).ok_or("the prompt's last turn shares tokens with what stands before it")?;
    Ok((start, own))
}
