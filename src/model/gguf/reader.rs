//! Reads little-endian fields one after the other; every length is held against the bytes that are left first.

use std::path::Path;

use super::GgufError;
use super::value::{Array, Value, ValueType};

/// Arrays of arrays may be this deep. No known writer nests them at all.
const DEEPEST: u32 = 4;

/// A position in a file's bytes.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    /// The next byte to read; never beyond the end.
    at: usize,
    /// What is being read, for messages.
    subject: String,
}

impl<'a> Reader<'a> {
    /// Begins at byte `at`, or at the end of a file that is shorter.
    pub(super) fn new(path: &'a Path, bytes: &'a [u8], at: usize, subject: &str) -> Self {
        Self { path, bytes, at: at.min(bytes.len()), subject: subject.to_owned() }
    }

    /// Names what the following fields belong to.
    pub(super) fn begin(&mut self, subject: String) {
        self.subject = subject;
    }

    /// The next byte's position in the file.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// A complaint about the byte at `at`.
    pub(super) fn damaged(&self, at: usize, reason: impl std::fmt::Display) -> GgufError {
        GgufError::Damaged { path: self.path.to_owned(), at: at as u64, reason: format!("{}: {reason}", self.subject) }
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `count` bytes, called `what` if they are not there.
    fn take(&mut self, count: u64, what: &str) -> Result<&'a [u8], GgufError> {
        let left = self.left();
        let Some(count) = usize::try_from(count).ok().filter(|n| *n <= left) else {
            return Err(self.damaged(self.at, format!("{what} needs {count} bytes, {left} are left")));
        };
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    fn array_of<const N: usize>(&mut self, what: &str) -> Result<[u8; N], GgufError> {
        let taken = self.take(N as u64, what)?;
        Ok(taken.try_into().expect("`take` gives as many bytes as it was asked for"))
    }

    /// The four bytes a file begins with.
    pub(super) fn magic(&mut self) -> Result<[u8; 4], GgufError> {
        self.array_of("the magic")
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, GgufError> {
        self.array_of(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, GgufError> {
        self.array_of(what).map(u64::from_le_bytes)
    }

    /// A count of things that take at least `smallest` bytes each.
    pub(super) fn count(&mut self, smallest: u64, what: &str) -> Result<u64, GgufError> {
        let at = self.at;
        let count = self.u64(what)?;
        let left = self.left();
        match count.checked_mul(smallest).is_some_and(|bytes| bytes <= left as u64) {
            true => Ok(count),
            false => Err(self.damaged(at, format!("{what} is {count}, each takes {smallest} bytes or more, {left} bytes are left"))),
        }
    }

    /// A length and that many bytes of UTF-8.
    pub(super) fn text(&mut self, what: &str) -> Result<&'a str, GgufError> {
        let length = self.u64(what)?;
        let begin = self.at;
        let bytes = self.take(length, what)?;
        std::str::from_utf8(bytes).map_err(|e| self.damaged(begin + e.valid_up_to(), format!("{what} is not UTF-8")))
    }

    /// The type of a value.
    pub(super) fn value_type(&mut self) -> Result<ValueType, GgufError> {
        let at = self.at;
        let id = self.u32("the type of the value")?;
        ValueType::from_id(id).ok_or_else(|| self.damaged(at, format!("there is no value type {id}")))
    }

    /// A value of this type; arrays are walked and checked, not copied.
    pub(super) fn value(&mut self, value_type: ValueType) -> Result<Value, GgufError> {
        self.nested(value_type, 0)
    }

    fn nested(&mut self, value_type: ValueType, depth: u32) -> Result<Value, GgufError> {
        const WHAT: &str = "the value";
        Ok(match value_type {
            ValueType::U8 => Value::Unsigned(self.array_of(WHAT).map(u8::from_le_bytes)?.into()),
            ValueType::I8 => Value::Signed(self.array_of(WHAT).map(i8::from_le_bytes)?.into()),
            ValueType::U16 => Value::Unsigned(self.array_of(WHAT).map(u16::from_le_bytes)?.into()),
            ValueType::I16 => Value::Signed(self.array_of(WHAT).map(i16::from_le_bytes)?.into()),
            ValueType::U32 => Value::Unsigned(self.u32(WHAT)?.into()),
            ValueType::I32 => Value::Signed(self.array_of(WHAT).map(i32::from_le_bytes)?.into()),
            ValueType::F32 => Value::F32(self.array_of(WHAT).map(f32::from_le_bytes)?),
            ValueType::Bool => Value::Bool(self.flag()?),
            ValueType::Text => Value::Text(self.text("the text")?.to_owned()),
            ValueType::Array => Value::Array(self.array(depth + 1)?),
            ValueType::U64 => Value::Unsigned(self.u64(WHAT)?),
            ValueType::I64 => Value::Signed(self.array_of(WHAT).map(i64::from_le_bytes)?),
            ValueType::F64 => Value::F64(self.array_of(WHAT).map(f64::from_le_bytes)?),
        })
    }

    fn flag(&mut self) -> Result<bool, GgufError> {
        let at = self.at;
        match self.array_of("the value")? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(self.damaged(at, format!("a boolean is 0 or 1, found {other}"))),
        }
    }

    fn array(&mut self, depth: u32) -> Result<Array, GgufError> {
        if depth > DEEPEST {
            return Err(self.damaged(self.at, format!("arrays are nested more than {DEEPEST} deep")));
        }
        let elements = self.value_type()?;
        let count = self.count(elements.smallest(), "the length of the array")?;
        let array = Array { elements, count, begin: self.at };
        match elements {
            ValueType::Text => (0..count).try_for_each(|_| self.text("a text of the array").map(drop))?,
            ValueType::Array => (0..count).try_for_each(|_| self.array(depth + 1).map(drop))?,
            ValueType::Bool => (0..count).try_for_each(|_| self.flag().map(drop))?,
            // `count` has checked the product.
            _ => drop(self.take(count * elements.smallest(), "the array")?),
        }
        Ok(array)
    }
}
