//! The fused head. Forward: parts of the vocabulary, then their union. Backward: for each chunk of the vocabulary the
//! derivative by its logits, which the products of `linear` carry on to W and h.

use crate::engine::Step;
use crate::engine::op::linear_logp::Params;

use super::super::Tuning;
use super::super::dispatch::{Bound, Kernel, PARAMS, Scratch, flat, params, word};
use super::linear::{gradients, part_of_bias};
use super::rows::{add_rows, pick_rows};
use super::sums::column_sum;
use super::{Plan, Run, input, output, runs};

/// Rows and columns of a tile's cluster; a tile has one or two of them a side.
const CLUSTER: usize = 64;

/// Parts that a layer leaves per row: one for each column place of the tile.
const PLACES: usize = 16;

fn kernel(file: &'static str, entry: &'static str, clusters: usize) -> Kernel {
    Kernel::new(file, entry).with("CLUSTERS", word(clusters))
}

/// Clusters a side: two where tiles are enough even so.
fn clusters(rows: usize, vocabulary: usize, tuning: &Tuning) -> usize {
    let tiles = rows.div_ceil(2 * CLUSTER) * vocabulary.div_ceil(2 * CLUSTER);
    if tiles >= tuning.enough_tiles { 2 } else { 1 }
}

fn merge() -> Kernel {
    Kernel::new("linear_logp_merge", "forward")
}

/// The vocabulary in runs of at most `most` entries, all but the last whole tiles.
fn tiled_runs(vocabulary: usize, most: usize, tile: usize) -> Vec<Run> {
    runs(vocabulary, (most / tile * tile).clamp(tile, vocabulary.next_multiple_of(tile)))
}

/// What `shared/head.wgsl` is told about a run.
fn head_params(step: &Step, run: Run, slice: usize, layer: usize, layers: usize) -> [u32; PARAMS] {
    let has_bias = u32::from(step.inputs[2].is_some());
    let Params { temperature, cap } = step.params();
    let inverse = (1.0 / temperature).to_bits();
    params([word(run.first), word(run.length), word(slice), has_bias, inverse, word(layer), word(layers), 0, cap.to_bits()])
}

/// h, W, bias, pred and target, with the run's part of W and bias.
fn head_inputs(step: &Step, run: Run) -> Vec<Bound> {
    let bias = part_of_bias(input(step, 2), run);
    vec![input(step, 0), input(step, 1).rows_from(run.first, run.length), bias, input(step, 3), input(step, 5)]
}

/// logp, lse and, where asked for, entropy.
pub fn forward(step: &Step, plan: &mut Plan<'_>) {
    let (rows, weight) = (step.input(3).rows, step.input(1));
    let clusters = clusters(rows, weight.rows, plan.tuning);
    let tile = clusters * CLUSTER;
    let row_tiles = rows.div_ceil(tile);
    let wanted = plan.tuning.head_groups.div_ceil(row_tiles.max(1));
    let slice = weight.rows.div_ceil(wanted).next_multiple_of(tile);
    let runs = tiled_runs(weight.rows, plan.tuning.binding_words / weight.cols, tile);
    let layers: usize = runs.iter().map(|run| run.length.div_ceil(slice)).sum();
    let parts = Bound::scratch(Scratch::Parts, rows * layers * PLACES, 4);
    let mut layer = 0;
    for run in runs {
        let own_layers = run.length.div_ceil(slice);
        let bindings = [head_inputs(step, run), vec![parts.written()]].concat();
        let groups = [word(row_tiles), word(own_layers), 1];
        let params = head_params(step, run, slice, layer, layers);
        plan.call(kernel("linear_logp", "forward", clusters), params, bindings, groups);
        layer += own_layers;
    }
    let told = params([word(layers * PLACES), u32::from(step.outputs[2].is_some())]);
    plan.call(merge(), told, vec![parts, output(step, 0), output(step, 1), output(step, 2)], flat(rows));
}

/// dh, dW and db, as far as they are wanted.
pub fn backward(step: &Step, plan: &mut Plan<'_>) {
    let (h, weight, pred, order) = (input(step, 0), input(step, 1), input(step, 3), input(step, 4));
    let [d_h, d_weight, d_bias] = std::array::from_fn(|place| output(step, place));
    let states = Bound::scratch(Scratch::States, pred.rows, h.cols);
    let d_states = Bound::scratch(Scratch::DStates, pred.rows, h.cols);
    if d_weight.rows > 0 {
        pick_rows(plan, ("gather", unscaled()), pred, h, states.written());
    }
    let most = (plan.tuning.head_chunk / pred.rows.max(1)).min(plan.tuning.binding_words / weight.cols);
    let clusters = clusters(pred.rows, weight.rows.min(most), plan.tuning);
    let tile = clusters * CLUSTER;
    for run in tiled_runs(weight.rows, most, tile) {
        let d_z = Bound::scratch(Scratch::DLogits, pred.rows, run.length);
        let coefficients = [6, 7, 8, 9].map(|place| input(step, place));
        let bindings = [head_inputs(step, run), coefficients.to_vec(), vec![d_z.written()]].concat();
        let groups = [word(pred.rows.div_ceil(tile)), word(run.length.div_ceil(tile)), 1];
        let kernel = kernel("linear_logp_backward", "backward", clusters);
        plan.call(kernel, head_params(step, run, 0, 0, 0), bindings, groups);
        let to_states = if d_h.rows > 0 { d_states.added(run.first > 0) } else { d_h };
        let to_weight = if d_weight.rows > 0 { d_weight.rows_from(run.first, run.length) } else { d_weight };
        gradients(plan, states, weight.rows_from(run.first, run.length), d_z, (to_states, to_weight));
        if d_bias.rows > 0 {
            column_sum(plan, d_z, None, d_bias.cols_from(run.first, run.length));
        }
    }
    if d_h.rows > 0 {
        add_rows(plan, ("gather", unscaled()), pred, order, d_states, d_h);
    }
}

/// What `gather` is told: rows as they are.
fn unscaled() -> [u32; PARAMS] {
    params([1f32.to_bits()])
}

/// All kernels of this file.
pub fn kernels() -> Vec<Kernel> {
    let sides = [1, 2].map(|clusters| [kernel("linear_logp", "forward", clusters), kernel("linear_logp_backward", "backward", clusters)]);
    [sides.concat(), vec![merge()]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_the_vocabulary_in_whole_tiles() {
        for (vocabulary, most) in [(1, 1), (64, 10), (1000, 200), (49_152, 1 << 24)] {
            let runs = tiled_runs(vocabulary, most, CLUSTER);
            assert_eq!(runs.iter().map(|run| run.length).sum::<usize>(), vocabulary);
            assert!(runs.iter().all(|run| run.first % CLUSTER == 0 && run.length <= most.max(CLUSTER)));
        }
    }
}
