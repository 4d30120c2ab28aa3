//! One slot's values over the rows at hand: flat numbers with a layout, or cells.

use std::borrow::Cow;
use std::sync::Arc;

use crate::value::Cell;

use super::apply::{cell_of, scalar_of};
use super::number::{Scalar, holds};

/// What each row (or the whole table) holds.
#[derive(Clone, PartialEq, Debug)]
pub enum Within {
    One,
    /// Two numbers: before the last token, and at it.
    Ends,
    /// Items `starts[row]..starts[row + 1]`.
    Many {
        starts: Arc<[usize]>,
        /// Tokens of a sequence, as against items of a list.
        tokens: bool,
    },
}

/// Where numbers stand: for every row or once, and how many of them.
#[derive(Clone, PartialEq, Debug)]
pub struct Layout {
    pub per_row: bool,
    pub within: Within,
}

/// Numbers, flat, rows in order.
#[derive(Clone, PartialEq, Debug)]
pub struct Numbers {
    pub values: Vec<f64>,
    pub layout: Layout,
    pub scalar: Scalar,
}

/// The values of a slot.
#[derive(Clone, PartialEq, Debug)]
pub enum Column {
    Numbers(Numbers),
    Cells { per_row: bool, cells: Vec<Cell> },
}

/// Two lists of different length met: in which row, and how long each is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Uneven {
    pub row: usize,
    pub lengths: (usize, usize),
}

/// Where each number of a finer layout finds its number in a coarser one.
#[derive(Clone, PartialEq, Debug)]
pub enum Places {
    Same,
    First,
    At(Vec<usize>),
}

impl Places {
    /// The place in the coarser layout for place `i` of the finer one.
    pub fn of(&self, i: usize) -> usize {
        match self {
            Self::Same => i,
            Self::First => 0,
            Self::At(places) => places[i],
        }
    }
}

impl Layout {
    pub const ONCE: Self = Self { per_row: false, within: Within::One };
    pub const ROWS: Self = Self { per_row: true, within: Within::One };

    /// Per row, `lengths[row]` items.
    pub fn many(lengths: impl IntoIterator<Item = usize>, tokens: bool) -> Self {
        let starts = std::iter::once(0).chain(lengths.into_iter().scan(0, |end, n| {
            *end += n;
            Some(*end)
        }));
        Self { per_row: true, within: Within::Many { starts: starts.collect(), tokens } }
    }

    /// How many outer elements there are among `rows` rows.
    pub fn outer(&self, rows: usize) -> usize {
        if self.per_row { rows } else { 1 }
    }

    /// The places of one row.
    pub fn range(&self, row: usize) -> std::ops::Range<usize> {
        let outer = if self.per_row { row } else { 0 };
        match &self.within {
            Within::One => outer..outer + 1,
            Within::Ends => 2 * outer..2 * outer + 2,
            Within::Many { starts, .. } => starts[outer]..starts[outer + 1],
        }
    }

    /// How many numbers it holds over `rows` rows.
    pub fn size(&self, rows: usize) -> usize {
        match &self.within {
            Within::One => self.outer(rows),
            Within::Ends => 2 * self.outer(rows),
            Within::Many { starts, .. } => starts.last().copied().unwrap_or(0),
        }
    }

    /// The finer of two layouts.
    pub fn join(&self, other: &Self, rows: usize) -> Self {
        let per_row = self.per_row || other.per_row;
        let finer = match (&self.within, &other.within) {
            (Within::Many { .. }, Within::Many { .. }) if other.per_row && !self.per_row => other,
            (Within::Many { .. }, _) => self,
            (_, Within::Many { .. }) => other,
            (Within::Ends, _) => self,
            _ => other,
        };
        match &finer.within {
            Within::Many { tokens, .. } if per_row && !finer.per_row => {
                Self::many(std::iter::repeat_n(finer.range(0).len(), rows), *tokens)
            }
            within => Self { per_row, within: within.clone() },
        }
    }

    /// Where the numbers of `finer` find theirs here.
    ///
    /// # Errors
    /// When lists of different length meet.
    pub fn places(&self, finer: &Self, rows: usize) -> Result<Places, Uneven> {
        if self == finer {
            return Ok(Places::Same);
        }
        if *self == Self::ONCE {
            return Ok(Places::First);
        }
        let mut places = Vec::with_capacity(finer.size(rows));
        for row in 0..finer.outer(rows) {
            let (own, count) = (self.range(row), finer.range(row).len());
            match self.within {
                Within::One => places.extend(std::iter::repeat_n(own.start, count)),
                Within::Ends if finer.within == Within::Ends => places.extend(own),
                Within::Ends => places.extend((1..=count).map(|k| own.start + usize::from(k == count))),
                Within::Many { .. } if own.len() != count => return Err(Uneven { row, lengths: (own.len(), count) }),
                Within::Many { .. } => places.extend(own),
            }
        }
        Ok(Places::At(places))
    }

    /// The layout of some rows.
    pub fn of_rows(&self, rows: &[usize]) -> Self {
        match &self.within {
            Within::Many { tokens, .. } if self.per_row => Self::many(rows.iter().map(|&r| self.range(r).len()), *tokens),
            _ => self.clone(),
        }
    }
}

impl Numbers {
    /// One number for all rows.
    pub fn once(x: f64, scalar: Scalar) -> Self {
        Self { values: vec![x], layout: Layout::ONCE, scalar }
    }

    /// One number per row.
    pub fn rows(values: Vec<f64>, scalar: Scalar) -> Self {
        Self { values, layout: Layout::ROWS, scalar }
    }

    /// The numbers of one row.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[self.layout.range(row)]
    }

    /// One row as a cell.
    pub fn cell(&self, row: usize) -> Cell {
        let values = self.row(row);
        match self.layout.within {
            Within::One => cell_of(values[0], self.scalar),
            Within::Many { tokens: false, .. } => Cell::List(values.iter().map(|x| cell_of(*x, self.scalar)).collect()),
            Within::Many { tokens: true, .. } | Within::Ends => Cell::Tokens(values.into()),
        }
    }
}

impl Column {
    /// One cell for all rows.
    pub fn once(cell: Cell) -> Self {
        Self::from_cells(vec![cell], false)
    }

    /// Cells, as numbers where all are plain numbers or numbers per token.
    pub fn from_cells(cells: Vec<Cell>, per_row: bool) -> Self {
        let plain = |c: &Cell| matches!(c, Cell::Bool(_) | Cell::Float(_)) || matches!(c, Cell::Int(i) if i.abs() < 1 << 53);
        if !cells.is_empty() && (cells.iter().all(plain) || cells.iter().all(|c| matches!(c, Cell::Tokens(_)))) {
            return Self::Numbers(numbers_of(&cells, per_row).expect("plain numbers"));
        }
        Self::Cells { per_row, cells }
    }

    /// Whether it has a value for every row.
    pub fn per_row(&self) -> bool {
        match self {
            Self::Numbers(numbers) => numbers.layout.per_row,
            Self::Cells { per_row, .. } => *per_row,
        }
    }

    /// One row's value.
    pub fn cell(&self, row: usize) -> Cell {
        match self {
            Self::Numbers(numbers) => numbers.cell(row),
            Self::Cells { per_row, cells } => cells[if *per_row { row } else { 0 }].clone(),
        }
    }

    /// Its numbers: `none` is NaN, yes 1, no 0, a list its items.
    ///
    /// # Errors
    /// The first cell that holds no number, and its row.
    pub fn numbers(&self) -> Result<Cow<'_, Numbers>, (usize, Cell)> {
        match self {
            Self::Numbers(numbers) => Ok(Cow::Borrowed(numbers)),
            Self::Cells { per_row, cells } => numbers_of(cells, *per_row).map(Cow::Owned),
        }
    }

    /// The values of some rows, in their order.
    pub fn of_rows(&self, rows: &[usize]) -> Self {
        match self {
            _ if !self.per_row() => self.clone(),
            Self::Numbers(numbers) => Self::Numbers(Numbers {
                values: rows.iter().flat_map(|&r| numbers.row(r)).copied().collect(),
                layout: numbers.layout.of_rows(rows),
                scalar: numbers.scalar,
            }),
            Self::Cells { cells, .. } => Self::Cells { per_row: true, cells: rows.iter().map(|&r| cells[r].clone()).collect() },
        }
    }

    /// Whether a row's value counts as true.
    pub fn holds(&self, row: usize) -> bool {
        self.cell(row).number().is_some_and(holds)
    }
}

fn numbers_of(cells: &[Cell], per_row: bool) -> Result<Numbers, (usize, Cell)> {
    let many = |c: &Cell| matches!(c, Cell::List(_) | Cell::Tokens(_));
    let scalar = cells.iter().map(scalar_of).max().unwrap_or(Scalar::Float);
    if !cells.iter().any(many) {
        let one = |(row, c): (usize, &Cell)| if *c == Cell::None { Ok(f64::NAN) } else { c.number().ok_or((row, c.clone())) };
        let values = cells.iter().enumerate().map(one).collect::<Result<_, _>>()?;
        return Ok(Numbers { values, layout: Layout { per_row, within: Within::One }, scalar });
    }
    let (mut values, mut lengths) = (Vec::new(), Vec::with_capacity(cells.len()));
    for (row, cell) in cells.iter().enumerate() {
        let before = values.len();
        match cell {
            Cell::Tokens(xs) => values.extend_from_slice(xs),
            Cell::List(items) => {
                for item in items.iter() {
                    values.push(item.number().ok_or_else(|| (row, item.clone()))?);
                }
            }
            other => return Err((row, other.clone())),
        }
        lengths.push(values.len() - before);
    }
    let tokens = cells.iter().all(|c| matches!(c, Cell::Tokens(_)));
    Ok(Numbers { values, layout: Layout { per_row, ..Layout::many(lengths, tokens) }, scalar: Scalar::Float })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_broadcasts_into_fine() {
        let tokens = Layout::many([2, 0, 3], true);
        assert_eq!(Layout::ROWS.places(&tokens, 3), Ok(Places::At(vec![0, 0, 2, 2, 2])));
        assert_eq!(Layout::ONCE.places(&tokens, 3), Ok(Places::First));
        let ends = Layout { per_row: true, within: Within::Ends };
        assert_eq!(ends.places(&tokens, 3), Ok(Places::At(vec![0, 1, 4, 4, 5])));
        assert_eq!(ends.join(&tokens, 3), tokens);
        let other = Layout::many([2, 1, 3], true);
        assert_eq!(other.places(&tokens, 3), Err(Uneven { row: 1, lengths: (1, 0) }));
    }

    #[test]
    fn a_list_for_all_rows_meets_each_row() {
        let list = Layout { per_row: false, ..Layout::many([2], false) };
        let joined = list.join(&Layout::ROWS, 2);
        assert_eq!(list.places(&joined, 2), Ok(Places::At(vec![0, 1, 0, 1])));
        assert_eq!(Layout::ROWS.places(&joined, 2), Ok(Places::At(vec![0, 0, 1, 1])));
    }

    #[test]
    fn cells_and_back() {
        let cells = vec![Cell::Int(2), Cell::Int(3)];
        let column = Column::from_cells(cells.clone(), true);
        assert_eq!((column.cell(0), column.cell(1)), (cells[0].clone(), cells[1].clone()));
        assert_eq!(column.of_rows(&[1, 1]).cell(0), Cell::Int(3));
        let gap = Column::from_cells(vec![Cell::None, Cell::Float(1.0)], true);
        assert!(gap.numbers().expect("numbers").values[0].is_nan());
        assert_eq!(Column::once(Cell::text("x")).numbers(), Err((0, Cell::text("x"))));
    }
}
