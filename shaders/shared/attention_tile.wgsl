// 32 × 32 blocks by 64 invocations: invocation (y, x) of 8 × 8 owns rows 4y … 4y+3 and columns 4x … 4x+3.
//
// Every product of attention, forward and backward, is Σ_n left[n, row] · right[n, col] over 32 values of n, where
// n is a dimension of the head, a key, or a query. attention_factor.wgsl brings matrices into the two factors.

const SIDE: u32 = 32u;
/// Vectors of four in one n-slice, and one of padding: the slices start in different memory banks.
const SLICE: u32 = 9u;
/// Stands for −∞, which WGSL does not promise.
const LOWEST: f32 = -1e30;

struct Block { rows: array<vec4<f32>, 4> }

var<workgroup> left: array<vec4<f32>, SIDE * SLICE>;
var<workgroup> right: array<vec4<f32>, SIDE * SLICE>;
var<workgroup> partial: array<vec4<f32>, 64>;

/// Makes a block the left factor, its columns becoming n.
fn put_left(block: Block, lane: u32) {
    workgroupBarrier();
#for c 4
    left[(lane % 8u * 4u + $cu) * SLICE + lane / 8u] = vec4(block.rows[0][$c], block.rows[1][$c], block.rows[2][$c], block.rows[3][$c]);
#end
}

fn multiply(start: Block, lane: u32) -> Block {
    var sums = start;
    for (var n = 0u; n < SIDE; n++) {
        let l = left[n * SLICE + lane / 8u];
        let r = right[n * SLICE + lane % 8u];
#for i 4
        sums.rows[$i] = fma(vec4(l[$i]), r, sums.rows[$i]);
#end
    }
    return sums;
}

/// Each row's largest value: component i belongs to row 4y + i.
fn row_max(block: Block, lane: u32) -> vec4<f32> {
    workgroupBarrier();
#for i 4
    let most_$i = max(max(block.rows[$i].x, block.rows[$i].y), max(block.rows[$i].z, block.rows[$i].w));
#end
    partial[lane] = vec4(most_0, most_1, most_2, most_3);
    workgroupBarrier();
    let first = lane / 8u * 8u;
    var most = partial[first];
    for (var x = 1u; x < 8u; x++) {
        most = max(most, partial[first + x]);
    }
    return most;
}

/// Each row's sum, in one order.
fn row_sum(block: Block, lane: u32) -> vec4<f32> {
    let one = vec4(1.0);
    workgroupBarrier();
    partial[lane] = vec4(dot(block.rows[0], one), dot(block.rows[1], one), dot(block.rows[2], one), dot(block.rows[3], one));
    workgroupBarrier();
    let first = lane / 8u * 8u;
    var sum = partial[first];
    for (var x = 1u; x < 8u; x++) {
        sum += partial[first + x];
    }
    return sum;
}

/// Whether a query with this range (prefix begin, prefix end, own begin, own end) attends to a key.
fn sees(range: vec4<u32>, key: u32) -> bool {
    return (key >= range.x && key < range.y) || (key >= range.z && key < range.w);
}

/// The same for four keys in a row.
fn seen(range: vec4<u32>, key: u32) -> vec4<bool> {
    return vec4(sees(range, key), sees(range, key + 1u), sees(range, key + 2u), sees(range, key + 3u));
}
