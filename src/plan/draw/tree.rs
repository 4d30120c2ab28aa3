//! For a terminal: what the recipe ends in, and below each stage what it is made of. A stage shown before is not
//! unfolded again.

use std::collections::BTreeSet;

use crate::formula::expr::StageId;

use super::super::Plan;
use super::lines;

/// Deeper branches are cut: nobody reads them, and they are somewhere else in full.
const DEPTH: usize = 40;

pub(super) fn tree(plan: &Plan) -> String {
    let mut shown = BTreeSet::new();
    let mut text = String::new();
    for end in (0..plan.nodes.len()).map(StageId).filter(|at| plan.graph.feeds(*at).is_empty()) {
        branch(plan, end, 0, ("", ""), &mut shown, &mut text);
    }
    text
}

fn branch(plan: &Plan, at: StageId, depth: usize, (first, rest): (&str, &str), shown: &mut BTreeSet<StageId>, text: &mut String) {
    let (name, how) = lines(plan, at);
    let needs = plan.graph.needs(at);
    if depth > DEPTH {
        *text += &format!("{first}…\n");
        return;
    }
    if !shown.insert(at) {
        let more = if needs.is_empty() { "" } else { " (above)" };
        *text += &format!("{first}{name}{more}\n");
        return;
    }
    *text += &format!("{first}{name}  {how}\n");
    for (i, need) in needs.iter().enumerate() {
        let (elbow, line) = if i + 1 == needs.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        branch(plan, *need, depth + 1, (&format!("{rest}{elbow}"), &format!("{rest}{line}")), shown, text);
    }
}
