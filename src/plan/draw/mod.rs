//! A plan as a picture: SVG, DOT, Mermaid, and lines for a terminal.

mod dot;
mod layout;
mod mermaid;
pub mod sketch;
mod svg;
mod tree;

pub use layout::{Layout, layout};
pub use sketch::{Block, Part, Sketch};

pub use crate::diagnostic::size;

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

/// What is known of a stage that has run: how long it took, and its numbers.
pub type Known = (f64, Vec<(String, String)>);

/// Draws a sketch.
pub fn draw(sketch: &Sketch, picture: Picture) -> String {
    match picture {
        Picture::Svg => svg::svg(sketch),
        Picture::Dot => dot::dot(sketch),
        Picture::Mermaid => mermaid::mermaid(sketch),
        Picture::Tree => tree::tree(sketch),
    }
}

impl Plan {
    /// Its stages as parts of a sketch; `known` says what the last run left of a stage.
    pub fn parts(&self, known: &dyn Fn(StageId) -> Option<Known>) -> Vec<Part> {
        let part = |at: StageId| {
            let node = self.node(at);
            let (took, numbers) = known(at).filter(|_| node.state == State::Cached).map_or((None, Vec::new()), |(s, n)| (Some(s), n));
            Part {
                name: node.call.name.clone(),
                primitive: node.call.primitive.to_string(),
                class: class(node.state).to_owned(),
                seconds: took.or(node.seconds.filter(|_| node.state != State::Cached)),
                estimated: node.state != State::Cached,
                numbers,
                needs: self.graph.needs(at).into_iter().map(|need| need.0).collect(),
            }
        };
        (0..self.nodes.len()).map(StageId).map(part).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_well() {
        assert_eq!([0.42, 59.6, 200.0, 7500.0].map(duration), ["0.4 s", "1 min 0 s", "3 min 20 s", "2 h 5 min"]);
        assert_eq!([12, 1536, 3 << 30].map(size), ["12 B", "1.5 KiB", "3.0 GiB"]);
    }

    #[test]
    fn bindings_hide_what_the_library_made_of_them() {
        let part = |name: &str, class: &str, needs: &[usize]| Part {
            name: name.into(),
            primitive: "with".into(),
            class: class.into(),
            needs: needs.to_vec(),
            ..Part::default()
        };
        let parts =
            [part("rows", "cached", &[]), part("told.explode", "cached", &[0]), part("told", "run", &[1]), part("b", "run", &[2, 0])];
        let sketch = Sketch::condensed("x", &parts);
        let names: Vec<&str> = sketch.blocks.iter().map(|b| b.name.as_str()).collect();
        assert_eq!((names, &sketch.blocks[1].class[..]), (vec!["rows", "told", "b"], "run"));
        assert_eq!(sketch.arrows, [(0, 1), (1, 2)], "from `rows` to `b` leads the way through `told`");
        assert_eq!(Sketch::whole("x", &parts).arrows.len(), 4);
    }
}
