//! Metadata values: what their types are called and which Rust value they become.

/// The type of a metadata value or of an array's elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    Array,
    U64,
    I64,
    F64,
}

/// Types in the order of their numbers in a file: name, and the fewest bytes a value takes.
const TYPES: [(ValueType, &str, u64); 13] = [
    (ValueType::U8, "u8", 1),
    (ValueType::I8, "i8", 1),
    (ValueType::U16, "u16", 2),
    (ValueType::I16, "i16", 2),
    (ValueType::U32, "u32", 4),
    (ValueType::I32, "i32", 4),
    (ValueType::F32, "f32", 4),
    (ValueType::Bool, "boolean", 1),
    // a length of eight bytes
    (ValueType::Text, "text", 8),
    // a type and a length
    (ValueType::Array, "array", 12),
    (ValueType::U64, "u64", 8),
    (ValueType::I64, "i64", 8),
    (ValueType::F64, "f64", 8),
];

impl ValueType {
    /// The type of this number.
    pub(super) fn from_id(id: u32) -> Option<Self> {
        TYPES.get(usize::try_from(id).ok()?).map(|t| t.0)
    }

    /// The fewest bytes a value of this type takes in a file; for numbers and booleans, exactly what it takes.
    pub(super) fn smallest(self) -> u64 {
        TYPES[self as usize].2
    }

    /// What it is called in messages.
    pub fn name(self) -> &'static str {
        TYPES[self as usize].1
    }
}

/// An array that stays in the file: a million numbers cost nothing until somebody asks for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Array {
    /// What it holds.
    pub elements: ValueType,
    /// How many of them.
    pub count: u64,
    /// The first element's byte in the file.
    pub(super) begin: usize,
}

/// A metadata value; all widths of whole numbers are one.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    Unsigned(u64),
    Signed(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    Text(String),
    Array(Array),
}

impl Value {
    /// What a message calls it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Unsigned(n) => n.to_string(),
            Self::Signed(n) => n.to_string(),
            Self::F32(x) => x.to_string(),
            Self::F64(x) => x.to_string(),
            Self::Bool(b) => b.to_string(),
            Self::Text(_) => "a text".into(),
            Self::Array(a) => format!("an array of {} {}", a.count, a.elements.name()),
        }
    }

    /// A whole number that is not negative.
    pub(super) fn unsigned(&self) -> Option<u64> {
        match self {
            Self::Unsigned(n) => Some(*n),
            Self::Signed(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// A number of any type. An f32 becomes the shortest decimal that means it: 0.00001, not 0.000009999999747….
    #[expect(clippy::cast_precision_loss, reason = "counts of metadata are small")]
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Unsigned(n) => Some(*n as f64),
            Self::Signed(n) => Some(*n as f64),
            Self::F32(x) => x.to_string().parse().ok(),
            Self::F64(x) => Some(*x),
            Self::Bool(_) | Self::Text(_) | Self::Array(_) => None,
        }
    }
}
