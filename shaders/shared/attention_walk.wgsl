// Which 32-key tiles the 32 queries from `row` on may see: two runs of tiles, one over their prefixes and one over
// their own keys, or a single run where the two meet. Keys between (another completion of the prompt) are not read.
//
// The importing file defines `range_of(query)`: (prefix begin, prefix end, own begin, own end), zeros outside.

/// Tiles x … y−1, then z … w−1.
fn walk(row: u32) -> vec4<u32> {
    var prefix = vec2(0xffffffffu, 0u);
    var own = vec2(0xffffffffu, 0u);
    for (var i = 0u; i < SIDE; i++) {
        let range = range_of(row + i);
        if range.x < range.y {
            prefix = vec2(min(prefix.x, range.x / SIDE), max(prefix.y, (range.y + SIDE - 1u) / SIDE));
        }
        if range.z < range.w {
            own = vec2(min(own.x, range.z / SIDE), max(own.y, (range.w + SIDE - 1u) / SIDE));
        }
    }
    if prefix.x >= prefix.y {
        return vec4(0u, 0u, own);
    }
    if own.x >= own.y {
        return vec4(prefix, 0u, 0u);
    }
    if prefix.x < own.y && own.x < prefix.y {
        return vec4(min(prefix.x, own.x), max(prefix.y, own.y), 0u, 0u);
    }
    return vec4(prefix, own);
}

fn walk_length(tiles: vec4<u32>) -> u32 {
    return tiles.y - tiles.x + tiles.w - tiles.z;
}

/// First key of the n-th tile.
fn walk_key(tiles: vec4<u32>, n: u32) -> u32 {
    let first = tiles.y - tiles.x;
    return SIDE * select(tiles.z + n - first, tiles.x + n, n < first);
}
