//! A document of texts and possible line breaks, and how it is laid out in lines.
//!
//! After Wadler, "A prettier printer": a group is written flat when that fits, and with all its own breaks otherwise.
//! A group that must break does not make the groups around it break.

const WIDTH: usize = 110;
const INDENT: usize = 4;

/// A piece of a document.
#[derive(Debug)]
pub(super) enum Doc {
    Text(String),
    /// A blank, or a line break.
    Line,
    /// Nothing, or a line break.
    SoftLine,
    /// A line break.
    Hard,
    /// An empty line before what comes next.
    Blank,
    /// A comment on a line of its own.
    Comment(String),
    /// A comment at the end of the line before.
    Trailing(String),
    /// A text that stands only where the group is broken.
    IfBroken(&'static str),
    Nest(Vec<Doc>),
    Group {
        docs: Vec<Doc>,
        broken: bool,
    },
}

/// Lays a document out.
pub(super) fn print(docs: &[Doc]) -> String {
    let mut page = Page { text: String::new(), column: 0, breaks: 0, indent: 0 };
    let mut work: Vec<(usize, bool, &Doc)> = docs.iter().rev().map(|doc| (0, false, doc)).collect();
    while let Some((indent, flat, doc)) = work.pop() {
        match doc {
            Doc::Text(text) => page.write(text),
            Doc::IfBroken(text) if !flat => page.write(text),
            Doc::Line if flat => page.write(" "),
            Doc::IfBroken(_) | Doc::SoftLine if flat => {}
            Doc::Line | Doc::SoftLine | Doc::Hard => page.breaks_to(indent),
            Doc::Blank => page.breaks = 2,
            Doc::Comment(text) => page.comment(text, indent),
            Doc::Trailing(text) => page.trail(text, indent),
            Doc::Nest(docs) => work.extend(docs.iter().rev().map(|doc| (indent + INDENT, flat, doc))),
            Doc::Group { docs, broken } => {
                let start = if page.breaks > 0 { page.indent } else { page.column };
                let flat = !broken && fits(docs, &work, WIDTH.saturating_sub(start));
                work.extend(docs.iter().rev().map(|doc| (indent, flat, doc)));
            }
            Doc::IfBroken(_) => {}
        }
    }
    if !page.text.is_empty() {
        page.text.push('\n');
    }
    page.text
}

/// Whether a group's documents, flat, and what follows up to the next line break take at most `room` columns.
fn fits(docs: &[Doc], rest: &[(usize, bool, &Doc)], room: usize) -> bool {
    let mut room = room;
    // what follows is looked at only as far as the line goes: a file may be long
    let mut after = rest.iter().rev().map(|(_, flat, doc)| (*flat, *doc));
    let mut work: Vec<(bool, &Doc)> = docs.iter().rev().map(|doc| (true, doc)).collect();
    while let Some((flat, doc)) = work.pop().or_else(|| after.next()) {
        let text: &str = match doc {
            Doc::Text(text) => text,
            Doc::Line if flat => " ",
            Doc::IfBroken(_) | Doc::SoftLine if flat => "",
            Doc::IfBroken(text) => text,
            Doc::Line | Doc::SoftLine | Doc::Hard | Doc::Blank | Doc::Comment(_) | Doc::Trailing(_) => return true,
            Doc::Nest(docs) => {
                work.extend(docs.iter().rev().map(|doc| (flat, doc)));
                continue;
            }
            Doc::Group { docs, broken } => {
                // Behind the group in question the next one can still break.
                work.extend(docs.iter().rev().map(|doc| (flat && !broken, doc)));
                continue;
            }
        };
        let line = text.split('\n').next().unwrap_or_default();
        match room.checked_sub(line.chars().count()) {
            Some(left) => room = left,
            None => return false,
        }
        if line.len() < text.len() {
            return true;
        }
    }
    true
}

/// Lines as they come to be. Breaks are written only once something follows them.
struct Page {
    text: String,
    column: usize,
    /// Line breaks to write before the next text, and how far it is indented then.
    breaks: usize,
    indent: usize,
}

impl Page {
    fn breaks_to(&mut self, indent: usize) {
        self.breaks = self.breaks.max(1);
        self.indent = indent;
    }

    /// A comment on a line of its own: where a new line begins anyway, or else one level deeper.
    fn comment(&mut self, text: &str, indent: usize) {
        if self.breaks == 0 {
            self.breaks_to(indent + INDENT);
        }
        self.write(text);
        self.breaks = 1;
    }

    fn write(&mut self, text: &str) {
        let text = if self.breaks > 0 { text.trim_start_matches(' ') } else { text };
        if text.is_empty() {
            return;
        }
        if self.breaks > 0 && !self.text.is_empty() {
            self.text.truncate(self.text.trim_end_matches(' ').len());
            self.text.extend(std::iter::repeat_n('\n', self.breaks));
            self.text.extend(std::iter::repeat_n(' ', self.indent));
            self.column = self.indent;
        }
        self.breaks = 0;
        self.text.push_str(text);
        self.column = match text.rfind('\n') {
            Some(at) => text[at + 1..].chars().count(),
            None => self.column + text.chars().count(),
        };
    }

    /// A comment at the end of the line; what follows it in the middle of something goes on one level deeper.
    fn trail(&mut self, text: &str, indent: usize) {
        if self.breaks == 0 {
            self.breaks_to(indent + INDENT);
        }
        self.text.truncate(self.text.trim_end_matches(' ').len());
        self.text.push(' ');
        self.text.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(args: &[&str], broken: bool) -> Doc {
        let mut inside = Vec::new();
        for (at, arg) in args.iter().enumerate() {
            inside.push(if at == 0 { Doc::SoftLine } else { Doc::Line });
            inside.push(Doc::Text((*arg).to_owned()));
            inside.push(if at + 1 == args.len() { Doc::IfBroken(",") } else { Doc::Text(",".to_owned()) });
        }
        let docs = vec![Doc::Text("f(".to_owned()), Doc::Nest(inside), Doc::SoftLine, Doc::Text(")".to_owned())];
        Doc::Group { docs, broken }
    }

    #[test]
    fn a_group_is_flat_when_it_fits() {
        assert_eq!(print(&[call(&["a", "b"], false)]), "f(a, b)\n");
        assert_eq!(print(&[call(&["a", "b"], true)]), "f(\n    a,\n    b,\n)\n");
        let long = "x".repeat(60);
        assert_eq!(print(&[call(&[&long, &long], false)]), format!("f(\n    {long},\n    {long},\n)\n"));
    }

    #[test]
    fn what_follows_must_fit_too() {
        let rest = Doc::Text("y".repeat(107));
        assert_eq!(print(&[call(&["a"], false), rest]), format!("f(\n    a,\n){}\n", "y".repeat(107)));
    }

    #[test]
    fn comments_end_their_line() {
        let text = |text: &str| Doc::Text(text.to_owned());
        let docs = [text("a"), Doc::Trailing("// one".to_owned()), text(" = "), Doc::Comment("// two".to_owned()), text("b")];
        assert_eq!(print(&docs), "a // one\n    = \n    // two\n    b\n".replace("= \n", "=\n"));
    }

    #[test]
    fn at_most_one_empty_line_is_kept() {
        let text = |text: &str| Doc::Text(text.to_owned());
        assert_eq!(print(&[text("a"), Doc::Hard, Doc::Blank, Doc::Blank, text("b"), Doc::Hard]), "a\n\nb\n");
        assert_eq!(print(&[Doc::Hard, Doc::Blank, text("a")]), "a\n");
        assert_eq!(print(&[]), "");
    }
}
