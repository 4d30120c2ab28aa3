//! Graphviz.

use std::fmt::Write as _;

use super::sketch::Sketch;

pub(super) fn dot(sketch: &Sketch) -> String {
    let mut text = format!("digraph \"{}\" {{\n    node [shape=box, style=rounded, fontname=\"sans-serif\"]\n", escaped(&sketch.title));
    for (at, block) in sketch.blocks.iter().enumerate() {
        let lines = [&block.name, &block.how, &block.numbers].into_iter().filter(|line| !line.is_empty());
        let label = lines.map(|line| escaped(line)).collect::<Vec<_>>().join("\\n");
        writeln!(text, "    s{at} [label=\"{label}\"]").expect("text grows");
    }
    for (from, to) in &sketch.arrows {
        writeln!(text, "    s{from} -> s{to}").expect("text grows");
    }
    text + "}\n"
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
