//! `align plan`, `align explain`, `align graph`: what a run would do, and why.

use serde_json::json;

use crate::diagnostic::did_you_mean;
use crate::plan::draw::{Picture, Sketch, draw, duration, size};
use crate::plan::{Node, Plan};
use crate::run;
use crate::stage::Call;

use super::Exit;
use super::args::{ExplainArgs, GraphArgs, GraphFormat, PlanArgs};
use super::fetch::{How, ToFetch};
use super::open::planned;
use super::out;

pub(super) fn plan(args: &PlanArgs) -> Exit {
    let Some(planned) = planned(&args.recipe, args.device.device, How::LOOK) else { return Exit::Failed };
    if args.json {
        let mut plan = planned.plan.to_json();
        plan["fetch"] = planned.to_fetch.iter().map(ToFetch::json).collect();
        out::line(&plan.to_string());
    } else {
        out::diagnostics(&planned.plan.warnings, &planned.sources);
        out::line(&format!("{} on {} ({})", planned.plan.recipe, planned.device.name, planned.device.because));
        out::print(&table(&planned.plan));
        out::line(&totals(&planned.plan));
        planned.to_fetch.iter().for_each(|left| out::line(&left.line()));
    }
    match planned.plan.fits(args.memory.room(planned.plan.numerics.device)) {
        Ok(()) => Exit::Done,
        Err(too_large) => {
            out::diagnostics(&too_large, &planned.sources);
            Exit::Failed
        }
    }
}

/// A line for every stage.
fn table(plan: &Plan) -> String {
    let rows: Vec<[String; 6]> = plan
        .nodes
        .iter()
        .map(|node| {
            let known = |value: Option<String>| value.filter(|_| node.state.works()).unwrap_or_default();
            [
                node.call.name.clone(),
                work(node),
                node.state.to_string(),
                known(node.seconds.map(|s| format!("~{}", duration(s)))),
                known(node.cost.tokens.map(|t| format!("{} tokens", count(t)))),
                known(node.cost.memory.map(size)),
            ]
        })
        .collect();
    columns(&rows)
}

/// What a stage does: its primitive, and the rank of the adapters that it trains in place of every weight.
fn work(node: &Node) -> String {
    let primitive = &node.call.primitive;
    match Call::new(&node.call).get::<u64>("lora") {
        Ok(rank) => format!("{primitive}(lora: {rank})"),
        Err(_) => primitive.to_string(),
    }
}

/// Cells in columns of equal width, without trailing space.
pub(super) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).filter(|(_, width)| *width > 0).map(|(cell, width)| format!("{cell:width$}"));
        text += &format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}

fn totals(plan: &Plan) -> String {
    let totals = plan.totals();
    let parts = [
        (totals.cached, "cached"),
        (totals.resume, "to resume"),
        (totals.run, "to run"),
        (totals.maybe, "maybe"),
        (totals.skip, "skipped"),
    ];
    let mut text = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect::<Vec<_>>().join(", ");
    if totals.seconds > 0.0 {
        let unknown = if totals.unknown > 0 { format!(" and {} stages never timed", totals.unknown) } else { String::new() };
        text += &format!("; about {}{unknown}", duration(totals.seconds));
    }
    if totals.tokens > 0 {
        text += &format!("; {} tokens", count(totals.tokens));
    }
    if totals.memory > 0 {
        text += &format!("; memory to {}", size(totals.memory));
    }
    if totals.disk > 0 {
        text += &format!("; disk {}", size(totals.disk));
    }
    text
}

/// `1.2k`, `3.4M`.
pub(super) fn count(n: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    let x = n as f64;
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{:.1}k", x / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1}M", x / 1e6),
        _ => format!("{:.1}G", x / 1e9),
    }
}

pub(super) fn explain(args: &ExplainArgs) -> Exit {
    let (name, recipe) = match args.stage_and_recipe() {
        Ok(found) => found,
        Err(message) => {
            out::error(&message);
            return Exit::Code(2);
        }
    };
    let Some(planned) = planned(&recipe, args.device.device, How::LOOK) else { return Exit::Failed };
    let plan = &planned.plan;
    let Some(stage) = plan.named(name).or_else(|| plan.last_of(name)) else {
        let near = did_you_mean(name, plan.names());
        let help = near
            .map_or_else(|| format!("it has {}", plan.names().collect::<Vec<_>>().join(", ")), |name| format!("did you mean `{name}`?"));
        out::error(&format!("the recipe has no stage `{name}`: {help}"));
        return Exit::Failed;
    };
    let explanation = plan.explain(stage, &planned.store);
    if args.json {
        let differences = |found: &[crate::plan::explain::Difference]| -> Vec<_> {
            found.iter().map(|d| json!({ "field": d.field, "before": d.before, "now": d.now, "sentence": d.sentence() })).collect()
        };
        let roots: Vec<_> = explanation
            .roots
            .iter()
            .map(|(at, found)| json!({ "stage": plan.node(*at).call.name, "differences": differences(found) }))
            .collect();
        out::line(
            &json!({
                "stage": name,
                "state": plan.node(stage).state.to_string(),
                "fingerprint": plan.node(stage).fingerprint,
                "key": plan.node(stage).key,
                "past": explanation.past.as_ref().map(|past| json!({ "finished": past.finished, "fingerprint": past.fingerprint })),
                "differences": differences(&explanation.differences),
                "because": roots,
            })
            .to_string(),
        );
    } else {
        out::print(&explanation.text(plan));
    }
    Exit::Done
}

pub(super) fn graph(args: &GraphArgs) -> Exit {
    let Some(planned) = planned(&args.recipe, args.device.device, How::LOOK) else { return Exit::Failed };
    let picture = match args.format {
        Some(GraphFormat::Svg) => Picture::Svg,
        Some(GraphFormat::Dot) => Picture::Dot,
        Some(GraphFormat::Mermaid) => Picture::Mermaid,
        None => Picture::Tree,
    };
    let plan = &planned.plan;
    let parts = plan.parts(&|stage| {
        let (seconds, values) = run::known(plan, &planned.store, &planned.root, stage)?;
        Some((seconds, values.iter().map(|(name, cell)| (name.clone(), run::brief(cell))).collect()))
    });
    let sketch = if args.all { Sketch::whole(&plan.recipe, &parts) } else { Sketch::condensed(&plan.recipe, &parts) };
    out::print(&draw(&sketch, picture));
    Exit::Done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_empty_ones_go() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        assert_eq!(columns(&[row(["a", "", "run"]), row(["long", "", "x"])]), "  a     run\n  long  x\n");
    }

    #[test]
    fn counts_are_short() {
        assert_eq!([999, 1_500, 2_340_000].map(count), ["999", "1.5k", "2.3M"]);
    }
}
