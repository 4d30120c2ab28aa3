//! Which characters of a rendering came from the conversation.
//!
//! The engine's strings do not remember where they are from, so a conversation is rendered twice: as it is, and with
//! its characters replaced, one for one, by private ones, their twins. Where the second rendering is the first one with
//! twins in it, every twin marks a character that was interpolated, whatever trimmed, split or joined it on its way.
//! Where it is not, the template looked at what it was given, and less is replaced: first what the template itself
//! spells in quotes (`</think>`) stays, then letters and digits (`| upper`), at last everything. Stretches that were
//! not replaced cannot be followed; `Encoder` refuses a control token that one of them spells.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

/// Where twins are taken from: the two private planes, of which one is free of what anybody wrote.
const PLANES: [u32; 2] = [0xf_0000, 0x10_0000];

/// More words than this are not tried one by one.
const MOST_TRIALS: usize = 12;

/// What is known of the characters of a rendering.
#[derive(Default, Debug)]
pub(super) struct Origins {
    /// For each character whether it came from data.
    pub(super) data: Vec<bool>,
    /// Stretches of data that could not be followed.
    pub(super) untraced: BTreeSet<String>,
}

/// Which characters have twins. White space, quotes and backslashes never have: filters look at them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reach {
    All,
    /// All but letters and digits.
    Signs,
    Nothing,
}

/// One way to replace.
#[derive(Debug)]
struct Twins<'a> {
    plane: u32,
    reach: Reach,
    /// Texts that stay.
    kept: Vec<&'a str>,
    /// Words that the template spells: data that are no more than one stay.
    own: &'a BTreeSet<&'a str>,
    untraced: BTreeSet<String>,
}

/// Finds out what came from `data` in `plain`, the rendering of it; `quoted` are the texts in the template's quotes.
pub(super) fn trace(
    data: &Map<String, Json>,
    quoted: &BTreeSet<String>,
    plain: &str,
    mut render: impl FnMut(&Map<String, Json>) -> Option<String>,
) -> Origins {
    let mut texts = Vec::new();
    data.values().for_each(|value| collect(value, &mut texts));
    let is_free = |plane: &u32| {
        let is_there = |c: char| u32::from(c) & !0xffff == *plane;
        !texts.iter().any(|text| text.contains(is_there)) && !plain.contains(is_there)
    };
    let own: BTreeSet<&str> = quoted.iter().map(String::as_str).filter(|word| is_word(word)).collect();
    let spelled = spellings(quoted, &texts);
    let mut attempt = |plane: u32, reach: Reach, kept: &[&str]| {
        let mut twins = Twins { plane, reach, kept: kept.to_vec(), own: &own, untraced: BTreeSet::new() };
        let twin = render(&twins.fields(data))?;
        let is_same = twin.chars().map(|c| twins.original(c)).eq(plain.chars());
        is_same.then(|| Origins { data: twin.chars().map(|c| twins.is_twin(c)).collect(), untraced: twins.untraced })
    };
    let planes = PLANES.iter().copied().filter(is_free).take(1);
    for (plane, reach) in planes.flat_map(|plane| [(plane, Reach::All), (plane, Reach::Signs)]) {
        let mut kept: Vec<&str> = Vec::new();
        let mut found = attempt(plane, reach, &kept);
        if found.is_none() && !spelled.is_empty() {
            kept = spelled.iter().map(String::as_str).collect();
            found = attempt(plane, reach, &kept);
            // What need not stay is replaced after all.
            for word in spelled.iter().take(if found.is_some() { MOST_TRIALS } else { 0 }) {
                let fewer: Vec<&str> = kept.iter().copied().filter(|kept| kept != word).collect();
                if let Some(origins) = attempt(plane, reach, &fewer) {
                    (kept, found) = (fewer, Some(origins));
                }
            }
        }
        if let Some(origins) = found {
            return origins;
        }
    }
    let mut nothing = Twins { plane: 0, reach: Reach::Nothing, kept: Vec::new(), own: &own, untraced: BTreeSet::new() };
    nothing.fields(data);
    Origins { data: vec![false; plain.chars().count()], untraced: nothing.untraced }
}

impl Twins<'_> {
    fn replaces(&self, c: char) -> bool {
        let fits = u32::from(c) < 0xfffe && !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\'' | '\\');
        match self.reach {
            Reach::All => fits,
            Reach::Signs => fits && !c.is_alphanumeric() && c != '_',
            Reach::Nothing => false,
        }
    }

    fn is_twin(&self, c: char) -> bool {
        u32::from(c) & !0xffff == self.plane
    }

    fn original(&self, c: char) -> char {
        if self.is_twin(c) { char::from_u32(u32::from(c) & 0xffff).unwrap_or(c) } else { c }
    }

    /// The data with twins in it. A role that is a word stays the template's own: templates spell control tokens with
    /// it (`<|` + role + `|>`). Names stay too where they are words, because templates ask for them.
    fn fields(&mut self, data: &Map<String, Json>) -> Map<String, Json> {
        let mut fields = Map::new();
        for (name, field) in data {
            let twin = match (name.as_str(), field) {
                ("role", Json::String(role)) if is_word(role) => field.clone(),
                _ => self.value(field),
            };
            fields.insert(if is_word(name) { self.stays(name) } else { self.text(name) }, twin);
        }
        fields
    }

    fn value(&mut self, value: &Json) -> Json {
        match value {
            Json::String(text) if self.own.contains(text.as_str()) => Json::String(self.stays(text)),
            Json::String(text) => Json::String(self.text(text)),
            Json::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Json::Object(fields) => Json::Object(self.fields(fields)),
            other => other.clone(),
        }
    }

    /// The text with twins.
    fn text(&mut self, text: &str) -> String {
        let mut stays = vec![false; text.len()];
        for kept in &self.kept {
            text.match_indices(kept).for_each(|(at, _)| stays[at..at + kept.len()].fill(true));
        }
        let mut stretch = String::new();
        let mut twin = String::with_capacity(text.len());
        for (at, c) in text.char_indices() {
            match char::from_u32(self.plane | u32::from(c)).filter(|_| !stays[at] && self.replaces(c)) {
                Some(other) => {
                    twin.push(other);
                    self.stays(&std::mem::take(&mut stretch));
                }
                None => {
                    twin.push(c);
                    stretch.push(c);
                }
            }
        }
        self.stays(&stretch);
        twin
    }

    /// The text as it is, remembered.
    fn stays(&mut self, text: &str) -> String {
        if !text.trim().is_empty() {
            self.untraced.insert(text.to_owned());
        }
        text.to_owned()
    }
}

/// The texts in a value, names included.
pub(super) fn collect<'a>(value: &'a Json, out: &mut Vec<&'a str>) {
    match value {
        Json::String(text) => out.push(text),
        Json::Array(items) => items.iter().for_each(|item| collect(item, out)),
        Json::Object(fields) => fields.iter().for_each(|(name, field)| {
            out.push(name);
            collect(field, out);
        }),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// What the template spells in quotes, the white space and escapes around it left out, and data hold too.
fn spellings(quoted: &BTreeSet<String>, texts: &[&str]) -> Vec<String> {
    let mut found = BTreeSet::new();
    for text in quoted {
        let text = text.replace("\\n", " ").replace("\\t", " ").replace('\\', " ");
        let is_odd = |piece: &&str| piece.contains(|c: char| !c.is_alphanumeric());
        let pieces = text.split_whitespace().filter(|piece| is_odd(piece) || text.trim() == *piece);
        found.extend(pieces.filter(|piece| texts.iter().any(|data| data.contains(piece))).map(str::to_owned));
    }
    found.into_iter().collect()
}

/// Whether it is a plain word.
fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}
