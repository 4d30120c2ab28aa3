//! Rows of one type.

use std::io::{self, BufRead, Write};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Cell;
use super::json::Unreadable;

/// Rows with named columns; every row has one cell per column.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Table {
    pub columns: Vec<Arc<str>>,
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub fn empty(columns: impl IntoIterator<Item = Arc<str>>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Where a column stands.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| &**c == column)
    }

    /// The cells of one column, top to bottom.
    pub fn column(&self, column: &str) -> Option<Vec<Cell>> {
        let at = self.position(column)?;
        Some(self.rows.iter().map(|row| row[at].clone()).collect())
    }

    /// The cells of one row by column name.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (&Arc<str>, &Cell)> {
        self.columns.iter().zip(&self.rows[row])
    }

    /// Every row as a record.
    pub fn records(&self) -> Cell {
        let record = |row: &Vec<Cell>| Cell::Record(self.columns.iter().cloned().zip(row.iter().cloned()).collect());
        Cell::List(self.rows.iter().map(record).collect())
    }

    /// The rows at these places, in that order; a place may repeat.
    #[must_use]
    pub fn pick(&self, rows: impl IntoIterator<Item = usize>) -> Self {
        Self { columns: self.columns.clone(), rows: rows.into_iter().map(|row| self.rows[row].clone()).collect() }
    }

    /// Adds a column, or replaces it where it stands.
    ///
    /// # Panics
    /// When there is not one cell for every row.
    pub fn put(&mut self, column: &Arc<str>, cells: Vec<Cell>) {
        assert_eq!(cells.len(), self.len(), "a column has one cell for every row");
        let at = self.position(column);
        if at.is_none() {
            self.columns.push(column.clone());
        }
        for (row, cell) in self.rows.iter_mut().zip(cells) {
            match at {
                Some(at) => row[at] = cell,
                None => row.push(cell),
            }
        }
    }

    /// Writes one row a line, each an object; [`Table::read_jsonl`] gives the same table back.
    ///
    /// # Errors
    /// When `to` cannot be written to.
    pub fn write_jsonl(&self, to: &mut impl Write) -> io::Result<()> {
        if self.is_empty() && !self.columns.is_empty() {
            serde_json::to_writer(&mut *to, &Map::from_iter([(COLUMNS.to_owned(), names(&self.columns))]))?;
            to.write_all(b"\n")?;
        }
        for row in 0..self.len() {
            serde_json::to_writer(&mut *to, &RowObject(self, row))?;
            to.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Reads what [`Table::write_jsonl`] wrote.
    ///
    /// # Errors
    /// When `from` cannot be read, or holds something else.
    pub fn read_jsonl(from: impl BufRead) -> Result<Self, StoredTableError> {
        let mut table = Self::default();
        for (line, text) in (1..).zip(from.lines()) {
            let damaged = |_| StoredTableError::Damaged { line };
            let row: Map<String, Value> = serde_json::from_str(&text?).map_err(damaged)?;
            if let Some(Value::Array(columns)) = row.get(COLUMNS).filter(|_| line == 1) {
                table.columns = columns.iter().filter_map(|name| name.as_str().map(Arc::from)).collect();
                continue;
            }
            if line == 1 {
                table.columns = row.keys().map(|name| Arc::from(name.as_str())).collect();
            }
            if !row.keys().map(String::as_str).eq(table.columns.iter().map(|c| &**c)) {
                return Err(StoredTableError::Damaged { line });
            }
            let cell = |value| Cell::from_json(value).map_err(|error| StoredTableError::Cell { line, error });
            table.rows.push(row.into_iter().map(|(_, value)| cell(value)).collect::<Result<_, _>>()?);
        }
        Ok(table)
    }
}

/// The only key of the first line of a table that has columns but no rows.
const COLUMNS: &str = "$columns";

/// A stored table that cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum StoredTableError {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error("line {line} is not a row of this table")]
    Damaged { line: usize },
    #[error("line {line}: {error}")]
    Cell { line: usize, error: Unreadable },
}

fn names(columns: &[Arc<str>]) -> Value {
    columns.iter().map(|column| Value::from(&**column)).collect()
}

struct RowObject<'a>(&'a Table, usize);

impl serde::Serialize for RowObject<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.row(self.1).map(|(name, cell)| (&**name, cell)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(table: &Table) -> Table {
        let mut bytes = Vec::new();
        table.write_jsonl(&mut bytes).unwrap();
        Table::read_jsonl(&bytes[..]).unwrap()
    }

    #[test]
    fn tables_come_back() {
        let columns: Vec<Arc<str>> = vec!["b".into(), "a".into()];
        let rows = vec![vec![Cell::Float(1.0), Cell::text("x\ny")], vec![Cell::Int(1), Cell::None]];
        for table in [
            Table { columns: columns.clone(), rows },
            Table::empty(columns),
            Table { columns: Vec::new(), rows: vec![Vec::new(); 3] },
            Table::default(),
        ] {
            assert_eq!(back(&table), table);
        }
    }

    #[test]
    fn a_damaged_line_is_named() {
        let error = Table::read_jsonl(&b"{\"a\":1}\n{\"a\":"[..]).unwrap_err();
        assert!(matches!(error, StoredTableError::Damaged { line: 2 }));
        let error = Table::read_jsonl(&b"{\"a\":1}\n{\"b\":1}\n"[..]).unwrap_err();
        assert!(matches!(error, StoredTableError::Damaged { line: 2 }));
    }
}
