//! How types and expressions are written.

use super::{Doc, Marks, Writer, all};
use crate::syntax::grammar::{Pair, Rule};
use crate::syntax::parse::child;

impl<'a> Writer<'a> {
    pub(super) fn type_expr(&mut self, pair: Pair<'a>) {
        for (at, sum) in all(&pair, Rule::type_sum).into_iter().enumerate() {
            if at > 0 {
                self.say(" -> ");
            }
            for (at, atom) in all(&sum, Rule::type_atom).into_iter().enumerate() {
                if at > 0 {
                    self.say(" + ");
                }
                self.type_atom(&atom);
            }
        }
    }

    fn type_atom(&mut self, pair: &Pair<'a>) {
        for inner in pair.clone().into_inner() {
            match inner.as_rule() {
                Rule::kw_in => self.say(" in "),
                Rule::number_range => self.leaves(inner),
                Rule::optional => self.say("?"),
                _ => self.bare_type(inner),
            }
        }
    }

    /// The words and signs of a pair without blanks.
    fn leaves(&mut self, pair: Pair<'a>) {
        let mut inner = pair.clone().into_inner().peekable();
        if inner.peek().is_none() {
            return self.leaf(&pair);
        }
        inner.for_each(|inner| self.leaves(inner));
    }

    fn bare_type(&mut self, pair: Pair<'a>) {
        match pair.as_rule() {
            Rule::words => {
                for (at, word) in all(&pair, Rule::name).iter().enumerate() {
                    if at > 0 {
                        self.say(" | ");
                    }
                    self.leaf(word);
                }
            }
            Rule::record_type => self.record_type(&pair),
            Rule::list_type => self.wrapped("[", pair, "]"),
            Rule::type_group => self.wrapped("(", pair, ")"),
            _ => self.named_type(pair),
        }
    }

    fn wrapped(&mut self, open: &str, pair: Pair<'a>, close: &str) {
        self.say(open);
        pair.into_inner().for_each(|inner| self.type_expr(inner));
        self.say(close);
    }

    fn named_type(&mut self, pair: Pair<'a>) {
        let mut inner = pair.into_inner();
        inner.by_ref().take(1).for_each(|name| self.leaf(&name));
        for (at, arg) in inner.clone().enumerate() {
            self.say(if at == 0 { "<" } else { ", " });
            self.type_expr(arg);
        }
        if inner.next().is_some() {
            self.say(">");
        }
    }

    pub(super) fn record_type(&mut self, pair: &Pair<'a>) {
        self.bracketed(pair, all(pair, Rule::field), Marks::CURLY, Self::field);
    }

    fn field(&mut self, pair: Pair<'a>) {
        self.docs(&pair);
        if let Some(spread) = child(&pair, Rule::field_spread) {
            self.say("...");
            spread.into_inner().for_each(|name| self.leaf(&name));
        }
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::key => {
                    self.leaf(&inner);
                    self.say(": ");
                }
                Rule::type_expr => self.type_expr(inner),
                Rule::expr => {
                    self.say(" = ");
                    self.expr(inner);
                }
                _ => {}
            }
        }
    }

    /// An expression; `if … else if … else …` breaks before each `else`.
    pub(super) fn expr(&mut self, pair: Pair<'a>) {
        let parts: Vec<Pair<'a>> = pair.into_inner().collect();
        let [chain] = parts.as_slice() else { return self.branches(parts) };
        self.chain(chain.clone());
    }

    fn branches(&mut self, parts: Vec<Pair<'a>>) {
        let otherwise = parts.iter().filter_map(|part| child(part, Rule::kw_else));
        let broken = otherwise.into_iter().any(|word| self.begins_line(&word));
        self.group(broken, |writer| {
            writer.nest(|writer| parts.into_iter().for_each(|part| writer.branch(part)));
        });
    }

    fn branch(&mut self, part: Pair<'a>) {
        if part.as_rule() != Rule::branch {
            return self.chain(part);
        }
        for inner in part.into_inner() {
            match inner.as_rule() {
                Rule::kw_if => {
                    self.leaf(&inner);
                    self.say(" ");
                }
                Rule::kw_then => {
                    self.say(" ");
                    self.leaf(&inner);
                    self.say(" ");
                }
                Rule::kw_else => {
                    self.out.push(Doc::Line);
                    self.leaf(&inner);
                    self.say(" ");
                }
                Rule::expr => self.expr(inner),
                _ => self.chain(inner),
            }
        }
    }

    fn chain(&mut self, pair: Pair<'a>) {
        self.operators(&pair.into_inner().collect::<Vec<_>>());
    }

    /// Operands and operators; a long chain breaks before the operators that bind least.
    fn operators(&mut self, parts: &[Pair<'a>]) {
        let Some(least) = parts.iter().filter_map(looseness).min() else {
            return parts.iter().for_each(|part| self.operand(part));
        };
        let broken = parts.iter().any(|part| looseness(part) == Some(least) && self.begins_line(part));
        self.group(broken, |writer| {
            let mut rest = parts;
            let mut first = true;
            writer.nest(|writer| {
                while let Some((sign, operand, after)) = split(rest, least, first) {
                    if let Some(sign) = sign {
                        writer.sign(sign);
                    }
                    writer.operators(operand);
                    rest = after;
                    first = false;
                }
            });
        });
    }

    fn sign(&mut self, sign: &Pair<'a>) {
        if matches!(sign.as_rule(), Rule::to_open | Rule::to_closed) {
            return self.leaf(sign);
        }
        self.out.push(Doc::Line);
        self.leaf(sign);
        self.say(" ");
    }

    fn operand(&mut self, part: &Pair<'a>) {
        match part.as_rule() {
            Rule::negate => self.leaf(part),
            Rule::kw_not => {
                self.leaf(part);
                self.say(" ");
            }
            Rule::ascription => {
                self.say(" as ");
                part.clone().into_inner().filter(|ty| ty.as_rule() == Rule::type_expr).for_each(|ty| self.type_expr(ty));
            }
            _ => self.postfix(part.clone()),
        }
    }

    /// A value and its accesses; a chain of calls breaks before each of them.
    fn postfix(&mut self, pair: Pair<'a>) {
        let mut inner = pair.into_inner();
        let operand = inner.next().expect("a postfix has an operand");
        let accesses: Vec<Pair<'a>> = inner.collect();
        let is_call = |access: &Pair<'a>| child(access, Rule::args).is_some();
        let broken = accesses.iter().any(|access| is_call(access) && self.begins_line(access));
        if !broken && accesses.iter().filter(|access| is_call(access)).count() < 2 {
            self.touching(operand);
            return accesses.into_iter().for_each(|access| self.access(access));
        }
        self.group(broken, |writer| {
            writer.touching(operand);
            writer.nest(|writer| {
                for access in accesses {
                    if is_call(&access) {
                        writer.out.push(Doc::SoftLine);
                    }
                    writer.access(access);
                }
            });
        });
    }

    fn access(&mut self, pair: Pair<'a>) {
        self.comments_before(pair.as_span().start(), false);
        self.say(".");
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::args => self.args(&inner),
                Rule::index => self.index(inner),
                _ => self.leaf(&inner),
            }
        }
    }

    /// An operand with its indices.
    fn touching(&mut self, pair: Pair<'a>) {
        for inner in pair.into_inner() {
            match inner.as_rule() {
                Rule::index => self.index(inner),
                _ => self.atom(inner),
            }
        }
    }

    fn index(&mut self, pair: Pair<'a>) {
        self.say("[");
        pair.into_inner().for_each(|inner| self.expr(inner));
        self.say("]");
    }

    fn atom(&mut self, pair: Pair<'a>) {
        match pair.as_rule() {
            Rule::call => {
                for inner in pair.into_inner() {
                    match inner.as_rule() {
                        Rule::args => self.args(&inner),
                        _ => self.leaf(&inner),
                    }
                }
            }
            Rule::list => self.bracketed(&pair, all(&pair, Rule::entry), Marks::SQUARE, Self::entry),
            Rule::record => self.bracketed(&pair, all(&pair, Rule::entry), Marks::CURLY, Self::entry),
            Rule::group => {
                self.comments_before(pair.as_span().start(), false);
                self.say("(");
                pair.into_inner().for_each(|inner| self.expr(inner));
                self.say(")");
            }
            _ => self.leaf(&pair),
        }
    }

    /// Arguments; a single list, record or text hugs the parentheses.
    fn args(&mut self, pair: &Pair<'a>) {
        let entries = all(pair, Rule::entry);
        let end = pair.as_span().end();
        match entries.as_slice() {
            [only] if is_bracketed(only) && !self.has_comment(pair.as_span().start(), end) => {
                self.say("(");
                self.entry(only.clone());
                self.say(")");
                self.last = end;
            }
            _ => self.bracketed(pair, entries, Marks::ROUND, Self::entry),
        }
    }

    fn entry(&mut self, pair: Pair<'a>) {
        let form = pair.into_inner().next().expect("an entry has a form");
        match form.as_rule() {
            Rule::expr => self.expr(form),
            Rule::spread => {
                self.comments_before(form.as_span().start(), false);
                self.say("...");
                form.into_inner().for_each(|expr| self.expr(expr));
            }
            _ => {
                for inner in form.into_inner() {
                    if inner.as_rule() == Rule::expr {
                        self.say(": ");
                        self.expr(inner);
                    } else {
                        self.leaf(&inner);
                    }
                }
            }
        }
    }
}

/// The next operand of a chain with the operator before it: the parts up to the next operator that binds least.
fn split<'p, 'a>(parts: &'p [Pair<'a>], least: u8, first: bool) -> Option<(Option<&'p Pair<'a>>, &'p [Pair<'a>], &'p [Pair<'a>])> {
    let (sign, operand) = if first { (None, parts) } else { parts.split_first().map(|(sign, rest)| (Some(sign), rest))? };
    let end = operand.iter().position(|part| looseness(part) == Some(least)).unwrap_or(operand.len());
    Some((sign, &operand[..end], &operand[end..]))
}

/// How loosely an infix operator binds, loosest first.
pub(super) fn looseness(pair: &Pair<'_>) -> Option<u8> {
    Some(match pair.as_rule() {
        Rule::kw_or => 1,
        Rule::kw_and => 2,
        Rule::equal | Rule::not_equal | Rule::less | Rule::less_equal | Rule::greater | Rule::greater_equal => 3,
        Rule::to_open | Rule::to_closed => 4,
        Rule::plus | Rule::subtract => 5,
        Rule::times | Rule::divide => 6,
        Rule::power => 7,
        _ => return None,
    })
}

/// Whether an argument is nothing but a list, a record or a text.
fn is_bracketed(entry: &Pair<'_>) -> bool {
    let mut pair = entry.clone();
    while let Some(inner) = only_child(&pair) {
        if matches!(inner.as_rule(), Rule::list | Rule::record | Rule::text) {
            return true;
        }
        pair = inner;
    }
    false
}

fn only_child<'a>(pair: &Pair<'a>) -> Option<Pair<'a>> {
    let mut inner = pair.clone().into_inner();
    inner.next().filter(|_| inner.next().is_none())
}
