// Words of a head's matrix.

const NOWHERE: u32 = 0xffffffffu;

/// The query head at hand.
var<private> head: u32;

/// Where the word (row, d) of the head `of_head` lies in a view; nowhere outside.
fn place_of(view: View, row: u32, of_head: u32, d: u32) -> u32 {
    let inside = row < view.rows && d < step.params.dim;
    return select(NOWHERE, view.offset + row * view.cols + of_head * step.params.dim + d, inside);
}

/// The head of keys and values that the query head reads.
fn kv_head() -> u32 {
    return head / (step.params.heads / step.params.kv_heads);
}
