//! Content names: equal cells and equal formulas have equal digests, whatever their order or sharing.

use blake3::Hasher;

use crate::value::{Cell, Completion, Dialogue};

/// The digest of a cell, a row, or a node with everything under it.
pub type Key = [u8; 32];

/// Feeds parts to a hasher so that no two different lists of parts look alike.
#[derive(Clone, Debug)]
pub struct Writer(Hasher);

impl Writer {
    /// Begins with a tag that names what is written.
    pub fn new(tag: &str) -> Self {
        let mut writer = Self(Hasher::new());
        writer.text(tag);
        writer
    }

    /// A text with its length before it.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.count(text.len());
        self.0.update(text.as_bytes());
        self
    }

    /// A length or a place.
    pub fn count(&mut self, n: usize) -> &mut Self {
        self.0.update(&(n as u64).to_le_bytes());
        self
    }

    /// Another digest.
    pub fn key(&mut self, key: &Key) -> &mut Self {
        self.0.update(key);
        self
    }

    /// A cell: its type and its content. `-0.0` and `0.0` are equal, and so are all NaNs.
    pub fn cell(&mut self, cell: &Cell) -> &mut Self {
        match cell {
            Cell::None => self.text("none"),
            Cell::Bool(b) => self.text("bool").count(usize::from(*b)),
            Cell::Int(i) => self.text("int").text(&i.to_string()),
            Cell::Float(x) => self.text("float").number(*x),
            Cell::Text(text) => self.text("text").text(text),
            Cell::List(items) => items.iter().fold(self.text("list").count(items.len()), |w, item| w.cell(item)),
            Cell::Record(fields) => {
                fields.iter().fold(self.text("record").count(fields.len()), |w, (name, value)| w.text(name).cell(value))
            }
            Cell::Dialogue(turns) => self.text("dialogue").turns(turns),
            Cell::Completion(completion) => self.completion(completion),
            Cell::Sequence(sequence) => {
                self.text("sequence").turns(&sequence.prompt);
                match &sequence.completion {
                    Some(completion) => self.completion(completion),
                    None => self.text("none"),
                }
            }
            Cell::Tokens(xs) => xs.iter().fold(self.text("tokens").count(xs.len()), |w, x| w.number(*x)),
            Cell::Estimate(e) => self.text("estimate").number(e.mean).number(e.lower95).number(e.upper95).text(&e.n.to_string()),
        }
    }

    fn number(&mut self, x: f64) -> &mut Self {
        let plain = if x.is_nan() { f64::NAN } else { x + 0.0 };
        self.0.update(&plain.to_bits().to_le_bytes());
        self
    }

    fn turns(&mut self, turns: &Dialogue) -> &mut Self {
        turns.iter().fold(self.count(turns.len()), |w, turn| w.count(turn.role as usize).text(&turn.text))
    }

    fn completion(&mut self, completion: &Completion) -> &mut Self {
        self.text("completion").text(&completion.text).count(usize::from(completion.finished));
        match &completion.tokens {
            Some(ids) => ids.iter().fold(self.count(ids.len()), |w, id| w.count(*id as usize)),
            None => self.text("written"),
        }
    }

    /// The digest of everything written.
    pub fn finish(&self) -> Key {
        *self.0.finalize().as_bytes()
    }
}

/// The digest of one cell.
pub fn cell(cell: &Cell) -> Key {
    Writer::new("cell").cell(cell).finish()
}

/// The digest of several cells in order.
pub fn cells<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Key {
    cells.into_iter().fold(&mut Writer::new("cells"), |w, c| w.cell(c)).finish()
}

/// The first 64 bits of a digest: a row's name as a counter of [`crate::chance`].
pub fn short(key: &Key) -> u64 {
    u64::from_le_bytes(key[..8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides() {
        assert_eq!(cell(&Cell::Float(0.0)), cell(&Cell::Float(-0.0)));
        assert_ne!(cell(&Cell::Float(1.0)), cell(&Cell::Int(1)));
        let (a, b) = ([Cell::text("ab"), Cell::text("c")], [Cell::text("a"), Cell::text("bc")]);
        assert_ne!(cells(&a), cells(&b));
    }
}
