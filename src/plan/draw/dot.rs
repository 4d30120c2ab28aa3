//! Graphviz.

use std::fmt::Write as _;

use crate::formula::expr::StageId;

use super::super::Plan;
use super::lines;

pub(super) fn dot(plan: &Plan) -> String {
    let mut text = format!("digraph \"{}\" {{\n    node [shape=box, style=rounded, fontname=\"sans-serif\"]\n", escaped(&plan.recipe));
    for at in (0..plan.nodes.len()).map(StageId) {
        let (name, how) = lines(plan, at);
        writeln!(text, "    s{} [label=\"{}\\n{}\"]", at.0, escaped(&name), escaped(&how)).expect("text grows");
    }
    for (from, to) in plan.graph.edges() {
        writeln!(text, "    s{} -> s{}", from.0, to.0).expect("text grows");
    }
    text + "}\n"
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
