//! The picture of a run: its stages as they stand.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::plan::draw::{Part, Picture, Sketch, draw};
use crate::run::brief;
use crate::value::Cell;

/// The graph of the stages that [`super::gather()`] found, by binding.
pub(super) fn svg(title: &str, stages: &[Value]) -> String {
    let places: BTreeMap<&str, usize> = stages.iter().enumerate().filter_map(|(at, s)| Some((s["name"].as_str()?, at))).collect();
    let parts: Vec<Part> = stages.iter().map(|stage| part(stage, &places)).collect();
    draw(&Sketch::condensed(title, &parts), Picture::Svg)
}

fn part(stage: &Value, places: &BTreeMap<&str, usize>) -> Part {
    let text = |field: &str| stage[field].as_str().unwrap_or_default().to_owned();
    let values = stage["values"].as_object().into_iter().flatten();
    let numbers = values.filter_map(|(name, value)| Some((name.clone(), brief(&Cell::from_json(value.clone()).ok()?))));
    let inputs = stage["inputs"].as_object().into_iter().flatten().filter_map(|(_, shown)| shown.as_str());
    let mut needs: Vec<usize> = inputs.filter_map(|shown| Some(places[stage_of(shown, places)?])).collect();
    needs.sort_unstable();
    needs.dedup();
    Part {
        name: text("name"),
        primitive: text("primitive"),
        class: text("state"),
        seconds: stage["seconds"].as_f64(),
        estimated: false,
        numbers: numbers.collect(),
        needs,
    }
}

/// The stage that an output belongs to: `part.split` of `part.split.train`.
pub(super) fn stage_of<'a, T>(shown: &'a str, places: &BTreeMap<&str, T>) -> Option<&'a str> {
    let mut name = shown;
    loop {
        if places.contains_key(name) {
            return Some(name);
        }
        name = name.rsplit_once('.')?.0;
    }
}
