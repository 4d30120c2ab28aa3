//! For a terminal: what the recipe ends in, and below each stage what it is made of. A stage shown before is not
//! unfolded again.

use std::fmt::Write as _;

use super::sketch::Sketch;

/// Deeper branches are cut: nobody reads them, and they are somewhere else in full.
const DEPTH: usize = 40;

struct Tree<'a> {
    sketch: &'a Sketch,
    needs: Vec<Vec<usize>>,
    shown: Vec<bool>,
    text: String,
}

pub(super) fn tree(sketch: &Sketch) -> String {
    let count = sketch.blocks.len();
    let (mut needs, mut feeds) = (vec![Vec::new(); count], vec![0; count]);
    for (from, to) in &sketch.arrows {
        needs[*to].push(*from);
        feeds[*from] += 1;
    }
    let mut tree = Tree { sketch, needs, shown: vec![false; count], text: String::new() };
    for end in (0..count).filter(|at| feeds[*at] == 0) {
        tree.branch(end, 0, "", "");
    }
    tree.text
}

impl Tree<'_> {
    fn branch(&mut self, at: usize, depth: usize, first: &str, rest: &str) {
        let block = &self.sketch.blocks[at];
        let needs = self.needs[at].clone();
        if depth > DEPTH {
            writeln!(self.text, "{first}…").expect("text grows");
            return;
        }
        if std::mem::replace(&mut self.shown[at], true) {
            let more = if needs.is_empty() { "" } else { " (above)" };
            writeln!(self.text, "{first}{}{more}", block.name).expect("text grows");
            return;
        }
        let numbers = if block.numbers.is_empty() { String::new() } else { format!(" · {}", block.numbers) };
        writeln!(self.text, "{first}{}  {}{numbers}", block.name, block.how).expect("text grows");
        for (i, need) in needs.iter().enumerate() {
            let (elbow, line) = if i + 1 == needs.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            self.branch(*need, depth + 1, &format!("{rest}{elbow}"), &format!("{rest}{line}"));
        }
    }
}
