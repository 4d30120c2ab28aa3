//! A network whose blocks write more or less along one direction: plain weights, so every later stage reads it as it is.
//!
//! ```text
//! W' = W + (s − 1) v vᵀ W     of the output and down projections, and of embeddings that are not the head too;  |v| = 1
//! b' = b + (s − 1) v (v · b)
//! ```

use std::sync::Arc;

use super::{ModelError, Network};

impl Network {
    /// The network with what its blocks write along `direction` (C) times `scale`, adapters merged in.
    ///
    /// # Errors
    /// When the direction has another size, no length, or the family brings what blocks write to one size afterwards; when
    /// the numbers cannot be read.
    pub fn along(&self, direction: &[f64], scale: f64) -> Result<Self, ModelError> {
        let length = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
        let names = &self.spec.family.names;
        let refused = |reason: &str| Err(ModelError::Direction { reason: reason.to_owned() });
        if direction.len() != self.spec.width {
            return refused(&format!("it has {} numbers and the network's states have {}", direction.len(), self.spec.width));
        }
        if !length.is_finite() || length == 0.0 {
            return refused("it has no length");
        }
        if names.attention_post_norm.is_some() || names.mlp_post_norm.is_some() {
            return refused("this family normalises what its blocks write, so that no weight decides on a direction");
        }
        let unit: Vec<f64> = direction.iter().map(|x| x / length).collect();
        let parameters = self.parameters();
        let mut weights: Vec<Arc<[f32]>> = vec![Arc::from([]); parameters.len()];
        let writes = |name: &str| {
            let (module, kind) = name.rsplit_once('.').unwrap_or((name, ""));
            let block = [names.output, names.down].iter().any(|n| module.ends_with(&format!(".{n}")));
            (block && module != names.embedding, kind == "weight" && module == names.embedding && !self.spec.tied)
        };
        self.each_tensor(|index, numbers| {
            let mut numbers = self.merged(index, &parameters[index], numbers.into()).into_owned();
            match writes(&parameters[index].name) {
                (true, _) => columns(&mut numbers, &unit, scale),
                (_, true) => rows(&mut numbers, &unit, scale),
                _ => {}
            }
            weights[index] = numbers.into();
            Ok(())
        })?;
        Ok(Self { adapter: None, blocks: None, ..self.with_weights(weights) })
    }
}

/// A (C, K) matrix, or a bias (C), whose columns are written to the states.
fn columns(numbers: &mut [f32], unit: &[f64], scale: f64) {
    let cols = numbers.len() / unit.len();
    for k in 0..cols {
        let along: f64 = unit.iter().enumerate().map(|(c, v)| v * f64::from(numbers[c * cols + k])).sum();
        unit.iter().enumerate().for_each(|(c, v)| add(&mut numbers[c * cols + k], (scale - 1.0) * along * v));
    }
}

/// A (V, C) matrix whose rows are written to the states.
fn rows(numbers: &mut [f32], unit: &[f64], scale: f64) {
    for row in numbers.chunks_exact_mut(unit.len()) {
        let along: f64 = unit.iter().zip(row.iter()).map(|(v, x)| v * f64::from(*x)).sum();
        row.iter_mut().zip(unit).for_each(|(x, v)| add(x, (scale - 1.0) * along * v));
    }
}

#[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
fn add(x: &mut f32, by: f64) {
    *x = (f64::from(*x) + by) as f32;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_along_the_direction() {
        let unit = [0.6, 0.8];
        let mut matrix = [1.0_f32, 2.0, 3.0, -1.0, 0.5, 4.0];
        columns(&mut matrix, &unit, 0.0);
        for k in 0..3 {
            assert!((0.6 * f64::from(matrix[k]) + 0.8 * f64::from(matrix[3 + k])).abs() < 1e-6);
        }
        let mut table = [1.0_f32, 2.0, 3.0, -1.0];
        rows(&mut table, &unit, 2.0);
        // along (0.6, 0.8) the first row has 2.2: doubled, it gains 2.2 v
        assert!((f64::from(table[0]) - (1.0 + 2.2 * 0.6)).abs() < 1e-6 && (f64::from(table[1]) - (2.0 + 2.2 * 0.8)).abs() < 1e-6);
    }
}
