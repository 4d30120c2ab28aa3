// What one dispatch is told. The importing file declares `Params`, at most 64 bytes.

/// One binding: where its first element lies behind the bound offset, its shape, and (outputs) 1 to add, 0 to set.
struct View { offset: u32, rows: u32, cols: u32, accumulate: u32 }

struct Step {
    @size(64) params: Params,
    views: array<View, 10>,
}

@group(0) @binding(0) var<uniform> step: Step;
