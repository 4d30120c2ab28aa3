//! SVG that stands by itself, in light and dark.

use std::fmt::Write as _;

use super::layout::layout;
use super::sketch::{Block, Sketch};

const MARGIN: f64 = 12.0;
const GAP: f64 = 16.0;
/// From the top of a row to the top of the next.
const ROW: f64 = 78.0;
const LOW: f64 = 40.0;
const HIGH: f64 = 54.0;
/// Width of a character in the two sizes of text.
const LARGE: f64 = 7.3;
const SMALL: f64 = 5.5;

const STYLE: &str = "\
    .graph text { font: 500 12.5px ui-sans-serif, system-ui, sans-serif; fill: #1c2024; text-anchor: middle }\n\
    .graph .how, .graph .numbers { font-size: 10px; font-weight: 400; fill: #60646c } .graph .numbers { fill: #1c2024; font-variant-numeric: tabular-nums }\n\
    .graph rect { fill: #fcfcfd; stroke: #b9bbc6; stroke-width: 1 } .graph path { fill: none; stroke: #c3c6cf; stroke-width: 1.1 } .graph marker path { fill: #c3c6cf; stroke: none }\n\
    .graph .bar { stroke: none; fill: #b9bbc6 } .graph .made .bar, .graph .cached .bar { fill: #3a8f66 } .graph .cached .bar { opacity: .45 }\n\
    .graph .run .bar, .graph .resume .bar, .graph .running .bar { fill: #2b6cb0 } .graph .failed .bar { fill: #c2412d } .graph .failed rect:first-child { stroke: #c2412d }\n\
    .graph .maybe rect:first-child, .graph .left rect:first-child, .graph .blocked rect:first-child { stroke-dasharray: 4 3 } .graph .skip, .graph .skipped { opacity: .5 }\n\
    @media (prefers-color-scheme: dark) { .graph text, .graph .numbers { fill: #e6e8ec } .graph .how { fill: #9ba1ab } .graph rect { fill: #1b1e23; stroke: #4b515b } .graph path { stroke: #4b515b } .graph marker path { fill: #4b515b } }\n";

/// The picture.
pub fn svg(sketch: &Sketch) -> String {
    let widths: Vec<f64> = sketch.blocks.iter().map(width).collect();
    let laid = layout(sketch, &widths, GAP);
    let (total, height) = (laid.width + 2.0 * MARGIN, real(laid.rows.max(1) - 1) * ROW + HIGH + 2.0 * MARGIN);
    let title = escaped(&sketch.title);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"graph\" viewBox=\"0 0 {total:.0} {height:.0}\" width=\"{total:.0}\" height=\"{height:.0}\" role=\"img\" aria-label=\"stages of {title}\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 6 6\" refX=\"5.2\" refY=\"3\" markerWidth=\"6\" markerHeight=\"6\" orient=\"auto\"><path d=\"M0 .6 5.6 3 0 5.4Z\"/></marker></defs>\n"
    );
    let top = |row: usize| MARGIN + real(row) * ROW;
    for ((from, to), bends) in sketch.arrows.iter().zip(&laid.bends) {
        let start = (MARGIN + laid.x[*from], top(laid.row[*from]) + tall(&sketch.blocks[*from]));
        let end = (MARGIN + laid.x[*to], top(laid.row[*to]) - 1.0);
        let points = bends.iter().map(|(x, row)| (MARGIN + x, top(*row)));
        writeln!(text, "<path d=\"{}\" marker-end=\"url(#tip)\" data-arrow=\"{from} {to}\"/>", curve(start, points, end))
            .expect("text grows");
    }
    for (at, block) in sketch.blocks.iter().enumerate() {
        text += &drawn(at, block, MARGIN + laid.x[at], top(laid.row[at]), widths[at]);
    }
    text + "</svg>\n"
}

#[expect(clippy::cast_precision_loss, reason = "places in a drawing")]
fn real(n: usize) -> f64 {
    n as f64
}

fn tall(block: &Block) -> f64 {
    if block.numbers.is_empty() { LOW } else { HIGH }
}

fn width(block: &Block) -> f64 {
    let small = block.how.chars().count().max(block.numbers.chars().count());
    (real(block.name.chars().count()) * LARGE).max(real(small) * SMALL) + 22.0
}

/// Vertical where it leaves, passes a row, and arrives.
fn curve(start: (f64, f64), points: impl Iterator<Item = (f64, f64)>, end: (f64, f64)) -> String {
    let mut path = format!("M{:.1} {:.1}", start.0, start.1);
    let (mut x, mut y) = start;
    for (px, py) in points {
        bend(&mut path, (x, y), (px, py));
        // straight past the boxes of the row
        write!(path, "V{:.1}", py + LOW).expect("text grows");
        (x, y) = (px, py + LOW);
    }
    bend(&mut path, (x, y), end);
    path
}

fn bend(path: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    if (x1 - x2).abs() < 0.5 {
        write!(path, "L{x2:.1} {y2:.1}").expect("text grows");
    } else {
        let half = f64::midpoint(y1, y2);
        write!(path, "C{x1:.1} {half:.1} {x2:.1} {half:.1} {x2:.1} {y2:.1}").expect("text grows");
    }
}

fn drawn(at: usize, block: &Block, middle: f64, top: f64, width: f64) -> String {
    let (left, height) = (middle - width / 2.0, tall(block));
    let name = escaped(&block.name);
    let mut text = format!(
        "<g class=\"block {}\" data-block=\"{at}\" data-name=\"{name}\"><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height}\" rx=\"4\"/>\
         <rect class=\"bar\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"3\" height=\"{height}\" rx=\"1.5\"/>\
         <text x=\"{middle:.1}\" y=\"{:.1}\">{name}</text><text class=\"how\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>",
        escaped_class(&block.class),
        top + 17.0,
        top + 31.0,
        escaped(&block.how),
    );
    if !block.numbers.is_empty() {
        write!(text, "<text class=\"numbers\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>", top + 45.0, escaped(&block.numbers))
            .expect("text grows");
    }
    text + "</g>\n"
}

fn escaped_class(class: &str) -> String {
    class.chars().filter(char::is_ascii_alphanumeric).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
