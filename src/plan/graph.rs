//! Who waits for whom. Edges come from arguments and from the conditions of rounds; nobody draws them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::formula::expr::{Output, StageId};
use crate::recipe::checked::{Checked, StageCall};
use crate::recipe::types::Type;

use super::meaning::{Meaning, artifacts};

/// The stages as a directed acyclic graph; an edge leads from what is made to what needs it.
#[derive(Clone, Debug)]
pub struct Graph(DiGraph<StageId, ()>);

impl Graph {
    /// The graph of stages whose inputs are known.
    pub fn new(stages: &[(StageCall, Meaning)]) -> Self {
        let mut dag: DiGraph<StageId, ()> = DiGraph::with_capacity(stages.len(), stages.len());
        for at in 0..stages.len() {
            dag.add_node(StageId(at));
        }
        for (at, (stage, meaning)) in stages.iter().enumerate() {
            let conditions = stage.when.iter().flat_map(|condition| artifacts(&condition.formula));
            let needed: BTreeSet<usize> = meaning.places.values().cloned().chain(conditions).map(|output| output.stage.0).collect();
            for from in needed {
                assert!(from < at, "the checker lists a stage after what it reads");
                dag.add_edge(NodeIndex::new(from), NodeIndex::new(at), ());
            }
        }
        Self(dag)
    }

    /// What a stage waits for, in order.
    pub fn needs(&self, stage: StageId) -> Vec<StageId> {
        self.beside(stage, Direction::Incoming)
    }

    /// What waits for a stage, in order.
    pub fn feeds(&self, stage: StageId) -> Vec<StageId> {
        self.beside(stage, Direction::Outgoing)
    }

    fn beside(&self, stage: StageId, direction: Direction) -> Vec<StageId> {
        let mut found: Vec<StageId> = self.0.neighbors_directed(NodeIndex::new(stage.0), direction).map(|n| self.0[n]).collect();
        found.sort();
        found
    }

    /// All edges, in order.
    pub fn edges(&self) -> Vec<(StageId, StageId)> {
        let mut edges: Vec<_> = self.0.edge_references().map(|e| (self.0[e.source()], self.0[e.target()])).collect();
        edges.sort();
        edges
    }

    /// How many stages.
    pub fn len(&self) -> usize {
        self.0.node_count()
    }

    /// Whether there are no stages.
    pub fn is_empty(&self) -> bool {
        self.0.node_count() == 0
    }

    /// The longest way from a stage without inputs, by stage.
    pub fn depths(&self) -> BTreeMap<StageId, usize> {
        let mut depths = BTreeMap::new();
        // the checker lists every stage after the ones it reads
        for at in (0..self.len()).map(StageId) {
            let depth = self.needs(at).iter().map(|need| depths.get(need).map_or(0, |d| d + 1)).max().unwrap_or(0);
            depths.insert(at, depth);
        }
        depths
    }
}

/// The type of an output.
pub fn type_of<'a>(checked: &'a Checked, output: &Output) -> Option<&'a Type> {
    let stage = checked.stages.get(output.stage.0)?;
    let mut path = output.path.iter();
    let Some(first) = path.next() else { return Some(&stage.output) };
    let beside = field(&stage.output, first).or_else(|| stage.extras.get(first));
    path.try_fold(beside?, |ty, name| field(ty, name))
}

fn field<'a>(ty: &'a Type, name: &Arc<str>) -> Option<&'a Type> {
    match ty {
        Type::Record(row) => row.get(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::Sketch;
    use crate::recipe::checked::Arg;

    #[test]
    fn edges_come_from_arguments() {
        let mut sketch = Sketch::default();
        let a = sketch.stage("a", "blank", vec![]);
        let b = sketch.stage("b", "blank", vec![]);
        sketch.stage("c", "mix", vec![("data", Arg::Artifacts(vec![a, b]))]);
        let stages: Vec<_> = sketch.checked.stages.iter().map(|s| (s.clone(), Meaning::of(s))).collect();
        let graph = Graph::new(&stages);
        assert_eq!(graph.needs(StageId(2)), [StageId(0), StageId(1)]);
        assert_eq!(graph.feeds(StageId(0)), [StageId(2)]);
        assert_eq!(graph.depths()[&StageId(2)], 1);
    }
}
