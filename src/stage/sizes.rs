//! What row primitives know of their results' size before anything runs.

use super::call::Call;
use super::cost::{Cost, Size, Sizes};
use crate::formula::expr::Output;

/// As many rows as the input has.
pub(super) fn same_rows(call: &Call<'_>, inputs: &Sizes<'_>) -> Cost {
    Cost::of(Size { rows: rows(call, inputs), ..Size::default() })
}

/// The rows of the `data` argument.
pub(super) fn rows(call: &Call<'_>, inputs: &Sizes<'_>) -> Option<u64> {
    inputs(&call.get::<Output>("data").ok()?).rows
}
