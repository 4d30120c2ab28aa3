//! Reports what the grammar's lax rules let through, and the literals that mean nothing.
//!
//! Bodies are left out: their statements are reported one by one.

use super::diagnose::{self, Junk};
use super::grammar::{Pair, Rule};
use super::habit::Habit;
use super::mistake::Mistake;
use super::parse::{Builder, child, number, text};
use super::span::Span;

/// Reports the mistakes inside a pair.
pub(super) fn report(builder: &mut Builder<'_>, pair: &Pair<'_>) {
    if pair.as_rule() == Rule::list {
        named_items(builder, pair);
    }
    if let Some(mistake) = found(pair) {
        let span = builder.span(pair);
        let is_part = builder.source[..span.start as usize].ends_with(|c: char| c.is_alphanumeric() || ")]".contains(c));
        let mistake = match mistake {
            Mistake::BadNumber { text } if text.starts_with('.') && is_part => Mistake::ForeignSyntax(Habit::NumberedPart),
            other => other,
        };
        builder.mistakes.push((mistake, span));
    }
    match pair.as_rule() {
        Rule::entry_junk | Rule::group_junk | Rule::index_junk | Rule::hole_junk | Rule::param_junk | Rule::field_junk => {
            let junk = Junk { rule: pair.as_rule(), span: builder.span(pair), start: pair.as_span().start(), text: pair.as_str() };
            let found = diagnose::part(builder, &junk);
            builder.report(found);
        }
        Rule::chain => comparisons(builder, pair),
        Rule::args | Rule::record | Rule::list | Rule::params | Rule::record_type | Rule::use_ => gaps(builder, pair),
        _ => {}
    }
    for inner in pair.clone().into_inner().filter(|inner| inner.as_rule() != Rule::body) {
        report(builder, &inner);
    }
}

/// The mistake that a pair as a whole is.
fn found(pair: &Pair<'_>) -> Option<Mistake> {
    let text = pair.as_str().trim_end();
    Some(match pair.as_rule() {
        Rule::number => number::read(text).err()?,
        Rule::point_number => Mistake::BadNumber { text: text.to_owned() },
        Rule::escape if text::escaped(pair.as_str()).is_none() => Mistake::UnknownEscape { text: text.to_owned() },
        Rule::lax_assign => Mistake::AssignOperator { found: text.to_owned() },
        Rule::lax_colon => Mistake::EqualsForColon,
        Rule::annotation => Mistake::AnnotatedBinding,
        Rule::missing => Mistake::MissingValue,
        Rule::upper => Mistake::UpperName { name: child(pair, Rule::type_name)?.as_str().to_owned() },
        Rule::lower_type => Mistake::LowerType { name: text.to_owned() },
        Rule::bare_text | Rule::bare_path | Rule::bare_title => Mistake::MissingQuotes,
        Rule::message | Rule::recipe if has_hole(pair) => Mistake::HoleHere,
        Rule::use_ if has_hole(pair) => Mistake::HoleHere,
        Rule::use_ if names_nothing(pair) => Mistake::EmptyUse,
        _ => return None,
    })
}

/// Whether a text directly inside has a hole.
fn has_hole(pair: &Pair<'_>) -> bool {
    let text = child(pair, Rule::text).and_then(|text| text.into_inner().next());
    text.is_some_and(|form| child(&form, Rule::hole).is_some())
}

/// `use "cards.align"` and `use std.{}` name nothing.
fn names_nothing(pair: &Pair<'_>) -> bool {
    let braces = child(pair, Rule::text).is_some() || pair.as_str().contains('{');
    braces && child(pair, Rule::used).is_none()
}

/// `[a: 1]`: the names would mean nothing.
fn named_items(builder: &mut Builder<'_>, list: &Pair<'_>) {
    let names = list.clone().into_inner().filter_map(|entry| child(&child(&entry, Rule::named)?, Rule::key));
    if let Some(name) = names.into_iter().next() {
        let span = builder.span(&name);
        builder.mistakes.push((Mistake::ForeignSyntax(Habit::NamedItem), span));
    }
}

/// A missing comma stands between two parts, where its pair has no width.
fn gaps(builder: &mut Builder<'_>, pair: &Pair<'_>) {
    let parts: Vec<Pair<'_>> = pair.clone().into_inner().collect();
    for at in 1..parts.len().saturating_sub(1) {
        if parts[at].as_rule() != Rule::gap {
            continue;
        }
        let (before, next) = (builder.span(&parts[at - 1]), builder.span(&parts[at + 1]));
        if builder.scan.has_mistake(next) || parts[at + 1].as_rule() == Rule::param_junk {
            continue;
        }
        let mistake = match pair.as_rule() {
            Rule::params if is_bare(&parts[at - 1]) && is_bare(&parts[at + 1]) => Mistake::MissingColon,
            Rule::args if parts[at - 1].as_str().trim_end() == "lambda" => Mistake::ForeignSyntax(Habit::Lambda),
            Rule::args | Rule::record => Mistake::MissingComma { or_colon: is_named_by(&parts[at - 1], &parts[at + 1]) },
            _ => Mistake::MissingComma { or_colon: false },
        };
        let is_foreign = matches!(mistake, Mistake::ForeignSyntax(_));
        let place = if is_foreign { before } else { Span { start: before.end, ..before } };
        builder.report((mistake, place));
    }
}

/// A parameter that is a name and nothing else: `b` and `str` of `b str`.
fn is_bare(parameter: &Pair<'_>) -> bool {
    let binder = child(parameter, Rule::binder);
    binder.is_some_and(|binder| child(&binder, Rule::colon).is_none() && child(&binder, Rule::equals).is_none())
}

/// Whether `beta` and `0.1` of `f(beta 0.1)` could be a name and its value.
fn is_named_by(before: &Pair<'_>, next: &Pair<'_>) -> bool {
    let name = before.as_str().trim_end();
    let literal = next.as_str().starts_with(|c: char| c.is_ascii_digit() || "\"[{".contains(c));
    literal && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `a < b < c` compares a truth with a number.
fn comparisons(builder: &mut Builder<'_>, pair: &Pair<'_>) {
    let mut compared = false;
    for inner in pair.clone().into_inner() {
        match inner.as_rule() {
            Rule::equal | Rule::not_equal | Rule::less | Rule::less_equal | Rule::greater | Rule::greater_equal => {
                if compared {
                    let span = builder.span(&inner);
                    builder.mistakes.push((Mistake::ChainedComparison, span));
                }
                compared = true;
            }
            Rule::kw_and | Rule::kw_or | Rule::kw_not => compared = false,
            _ => {}
        }
    }
}
