//! How items and statements are written.

use super::{Doc, Marks, Writer, all};
use crate::syntax::grammar::{Pair, Rule};
use crate::syntax::parse::child;

impl<'a> Writer<'a> {
    pub(super) fn file(&mut self, pair: Pair<'a>) {
        let end = self.text.len();
        let nodes: Vec<Pair<'a>> = pair.into_inner().filter(|node| node.as_rule() != Rule::EOI).collect();
        self.lines(nodes.into_iter(), true);
        self.comments_at_end(end);
    }

    /// Items or statements, each on a line of its own; empty lines set items with bodies `apart`.
    fn lines(&mut self, nodes: impl Iterator<Item = Pair<'a>>, apart: bool) {
        let mut after_body = false;
        for (at, node) in nodes.enumerate() {
            let has_body = apart && node.clone().into_inner().any(|item| child(&item, Rule::body).is_some());
            if at > 0 {
                self.out.push(Doc::Hard);
            }
            if at > 0 && (has_body || after_body) {
                self.out.push(Doc::Blank);
            }
            after_body = has_body;
            if at == 0 {
                self.comments_first(node.as_span().start());
            } else {
                self.comments_before(node.as_span().start(), true);
            }
            self.docs(&node);
            node.into_inner().filter(|inner| inner.as_rule() != Rule::doc).for_each(|inner| self.line(inner));
        }
    }

    /// The `///` lines of a pair.
    pub(super) fn docs(&mut self, pair: &Pair<'a>) {
        for doc in all(pair, Rule::doc) {
            self.leaf(&doc);
            self.out.push(Doc::Hard);
        }
    }

    fn line(&mut self, pair: Pair<'a>) {
        match pair.as_rule() {
            Rule::use_ => self.use_item(&pair),
            Rule::fn_ => self.fn_item(pair),
            Rule::expect | Rule::gate => self.check(pair),
            _ => self.words(pair),
        }
    }

    /// A pair whose parts stand one after the other, with a blank where words meet.
    fn words(&mut self, pair: Pair<'a>) {
        let mut several = false;
        for inner in pair.into_inner() {
            match inner.as_rule() {
                // The bindings in the head of a loop.
                Rule::carried | Rule::axis => {
                    if std::mem::replace(&mut several, true) {
                        self.say(", ");
                    }
                    self.words(inner);
                }
                Rule::colon => self.say(": "),
                Rule::equals | Rule::assign => self.between(&inner, " = "),
                Rule::arrow => self.between(&inner, " -> "),
                Rule::kw_with => self.between(&inner, " with "),
                Rule::kw_to => self.between(&inner, " to "),
                Rule::kw_as => self.between(&inner, " as "),
                Rule::kw_then => self.between(&inner, " then "),
                Rule::kw_weighted => self.between(&inner, " weighted "),
                Rule::kw_for => self.between(&inner, " for "),
                Rule::kw_in => self.between(&inner, " in "),
                Rule::kw_carrying => self.between(&inner, " carrying "),
                Rule::kw_param
                | Rule::kw_type
                | Rule::kw_objective
                | Rule::kw_extern
                | Rule::kw_fn
                | Rule::kw_stage
                | Rule::kw_recipe
                | Rule::kw_profile
                | Rule::kw_trained
                | Rule::kw_export
                | Rule::kw_loss
                | Rule::kw_metric
                | Rule::kw_state
                | Rule::kw_limit
                | Rule::kw_repeat
                | Rule::kw_sweep
                | Rule::kw_until
                | Rule::kw_keep => self.word(&inner),
                _ => self.part(inner),
            }
        }
    }

    /// A word or sign between two others, after the comments before it.
    fn between(&mut self, pair: &Pair<'a>, text: &str) {
        self.comments_before(pair.as_span().start(), false);
        self.say(text);
    }

    /// A word that begins something: no blank follows where an operator brings its own.
    fn word(&mut self, pair: &Pair<'a>) {
        self.leaf(pair);
        if pair.as_rule() != Rule::kw_loss {
            self.say(" ");
        }
    }

    fn part(&mut self, pair: Pair<'a>) {
        match pair.as_rule() {
            Rule::expr => self.value(pair),
            Rule::type_expr => self.type_expr(pair),
            Rule::record_type => self.record_type(&pair),
            Rule::generics => self.generics(pair),
            Rule::params => self.params(&pair),
            Rule::body => self.body(&pair),
            Rule::text => self.titled(&pair),
            Rule::signature | Rule::binder | Rule::out_type | Rule::repeat | Rule::sweep | Rule::export_form => self.words(pair),
            Rule::until | Rule::keep => {
                self.say(" ");
                self.words(pair);
            }
            _ => self.leaf(&pair),
        }
    }

    /// A value at the end of a statement.
    fn value(&mut self, pair: Pair<'a>) {
        self.expr(pair);
    }

    /// A title stands apart from the name, a path from its `to`, which brings its own blank.
    fn titled(&mut self, pair: &Pair<'a>) {
        if !matches!(self.out.last(), Some(Doc::Text(text)) if text.ends_with(' ')) {
            self.say(" ");
        }
        self.leaf(pair);
    }

    fn use_item(&mut self, pair: &Pair<'a>) {
        let used = all(pair, Rule::used);
        for inner in pair.clone().into_inner().filter(|inner| inner.as_rule() != Rule::used) {
            self.leaf(&inner);
            if inner.as_rule() == Rule::kw_use {
                self.say(" ");
            }
        }
        let Some(first) = used.first() else { return };
        self.say(".");
        let brace = self.text[..first.as_span().start()].rfind('{').expect("names stand in braces");
        let broken = self.text[brace..first.as_span().start()].contains('\n');
        let last = used.len();
        self.group(broken, |writer| {
            writer.say(Marks::NAMES.open);
            writer.nest(|writer| {
                for (at, name) in used.iter().enumerate() {
                    writer.out.push(if at == 0 { Doc::SoftLine } else { Doc::Line });
                    writer.leaf(name);
                    writer.out.push(if at + 1 == last { Doc::IfBroken(",") } else { Doc::Text(",".to_owned()) });
                }
            });
            writer.out.push(Doc::SoftLine);
            writer.say(Marks::NAMES.close);
        });
    }

    /// A formula stands behind the `=`, or on a line of its own.
    fn fn_item(&mut self, pair: Pair<'a>) {
        let body = child(&pair, Rule::expr);
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::kw_fn => self.word(&inner),
                Rule::arrow => self.between(&inner, " -> "),
                Rule::equals => self.between(&inner, " ="),
                Rule::expr => {}
                _ => self.part(inner),
            }
        }
        let body = body.expect("a function has a body");
        let broken = self.begins_line(&body);
        if broken || is_flat(&body) {
            self.group(broken, |writer| {
                writer.nest(|writer| {
                    writer.out.push(Doc::Line);
                    writer.value(body);
                });
            });
        } else {
            self.say(" ");
            self.value(body);
        }
    }

    /// `expect` and `gate`.
    fn check(&mut self, pair: Pair<'a>) {
        self.group(false, |writer| {
            for inner in pair.into_inner() {
                match inner.as_rule() {
                    Rule::expr => writer.value(inner),
                    Rule::message => writer.nest(|writer| {
                        writer.say(",");
                        writer.out.push(Doc::Line);
                        inner.into_inner().for_each(|text| writer.leaf(&text));
                    }),
                    _ => writer.word(&inner),
                }
            }
        });
    }

    fn generics(&mut self, pair: Pair<'a>) {
        for (at, generic) in pair.into_inner().enumerate() {
            self.say(if at == 0 { "<" } else { ", " });
            for inner in generic.into_inner() {
                if inner.as_rule() == Rule::type_expr {
                    self.say(": ");
                    self.type_expr(inner);
                } else {
                    self.leaf(&inner);
                }
            }
        }
        self.say(">");
    }

    fn params(&mut self, pair: &Pair<'a>) {
        self.bracketed(pair, all(pair, Rule::parameter), Marks::ROUND, |writer, parameter| {
            writer.docs(&parameter);
            for inner in parameter.into_inner() {
                match inner.as_rule() {
                    Rule::binder => writer.words(inner),
                    Rule::rest => {
                        writer.say("...");
                        writer.words(inner);
                    }
                    _ => {}
                }
            }
        });
    }

    fn body(&mut self, pair: &Pair<'a>) {
        let end = pair.as_span().start() + pair.as_str().trim_end().len();
        let start = pair.as_span().start();
        self.comments_before(start, false);
        if !matches!(self.out.last(), Some(Doc::Text(text)) if text.ends_with(' ')) {
            self.say(" ");
        }
        if pair.clone().into_inner().next().is_none() && !self.has_comment(start, end) {
            self.say("{}");
            self.last = end;
            return;
        }
        self.say("{");
        self.last = start + 1;
        self.nest(|writer| {
            writer.out.push(Doc::Hard);
            writer.lines(pair.clone().into_inner(), false);
            writer.comments_at_end(end - 1);
        });
        self.out.push(Doc::Hard);
        self.say("}");
        self.last = end;
    }
}

/// Whether a formula has neither brackets to break at nor a chain of calls: operators alone.
fn is_flat(expr: &Pair<'_>) -> bool {
    let mut inner = expr.clone().into_inner();
    let chain = inner.next().filter(|chain| chain.as_rule() == Rule::chain);
    inner.next().is_some() || chain.is_none_or(|chain| chain.into_inner().nth(1).is_some())
}
