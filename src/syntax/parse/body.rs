//! Bodies: which statement belongs where, and which lines are sound.
//!
//! One rule of the grammar reads the bodies of recipes, objectives, stages and profiles alike, so that a statement
//! in the wrong body gets a message of its own.

use std::sync::Arc;

use super::{Builder, child, doc, whole};
use crate::syntax::diagnose::{self, Junk};
use crate::syntax::faults;
use crate::syntax::grammar::{Expected, Pair, Rule};
use crate::syntax::mistake::{Found, Home, Mistake};
use crate::syntax::scan::{TokenKind, is_item_word};
use crate::syntax::span::Span;
use crate::syntax::tree::{
    Bind, Expr, ExprKind, Name, ObjectiveKind, ObjectiveStatement, Repeat, Setting, Statement, StatementKind, Sweep,
};

impl Home {
    /// The home that an item's body is, by the item's first word.
    pub(super) fn of_item(word: &str) -> Self {
        match word {
            "objective" => Self::Objective,
            "stage" => Self::Stage,
            "profile" => Self::Profile,
            _ => Self::Recipe,
        }
    }

    /// Whether a statement of this rule may stand here.
    fn takes(self, rule: Rule) -> bool {
        match self {
            Self::File => false,
            Self::Recipe | Self::Round => matches!(rule, Rule::bind | Rule::expect | Rule::gate | Rule::export),
            Self::Objective => matches!(rule, Rule::bind | Rule::loss | Rule::metric | Rule::state),
            Self::Stage => matches!(rule, Rule::bind | Rule::loose),
            Self::Profile => matches!(rule, Rule::bind | Rule::limit),
        }
    }
}

/// A statement of any body, built as far as all bodies agree.
pub(super) struct Built<'a> {
    doc: String,
    span: Span,
    form: Pair<'a>,
    name: Option<Name>,
    /// The value, then what follows it: a weight, a next state.
    values: Vec<Expr>,
    text: Option<String>,
}

impl<'a> Builder<'a> {
    pub(super) fn recipe_body(&mut self, body: Pair<'a>) -> Vec<Statement> {
        self.recipe_statements(body, Home::Recipe)
    }

    fn recipe_statements(&mut self, body: Pair<'a>, home: Home) -> Vec<Statement> {
        let built = self.statements(body, home);
        built.into_iter().filter_map(|built| self.recipe_statement(built)).collect()
    }

    fn recipe_statement(&mut self, built: Built<'a>) -> Option<Statement> {
        let Built { doc, span, form, name, values, text } = built;
        let value = values.into_iter().next()?;
        let kind = match form.as_rule() {
            Rule::bind => StatementKind::Bind { name: name?, value },
            Rule::expect => StatementKind::Expect { condition: value, message: text },
            Rule::gate => StatementKind::Gate { condition: value, message: text },
            Rule::export => {
                let path = child(&form, Rule::text)?;
                let path = Expr { span: self.span(&path), kind: ExprKind::Text(self.text(path)?) };
                let form = child(&form, Rule::export_form).and_then(|form| child(&form, Rule::name));
                StatementKind::Export { value, path, form: form.map(|name| self.name(&name)) }
            }
            _ => return None,
        };
        Some(Statement { doc, span, kind })
    }

    pub(super) fn objective_body(&mut self, body: Pair<'a>) -> Vec<ObjectiveStatement> {
        self.statements(body, Home::Objective).into_iter().filter_map(objective_statement).collect()
    }

    /// The bindings of a stage and its result; none without a sound result.
    pub(super) fn stage_body(&mut self, body: Pair<'a>) -> Option<(Vec<Bind>, Expr)> {
        let (reported, span) = (self.mistakes.len(), self.span(&body));
        let mut binds = Vec::new();
        let mut result: Option<Expr> = None;
        for built in self.statements(body, Home::Stage) {
            let Built { doc, name, values, span, .. } = built;
            if let Some(idle) = result.take() {
                self.mistakes.push((Mistake::UnnamedValue { home: Home::Stage }, idle.span));
            }
            match (name, values.into_iter().next()) {
                (Some(name), Some(value)) => binds.push(Bind { doc, name, value }),
                (None, Some(value)) => result = Some(Expr { span, ..value }),
                _ => {}
            }
        }
        if result.is_none() && self.mistakes.len() == reported && !self.scan.has_mistake(span) {
            let end = span.end as usize;
            self.mistakes.push((Mistake::NoResult, Span::new(self.file, end.saturating_sub(1), end)));
        }
        result.map(|result| (binds, result))
    }

    pub(super) fn profile_body(&mut self, body: Pair<'a>) -> Vec<Setting> {
        let built = self.statements(body, Home::Profile).into_iter();
        built.filter_map(setting).collect()
    }

    /// The statements of a body that are sound and may stand in `home`; all others are reported.
    pub(super) fn statements(&mut self, body: Pair<'a>, home: Home) -> Vec<Built<'a>> {
        let nodes = self.sound(body.into_inner().collect(), home);
        nodes.into_iter().filter_map(|node| self.statement(node, home)).collect()
    }

    fn statement(&mut self, pair: Pair<'a>, home: Home) -> Option<Built<'a>> {
        let doc = doc(&pair);
        let form = pair.clone().into_inner().find(|inner| inner.as_rule() != Rule::doc)?;
        let span = self.span(&form);
        let name = child(&form, Rule::name).map(|name| self.name(&name));
        let names = name.iter().cloned().collect();
        self.whole_or_broken(pair, names, |builder, _| {
            let values = builder.values(&form);
            builder.value_below(&form, span);
            if !home.takes(form.as_rule()) {
                builder.misplaced(&form, span, home);
                return None;
            }
            let text = match child(&form, Rule::message) {
                Some(message) => Some(builder.plain_text(child(&message, Rule::text)?)?),
                None => None,
            };
            Some(Built { doc, span, form, name, values: values?, text })
        })
    }

    /// `a =`, and on the next line something that is not indented further: the value was forgotten.
    fn value_below(&mut self, form: &Pair<'_>, span: Span) {
        let (Some(assign), Some(value)) = (child(form, Rule::assign), child(form, Rule::expr)) else { return };
        let (assign, value) = (self.span(&assign), self.span(&value));
        let is_below = self.source[assign.end as usize..value.start as usize].contains('\n');
        if is_below && self.indent(value) <= self.indent(span) {
            let end = assign.end as usize;
            let mistake = Mistake::Unexpected { expected: Expected::value(), found: Found::LineEnd };
            self.report((mistake, Span::new(self.file, end, end)));
        }
    }

    fn misplaced(&mut self, form: &Pair<'_>, span: Span, home: Home) {
        if form.as_rule() == Rule::loose {
            self.mistakes.push((Mistake::UnnamedValue { home }, span));
        } else {
            let word = self.source[span.range()].split_whitespace().next().unwrap_or_default();
            let span = Span::new(self.file, span.start as usize, span.start as usize + word.len());
            self.mistakes.push((Mistake::Misplaced { word: word.to_owned(), home }, span));
        }
    }

    /// The values of a statement, in order.
    fn values(&mut self, form: &Pair<'a>) -> Option<Vec<Expr>> {
        let values = form.clone().into_inner().filter_map(|inner| match inner.as_rule() {
            Rule::expr => Some(self.expr(inner)),
            Rule::repeat => Some(self.repeat(inner)),
            Rule::sweep => Some(self.sweep(inner)),
            _ => None,
        });
        whole(values.collect())
    }

    fn repeat(&mut self, pair: Pair<'a>) -> Option<Expr> {
        let span = self.span(&pair);
        let body = self.recipe_statements(child(&pair, Rule::body)?, Home::Round);
        let carried = pair.clone().into_inner().filter(|inner| inner.as_rule() == Rule::carried);
        let carried = carried.map(|carried| self.named_value(&carried)).collect();
        let range = self.expr(child(&pair, Rule::expr)?);
        let until = self.after_word(&pair, Rule::until);
        let keep = self.after_word(&pair, Rule::keep);
        let counter = self.name(&child(&pair, Rule::name)?);
        let repeat = Repeat { counter, range: range?, carried: whole(carried)?, body, until: until?, keep: keep? };
        Some(Expr { span, kind: ExprKind::Repeat(Box::new(repeat)) })
    }

    fn sweep(&mut self, pair: Pair<'a>) -> Option<Expr> {
        let span = self.span(&pair);
        let body = self.recipe_statements(child(&pair, Rule::body)?, Home::Round);
        let axes = pair.clone().into_inner().filter(|inner| inner.as_rule() == Rule::axis);
        let axes = axes.map(|axis| self.named_value(&axis)).collect();
        let keep = self.after_word(&pair, Rule::keep);
        let sweep = Sweep { axes: whole(axes)?, body, keep: keep? };
        Some(Expr { span, kind: ExprKind::Sweep(Box::new(sweep)) })
    }

    /// `p = base` and `beta in [0.05, 0.1]`.
    fn named_value(&mut self, pair: &Pair<'_>) -> Option<Bind> {
        let value = self.expr(child(pair, Rule::expr)?)?;
        Some(Bind { doc: String::new(), name: self.name(&child(pair, Rule::name)?), value })
    }

    /// The expression of an optional `until` or `keep`; none when it was reported.
    fn after_word(&mut self, pair: &Pair<'_>, rule: Rule) -> Option<Option<Expr>> {
        match child(pair, rule) {
            None => Some(None),
            Some(part) => self.expr(child(&part, Rule::expr)?).map(Some),
        }
    }

    /// Splits nodes into lines and keeps those that consist of one statement or item; the others are reported.
    pub(super) fn sound(&mut self, nodes: Vec<Pair<'a>>, home: Home) -> Vec<Pair<'a>> {
        let mut lines: Vec<(Span, Vec<Pair<'a>>)> = Vec::new();
        for node in nodes {
            let span = self.span(&node);
            match lines.last_mut() {
                Some((line, nodes)) if self.goes_on(nodes, *line, &node, span) => {
                    *line = line.to(span);
                    nodes.push(node);
                }
                _ => lines.push((span, vec![node])),
            }
        }
        lines.into_iter().filter_map(|(span, nodes)| self.sound_line(span, nodes, home)).collect()
    }

    /// Whether a node continues the line before it.
    fn goes_on(&self, before: &[Pair<'_>], line: Span, node: &Pair<'_>, span: Span) -> bool {
        let between = &self.source[line.end as usize..(span.start as usize).max(line.end as usize)];
        let same_line = !between.contains('\n');
        let last = before.last().expect("a line has a node");
        // `a = 1 /// idle`: what stands before is whole.
        if node.as_rule() == Rule::stray_doc && matches!(last.as_rule(), Rule::item | Rule::statement) {
            return false;
        }
        let is_junk = matches!(node.as_rule(), Rule::junk | Rule::item_junk);
        let after_docs = last.as_rule() == Rule::stray_doc;
        let was_broken = before.iter().any(|node| matches!(node.as_rule(), Rule::junk | Rule::item_junk));
        let is_deeper = was_broken && self.indent(span) > self.indent(line);
        let goes_on = is_junk && (after_docs || was_broken && !self.begins_line(span));
        goes_on || is_deeper || (same_line && !(is_whole(last) && is_whole(node)))
    }

    /// How far the line is indented on which a span begins.
    fn indent(&self, span: Span) -> usize {
        let from = Span { end: u32::MAX, ..span };
        self.scan.tokens_in(from).first().map_or(0, |token| token.indent)
    }

    /// Whether junk reads like the beginning of a statement rather than the rest of one.
    fn begins_line(&self, span: Span) -> bool {
        let tokens = self.scan.tokens_in(span);
        tokens.first().is_some_and(|token| matches!(token.kind, TokenKind::Word | TokenKind::Type))
    }

    fn sound_line(&mut self, span: Span, mut nodes: Vec<Pair<'a>>, home: Home) -> Option<Pair<'a>> {
        if nodes.len() == 1 && matches!(nodes[0].as_rule(), Rule::statement | Rule::item) {
            return nodes.pop();
        }
        if nodes.iter().all(|node| node.as_rule() == Rule::stray_doc) {
            self.mistakes.push((Mistake::IdleDoc, span));
            return None;
        }
        let reported = self.mistakes.len();
        match diagnose::habit(self, span, home).filter(|_| nodes.len() > 1) {
            Some(found) => self.report(found),
            None => nodes.iter().for_each(|node| faults::report(self, node)),
        }
        if self.mistakes.len() == reported && !self.scan.has_mistake(span) {
            let start = nodes[0].as_span().start();
            let end = nodes[nodes.len() - 1].as_span().end();
            let rule = if home == Home::File { Rule::item_junk } else { Rule::junk };
            let junk = Junk { rule, span, start, text: self.fixed.text[start..end].trim_end() };
            let found = diagnose::line(self, &junk, home);
            self.report(found);
        }
        let count = if self.source[span.range()].starts_with("use ") { usize::MAX } else { 1 };
        let names = self.first_words(span, count);
        self.broken.extend(names);
        None
    }

    /// The first lower-case words of a broken line that could be names it binds.
    pub(super) fn first_words(&self, span: Span, count: usize) -> Vec<Name> {
        let words = self
            .scan
            .tokens_in(span)
            .iter()
            .filter(|token| matches!(token.kind, TokenKind::Word | TokenKind::Type) && !is_word_of_language(self.text_of(token)));
        words
            .take(count)
            .map(|token| Name { text: Arc::from(self.text_of(token)), span: Span::new(self.file, token.start, token.end) })
            .collect()
    }

    fn text_of(&self, token: &crate::syntax::scan::Token) -> &'a str {
        &self.source[token.start..token.end]
    }
}

fn is_word_of_language(word: &str) -> bool {
    is_item_word(word) || matches!(word, "let" | "var" | "const" | "def" | "class") || diagnose::is_reserved(word)
}

/// Whether a node is a statement or an item with a beginning of its own.
fn is_whole(node: &Pair<'_>) -> bool {
    match node.as_rule() {
        Rule::item => true,
        Rule::statement => child(node, Rule::loose).is_none(),
        _ => false,
    }
}

fn objective_statement(built: Built<'_>) -> Option<ObjectiveStatement> {
    let Built { doc, span, form, name, values, .. } = built;
    let mut values = values.into_iter();
    let kind = match form.as_rule() {
        Rule::bind => ObjectiveKind::Bind { name: name?, value: values.next()? },
        Rule::loss => ObjectiveKind::Loss { value: values.next()?, weight: values.next() },
        Rule::metric => ObjectiveKind::Metric { name: name?, value: values.next() },
        Rule::state => ObjectiveKind::State { name: name?, start: values.next()?, next: values.next()? },
        _ => return None,
    };
    Some(ObjectiveStatement { doc, span, kind })
}

fn setting(built: Built<'_>) -> Option<Setting> {
    let Built { span, form, name, values, .. } = built;
    Some(Setting { limit: form.as_rule() == Rule::limit, name: name?, value: values.into_iter().next()?, span })
}
