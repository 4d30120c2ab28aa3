//! What is drawn: boxes and arrows with what is written on them, whatever they came from.

use std::collections::{BTreeMap, BTreeSet};

/// A box.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Block {
    pub name: String,
    /// Under the name: how it is made, its state.
    pub how: String,
    /// Below that: numbers of the last run.
    pub numbers: String,
    /// A class name for its state: `cached`, `run`, `failed` …
    pub class: String,
}

/// Boxes and the arrows between them, by place.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Sketch {
    pub title: String,
    pub blocks: Vec<Block>,
    pub arrows: Vec<(usize, usize)>,
}

/// A stage before it is condensed with the others of its binding.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Part {
    pub name: String,
    pub primitive: String,
    pub class: String,
    pub seconds: Option<f64>,
    /// Whether the seconds are a forecast.
    pub estimated: bool,
    pub numbers: Vec<(String, String)>,
    pub needs: Vec<usize>,
}

/// More bindings than this are drawn with every arrow: finding those that say nothing takes too long.
const FEW: usize = 300;

/// A state that a binding takes on when any of its stages has it, the strongest first.
const STRONGEST: &[&str] = &["failed", "blocked", "running", "run", "resume", "left", "maybe", "made", "cached", "skipped", "skip"];

impl Sketch {
    /// Every stage as a box of its own.
    pub fn whole(title: &str, parts: &[Part]) -> Self {
        let blocks = parts.iter().map(|part| Block {
            name: part.name.clone(),
            how: how(&part.primitive, &part.class, part.seconds, part.estimated),
            numbers: numbers(&part.numbers),
            class: part.class.clone(),
        });
        let arrows = parts.iter().enumerate().flat_map(|(to, part)| part.needs.iter().map(move |from| (*from, to)));
        Self { title: title.to_owned(), blocks: blocks.collect(), arrows: arrows.collect() }
    }

    /// One box for each binding of the recipe: what was written, without what the library made of it.
    pub fn condensed(title: &str, parts: &[Part]) -> Self {
        let mut bindings: Vec<&str> = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        let mut members: Vec<Vec<usize>> = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let binding = binding(&part.name);
            let place = *places.entry(binding).or_insert_with(|| {
                bindings.push(binding);
                members.push(Vec::new());
                bindings.len() - 1
            });
            members[place].push(at);
        }
        let of = |at: usize| places[binding(&parts[at].name)];
        let arrows: BTreeSet<(usize, usize)> = parts
            .iter()
            .enumerate()
            .flat_map(|(to, part)| part.needs.iter().map(move |from| (*from, to)))
            .map(|(from, to)| (of(from), of(to)))
            .filter(|(from, to)| from != to)
            .collect();
        let arrows = if bindings.len() <= FEW { needed(bindings.len(), &arrows) } else { arrows };
        let blocks = bindings.iter().zip(&members).map(|(name, members)| block(name, members, parts)).collect();
        Self { title: title.to_owned(), blocks, arrows: arrows.into_iter().collect() }
    }
}

/// Arrows without those that a longer way implies: what is left says the same, and can be followed by eye.
fn needed(count: usize, arrows: &BTreeSet<(usize, usize)>) -> BTreeSet<(usize, usize)> {
    let mut feeds = vec![Vec::new(); count];
    arrows.iter().for_each(|(from, to)| feeds[*from].push(*to));
    let longer = |from: usize, to: usize| {
        let mut seen = vec![false; count];
        let mut open: Vec<usize> = feeds[from].iter().copied().filter(|next| *next != to).collect();
        while let Some(at) = open.pop() {
            if at == to {
                return true;
            }
            if !std::mem::replace(&mut seen[at], true) {
                open.extend(feeds[at].iter().copied().filter(|next| *next != from));
            }
        }
        false
    };
    // in a circle every way implies another: then all are drawn
    let circle = (0..count).any(|at| feeds[at].iter().any(|next| longer(*next, at)));
    arrows.iter().copied().filter(|(from, to)| circle || !longer(*from, *to)).collect()
}

/// The binding that a stage was made for: `policy` of `policy.critic`.
pub fn binding(stage: &str) -> &str {
    stage.split('.').next().unwrap_or(stage)
}

fn block(name: &str, members: &[usize], parts: &[Part]) -> Block {
    let classes: BTreeSet<&str> = members.iter().map(|at| parts[*at].class.as_str()).collect();
    let class = STRONGEST.iter().find(|class| classes.contains(*class)).copied().unwrap_or_default();
    let timed = || members.iter().filter(|at| parts[**at].class == class || parts[**at].class == "made");
    let seconds = timed().filter_map(|at| parts[*at].seconds).reduce(|a, b| a + b);
    let estimated = timed().any(|at| parts[*at].estimated);
    // the stage that carries the binding's own name says what it is; else all of them do
    let named = members.iter().find(|at| parts[**at].name == name).or(members.last().filter(|_| members.len() == 1));
    let kind = match named {
        Some(at) => parts[*at].primitive.clone(),
        None if members.len() == 1 => parts[members[0]].primitive.clone(),
        None => format!("{} stages", members.len()),
    };
    let all: Vec<(String, String)> = members.iter().flat_map(|at| parts[*at].numbers.clone()).collect();
    Block { name: name.to_owned(), how: how(&kind, class, seconds, estimated), numbers: numbers(&all), class: class.to_owned() }
}

fn how(kind: &str, class: &str, seconds: Option<f64>, estimated: bool) -> String {
    let about = if estimated { "~" } else { "" };
    let time = seconds.filter(|s| *s >= 0.05 || estimated).map_or(String::new(), |s| format!(" · {about}{}", super::duration(s)));
    format!("{kind} · {class}{time}")
}

/// The first two numbers: a picture is no table.
fn numbers(all: &[(String, String)]) -> String {
    all.iter().take(2).map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(" · ")
}
