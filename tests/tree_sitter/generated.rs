//! Texts that the language's grammar derives, in any layout it allows.

use crate::Chance;

/// What may stand between a token and the one before it.
#[derive(Clone, Copy, PartialEq)]
enum Join {
    Any,
    /// Blanks, but no line break: the bracket of a call.
    Line,
    /// Nothing: the bracket of an index, the name of a column.
    Nothing,
    /// A new line, no further in than the statement.
    NewLine,
}

use Join::{Any, Line, Nothing};

const NAMES: &[&str] =
    &["a", "base", "x1", "_hidden", "stage", "type", "with", "model", "use", "recipe", "tuned", "format", "into", "r2", "true", "none"];
const TYPES: &[&str] = &["Model", "Int", "R", "Data", "X_1"];
const KEYS: &[&str] = &["prompt", "for", "not", "Upper", "_x", "to", "use", "keep"];
const NUMBERS: &[&str] = &["0", "12", "1_000", "0.5", "1e-5", "2.5E3", "10%", "2k", "8GiB", "1.5M", "30min", "2h", "5s"];
const DOCS: &[&str] = &["///", "/// What it is.", "///no blank", "/// `a` // b"];

struct Writer<'a> {
    chance: &'a mut Chance,
    text: String,
    depth: usize,
    /// Inside the hole of a text, which stays on its line.
    in_hole: usize,
    indent: usize,
    /// How far in the next line is that goes on with a statement: further than all of it before.
    far: usize,
    /// A line break must follow.
    after_doc: bool,
}

/// A whole file.
pub fn file(chance: &mut Chance) -> String {
    let mut writer = Writer { chance, text: String::new(), depth: 0, in_hole: 0, indent: 0, far: 20, after_doc: false };
    for _ in 0..1 + writer.chance.below(6) {
        writer.docs();
        writer.item();
    }
    if writer.chance.once_in(4) {
        writer.docs();
    }
    writer.text + "\n"
}

impl Writer<'_> {
    fn put(&mut self, token: &str, join: Join) {
        let before = self.text.chars().last().unwrap_or('\n');
        let tight = ",()]}".contains(token.chars().next().unwrap_or(' ')) || "([".contains(before);
        let ends_line = std::mem::take(&mut self.after_doc);
        self.far = if join == Join::NewLine { 20 } else { self.far + 1 };
        let far = " ".repeat(self.far);
        let blank = match join {
            _ if ends_line && self.in_hole == 0 => format!("\n{}", if join == Join::NewLine { " ".repeat(4 * self.indent) } else { far }),
            Join::NewLine => {
                format!("{}{}", self.chance.of(&["\n", "\n", "\n\n", " // note\n", "\n// own\n"]), " ".repeat(4 * self.indent))
            }
            Nothing => String::new(),
            Line => self.chance.of(&["", "", " ", "\t"]).to_owned(),
            Any if self.in_hole > 0 => if tight { "" } else { " " }.to_owned(),
            Any if self.chance.once_in(12) => {
                format!("{}{far}", self.chance.of(&["\n", "\r\n", " // note\n", "\n //// own\n\n\n", " //\n"]))
            }
            Any if tight => self.chance.of(&["", "", " "]).to_owned(),
            Any => self.chance.of(&[" ", " ", "  "]).to_owned(),
        };
        self.text += &blank;
        self.text += token;
    }

    fn word(&mut self, token: &str) {
        self.put(token, Any);
    }

    fn words(&mut self, tokens: &str) {
        tokens.split(' ').for_each(|token| self.word(token));
    }

    fn name(&mut self) {
        let name = self.chance.of(NAMES);
        self.word(name);
    }

    fn type_name(&mut self) {
        let name = self.chance.of(TYPES);
        self.word(name);
    }

    fn docs(&mut self) {
        for _ in 0..self.chance.below(6).saturating_sub(3) {
            let doc = self.chance.of(DOCS);
            self.put(doc, Join::NewLine);
            self.after_doc = true;
        }
    }

    fn maybe(&mut self, n: usize, part: impl FnOnce(&mut Self)) {
        if self.chance.once_in(n) {
            part(self);
        }
    }

    /// Parts with commas between them, perhaps none, perhaps one comma more.
    fn listed(&mut self, least: usize, part: impl Fn(&mut Self)) {
        let count = least + self.chance.below(if self.depth > 3 { 2 } else { 4 });
        for at in 0..count {
            part(self);
            if at + 1 < count || self.chance.once_in(5) {
                self.word(",");
            }
        }
    }

    fn several(&mut self, part: impl Fn(&mut Self)) {
        part(self);
        while self.chance.once_in(3) {
            self.word(",");
            part(self);
        }
    }

    // ── Items ──

    fn item(&mut self) {
        let head = |writer: &mut Self, word: &str| {
            let join = if writer.chance.once_in(8) && !writer.after_doc { Any } else { Join::NewLine };
            writer.put(word, join);
        };
        match self.chance.below(11) {
            0 => {
                head(self, "use");
                self.use_();
            }
            1 => {
                head(self, "param");
                self.binder();
            }
            2 => {
                head(self, "type");
                self.type_name();
                self.word("=");
                self.ty();
            }
            3 | 4 => {
                head(self, "fn");
                self.name();
                self.params();
                self.maybe(2, |w| {
                    w.word("->");
                    w.ty();
                });
                self.word("=");
                self.expr();
            }
            5 => {
                head(self, "objective");
                self.name();
                self.params();
                self.word("for");
                self.ty();
                self.body(Self::objective_statement);
            }
            6 => {
                head(self, "extern");
                self.word("type");
                self.type_name();
                self.maybe(2, Self::generics);
            }
            7 => {
                head(self, "extern");
                let word = self.chance.of(&["fn", "stage"]);
                self.word(word);
                self.signature();
            }
            8 => {
                head(self, "stage");
                self.signature();
                self.stage_body();
            }
            9 => {
                head(self, "recipe");
                self.name();
                self.maybe(2, |w| w.text(false));
                self.body(Self::recipe_statement);
            }
            _ => {
                head(self, "profile");
                self.name();
                self.body(Self::profile_statement);
            }
        }
    }

    fn use_(&mut self) {
        let from_file = self.chance.once_in(3);
        if from_file {
            self.text(false);
        } else {
            self.word("std");
            while self.chance.once_in(3) {
                self.put(".", Nothing);
                let key = self.chance.of(KEYS);
                self.put(key, Nothing);
            }
        }
        if from_file || self.chance.once_in(2) {
            let join = self.chance.of(&[Nothing, Line]);
            self.put(".", join);
            self.word("{");
            self.several(|w| if w.chance.once_in(3) { w.type_name() } else { w.name() });
            self.maybe(3, |w| w.word(","));
            self.word("}");
        }
    }

    fn binder(&mut self) {
        self.maybe(6, |w| w.word("trained"));
        self.name();
        self.maybe(2, |w| {
            w.word(":");
            w.ty();
        });
        self.maybe(2, |w| {
            w.word("=");
            w.expr();
        });
    }

    fn params(&mut self) {
        self.word("(");
        self.listed(0, |w| {
            w.docs();
            if w.chance.once_in(6) {
                w.word("...");
                w.name();
                w.word(":");
                w.ty();
            } else {
                w.binder();
            }
        });
        self.word(")");
    }

    fn generics(&mut self) {
        self.word("<");
        self.several(|w| {
            w.type_name();
            w.maybe(2, |w| {
                w.word(":");
                w.ty();
            });
        });
        self.word(">");
    }

    fn signature(&mut self) {
        self.name();
        self.maybe(3, Self::generics);
        self.params();
        self.word("->");
        self.ty();
        self.maybe(3, |w| {
            w.word("with");
            w.record_type();
        });
    }

    // ── Statements ──

    fn body(&mut self, statement: impl Fn(&mut Self)) {
        self.word("{");
        self.indent += 1;
        for _ in 0..self.chance.below(4) {
            self.docs();
            statement(self);
        }
        self.maybe(8, Self::docs);
        self.indent -= 1;
        self.put("}", Join::NewLine);
    }

    /// The first word of a statement, which need not begin a line.
    fn begin(&mut self, word: &str) {
        let join = if self.chance.once_in(8) && !self.after_doc { Any } else { Join::NewLine };
        self.put(word, join);
    }

    fn bind(&mut self) {
        let name = self.chance.of(NAMES);
        self.begin(name);
        self.word("=");
        self.value();
    }

    fn recipe_statement(&mut self) {
        match self.chance.below(6) {
            0 => self.promise("expect"),
            1 => self.promise("gate"),
            2 => {
                self.begin("export");
                self.expr();
                self.word("to");
                self.text(true);
                self.maybe(3, |w| w.words("as q8_0"));
            }
            _ => self.bind(),
        }
    }

    fn promise(&mut self, word: &str) {
        self.begin(word);
        self.expr();
        self.maybe(2, |w| {
            w.word(",");
            w.text(false);
        });
    }

    fn objective_statement(&mut self) {
        match self.chance.below(5) {
            0 => {
                self.begin("loss");
                self.word("=");
                self.expr();
                self.maybe(3, |w| {
                    w.word("weighted");
                    w.expr();
                });
            }
            1 => {
                self.begin("metric");
                self.name();
                self.maybe(2, |w| {
                    w.word("=");
                    w.expr();
                });
            }
            2 => {
                self.begin("state");
                self.name();
                self.word("=");
                self.expr();
                self.word("then");
                self.expr();
            }
            _ => self.bind(),
        }
    }

    fn profile_statement(&mut self) {
        if self.chance.once_in(2) {
            self.begin("limit");
            self.name();
            self.word("=");
            self.expr();
        } else {
            self.bind();
        }
    }

    fn stage_body(&mut self) {
        self.word("{");
        self.indent += 1;
        for _ in 0..self.chance.below(3) {
            self.docs();
            self.bind();
        }
        self.docs();
        // A result begins a line, and with nothing that would go on with the line before.
        self.depth += 1;
        match self.chance.below(5) {
            0 => {
                self.put("train", Join::NewLine);
                self.args();
            }
            1 => {
                self.put("{", Join::NewLine);
                self.listed(0, Self::entry);
                self.word("}");
            }
            2 => {
                self.put("(", Join::NewLine);
                self.expr();
                self.word(")");
                self.accesses();
            }
            3 => {
                self.put("if", Join::NewLine);
                self.rest_of_if();
            }
            _ => {
                self.put("part", Join::NewLine);
                self.accesses();
            }
        }
        self.depth -= 1;
        self.indent -= 1;
        self.put("}", Join::NewLine);
    }

    fn value(&mut self) {
        match self.chance.below(8) {
            0 if self.depth < 2 => self.repeat(),
            1 if self.depth < 2 => {
                self.depth += 1;
                self.word("sweep");
                self.several(|w| {
                    w.name();
                    w.word("in");
                    w.expr();
                });
                self.body(Self::recipe_statement);
                self.maybe(2, |w| {
                    w.word("keep");
                    w.expr();
                });
                self.depth -= 1;
            }
            _ => self.expr(),
        }
    }

    fn repeat(&mut self) {
        self.depth += 1;
        self.word("repeat");
        self.name();
        self.word("in");
        self.expr();
        self.maybe(2, |w| {
            w.word("carrying");
            w.several(|w| {
                w.name();
                w.word("=");
                w.expr();
            });
        });
        self.body(Self::recipe_statement);
        for word in ["until", "keep"] {
            self.maybe(3, |w| {
                w.word(word);
                w.expr();
            });
        }
        self.depth -= 1;
    }

    // ── Types ──

    fn ty(&mut self) {
        self.depth += 1;
        self.type_sum();
        self.maybe(6, |w| {
            w.word("->");
            w.type_sum();
        });
        self.depth -= 1;
    }

    fn type_sum(&mut self) {
        self.type_atom();
        while self.chance.once_in(6) {
            self.word("+");
            self.type_atom();
        }
    }

    fn type_atom(&mut self) {
        match self.chance.below(if self.depth > 3 { 6 } else { 11 }) {
            0 => {
                self.name();
                self.word("|");
                self.name();
            }
            1..=5 => self.type_name(),
            6 | 7 => {
                self.type_name();
                self.word("<");
                self.several(Self::ty);
                self.word(">");
            }
            8 => {
                self.word("[");
                self.ty();
                self.word("]");
            }
            9 => {
                self.word("(");
                self.ty();
                self.word(")");
            }
            _ => self.record_type(),
        }
        self.maybe(5, |w| {
            w.word("in");
            w.bound();
            let sign = w.chance.of(&["..", "..="]);
            w.word(sign);
            w.bound();
        });
        self.maybe(6, |w| w.word("?"));
    }

    fn bound(&mut self) {
        self.maybe(2, |w| {
            w.maybe(4, |w| w.word("-"));
            w.word("1.5");
        });
    }

    fn record_type(&mut self) {
        self.word("{");
        self.listed(0, |w| {
            if w.chance.once_in(6) {
                w.word("...");
                w.type_name();
                return;
            }
            w.docs();
            let key = w.chance.of(KEYS);
            w.word(key);
            w.word(":");
            w.ty();
            w.maybe(4, |w| {
                w.word("=");
                w.expr();
            });
        });
        self.word("}");
    }

    // ── Expressions ──

    fn expr(&mut self) {
        self.depth += 1;
        if self.chance.once_in(10) && self.depth < 5 {
            self.word("if");
            self.rest_of_if();
        } else {
            self.chain();
        }
        self.depth -= 1;
    }

    fn rest_of_if(&mut self) {
        self.chain();
        self.word("then");
        self.expr();
        self.word("else");
        self.expr();
    }

    fn chain(&mut self) {
        self.comparison();
        while self.chance.once_in(6) {
            let word = self.chance.of(&["and", "or"]);
            self.word(word);
            self.comparison();
        }
    }

    fn comparison(&mut self) {
        self.maybe(8, |w| w.word("not"));
        self.arithmetic();
        self.maybe(6, |w| {
            let sign = w.chance.of(&["==", "!=", "<", "<=", ">", ">="]);
            w.word(sign);
            w.maybe(8, |w| w.word("not"));
            w.arithmetic();
        });
    }

    fn arithmetic(&mut self) {
        self.unary();
        while self.chance.once_in(4) {
            let sign = self.chance.of(&["+", "-", "*", "/", "^", "..", "..="]);
            self.word(sign);
            self.unary();
        }
    }

    fn unary(&mut self) {
        self.maybe(10, |w| w.word("-"));
        self.postfix();
    }

    fn postfix(&mut self) {
        match self.chance.below(if self.depth > 4 { 5 } else { 10 }) {
            0 => {
                let number = self.chance.of(NUMBERS);
                self.word(number);
            }
            1 => {
                self.word(".");
                let key = self.chance.of(KEYS);
                self.put(key, Nothing);
            }
            2 | 3 => self.name(),
            4 => self.text(true),
            5 | 6 => {
                self.name();
                self.args();
            }
            7 => {
                let (open, close) = self.chance.of(&[("[", "]"), ("{", "}")]);
                self.word(open);
                let named = open == "{";
                self.listed(0, |w| if named { w.entry() } else { w.item_of_list() });
                self.word(close);
            }
            8 => {
                self.word("(");
                self.expr();
                self.maybe(4, |w| {
                    w.words("as { a : Int }");
                    w.maybe(2, |w| w.word("?"));
                });
                self.word(")");
            }
            _ => {
                self.name();
                self.accesses();
            }
        }
        self.maybe(8, Self::index);
    }

    fn index(&mut self) {
        self.put("[", Nothing);
        self.expr();
        self.word("]");
    }

    fn accesses(&mut self) {
        while self.chance.once_in(2) {
            let join = if self.chance.once_in(4) { Any } else { Nothing };
            self.put(".", join);
            let (key, join) = (self.chance.of(KEYS), if self.chance.once_in(8) { Any } else { Nothing });
            self.put(key, join);
            self.maybe(2, Self::args);
            self.maybe(6, Self::index);
        }
    }

    fn args(&mut self) {
        self.depth += 1;
        self.put("(", Line);
        self.listed(0, Self::entry);
        self.word(")");
        self.depth -= 1;
    }

    fn entry(&mut self) {
        if self.chance.once_in(2) {
            let key = self.chance.of(KEYS);
            self.word(key);
            self.word(":");
            self.expr();
        } else {
            self.item_of_list();
        }
    }

    fn item_of_list(&mut self) {
        self.maybe(6, |w| w.word("..."));
        self.expr();
    }

    // ── Texts ──

    fn text(&mut self, holes: bool) {
        let kind = self.chance.below(if self.in_hole > 0 { 5 } else { 7 });
        match kind {
            0 => self.word(r#"r"\d{2} // '""#),
            5 | 6 => {
                self.word("\"\"\"");
                self.parts(holes, &["\n", "\n    one", " \"two\" ", "\"\" ", " // no comment ", "{{", "}}", "\\n", "\\\"", "é"]);
                self.text += "\n\"\"\"";
            }
            _ => {
                self.word("\"");
                self.parts(holes, &["one two", " ", "// no comment", "'", "é", "#", "{{", "}}", "\\n", "\\\"", "\\\\", "/// "]);
                self.text.push('"');
            }
        }
    }

    fn parts(&mut self, holes: bool, parts: &[&str]) {
        for _ in 0..self.chance.below(5) {
            if holes && self.in_hole < 2 && self.chance.once_in(3) {
                self.text += "{ ";
                self.in_hole += 1;
                self.depth += 3;
                self.expr();
                self.depth -= 3;
                self.in_hole -= 1;
                self.text += " }";
            } else {
                self.text += self.chance.of(parts);
            }
        }
    }
}
