// y = x · Wᵀ + b with W as halves, by cooperative matrices of SIDE x SIDE: one 64 x 64 tile of y a workgroup, in four bands
// of BANDS rows of squares, a subgroup each. Where subgroups are larger than the host took them to be, they take turns.
//
// x is read as the sum of two halves, and as a sixteenth of itself, so that numbers up to a million stay finite. Of its 24
// bits that leaves the first 22 where the driver keeps subnormal halves, and 11 elsewhere: as many as W has.

#import product_result
#import product_a
#import subgroup_lanes

@group(0) @binding(2) var<storage, read> b: array<u32>;

const TILE: u32 = 64u;
const DEPTH: u32 = 32u;
const SIDE: u32 = TILE / SQUARES;
const SHARES: u32 = 4u;
const AREA: u32 = SIDE * SIDE;

var<workgroup> high: array<f16, TILE * DEPTH>;
var<workgroup> low: array<f16, TILE * DEPTH>;
var<workgroup> weights: array<f16, TILE * DEPTH>;
var<workgroup> results: array<f32, SHARES * AREA>;

fn weight_at(k: u32, j: u32) -> f32 {
    if k >= step.params.depth || j >= step.params.cols {
        return 0.0;
    }
    let pair = unpack2x16float(b[step.views[1].offset + j * step.views[1].cols + k / 2u]);
    return select(pair.x, pair.y, k % 2u == 1u);
}

/// Brings DEPTH columns of the tile's rows of x and of W.
fn bring(row: u32, col: u32, k: u32, lane: u32) {
    for (var i = lane; i < TILE * DEPTH; i += LANES) {
        let x = clamp(a_at(row + i / DEPTH, k + i % DEPTH) / 16.0, -65504.0, 65504.0);
        let most = f16(x);
        high[i] = most;
        low[i] = f16(x - f32(most));
        weights[i] = f16(weight_at(k + i % DEPTH, col + i / DEPTH));
    }
}

@compute @workgroup_size(LANES)
fn tiled(@builtin(workgroup_id) group: vec3<u32>, lanes: Lanes) {
    let row = group.y * TILE;
    let col = group.x * TILE;
    let begin = group.z * step.params.slice;
    let end = min(begin + step.params.slice, step.params.depth);
    let stride = SIDE;
#for r BANDS
#for c SQUARES
    var sum_$r_$c: Sum;
#end
#end
    for (var turn = 0u; turn < SHARES; turn += lanes.subgroups) {
        let share = turn + lanes.subgroup;
        let band = share * BANDS * SIDE;
#for r BANDS
#for c SQUARES
        sum_$r_$c = Sum();
#end
#end
        // slices are whole steps of DEPTH, and beyond the last number of x and of W there are zeros
        for (var k0 = begin; k0 < end; k0 += DEPTH) {
            workgroupBarrier();
            bring(row, col, k0, lanes.lane);
            workgroupBarrier();
            for (var k = 0u; k < DEPTH; k += SIDE) {
#for r BANDS
                let high_$r = coopLoadT<Left>(&high[(band + $ru * SIDE) * DEPTH + k], DEPTH);
                let low_$r = coopLoadT<Left>(&low[(band + $ru * SIDE) * DEPTH + k], DEPTH);
#end
#for c SQUARES
                // W lies by rows, and is the transpose of the right factor
                let weight_$c = coopLoad<Right>(&weights[$cu * SIDE * DEPTH + k], DEPTH);
#for r BANDS
                sum_$r_$c = coopMultiplyAdd(high_$r, weight_$c, coopMultiplyAdd(low_$r, weight_$c, sum_$r_$c));
#end
#end
            }
        }
        let own = share * AREA;
        let lanes_each = LANES / lanes.subgroups;
#for r BANDS
#for c SQUARES
        let value_$r_$c = sum_$r_$c;
        workgroupBarrier();
        coopStoreT(value_$r_$c, &results[own], stride);
        workgroupBarrier();
        for (var i = lanes.place; i < AREA; i += lanes_each) {
            store(row + band + $ru * SIDE + i / SIDE, col + $cu * SIDE + i % SIDE, group.z, 16.0 * results[own + i]);
        }
#end
#end
    }
}
