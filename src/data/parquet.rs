//! Parquet: columns with types of their own, packed page by page. Lists and structs become lists and records.

use std::cell::Cell;
use std::fs::File;
use std::io::Read;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::{Arc, Once};

use bytes::Bytes;
use parquet::basic::{Compression, ConvertedType, Repetition, Type as Physical};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row as Fields};
use parquet::schema::types::{Type as Schema, TypePtr};

use crate::recipe::types::Row;

use super::error::ReadError;
use super::fault::{Fault, Problem};
use super::format::{Record, Sink, problem};
use super::json::{Node, NodeKind};
use super::unpack::{Packing, Wanted, open};

/// The four bytes at both ends of a file.
const MARK: &[u8] = b"PAR1";

/// Gives every row to `sink`, with the columns of `asked` that there are, or all when it is empty.
///
/// # Errors
/// When the file's description of its columns is damaged, or a column that is read has a type that no cell holds.
pub(super) fn rows(path: &Path, packing: Option<Packing>, asked: &Row, sink: &mut Sink<'_>) -> Result<(), ReadError> {
    let mut opened = open(path, packing, Wanted::Parquet)?;
    let broken = |problem| ReadError::Parquet { path: path.to_owned(), problem };
    let disk = |error| ReadError::Disk { path: path.to_owned(), error };
    if opened.packing.is_some() {
        let mut bytes = Vec::new();
        opened.bytes.read_to_end(&mut bytes).map_err(|error| broken(problem(&error)))?;
        let ends = (bytes.starts_with(MARK), bytes.ends_with(MARK));
        return whole(bytes.len() as u64, ends).map_err(broken).and_then(|()| of(path, Bytes::from(bytes), asked, sink));
    }
    let mut file = File::open(path).map_err(disk)?;
    let length = file.metadata().map_err(disk)?.len();
    let ends = (mark_at(&mut file, 0), mark_at(&mut file, length.saturating_sub(4)));
    whole(length, ends).map_err(broken)?;
    of(path, file, asked, sink)
}

fn mark_at(file: &mut File, start: u64) -> bool {
    let mut bytes = [0; 4];
    file.get_read(start).and_then(|mut reader| Ok(reader.read_exact(&mut bytes)?)).is_ok() && bytes == MARK
}

/// Whether both ends of the data are there. Nothing at all is a file without rows.
fn whole(length: u64, (start, end): (bool, bool)) -> Result<(), Problem> {
    match (start, end) {
        (true, true) | (false, false) if start || length == 0 => Ok(()),
        (true, false) => Err(Problem::Cut),
        _ => Err(Problem::Damaged("it does not begin as Parquet does".into())),
    }
}

fn of<R: ChunkReader + 'static>(path: &Path, bytes: R, asked: &Row, sink: &mut Sink<'_>) -> Result<(), ReadError> {
    if bytes.len() == 0 {
        return Ok(());
    }
    let damaged = |error: &ParquetError| ReadError::Parquet { path: path.to_owned(), problem: Problem::Damaged(said(error)) };
    let reader = guarded(|| SerializedFileReader::new(bytes)).map_err(|error| damaged(&error))?;
    let columns = reader.metadata().file_metadata().schema().get_fields().to_vec();
    let names: Vec<Arc<str>> = columns.iter().map(|column| column.name().into()).collect();
    let read: Vec<TypePtr> = columns.into_iter().filter(|column| asked.is_empty() || asked.contains_key(column.name())).collect();
    for column in &read {
        if let Err(found) = readable(column).and_then(|()| unpackable(column.name(), reader.metadata())) {
            return Err(ReadError::Column { path: path.to_owned(), column: column.name().to_owned(), found });
        }
    }
    let schema = reader.metadata().file_metadata().schema();
    let schema = Schema::group_type_builder(schema.name()).with_fields(read).build().map_err(|error| damaged(&error))?;
    let mut rows = guarded(|| RowIter::from_file(Some(schema), &reader)).map_err(|error| damaged(&error))?;
    for line in 1.. {
        let Some(row) = guarded(|| rows.next().transpose()).transpose() else { break };
        let record = match row {
            Ok(row) => fields(row).map(|fields| Record { line, text: None, fields, has: Some(&names) }),
            Err(error) => Err(Problem::Damaged(said(&error))),
        };
        let stop = matches!(record, Err(Problem::Damaged(_)));
        if sink(record.map_err(|problem| Fault { line, column: None, problem })).is_break() || stop {
            break;
        }
    }
    Ok(())
}

/// What the library makes of its data; where it panics, which it does over some damage, that damage.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    static SILENCED: Once = Once::new();
    SILENCED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                before(info);
            }
        }));
    });
    GUARDED.set(true);
    let read = panic::catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(false);
    read.unwrap_or_else(|_| Err(ParquetError::General("its pages contradict themselves".into())))
}

thread_local! {
    /// Whether a panic on this thread is an answer.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What the library says, without the name that it puts in front.
fn said(error: &ParquetError) -> String {
    let text = error.to_string();
    text.split_once(": ").map_or(text.as_str(), |(_, reason)| reason).lines().next().unwrap_or_default().to_owned()
}

/// Whether cells can hold a column's values; the library takes for granted what is asked here of lists and maps.
fn readable(column: &Schema) -> Result<(), String> {
    use ConvertedType as T;
    if !column.get_basic_info().has_repetition() {
        return Err("a column of no known kind".into());
    }
    let kind = column.get_basic_info().converted_type();
    if column.is_primitive() {
        let held = match column.get_physical_type() {
            Physical::INT32 => {
                matches!(kind, T::NONE | T::INT_8 | T::INT_16 | T::INT_32 | T::UINT_8 | T::UINT_16 | T::UINT_32)
                    || matches!(kind, T::DATE | T::TIME_MILLIS | T::DECIMAL)
            }
            Physical::INT64 => {
                matches!(kind, T::NONE | T::INT_64 | T::UINT_64 | T::TIME_MICROS | T::TIMESTAMP_MILLIS | T::TIMESTAMP_MICROS | T::DECIMAL)
            }
            Physical::BYTE_ARRAY => matches!(kind, T::NONE | T::UTF8 | T::ENUM | T::JSON | T::BSON | T::DECIMAL),
            Physical::FIXED_LEN_BYTE_ARRAY => matches!(kind, T::NONE | T::DECIMAL),
            Physical::BOOLEAN | Physical::INT96 | Physical::FLOAT | Physical::DOUBLE => true,
        };
        return if held {
            Ok(())
        } else {
            Err(format!("`{}` values, which no type of the language holds", kind.to_string().to_lowercase()))
        };
    }
    let inner = column.get_fields();
    let repeats = |inner: &Schema| inner.get_basic_info().has_repetition() && inner.get_basic_info().repetition() == Repetition::REPEATED;
    let sound = match (kind, inner) {
        (_, []) => false,
        (T::LIST, [items]) => repeats(items),
        (T::MAP | T::MAP_KEY_VALUE, [pairs]) => repeats(pairs) && pairs.is_group() && matches!(pairs.get_fields().len(), 1 | 2),
        (T::LIST | T::MAP | T::MAP_KEY_VALUE, _) => false,
        _ => true,
    };
    if sound { inner.iter().try_for_each(|inner| readable(inner)) } else { Err("a list or map that is not built like one".into()) }
}

/// Whether a column's pages are packed in a way that this program unpacks.
fn unpackable(name: &str, metadata: &ParquetMetaData) -> Result<(), String> {
    let chunks = metadata.row_groups().iter().flat_map(|group| group.columns());
    let mut chunks = chunks.filter(|chunk| chunk.column_path().parts().first().is_some_and(|first| first == name));
    match chunks.find(|chunk| matches!(chunk.compression(), Compression::BROTLI(_) | Compression::LZO)) {
        Some(chunk) => {
            let codec = chunk.compression().to_string();
            let codec = codec.split('(').next().unwrap_or_default();
            Err(format!("pages packed as {codec}: write it with zstd, snappy, gzip or lz4"))
        }
        None => Ok(()),
    }
}

fn fields(row: Fields) -> Result<Vec<(Arc<str>, Node)>, Problem> {
    let field = |(name, field): (String, Field)| {
        let node = node(field).map_err(|found| Problem::Broken(format!("`.{name}` holds {found}")))?;
        Ok((name.into(), node))
    };
    row.into_columns().into_iter().map(field).collect()
}

/// A value, or what it holds that no cell does.
fn node(field: Field) -> Result<Node, String> {
    let kind = match field {
        Field::Null => NodeKind::Null,
        Field::Bool(b) => NodeKind::Bool(b),
        Field::Byte(n) => NodeKind::Int(n.into()),
        Field::Short(n) => NodeKind::Int(n.into()),
        Field::Int(n) => NodeKind::Int(n.into()),
        Field::Long(n) => NodeKind::Int(n),
        Field::UByte(n) => NodeKind::Int(n.into()),
        Field::UShort(n) => NodeKind::Int(n.into()),
        Field::UInt(n) => NodeKind::Int(n.into()),
        Field::ULong(n) => NodeKind::Int(i64::try_from(n).map_err(|_| format!("{n}, which is too large"))?),
        Field::Float16(x) => finite(x.into())?,
        Field::Float(x) => finite(x.into())?,
        Field::Double(x) => finite(x)?,
        Field::Decimal(_) => {
            let written = written(&field)?;
            finite(written.parse().map_err(|_| format!("{written}, which is no number"))?)?
        }
        Field::Str(text) => NodeKind::Text(text.into()),
        Field::Bytes(bytes) => NodeKind::Text(std::str::from_utf8(bytes.data()).map_err(|_| "bytes that are not UTF-8 text")?.into()),
        Field::Date(_) | Field::TimeMillis(_) | Field::TimeMicros(_) | Field::TimestampMillis(_) | Field::TimestampMicros(_) => {
            NodeKind::Text(written(&field)?.into())
        }
        Field::Group(row) => NodeKind::Object(row.into_columns().into_iter().map(named).collect::<Result<_, _>>()?),
        Field::ListInternal(items) => NodeKind::List(items.elements().iter().cloned().map(node).collect::<Result<_, _>>()?),
        Field::MapInternal(map) => NodeKind::Object(map.entries().iter().map(entry).collect::<Result<_, _>>()?),
    };
    Ok(Node { at: 0, kind })
}

/// A value as the library writes it.
fn written(field: &Field) -> Result<String, String> {
    guarded(|| Ok(field.to_string())).map_err(|_| "a time that is in no calendar".to_owned())
}

fn named((name, field): (String, Field)) -> Result<(Arc<str>, Node), String> {
    Ok((name.into(), node(field)?))
}

fn entry((key, value): &(Field, Field)) -> Result<(Arc<str>, Node), String> {
    match key {
        Field::Str(name) => named((name.clone(), value.clone())),
        key => Err(format!("a map with the key {key}; keys must be texts")),
    }
}

fn finite(x: f64) -> Result<NodeKind, String> {
    if x.is_finite() { Ok(NodeKind::Float(x)) } else { Err(format!("{x}; a value that is missing is null")) }
}
