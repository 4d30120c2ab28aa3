//! Tensors as files hold them. The engine knows one weight (N, K) a projection; a family whose files keep several
//! projections in one tensor, or weights as (K, N), says so in its row, and here is where they are taken apart and put
//! together.

use std::collections::BTreeMap;

use super::family::Fused;
use super::{Head, ModelSpec, Parameter};

/// A tensor of a file: one parameter, or several that lie in it together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    pub name: String,
    /// As the file has it.
    pub shape: Vec<usize>,
    /// Its parameters, as indices of [`ModelSpec::parameters`].
    pub parts: Vec<usize>,
    /// Numbers of each part in one round.
    turn: Vec<usize>,
    /// How often the parts take turns.
    rounds: usize,
    transposed: bool,
}

impl ModelSpec {
    /// Every tensor of a network's file, in the order of its first parameter.
    pub fn stored(&self, head: Head) -> Vec<Stored> {
        self.stored_of(&self.parameters(head))
    }

    /// The same of any tensors; the parts are indices of `parameters`.
    pub fn stored_of(&self, parameters: &[Parameter]) -> Vec<Stored> {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (index, parameter) in parameters.iter().enumerate() {
            let place = *places.entry(&parameter.stored).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => group.push(index),
                None => groups.push(vec![index]),
            }
        }
        groups.into_iter().map(|group| self.store(parameters, group)).collect()
    }

    fn store(&self, parameters: &[Parameter], parts: Vec<usize>) -> Stored {
        let first = &parameters[parts[0]];
        let mut shape = first.shape.clone();
        shape[0] = parts.iter().map(|&part| parameters[part].shape[0]).sum();
        let transposed = self.family.transposed && first.projection && shape.len() == 2;
        if transposed {
            shape.reverse();
        }
        let rounds = if parts.len() > 1 && self.family.fused == Fused::ByHead { self.heads } else { 1 };
        let turn = parts.iter().map(|&part| parameters[part].len() / rounds).collect();
        Stored { name: first.stored.clone(), shape, parts, turn, rounds, transposed }
    }
}

impl Stored {
    /// The numbers of each part, from those of the file.
    pub fn split(&self, numbers: Vec<f32>) -> Vec<Vec<f32>> {
        let numbers = if self.transposed { transpose(&numbers, self.shape[0], self.shape[1]) } else { numbers };
        if self.parts.len() == 1 {
            return vec![numbers];
        }
        let mut parts: Vec<Vec<f32>> = self.turn.iter().map(|count| Vec::with_capacity(count * self.rounds)).collect();
        let mut rest = &numbers[..];
        for _ in 0..self.rounds {
            for (part, count) in parts.iter_mut().zip(&self.turn) {
                let (own, others) = rest.split_at(*count);
                part.extend_from_slice(own);
                rest = others;
            }
        }
        parts
    }

    /// The numbers of the file, from those of each part.
    pub fn join(&self, parts: &[&[f32]]) -> Vec<f32> {
        let mut numbers = Vec::with_capacity(self.shape.iter().product());
        for round in 0..self.rounds {
            for (part, count) in parts.iter().zip(&self.turn) {
                numbers.extend_from_slice(&part[round * count..(round + 1) * count]);
            }
        }
        if self.transposed { transpose(&numbers, self.shape[1], self.shape[0]) } else { numbers }
    }
}

/// (rows, cols) to (cols, rows).
fn transpose(numbers: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    (0..cols).flat_map(|col| (0..rows).map(move |row| numbers[row * cols + col])).collect()
}
