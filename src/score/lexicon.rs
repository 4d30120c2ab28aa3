//! Sentiment of a text from a lexicon of rated words and five rules about their surroundings: degree words, negation,
//! capitals, "but", and punctuation. Hutto & Gilbert 2014, "VADER"; equal to vaderSentiment 3.3.2's `compound` before
//! that rounds to four places. Emoji are not translated into words.

use std::collections::HashMap;

use super::degree::{degree, negates, phrase};

/// What writing one word in capitals among others adds.
const CAPITALS: f64 = 0.733;
/// What a negation multiplies by: "not good" is bad, but less so than "good" is good.
const NEGATION: f64 = -0.74;
/// What "never so good" multiplies by: it only looks like a negation.
const NEVER_SO: f64 = 1.25;
/// How much of a degree word's effect is left one, two and three words away.
const FADING: [f64; 3] = [1.0, 0.95, 0.9];
/// Brings the sum of valences into −1..1: s / √(s² + 15).
const SPREAD: f64 = 15.0;

/// Words and their mean rating, −4 to 4.
#[derive(Clone, PartialEq, Debug)]
pub struct Lexicon {
    valence: HashMap<Box<str>, f64>,
}

/// A lexicon that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LexiconError {
    #[error("line {line} is not a word, a tab and a number: `{found}`")]
    Line { line: usize, found: String },
    #[error("it holds no words")]
    Empty,
}

/// A text as the rules see it.
struct Words<'a> {
    written: Vec<&'a str>,
    lower: Vec<String>,
    /// Whether some words, but not all, are in capitals.
    mixed: bool,
}

impl<'a> Words<'a> {
    fn new(text: &'a str) -> Self {
        let is_space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
        let written: Vec<&str> = text.split(is_space).filter(|word| !word.is_empty()).map(bare).collect();
        let capitals = written.iter().filter(|word| in_capitals(word)).count();
        let mixed = 0 < capitals && capitals < written.len();
        let lower = written.iter().map(|word| word.to_lowercase()).collect();
        Self { written, lower, mixed }
    }

    fn shouts(&self, at: usize) -> bool {
        self.mixed && in_capitals(self.written[at])
    }

    /// The word `back` places before `at`.
    fn before(&self, at: usize, back: usize) -> Option<&str> {
        at.checked_sub(back).map(|place| self.lower[place].as_str())
    }

    /// Words `from..to` as one phrase.
    fn phrase(&self, from: usize, to: usize) -> Option<String> {
        self.lower.get(from..to).map(|words| words.join(" "))
    }
}

/// A word without the punctuation around it; an emoticon (two characters or fewer are left) stays whole.
fn bare(word: &str) -> &str {
    let stripped = word.trim_matches(|c: char| c.is_ascii_punctuation());
    if stripped.chars().count() <= 2 { word } else { stripped }
}

fn in_capitals(word: &str) -> bool {
    word.chars().any(char::is_uppercase) && !word.chars().any(char::is_lowercase)
}

impl Lexicon {
    /// Reads lines of a word, a tab and its mean rating; further columns are for people.
    ///
    /// # Errors
    /// When a line is something else, or there is none.
    pub fn parse(text: &str) -> Result<Self, LexiconError> {
        let mut valence = HashMap::new();
        for (line, row) in (1..).zip(text.lines()).filter(|(_, row)| !row.trim().is_empty()) {
            let mut columns = row.trim().split('\t');
            let rated = columns.next().zip(columns.next().and_then(|rating| rating.trim().parse::<f64>().ok()));
            let Some((word, rating)) = rated.filter(|(_, rating)| rating.is_finite()) else {
                return Err(LexiconError::Line { line, found: row.chars().take(60).collect() });
            };
            valence.insert(word.into(), rating);
        }
        if valence.is_empty() { Err(LexiconError::Empty) } else { Ok(Self { valence }) }
    }

    /// Lines that [`Lexicon::parse`] reads back, words in alphabetical order.
    pub fn to_text(&self) -> String {
        let mut words: Vec<_> = self.valence.iter().collect();
        words.sort_by_key(|(word, _)| *word);
        words.into_iter().map(|(word, rating)| format!("{word}\t{rating}\n")).collect()
    }

    /// The sentiment of a whole text, −1 to 1; 0 when it has no rated words.
    pub fn compound(&self, text: &str) -> f64 {
        let text = text.trim();
        let words = Words::new(text);
        let mut valences: Vec<f64> = (0..words.lower.len()).map(|at| self.valence_at(&words, at)).collect();
        weigh_contrast(&words, &mut valences);
        let sum: f64 = valences.iter().sum();
        if sum == 0.0 {
            return 0.0;
        }
        let sum = sum + emphasis(text).copysign(sum);
        sum / (sum * sum + SPREAD).sqrt()
    }

    fn rated(&self, word: &str) -> Option<f64> {
        self.valence.get(word).copied()
    }

    /// The valence of one word where it stands.
    fn valence_at(&self, words: &Words<'_>, at: usize) -> f64 {
        let word = words.lower[at].as_str();
        let next = words.lower.get(at + 1).map(String::as_str);
        let is_degree = || degree(word).is_some() || (word == "kind" && next == Some("of"));
        let Some(rating) = self.rated(word).filter(|_| !is_degree()) else { return 0.0 };

        let mut valence = rating;
        if word == "no" && next.is_some_and(|next| self.rated(next).is_some()) {
            valence = 0.0;
        }
        if follows_no(words, at) {
            valence = rating * NEGATION;
        }
        if words.shouts(at) {
            valence += if valence > 0.0 { CAPITALS } else { -CAPITALS };
        }
        for back in 1..=3 {
            if words.before(at, back).is_some_and(|word| self.rated(word).is_none()) {
                valence += degree_before(words, at - back, valence) * FADING[back - 1];
                valence *= negation_before(words, at, back);
                if back == 3 {
                    valence = phrases_around(words, at, valence);
                }
            }
        }
        valence * self.least_before(words, at)
    }

    /// "least good" is bad; "at least good" and "very least good" are not.
    fn least_before(&self, words: &Words<'_>, at: usize) -> f64 {
        let is_least = words.before(at, 1) == Some("least") && self.rated("least").is_none();
        if is_least && !matches!(words.before(at, 2), Some("at" | "very")) { NEGATION } else { 1.0 }
    }
}

/// "no" before the word, or "no … or …".
fn follows_no(words: &Words<'_>, at: usize) -> bool {
    let no = |back| words.before(at, back) == Some("no");
    no(1) || no(2) || (no(3) && matches!(words.before(at, 1), Some("or" | "nor")))
}

/// What the word at `at` adds to a later valence as a degree word: away from zero when stronger, towards it when weaker.
fn degree_before(words: &Words<'_>, at: usize, valence: f64) -> f64 {
    let Some(size) = degree(&words.lower[at]) else { return 0.0 };
    let size = if valence < 0.0 { -size } else { size };
    let shout = if valence > 0.0 { CAPITALS } else { -CAPITALS };
    if words.shouts(at) { size + shout } else { size }
}

/// What the word `back` places before multiplies the valence by, seen with the words between.
fn negation_before(words: &Words<'_>, at: usize, back: usize) -> f64 {
    let word = |back| words.before(at, back).unwrap_or_default();
    let is_so = |back| matches!(word(back), "so" | "this");
    let never_so = match back {
        2 => word(2) == "never" && is_so(1),
        // As published: any "so" or "this" right before the word counts here, with or without "never".
        3 => (word(3) == "never" && is_so(2)) || is_so(1),
        _ => false,
    };
    let no_doubt = word(back) == "without" && (1..back).any(|between| word(between) == "doubt");
    match (never_so, no_doubt) {
        (true, _) => NEVER_SO,
        (_, true) => 1.0,
        _ if negates(word(back)) => NEGATION,
        _ => 1.0,
    }
}

/// Phrases that the word takes part in or follows replace its valence; degree phrases ("sort of") before it add.
fn phrases_around(words: &Words<'_>, at: usize, valence: f64) -> f64 {
    let around = |from: usize, to: usize| words.phrase(from, to).and_then(|words| phrase(&words));
    let before = [(at - 1, at + 1), (at - 2, at + 1), (at - 2, at), (at - 3, at), (at - 3, at - 1)];
    let after = [(at, at + 3), (at, at + 2)];
    let own = after.iter().chain(&before).find_map(|(from, to)| around(*from, *to));
    let degrees = [(at - 3, at), (at - 3, at - 1), (at - 2, at)];
    let added: f64 = degrees.iter().filter_map(|(from, to)| degree(&words.phrase(*from, *to)?)).sum();
    own.unwrap_or(valence) + added
}

/// After "but" sentiment counts half as much again, before it half.
///
/// The published program finds each value's place by searching for the first equal value, so a word after "but" whose
/// valence equals an earlier one weighs that one again. Scores would differ without it.
fn weigh_contrast(words: &Words<'_>, valences: &mut [f64]) {
    let Some(but) = words.lower.iter().position(|word| word == "but") else { return };
    for at in 0..valences.len() {
        let first = valences.iter().position(|v| *v == valences[at]).unwrap_or(at);
        match first.cmp(&but) {
            std::cmp::Ordering::Less => valences[first] *= 0.5,
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => valences[first] *= 1.5,
        }
    }
}

/// What exclamation and question marks add to the sum, away from zero.
#[expect(clippy::cast_precision_loss, reason = "marks are few")]
fn emphasis(text: &str) -> f64 {
    let exclamations = text.matches('!').count().min(4) as f64 * 0.292;
    let questions = match text.matches('?').count() {
        0 | 1 => 0.0,
        few @ 2..=3 => few as f64 * 0.18,
        _ => 0.96,
    };
    exclamations + questions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lexicon() -> Lexicon {
        Lexicon::parse("good\t1.9\t0.9\t[2, 1]\nbad\t-2.5\nno\t-1.2\n\n:)\t2.0\n").unwrap()
    }

    #[test]
    fn rules_point_the_right_way() {
        let score = |text: &str| lexicon().compound(text);
        assert_eq!(score(""), 0.0);
        assert_eq!(score("The table stood there."), 0.0);
        assert!(score("It was very good.") > score("It was good."));
        assert!(score("It was kind of good.") < score("It was good."));
        assert!(score("It was not good.") < 0.0);
        assert!(score("It was GOOD.") > score("It was good."));
        assert!(score("It was good!") > score("It was good."));
        assert!(score("It was bad but good.") > score("It was good but bad."));
        assert!(score("Well :)") > 0.0);
    }

    #[test]
    fn a_broken_lexicon_names_its_line() {
        let line = |text: &str| Lexicon::parse(text).unwrap_err();
        assert_eq!(line("good\t1\nbad"), LexiconError::Line { line: 2, found: "bad".into() });
        assert!(matches!(line("good\tvery"), LexiconError::Line { line: 1, .. }));
        assert!(matches!(line("good\tnan"), LexiconError::Line { line: 1, .. }));
        assert_eq!(line("\n\n"), LexiconError::Empty);
    }
}
