//! A plan as a picture: SVG, DOT, Mermaid, and lines for a terminal.

mod dot;
mod layers;
mod mermaid;
mod svg;
mod tree;

use crate::formula::expr::StageId;

use super::{Plan, State};

/// How to draw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Picture {
    Svg,
    Dot,
    Mermaid,
    /// What a stage is made of, below it.
    Tree,
}

/// Draws a plan.
pub fn draw(plan: &Plan, picture: Picture) -> String {
    match picture {
        Picture::Svg => svg::svg(plan),
        Picture::Dot => dot::dot(plan),
        Picture::Mermaid => mermaid::mermaid(plan),
        Picture::Tree => tree::tree(plan),
    }
}

/// A class name for a state.
fn class(state: State) -> &'static str {
    match state {
        State::Cached => "cached",
        State::Resume(_) => "resume",
        State::Run => "run",
        State::Maybe => "maybe",
        State::Skip => "skip",
    }
}

/// What is written into a stage's box: its name, and how it is made.
fn lines(plan: &Plan, stage: StageId) -> (String, String) {
    let node = plan.node(stage);
    let time = node.seconds.filter(|_| node.state != State::Cached).map_or(String::new(), |s| format!(" · ~{}", duration(s)));
    (node.call.name.clone(), format!("{} · {}{time}", node.call.primitive, node.state))
}

/// Seconds for people: `0.4 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole seconds of a duration")]
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Bytes for people: `1.4 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{amount:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_well() {
        assert_eq!([0.42, 59.6, 200.0, 7500.0].map(duration), ["0.4 s", "1 min 0 s", "3 min 20 s", "2 h 5 min"]);
        assert_eq!([12, 1536, 3 << 30].map(size), ["12 B", "1.5 KiB", "3.0 GiB"]);
    }
}
