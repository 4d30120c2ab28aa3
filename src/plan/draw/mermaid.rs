//! Mermaid, as GitHub renders it.

use std::fmt::Write as _;

use super::sketch::Sketch;

const CLASSES: &str = "    classDef cached stroke:#3a8f66\n    classDef made stroke:#3a8f66\n    classDef resume stroke:#2b6cb0\n    classDef run stroke:#2b6cb0\n    classDef failed stroke:#c2412d\n    classDef maybe stroke-dasharray:4\n    classDef skip opacity:0.5\n";

pub(super) fn mermaid(sketch: &Sketch) -> String {
    let mut text = "flowchart TD\n".to_owned();
    for (at, block) in sketch.blocks.iter().enumerate() {
        let lines = [&block.name, &block.how, &block.numbers].into_iter().filter(|line| !line.is_empty());
        let label = lines.map(|line| escaped(line)).collect::<Vec<_>>().join("<br>");
        writeln!(text, "    s{at}[\"{label}\"]:::{}", block.class).expect("text grows");
    }
    for (from, to) in &sketch.arrows {
        writeln!(text, "    s{from} --> s{to}").expect("text grows");
    }
    text + CLASSES
}

fn escaped(text: &str) -> String {
    text.replace('"', "#quot;")
}
