//! The bytes of a file: header, metadata, the table of tensors, and the tensors one after the other.
//!
//! The table is known before any number is: tensors are asked for one at a time and go straight to the disk.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::GgufError;
use super::blocks::Format;
use super::value::ValueType;
use crate::diagnostic::reason;

const VERSION: u32 = 3;

/// Where tensors may begin, from the first on: multiples of this.
const ALIGNMENT: u64 = 32;

/// A metadata value to be written.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Entry {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    Signed(Vec<i32>),
    Numbers(Vec<f32>),
}

/// A line of the table: row-major shape, and the format of its blocks.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) format: &'static Format,
}

impl Line {
    fn bytes(&self) -> u64 {
        (self.shape.iter().product::<usize>() / self.format.block_len * self.format.block_bytes) as u64
    }
}

/// Writes a new file and asks it of the disk; `numbers` gives the numbers of a line, row-major.
///
/// # Errors
/// When the file is there or the disk refuses, what `numbers` gives, and when a number does not fit its format.
pub(super) fn write<'n, E: From<GgufError>>(
    path: &Path,
    entries: &[(String, Entry)],
    lines: &[Line],
    mut numbers: impl FnMut(usize) -> Result<Cow<'n, [f32]>, E>,
) -> Result<(), E> {
    let unwritable = |error: io::Error| GgufError::Unwritable { path: path.to_owned(), reason: reason(&error) };
    let header = header(entries, lines);
    let mut file = BufWriter::new(File::create_new(path).map_err(unwritable)?);
    file.write_all(&header).map_err(unwritable)?;
    for (index, line) in lines.iter().enumerate() {
        let mut bytes = line.format.encode(&numbers(index)?).map_err(|error| error.of(&line.name))?;
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
        file.write_all(&bytes).map_err(unwritable)?;
    }
    let file = file.into_inner().map_err(|error| unwritable(error.into_error()))?;
    file.sync_all().map_err(unwritable)?;
    Ok(())
}

/// Everything before the first tensor, padded up to it.
fn header(entries: &[(String, Entry)], lines: &[Line]) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(VERSION.to_le_bytes());
    count(lines.len(), &mut bytes);
    count(entries.len(), &mut bytes);
    for (key, value) in entries {
        text(key, &mut bytes);
        entry(value, &mut bytes);
    }
    let mut offset = 0_u64;
    for line in lines {
        text(&line.name, &mut bytes);
        small(line.shape.len(), &mut bytes);
        // the contiguous dimension first
        line.shape.iter().rev().for_each(|size| count(*size, &mut bytes));
        bytes.extend(line.format.id.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        offset += line.bytes().next_multiple_of(ALIGNMENT);
    }
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
    bytes
}

fn entry(value: &Entry, bytes: &mut Vec<u8>) {
    match value {
        Entry::U32(n) => tagged(ValueType::U32, n.to_le_bytes(), bytes),
        Entry::F32(x) => tagged(ValueType::F32, x.to_le_bytes(), bytes),
        Entry::Bool(flag) => tagged(ValueType::Bool, [u8::from(*flag)], bytes),
        Entry::Text(value) => {
            tagged(ValueType::Text, [], bytes);
            text(value, bytes);
        }
        Entry::Texts(values) => {
            array(ValueType::Text, values.len(), bytes);
            values.iter().for_each(|value| text(value, bytes));
        }
        Entry::Signed(values) => {
            array(ValueType::I32, values.len(), bytes);
            bytes.extend(values.iter().flat_map(|n| n.to_le_bytes()));
        }
        Entry::Numbers(values) => {
            array(ValueType::F32, values.len(), bytes);
            bytes.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        }
    }
}

fn tagged<const N: usize>(value_type: ValueType, value: [u8; N], bytes: &mut Vec<u8>) {
    bytes.extend((value_type as u32).to_le_bytes());
    bytes.extend(value);
}

fn array(elements: ValueType, length: usize, bytes: &mut Vec<u8>) {
    tagged(ValueType::Array, (elements as u32).to_le_bytes(), bytes);
    count(length, bytes);
}

fn text(text: &str, bytes: &mut Vec<u8>) {
    count(text.len(), bytes);
    bytes.extend(text.as_bytes());
}

fn count(n: usize, bytes: &mut Vec<u8>) {
    bytes.extend((n as u64).to_le_bytes());
}

fn small(n: usize, bytes: &mut Vec<u8>) {
    bytes.extend(u32::try_from(n).expect("tensors have few dimensions").to_le_bytes());
}
