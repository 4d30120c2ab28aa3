//! SVG that stands by itself, in light and dark.

use std::fmt::Write as _;

use crate::formula::expr::StageId;

use super::super::Plan;
use super::layers::layers;
use super::{class, lines};

const HEIGHT: f64 = 44.0;
const GAP: f64 = 24.0;
const ROW: f64 = 96.0;
/// Width of a character in the two sizes of text.
const LARGE: f64 = 8.0;
const SMALL: f64 = 6.2;

const STYLE: &str = "\
    text { font: 13px system-ui, sans-serif; fill: #1b1f24; text-anchor: middle } .how { font-size: 10.5px; fill: #59636e }\n\
    rect { fill: #fff; stroke: #8c959f; stroke-width: 1.5 } path { fill: none; stroke: #afb8c1; stroke-width: 1.2 }\n\
    .cached rect { stroke: #2da44e } .resume rect { stroke: #bf8700 } .run rect { stroke: #0969da }\n\
    .maybe rect { stroke-dasharray: 5 3 } .skip { opacity: .5 }\n\
    @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .how { fill: #9198a1 } rect { fill: #161b22 } path { stroke: #484f58 } }\n";

struct Place {
    x: f64,
    y: f64,
    width: f64,
}

pub(super) fn svg(plan: &Plan) -> String {
    let rows = layers(plan);
    let widths: Vec<f64> = (0..plan.nodes.len()).map(|at| width(plan, StageId(at))).collect();
    let row_width = |row: &Vec<StageId>| row.iter().map(|s| widths[s.0] + GAP).sum::<f64>();
    let total = rows.iter().map(row_width).fold(0.0, f64::max) + GAP;
    let mut places: Vec<Place> = widths.iter().map(|width| Place { x: 0.0, y: 0.0, width: *width }).collect();
    let mut y = GAP;
    for row in &rows {
        let mut x = (total - row_width(row) + GAP) / 2.0;
        for stage in row {
            places[stage.0] = Place { x, y, width: widths[stage.0] };
            x += widths[stage.0] + GAP;
        }
        y += ROW;
    }
    let height = y - ROW + HEIGHT + GAP;
    let mut text = format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {total:.0} {height:.0}\" role=\"img\">\n");
    writeln!(text, "<title>{}</title>\n<style>\n{STYLE}</style>", escaped(&plan.recipe)).expect("text grows");
    for (from, to) in plan.graph.edges() {
        text += &edge(&places[from.0], &places[to.0]);
    }
    for (at, place) in places.iter().enumerate() {
        text += &node(plan, StageId(at), place);
    }
    text + "</svg>\n"
}

#[expect(clippy::cast_precision_loss, reason = "lengths of words")]
fn width(plan: &Plan, stage: StageId) -> f64 {
    let (name, how) = lines(plan, stage);
    (name.chars().count() as f64 * LARGE).max(how.chars().count() as f64 * SMALL) + 20.0
}

fn edge(from: &Place, to: &Place) -> String {
    let (x1, y1) = (from.x + from.width / 2.0, from.y + HEIGHT);
    let (x2, y2) = (to.x + to.width / 2.0, to.y);
    let bend = (y2 - y1) / 2.0;
    format!("<path d=\"M{x1:.1} {y1:.1} C{x1:.1} {:.1} {x2:.1} {:.1} {x2:.1} {y2:.1}\"/>\n", y1 + bend, y2 - bend)
}

fn node(plan: &Plan, stage: StageId, place: &Place) -> String {
    let (name, how) = lines(plan, stage);
    let middle = place.x + place.width / 2.0;
    format!(
        "<g class=\"{}\"><rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{HEIGHT}\" rx=\"7\"/><text x=\"{middle:.1}\" y=\"{:.1}\">{}</text><text class=\"how\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text></g>\n",
        class(plan.node(stage).state),
        place.x,
        place.y,
        place.width,
        place.y + 19.0,
        escaped(&name),
        place.y + 35.0,
        escaped(&how),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
