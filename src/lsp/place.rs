//! Bytes of a text to an editor's lines and columns and back, and paths to the names that editors give them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// What an editor counts columns in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Units {
    Bytes,
    /// What every editor understands.
    Utf16,
}

/// Where the lines of a text begin.
#[derive(Clone, Debug)]
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
    units: Units,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str, units: Units) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts, units }
    }

    /// `{ line, character }` of a byte.
    pub(super) fn position(&self, byte: usize) -> Value {
        let (line, column) = self.line_column(byte);
        json!({ "line": line, "character": column })
    }

    pub(super) fn line_column(&self, byte: usize) -> (usize, usize) {
        let byte = byte.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= byte) - 1;
        let before = self.text.get(self.starts[line]..byte).unwrap_or_default();
        (line, self.length(before))
    }

    pub(super) fn range(&self, range: std::ops::Range<usize>) -> Value {
        json!({ "start": self.position(range.start), "end": self.position(range.end) })
    }

    /// As long as an editor takes a piece of text to be.
    pub(super) fn length(&self, text: &str) -> usize {
        match self.units {
            Units::Bytes => text.len(),
            Units::Utf16 => text.encode_utf16().count(),
        }
    }

    /// The byte of `{ line, character }`; a place behind the end of a line is its end.
    pub(super) fn byte(&self, position: &Value) -> Option<usize> {
        let number = |name: &str| usize::try_from(position.get(name)?.as_u64()?).ok();
        let (line, column) = (number("line")?, number("character")?);
        let Some(start) = self.starts.get(line).copied() else { return Some(self.text.len()) };
        let end = self.starts.get(line + 1).map_or(self.text.len(), |next| next - 1);
        let mut left = column;
        for (at, letter) in self.text[start..end].char_indices() {
            let width = if self.units == Units::Bytes { letter.len_utf8() } else { letter.len_utf16() };
            if left < width {
                return Some(start + at);
            }
            left -= width;
        }
        Some(end)
    }
}

/// The path of a `file:` name.
pub(super) fn path_of(uri: &str) -> Option<PathBuf> {
    let rest = uri.strip_prefix("file://")?;
    // `file://host/share` has a host, `file:///share` none
    let rest = &rest[rest.find('/')?..];
    let (mut bytes, mut letters) = (Vec::new(), rest.bytes());
    while let Some(letter) = letters.next() {
        if letter == b'%' {
            let digits = [letters.next()?, letters.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(letter);
        }
    }
    let path = String::from_utf8(bytes).ok()?;
    // `/C:/recipes` is `C:/recipes`
    let drive = path.as_bytes().get(2) == Some(&b':') && path.as_bytes()[1].is_ascii_alphabetic();
    Some(PathBuf::from(if drive { &path[1..] } else { &path }))
}

/// The `file:` name of an absolute path.
pub(super) fn uri_of(path: &Path) -> String {
    let path = path.to_string_lossy().replace('\\', "/");
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "file:///" });
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            write!(uri, "%{byte:02X}").expect("a string takes every text");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_there_and_back() {
        let text = "a = \"é𝄞\" x\n\nlast";
        for units in [Units::Bytes, Units::Utf16] {
            let lines = Lines::new(text, units);
            for (byte, _) in text.char_indices().chain([(text.len(), ' ')]) {
                assert_eq!(lines.byte(&lines.position(byte)), Some(byte), "{byte} {units:?}");
            }
        }
        let lines = Lines::new(text, Units::Utf16);
        assert_eq!(lines.line_column(text.find('x').expect("there")), (0, 10));
        assert_eq!(lines.byte(&json!({ "line": 1, "character": 70 })), Some(text.find("\nlast").expect("there")));
        assert_eq!(lines.byte(&json!({ "line": 9, "character": 0 })), Some(text.len()));
    }

    #[test]
    fn names_of_files_there_and_back() {
        for path in ["/a/b.align", "/a b/ü%.align"] {
            assert_eq!(path_of(&uri_of(Path::new(path))), Some(PathBuf::from(path)));
        }
        assert_eq!(path_of("file:///c%3A/x.align"), Some(PathBuf::from("c:/x.align")));
        assert_eq!(path_of("untitled:1"), None);
    }
}
