//! Every word of the formula language that exists, in one table: its name, how many arguments it takes, what it does.
//!
//! The standard library declares the same words as `extern fn`; a test compares the two both ways. Operators are words
//! too. A word that takes `over:` does not count it among its arguments.

use crate::value::Cell;

use super::aggregate::{self, Aggregate};
use super::apply;
use super::guide;
use super::halfspace;
use super::lists;
use super::number::{self, Number};
use super::reduce::{self, Reduction};
use super::text::{self, TextError};

/// One word.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    pub name: &'static str,
    /// Fewest and most arguments, without `over:`.
    pub args: (usize, usize),
    /// Whether it takes `over:`.
    pub over: bool,
    pub kind: Kind,
}

impl Word {
    /// Which argument is a regular expression.
    pub fn pattern(&self) -> Option<usize> {
        match self.name {
            "pattern" => Some(0),
            "matches" | "capture" => Some(1),
            _ => None,
        }
    }
}

/// What a word does.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Element by element, with its derivative. `+`, `==` and `!=` also take texts, dialogues and lists.
    Number(Number),
    /// Many numbers to one, with its derivative.
    Reduction(Reduction),
    /// Along the tokens of one sequence.
    Token(Token),
    /// A list's numbers to one.
    Items(Items),
    /// Looks at other rows; `over:` says which.
    Rows(Rows),
    /// True for rows whose text is not much like an earlier row's.
    Distinct,
    /// The cluster of each row's list among those of all rows.
    Cluster,
    /// Looks at a list of numbers in every row of the table: true for the rows that are kept.
    Kept(fn(&[Vec<f64>]) -> Vec<bool>),
    /// One row's texts, dialogues and lists.
    Text(fn(&[Cell]) -> Result<Cell, TextError>),
    /// Facts of a sequence's layout.
    Layout(Layout),
    /// What a network makes of a sequence; the network is the first argument.
    Network(Network),
    /// A whole table's numbers to an estimate.
    Aggregate(Aggregate),
    /// A value as it was when the rollout was sampled.
    Old,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Token {
    AtEnd,
    Next,
    TailSum,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Items {
    Dot,
    IndexOfMax,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rows {
    Count,
    Rank,
    ArgMax,
    Shifted,
    /// Over `row` every row throws its own.
    Dice,
    /// Over `row` every text by itself, else the texts of the axis together.
    DistinctNgrams,
    /// The values of the axis in a list.
    Gathered,
    /// The mean of the axis' lists.
    Centroid,
    /// Every text against the others of the axis.
    SelfBleu,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    Length,
    Finished,
}

/// What a network gives back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Network {
    /// A number per scored token, differentiable: `logp`, `entropy`, `value`.
    PerToken,
    /// A number per sequence, differentiable.
    Score,
    /// A number per sequence from every head that a scorer has.
    Scores,
    /// The share of each of several continuations.
    Choose,
    /// A number per scored token from two networks, differentiable in either: the second network is the second argument.
    Divergence,
    /// A completion by chance: equal prompts get different answers.
    Sample,
    /// A number per scored token read within a finished network.
    Lens,
    /// A list per sequence read within a finished network.
    Inside,
}

impl Network {
    /// Whether it gives a number per scored token.
    pub fn per_token(self) -> bool {
        matches!(self, Self::PerToken | Self::Lens | Self::Divergence)
    }
}

/// Every word, grouped by kind.
pub static WORDS: &[Word] = &[
    number("+", 2, number::ADD),
    number("-", 2, number::SUBTRACT),
    number("*", 2, number::MULTIPLY),
    number("/", 2, number::DIVIDE),
    number("^", 2, number::POWER),
    number("negate", 1, number::NEGATE),
    number("==", 2, number::EQUAL),
    number("!=", 2, number::NOT_EQUAL),
    number("<", 2, number::LESS),
    number("<=", 2, number::LESS_EQUAL),
    number(">", 2, number::GREATER),
    number(">=", 2, number::GREATER_EQUAL),
    number("and", 2, number::AND),
    number("or", 2, number::OR),
    number("not", 1, number::NOT),
    number("exp", 1, number::EXP),
    number("log", 1, number::LOG),
    number("sqrt", 1, number::SQRT),
    number("tanh", 1, number::TANH),
    number("abs", 1, number::ABS),
    number("sigmoid", 1, number::SIGMOID),
    number("log_sigmoid", 1, number::LOG_SIGMOID),
    number("log1m_exp", 1, number::LOG1M_EXP),
    number("clamp", 3, number::CLAMP),
    number("larger", 2, number::LARGER),
    number("smaller", 2, number::SMALLER),
    number("choices", 2, number::CHOICES),
    number("detach", 1, number::DETACH),
    plain("at_end", 1, Kind::Token(Token::AtEnd)),
    plain("next", 1, Kind::Token(Token::Next)),
    plain("tail_sum", 2, Kind::Token(Token::TailSum)),
    plain("dot", 2, Kind::Items(Items::Dot)),
    plain("index_of_max", 1, Kind::Items(Items::IndexOfMax)),
    over("sum", 1, Kind::Reduction(reduce::SUM)),
    over("mean", 1, Kind::Reduction(reduce::MEAN)),
    over("max", 1, Kind::Reduction(reduce::MAX)),
    over("min", 1, Kind::Reduction(reduce::MIN)),
    // `var(x, ddof)`: 0 when left out.
    Word { name: "var", args: (1, 2), over: true, kind: Kind::Reduction(reduce::VAR) },
    Word { name: "std", args: (1, 2), over: true, kind: Kind::Reduction(reduce::STD) },
    over("log_sum_exp", 1, Kind::Reduction(reduce::LOG_SUM_EXP)),
    over("count", 0, Kind::Rows(Rows::Count)),
    over("rank", 1, Kind::Rows(Rows::Rank)),
    over("arg_max", 2, Kind::Rows(Rows::ArgMax)),
    over("shifted", 2, Kind::Rows(Rows::Shifted)),
    over("dice", 1, Kind::Rows(Rows::Dice)),
    over("distinct_ngrams", 2, Kind::Rows(Rows::DistinctNgrams)),
    over("gathered", 1, Kind::Rows(Rows::Gathered)),
    over("centroid", 1, Kind::Rows(Rows::Centroid)),
    over("self_bleu", 2, Kind::Rows(Rows::SelfBleu)),
    plain("distinct", 2, Kind::Distinct),
    plain("cluster", 2, Kind::Cluster),
    plain("rows", 1, Kind::Text(lists::rows)),
    plain("items", 1, Kind::Text(lists::items)),
    plain("words", 1, Kind::Text(lists::words)),
    plain("without", 2, Kind::Text(lists::without)),
    plain("place", 2, Kind::Text(lists::place)),
    plain("shared_words", 2, Kind::Text(lists::shared_words)),
    plain("irreducible", 1, Kind::Kept(halfspace::irreducible)),
    plain("covering", 1, Kind::Kept(halfspace::covering)),
    plain("times", 2, Kind::Text(lists::times)),
    plain("lowest", 2, Kind::Text(lists::lowest)),
    plain("lower", 2, Kind::Text(lists::lower)),
    plain("..", 2, Kind::Text(text::range)),
    plain("system", 1, Kind::Text(text::system)),
    plain("user", 1, Kind::Text(text::user)),
    plain("assistant", 1, Kind::Text(text::assistant)),
    plain("transcript", 1, Kind::Text(text::transcript)),
    plain("dialogue", 1, Kind::Text(text::from_transcript)),
    plain("turns", 1, Kind::Text(text::turn_count)),
    plain("characters", 1, Kind::Text(text::characters)),
    plain("shared_turns", 2, Kind::Text(text::shared_turns)),
    plain("turns_after", 2, Kind::Text(text::turns_after)),
    plain("shared_text", 2, Kind::Text(text::shared_text)),
    plain("text_after", 2, Kind::Text(text::text_after)),
    plain("exchanges", 1, Kind::Text(text::exchanges)),
    plain("last", 1, Kind::Text(text::last)),
    plain("but_last", 1, Kind::Text(text::but_last)),
    plain("contains", 2, Kind::Text(text::contains)),
    plain("matches", 2, Kind::Text(text::matches)),
    plain("capture", 2, Kind::Text(text::capture)),
    plain("number", 1, Kind::Text(text::number)),
    plain("joined", 2, Kind::Text(text::joined)),
    plain("literal", 1, Kind::Text(guide::literal)),
    plain("one_of", 1, Kind::Text(guide::one_of)),
    plain("pattern", 1, Kind::Text(guide::pattern)),
    plain("passage_of", 1, Kind::Text(guide::passage_of)),
    plain("after", 2, Kind::Text(text::after)),
    plain("begun", 1, Kind::Text(text::begun)),
    plain("length", 1, Kind::Layout(Layout::Length)),
    plain("finished", 1, Kind::Layout(Layout::Finished)),
    plain("logp", 2, Kind::Network(Network::PerToken)),
    plain("entropy", 2, Kind::Network(Network::PerToken)),
    plain("value", 2, Kind::Network(Network::PerToken)),
    // `score(m, s, head)`, `sample(m, d, sampling)`: the last one may be left out.
    Word { name: "score", args: (2, 3), over: false, kind: Kind::Network(Network::Score) },
    Word { name: "sample", args: (2, 3), over: false, kind: Kind::Network(Network::Sample) },
    plain("lens", 3, Kind::Network(Network::Lens)),
    plain("hidden", 4, Kind::Network(Network::Inside)),
    plain("attention", 4, Kind::Network(Network::Inside)),
    plain("saliency", 3, Kind::Network(Network::Inside)),
    plain("patched", 4, Kind::Network(Network::Inside)),
    plain("swaps", 4, Kind::Network(Network::Inside)),
    plain("scores", 2, Kind::Network(Network::Scores)),
    plain("choose", 3, Kind::Network(Network::Choose)),
    plain("kl_to", 4, Kind::Network(Network::Divergence)),
    plain("ece", 2, Kind::Aggregate(aggregate::ece)),
    plain("auroc", 2, Kind::Aggregate(aggregate::auroc)),
    plain("spearman", 2, Kind::Aggregate(aggregate::spearman)),
    plain("kendall", 2, Kind::Aggregate(aggregate::kendall)),
    plain("pearson", 2, Kind::Aggregate(aggregate::pearson)),
    plain("kappa", 2, Kind::Aggregate(aggregate::kappa)),
    plain("old", 1, Kind::Old),
];

const fn plain(name: &'static str, args: usize, kind: Kind) -> Word {
    Word { name, args: (args, args), over: false, kind }
}

const fn number(name: &'static str, args: usize, number: Number) -> Word {
    plain(name, args, Kind::Number(number))
}

const fn over(name: &'static str, args: usize, kind: Kind) -> Word {
    Word { name, args: (args, args), over: true, kind }
}

/// The word of a name.
pub fn get(name: &str) -> Option<&'static Word> {
    WORDS.iter().find(|word| word.name == name)
}

/// The table's own copy of a name, when it is a word.
pub fn find(name: &str) -> Option<&'static str> {
    get(name).map(|word| word.name)
}

/// A word's answer on constants; `None` where it has none before the run.
pub fn fold(word: &str, args: &[Cell]) -> Option<Cell> {
    apply::on_constants(get(word)?, args)
}

/// There is one word of each name.
impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Word {
    /// Whether it is written between or before its arguments.
    pub fn is_operator(&self) -> bool {
        matches!(self.name, "negate" | "and" | "or" | "not") || !self.name.starts_with(|c: char| c.is_ascii_alphabetic())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = WORDS.iter().map(|w| w.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), WORDS.len());
    }

    #[test]
    fn operators() {
        assert!(get("+").expect("a word").is_operator() && get("not").expect("a word").is_operator());
        assert!(!get("log").expect("a word").is_operator() && find("kl").is_none());
    }
}
