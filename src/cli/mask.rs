//! A sequence as a network reads it, what is scored told apart: painted on a terminal, between ⟦ and ⟧ elsewhere.

use crate::model::{TokenSequence, Tokenizer};

/// Stand for the marks while lines are wrapped: characters of no script, one column wide.
const OPEN: char = '\u{e000}';
const CLOSE: char = '\u{e001}';

/// The text of a sequence with a mark at both ends of every scored stretch.
pub(super) fn marked(tokenizer: &Tokenizer, sequence: &TokenSequence) -> String {
    let mut text = tokenizer.show(sequence.prompt());
    let ids = sequence.completion();
    let mut from = 0;
    while from < ids.len() {
        let scored = sequence.is_scored(from);
        let to = (from..ids.len()).find(|at| sequence.is_scored(*at) != scored).unwrap_or(ids.len());
        let stretch = tokenizer.show(&ids[from..to]);
        text += &if scored { format!("{OPEN}{stretch}{CLOSE}") } else { stretch };
        from = to;
    }
    text.replace('\n', "⏎\n")
}

/// Lines of a marked text, painted.
pub(super) fn paint(lines: impl IntoIterator<Item = String>, coloured: bool) -> Vec<String> {
    let mut inside = false;
    let mut painted = Vec::new();
    for line in lines {
        let mut text = String::new();
        let mut run = String::new();
        let flush = |run: &mut String, inside: bool, text: &mut String| {
            let style = console::Style::new().force_styling(true).green();
            *text += &if inside && coloured && !run.is_empty() { style.apply_to(&run).to_string() } else { run.clone() };
            run.clear();
        };
        for c in line.chars() {
            if c != OPEN && c != CLOSE {
                run.push(c);
                continue;
            }
            flush(&mut run, inside, &mut text);
            inside = c == OPEN;
            if !coloured {
                text.push(if inside { '⟦' } else { '⟧' });
            }
        }
        flush(&mut run, inside, &mut text);
        painted.push(text);
    }
    painted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_ends_with_its_line_and_goes_on_in_the_next() {
        let lines = || [format!("a {OPEN}b"), format!("c{CLOSE} d")];
        assert_eq!(paint(lines(), false), ["a ⟦b", "c⟧ d"]);
        assert_eq!(paint(lines(), true), ["a \u{1b}[32mb\u{1b}[0m", "\u{1b}[32mc\u{1b}[0m d"]);
    }
}
