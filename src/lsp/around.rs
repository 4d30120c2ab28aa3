//! What stands around a cursor, by the letters alone: for text that is being written and does not read as the language
//! yet.

/// An open bracket before the cursor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Open {
    pub(super) bracket: char,
    pub(super) at: usize,
    /// Commas between it and the cursor, on its own level.
    pub(super) commas: usize,
    /// Where the argument at the cursor begins.
    pub(super) argument: usize,
}

/// Where a cursor is.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Around {
    /// Brackets that are open, the innermost last.
    pub(super) open: Vec<Open>,
    pub(super) comment: bool,
    /// Where the text around the cursor begins, behind its quote.
    pub(super) text: Option<usize>,
}

impl Around {
    /// Reads a file up to a cursor.
    pub(super) fn new(text: &str, cursor: usize) -> Self {
        let mut this = Self::default();
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < cursor {
            let rest = &bytes[at..];
            match bytes[at] {
                b'/' if rest.starts_with(b"//") => {
                    let end = text[at..].find('\n').map_or(text.len(), |length| at + length);
                    if cursor <= end {
                        this.comment = true;
                        return this;
                    }
                    at = end;
                }
                b'"' => {
                    let quote: &[u8] = if rest.starts_with(b"\"\"\"") { b"\"\"\"" } else { b"\"" };
                    let raw = at > 0 && bytes[at - 1] == b'r' && (at < 2 || !is_word(bytes[at - 2]));
                    let end = end_of_text(bytes, at + quote.len(), quote, raw);
                    if cursor < end + usize::from(end == text.len()) {
                        this.text = Some(at + quote.len());
                        return this;
                    }
                    at = end;
                }
                bracket @ (b'(' | b'[' | b'{') => {
                    this.open.push(Open { bracket: char::from(bracket), at, commas: 0, argument: at + 1 });
                    at += 1;
                }
                b')' | b']' | b'}' => {
                    this.open.pop();
                    at += 1;
                }
                b',' => {
                    if let Some(open) = this.open.last_mut() {
                        (open.commas, open.argument) = (open.commas + 1, at + 1);
                    }
                    at += 1;
                }
                _ => at += 1,
            }
        }
        this
    }

    /// The innermost call around the cursor: what stands before its bracket, and the bracket.
    pub(super) fn call<'t>(&self, text: &'t str) -> Option<(&'t str, &Open)> {
        self.open.iter().rev().find_map(|open| {
            let name = word_before(text, open.at);
            (open.bracket == '(' && !name.is_empty()).then_some((name, open))
        })
    }
}

fn end_of_text(bytes: &[u8], mut at: usize, quote: &[u8], raw: bool) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            _ if bytes[at..].starts_with(quote) => return at + quote.len(),
            // a text that nobody has closed yet ends with its line
            b'\n' if quote.len() == 1 => return at,
            b'\\' if !raw => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The word that a cursor is in or behind.
pub(super) fn word_at(text: &str, cursor: usize) -> std::ops::Range<usize> {
    let bytes = text.as_bytes();
    let mut start = cursor.min(bytes.len());
    while start > 0 && is_word(bytes[start - 1]) {
        start -= 1;
    }
    let mut end = cursor.min(bytes.len());
    while end < bytes.len() && is_word(bytes[end]) {
        end += 1;
    }
    start..end
}

/// The word that ends at a place, blanks aside.
pub(super) fn word_before(text: &str, at: usize) -> &str {
    let before = text[..at].trim_end_matches([' ', '\t']);
    let start = before.bytes().rposition(|b| !is_word(b)).map_or(0, |at| at + 1);
    &before[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_around_a_cursor() {
        let text = "x = f(a, \"(, {\", // g(\n    [1, 2], h(b, c";
        let around = Around::new(text, text.len());
        let (name, open) = around.call(text).expect("inside h");
        assert_eq!((name, open.commas), ("h", 1));
        assert_eq!(around.open[0].commas, 3);
        assert!(Around::new(text, text.find("g(").expect("there")).comment);
        let quoted = text.find("(,").expect("there");
        assert_eq!(Around::new(text, quoted + 1).text, Some(quoted));
        assert_eq!(Around::new("load(\"da", 8).text, Some(6));
        assert_eq!(Around::new("r\"\\\" + f(", 9).open.len(), 1);
        assert_eq!(word_at("a.bcd(", 4), 2..5);
    }
}
