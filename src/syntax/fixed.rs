//! A text with its lexical mistakes repaired, for the grammar to read, and the way back to the original's offsets.
//!
//! Invariant: edits are sorted and do not overlap; without edits both directions are the identity.

/// Puts `with` in the place of `start..end` of the original.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Edit {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) with: String,
}

impl Edit {
    pub(super) fn new(start: usize, end: usize, with: impl Into<String>) -> Self {
        Self { start, end, with: with.into() }
    }
}

/// The repaired text.
#[derive(Debug)]
pub(super) struct Fixed {
    pub(super) text: String,
    /// Each edit with the place of its replacement in `text`.
    placed: Vec<(usize, Edit)>,
}

impl Fixed {
    /// Applies `edits` in any order; where two overlap, the earlier start wins.
    pub(super) fn new(source: &str, mut edits: Vec<Edit>) -> Self {
        edits.sort_by_key(|edit| (edit.start, edit.end));
        let mut text = String::with_capacity(source.len() + edits.len());
        let mut placed = Vec::with_capacity(edits.len());
        let mut done = 0;
        for edit in edits {
            if edit.start < done {
                continue;
            }
            text.push_str(&source[done..edit.start]);
            done = edit.end;
            let at = text.len();
            text.push_str(&edit.with);
            placed.push((at, edit));
        }
        text.push_str(&source[done..]);
        Self { text, placed }
    }

    /// Where something that starts at `offset` of the repaired text starts in the original.
    pub(super) fn start(&self, offset: usize) -> usize {
        let before = self.placed.partition_point(|(at, _)| *at <= offset);
        match before.checked_sub(1).map(|i| &self.placed[i]) {
            None => offset,
            Some((at, edit)) if offset < at + edit.with.len() => edit.start,
            Some((at, edit)) => edit.end + (offset - at - edit.with.len()),
        }
    }

    /// Where something that ends at `offset` of the repaired text ends in the original.
    pub(super) fn end(&self, offset: usize) -> usize {
        let before = self.placed.partition_point(|(at, _)| *at < offset);
        match before.checked_sub(1).map(|i| &self.placed[i]) {
            None => offset,
            Some((at, edit)) => edit.end + offset.saturating_sub(at + edit.with.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_lead_back() {
        // a “b” # c   becomes   a "b" // c)
        let source = "a “b” # c";
        let edits = vec![Edit::new(2, 5, "\""), Edit::new(6, 9, "\""), Edit::new(10, 11, "//"), Edit::new(source.len(), source.len(), ")")];
        let fixed = Fixed::new(source, edits);
        assert_eq!(fixed.text, "a \"b\" // c)");
        assert_eq!((fixed.start(2), fixed.end(5)), (2, 9));
        assert_eq!(fixed.start(6), 10);
        assert_eq!(fixed.end(10), source.len());
        assert_eq!(fixed.end(11), source.len());
    }

    #[test]
    fn a_deletion_belongs_to_neither_side() {
        let fixed = Fixed::new("ab;cd", vec![Edit::new(2, 3, "")]);
        assert_eq!(fixed.text, "abcd");
        assert_eq!((fixed.end(2), fixed.start(2)), (2, 3));
    }
}
