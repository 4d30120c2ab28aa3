//! Mermaid, as GitHub renders it.

use std::fmt::Write as _;

use crate::formula::expr::StageId;

use super::super::Plan;
use super::{class, lines};

pub(super) fn mermaid(plan: &Plan) -> String {
    let mut text = "flowchart TD\n".to_owned();
    for at in (0..plan.nodes.len()).map(StageId) {
        let (name, how) = lines(plan, at);
        writeln!(text, "    s{}[\"{}<br>{}\"]:::{}", at.0, escaped(&name), escaped(&how), class(plan.node(at).state)).expect("text grows");
    }
    for (from, to) in plan.graph.edges() {
        writeln!(text, "    s{} --> s{}", from.0, to.0).expect("text grows");
    }
    text + "    classDef cached stroke:#3a7\n    classDef resume stroke:#c80\n    classDef run stroke:#27c\n    classDef maybe stroke-dasharray:4\n    classDef skip opacity:0.5\n"
}

fn escaped(text: &str) -> String {
    text.replace('"', "#quot;")
}
