//! A file's bytes, unpacked, and what they are when they are not what the file's name says.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::error::ReadError;

/// How a whole file is packed; `.gz` and `.zst` say so, and the first bytes too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packing {
    Gzip,
    Zstd,
}

/// Ending, first bytes, name.
const PACKINGS: [(&str, &[u8], Packing, &str); 2] =
    [(".gz", &[0x1f, 0x8b], Packing::Gzip, "gzip"), (".zst", &[0x28, 0xb5, 0x2f, 0xfd], Packing::Zstd, "zstd")];

impl Packing {
    /// A file's name without the ending that says how it is packed, and what that says.
    pub fn of(name: &str) -> (&str, Option<Self>) {
        let known = PACKINGS.iter().find_map(|(ending, _, packing, _)| Some((name.strip_suffix(ending)?, Some(*packing))));
        known.unwrap_or((name, None))
    }

    /// `gzip` or `zstd`.
    pub fn name(self) -> &'static str {
        PACKINGS.iter().find(|(_, _, packing, _)| *packing == self).expect("every packing is listed").3
    }

    fn found(head: &[u8]) -> Option<Self> {
        PACKINGS.iter().find(|(_, magic, ..)| head.starts_with(magic)).map(|(_, _, packing, _)| *packing)
    }
}

/// What a file of rows may turn out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    WebPage,
    Pointer,
    Refusal,
    Utf16,
    Pdf,
    Zip,
    Parquet,
    Packed,
}

impl Kind {
    /// What it is called, and what to do.
    pub fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::WebPage => ("a web page", "download the file itself: on Hugging Face its address has `/resolve/`, not `/blob/`"),
            Self::Pointer => ("a Git LFS pointer, not the file it points to", "fetch the file itself, with `git lfs pull`"),
            Self::Refusal => ("a server's answer in XML", "open it to see why the server refused, and download the file again"),
            Self::Utf16 => ("UTF-16 text", "save the file as UTF-8"),
            Self::Pdf => ("a PDF document", "extract its rows first"),
            Self::Zip => ("a zip archive", "unpack it, and read the file inside"),
            Self::Parquet => ("Parquet data", "call it `.parquet`"),
            Self::Packed => ("packed once more", "unpack it once"),
        }
    }

    /// What bytes at the start of an unpacked file give away.
    fn found(head: &[u8], wanted: Wanted) -> Option<Self> {
        let marks: [(&[u8], Self); 9] = [
            (b"\xff\xfe", Self::Utf16),
            (b"\xfe\xff", Self::Utf16),
            (b"PAR1", Self::Parquet),
            (b"PK\x03\x04", Self::Zip),
            (b"%PDF-", Self::Pdf),
            (b"version https://git-lfs.github.com/spec/", Self::Pointer),
            (b"<!doctype html", Self::WebPage),
            (b"<html", Self::WebPage),
            (b"<?xml", Self::Refusal),
        ];
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start().to_ascii_lowercase();
        let begins = |mark: &[u8]| head.starts_with(mark) || text.starts_with(mark);
        let marked = marks.iter().find(|(mark, _)| begins(mark)).map(|(_, kind)| *kind);
        let marked = marked.filter(|kind| !wanted.allows(*kind));
        // UTF-16 without a mark: every other byte of an ASCII text is zero
        let pairs = head.chunks_exact(2).take(16);
        let is_wide = |zero: usize| pairs.len() >= 2 && pairs.clone().all(|pair| pair[zero] == 0 && pair[1 - zero] != 0);
        let packed = Packing::found(head).map(|_| Self::Packed);
        marked.or(packed).or_else(|| (is_wide(0) || is_wide(1)).then_some(Self::Utf16))
    }
}

/// What is expected inside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    /// Rows written as text.
    Rows,
    /// Any text: it may speak of web pages.
    Lines,
    Parquet,
}

impl Wanted {
    fn allows(self, kind: Kind) -> bool {
        match self {
            Self::Rows => false,
            Self::Lines => matches!(kind, Kind::WebPage | Kind::Refusal),
            Self::Parquet => kind == Kind::Parquet,
        }
    }
}

/// A file's unpacked bytes, and how they were packed.
pub(super) struct Opened {
    pub(super) packing: Option<Packing>,
    pub(super) bytes: Box<dyn BufRead>,
}

/// How many of the first bytes are looked at.
const HEAD: u64 = 512;

/// Opens a file whose name says that it is packed like `named`.
///
/// # Errors
/// When the file cannot be opened, or is something else than its name says.
pub(super) fn open(path: &Path, named: Option<Packing>, wanted: Wanted) -> Result<Opened, ReadError> {
    let disk = |error| ReadError::Disk { path: path.to_owned(), error };
    let other = |kind| ReadError::Other { path: path.to_owned(), kind };
    let file = BufReader::with_capacity(1 << 16, File::open(path).map_err(disk)?);
    let (head, file) = peeked(file);
    let packing = Packing::found(&head);
    if let Some(named) = named.filter(|named| packing != Some(*named) && !head.is_empty()) {
        let kind = Kind::found(&head, wanted).filter(|kind| *kind != Kind::Packed);
        return Err(kind.map_or_else(|| ReadError::NotPacked { path: path.to_owned(), packing: named }, other));
    }
    let (head, bytes): (Vec<u8>, Box<dyn BufRead>) = match packing {
        None => (head, Box::new(file)),
        Some(Packing::Gzip) => unpacked(MultiGzDecoder::new(file)),
        Some(Packing::Zstd) => unpacked(zstd::stream::read::Decoder::with_buffer(file).map_err(disk)?),
    };
    match Kind::found(&head, wanted) {
        Some(kind) => Err(other(kind)),
        None => Ok(Opened { packing, bytes }),
    }
}

fn unpacked(decoder: impl Read + 'static) -> (Vec<u8>, Box<dyn BufRead>) {
    let (head, bytes) = peeked(BufReader::new(decoder));
    (head, Box::new(bytes))
}

/// The first bytes, and all of them again; what went wrong while looking goes wrong again while reading.
fn peeked(mut reader: impl BufRead) -> (Vec<u8>, impl BufRead) {
    let mut head = Vec::new();
    let error = reader.by_ref().take(HEAD).read_to_end(&mut head).err();
    (head.clone(), Cursor::new(head).chain(Failing(error)).chain(reader))
}

/// Fails once, if there is an error to tell.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

impl BufRead for Failing {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.take().map_or(Ok(&[]), Err)
    }

    fn consume(&mut self, _: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_give_a_file_away() {
        let kind = |bytes: &[u8]| Kind::found(bytes, Wanted::Rows);
        assert_eq!(kind(b"\xef\xbb\xbf \n<!DOCTYPE HTML><html>"), Some(Kind::WebPage));
        assert_eq!(kind(b"<?xml version=\"1.0\"?><Error>"), Some(Kind::Refusal));
        assert_eq!(kind(b"version https://git-lfs.github.com/spec/v1\noid"), Some(Kind::Pointer));
        assert_eq!(kind(b"\xff\xfe{\0"), Some(Kind::Utf16));
        assert_eq!(kind(b"{\0\"\0a\0"), Some(Kind::Utf16));
        assert_eq!(kind(b"\0{\0\"\0a"), Some(Kind::Utf16));
        assert_eq!([b"{\"a\": 1}".as_slice(), b"", b"a", b"\0", b"\0\0\0\0"].map(kind), [None; 5]);
        assert_eq!(Kind::found(b"<html> is a tag", Wanted::Lines), None);
        assert_eq!(Kind::found(b"PAR1", Wanted::Parquet), None);
    }
}
