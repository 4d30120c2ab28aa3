//! The header of a file: version, metadata and the table of tensors, all checked against the file's length.
//!
//! Nothing is reserved by a count that the file only claims, and no tensor that is listed lies outside of the file.
//! Source: the GGUF specification, <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use std::collections::BTreeMap;
use std::path::Path;

use super::GgufError;
use super::blocks::{FORMATS, Format};
use super::reader::Reader;
use super::value::Value;

/// Versions that differ in nothing but the byte orders they allow.
const VERSIONS: [u32; 2] = [2, 3];

/// The alignment of a file that does not say.
const ALIGNMENT: u64 = 32;

/// A key, a type and a value of one byte.
const SMALLEST_ENTRY: u64 = 8 + 4 + 1;

/// A name, one dimension, a format and an offset.
const SMALLEST_TENSOR: u64 = 8 + 4 + 8 + 4 + 8;

const MOST_DIMENSIONS: u32 = 4;

/// One tensor, inside the file.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    /// Row-major: the last dimension is contiguous (a file lists it first).
    pub(super) shape: Vec<usize>,
    pub(super) format: &'static Format,
    /// Its first byte in the file.
    pub(super) begin: usize,
    /// How many bytes it takes.
    pub(super) bytes: usize,
}

/// A file's header.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, Value>,
    pub(super) tensors: BTreeMap<String, Tensor>,
}

impl Header {
    /// Reads and checks the header of a file's bytes.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, GgufError> {
        let mut reader = Reader::new(path, bytes, 0, "the header");
        version(path, &mut reader)?;
        let tensor_count = reader.count(SMALLEST_TENSOR, "the number of tensors")?;
        let entry_count = reader.count(SMALLEST_ENTRY, "the number of metadata keys")?;
        let metadata = entries(&mut reader, entry_count)?;
        let alignment = alignment(path, &metadata)?;
        let table = table(&mut reader, tensor_count)?;
        reader.begin("the tensors".into());
        let data = (reader.at() as u64).checked_next_multiple_of(alignment);
        let data = data.ok_or_else(|| reader.damaged(reader.at(), format!("an alignment of {alignment} is beyond any file")))?;
        Ok(Self { metadata, tensors: place(&reader, table, data, alignment, bytes.len())? })
    }
}

fn version(path: &Path, reader: &mut Reader) -> Result<(), GgufError> {
    let magic = reader.magic()?;
    if magic != *b"GGUF" {
        return Err(reader.damaged(0, format!("it should begin with `GGUF`, found `{}`", magic.escape_ascii())));
    }
    let version = reader.u32("the version")?;
    let feature = match version {
        _ if VERSIONS.contains(&version) => return Ok(()),
        // Versions are small numbers: read the wrong way round they are huge.
        0x1_0000.. => "a big-endian file".to_owned(),
        _ => format!("GGUF version {version}"),
    };
    Err(GgufError::Unsupported { path: path.to_owned(), feature, supported: "versions 2 and 3, little-endian".into() })
}

fn entries(reader: &mut Reader, count: u64) -> Result<BTreeMap<String, Value>, GgufError> {
    let mut entries = BTreeMap::new();
    for index in 0..count {
        reader.begin(format!("metadata key {index}"));
        let at = reader.at();
        let key = reader.text("the key")?.to_owned();
        reader.begin(format!("metadata key `{key}`"));
        let value_type = reader.value_type()?;
        let value = reader.value(value_type)?;
        if entries.insert(key, value).is_some() {
            return Err(reader.damaged(at, "it is there twice"));
        }
    }
    Ok(entries)
}

fn alignment(path: &Path, metadata: &BTreeMap<String, Value>) -> Result<u64, GgufError> {
    const KEY: &str = "general.alignment";
    let Some(value) = metadata.get(KEY) else { return Ok(ALIGNMENT) };
    let said = value.unsigned().filter(|n| n.is_power_of_two());
    said.ok_or_else(|| GgufError::Key {
        path: path.to_owned(),
        key: KEY.into(),
        reason: format!("expected a power of two, found {}", value.describe()),
    })
}

/// A line of the table, before it is known whether it fits the file.
struct Line {
    name: String,
    shape: Vec<usize>,
    format: &'static Format,
    bytes: u64,
    offset: u64,
    /// Where the line stands.
    at: usize,
}

fn table(reader: &mut Reader, count: u64) -> Result<Vec<Line>, GgufError> {
    let mut lines = Vec::new();
    for index in 0..count {
        reader.begin(format!("tensor {index}"));
        let at = reader.at();
        let name = reader.text("the name")?.to_owned();
        reader.begin(format!("tensor `{name}`"));
        let shape = shape(reader)?;
        let (format, bytes) = format(reader, &shape)?;
        let offset = reader.u64("the offset")?;
        lines.push(Line { name, shape, format, bytes, offset, at });
    }
    Ok(lines)
}

/// The dimensions, turned round to row-major; their product fits.
fn shape(reader: &mut Reader) -> Result<Vec<usize>, GgufError> {
    let at = reader.at();
    let dimensions = reader.u32("the number of dimensions")?;
    if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
        return Err(reader.damaged(at, format!("it has {dimensions} dimensions, expected 1 to {MOST_DIMENSIONS}")));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let at = reader.at();
        let size = reader.u64("a dimension")?;
        let size = usize::try_from(size).ok().filter(|n| *n > 0);
        shape.push(size.ok_or_else(|| reader.damaged(at, "a dimension is 0 or too large"))?);
    }
    shape.reverse();
    match shape.iter().try_fold(1_usize, |product, n| product.checked_mul(*n)) {
        Some(_) => Ok(shape),
        None => Err(reader.damaged(at, format!("the product of its dimensions {shape:?} overflows"))),
    }
}

/// The format and the bytes that a tensor of this shape takes in it.
fn format(reader: &mut Reader, shape: &[usize]) -> Result<(&'static Format, u64), GgufError> {
    let at = reader.at();
    let id = reader.u32("the format")?;
    let format = FORMATS.iter().find(|f| f.id == id);
    let format = format.ok_or_else(|| reader.damaged(at, format!("there is no tensor format {id}")))?;
    let row = shape.last().copied().unwrap_or(1);
    if !row.is_multiple_of(format.block_len) {
        let reason = format!("rows of {row} numbers do not fill {} blocks of {}", format.name, format.block_len);
        return Err(reader.damaged(at, reason));
    }
    let blocks = shape.iter().product::<usize>() / format.block_len;
    match (blocks as u64).checked_mul(format.block_bytes as u64) {
        Some(bytes) => Ok((format, bytes)),
        None => Err(reader.damaged(at, format!("the size of {shape:?} in {} overflows", format.name))),
    }
}

/// Puts the lines of the table into the file: aligned, inside it, and apart from each other.
fn place(reader: &Reader, mut lines: Vec<Line>, data: u64, alignment: u64, length: usize) -> Result<BTreeMap<String, Tensor>, GgufError> {
    lines.sort_by_key(|line| line.offset);
    let mut tensors = BTreeMap::new();
    let mut before: Option<(String, u64)> = None;
    for Line { name, shape, format, bytes, offset, at } in lines {
        let damaged = |reason: String| reader.damaged(at, format!("`{name}` {reason}"));
        if !offset.is_multiple_of(alignment) {
            return Err(damaged(format!("has offset {offset}, which is not a multiple of the alignment {alignment}")));
        }
        let begin = data.checked_add(offset);
        let end = begin.and_then(|begin| begin.checked_add(bytes));
        let (Some(begin), Some(end)) = (begin, end) else {
            return Err(damaged(format!("has offset {offset} and {bytes} bytes, which is beyond any file")));
        };
        if end > length as u64 {
            return Err(damaged(format!("should end at byte {end}, the file has {length} bytes")));
        }
        if let Some((other, _)) = before.filter(|(_, end)| begin < *end) {
            return Err(damaged(format!("overlaps `{other}` at byte {begin}")));
        }
        before = Some((name.clone(), end));
        let fits = |n: u64| usize::try_from(n).expect("it is not beyond the length of the file");
        let tensor = Tensor { shape, format, begin: fits(begin), bytes: fits(bytes) };
        if tensors.insert(name.clone(), tensor).is_some() {
            return Err(damaged("is there twice".into()));
        }
    }
    Ok(tensors)
}
