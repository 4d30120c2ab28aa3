//! The pest parser of `grammar/align.pest`, and what its rules are called before people.

use std::fmt;

use pest::error::Error;
use pest_derive::Parser;

use crate::diagnostic::did_you_mean;

#[derive(Parser)]
#[grammar = "grammar/align.pest"]
pub(super) struct Grammar;

/// A node of the pest parse.
pub(super) type Pair<'a> = pest::iterators::Pair<'a, Rule>;

/// What could have stood where a text could not be read further.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected(Vec<&'static str>);

impl Expected {
    /// What pest tried where it stopped; `end` is what should follow the whole.
    pub(super) fn of(error: &Error<Rule>, end: &'static str) -> Self {
        let tried = super::diagnose::tried(error).iter();
        let named = |rule: &Rule| if *rule == Rule::EOI { Some(end) } else { called(*rule) };
        let mut called: Vec<&str> = tried.filter_map(named).collect();
        called.sort_unstable();
        called.dedup();
        // The general word covers the special ones.
        let has = |general: &str| called.contains(&general);
        let covered: &[&str] = match () {
            () if has("a value") => &["`not`", "`if`", "`repeat`", "`sweep`", "a name", "a text"],
            () if has("an operator") => &["`(`"],
            () if called.len() > 1 => &["`in`"],
            () => &[],
        };
        called.retain(|called| !covered.contains(called));
        Self(called)
    }

    /// Whether the line could have ended there.
    pub(super) fn ends(&self) -> bool {
        self.has("the end of the line")
    }

    /// The word that was probably meant by `found`, in backticks.
    pub(super) fn nearest(&self, found: &str) -> Option<&'static str> {
        let words = self.0.iter().filter(|called| called.starts_with('`') && called.len() > 4);
        let meant = did_you_mean(found, words.map(|word| word.trim_matches('`')))?;
        self.0.iter().find(|called| called.trim_matches('`') == meant).copied()
    }

    /// Whether this could have stood there.
    pub(super) fn has(&self, called: &str) -> bool {
        self.0.contains(&called)
    }

    /// A value, where none was begun.
    pub(super) fn value() -> Self {
        Self(vec!["a value"])
    }

    /// Whether a name could have stood there.
    pub(super) fn wants_name(&self) -> bool {
        self.0.iter().any(|called| matches!(*called, "a name" | "a value" | "a parameter"))
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("something else"),
            [one] => f.write_str(one),
            [several @ .., last] => write!(f, "{} or {last}", several.join(", ")),
        }
    }
}

/// What a rule is called; none when it says nothing to people.
#[rustfmt::skip]
fn called(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::EOI => "the end",
        Rule::item | Rule::use_ | Rule::param | Rule::type_ | Rule::fn_ | Rule::objective | Rule::extern_type
        | Rule::extern_fn | Rule::extern_stage | Rule::stage | Rule::recipe | Rule::profile | Rule::headless => "an item",
        Rule::path => "a path such as `std`",
        Rule::used | Rule::signature | Rule::variable | Rule::name | Rule::key => "a name",
        Rule::generics => "`<`",
        Rule::generic | Rule::type_name => "a type name",
        Rule::params | Rule::args => "`(`",
        Rule::parameter | Rule::rest | Rule::binder => "a parameter",
        Rule::body => "`{`",
        Rule::statement | Rule::expect | Rule::gate | Rule::export | Rule::loss | Rule::metric | Rule::state
        | Rule::limit | Rule::bind => "a statement",
        Rule::loose | Rule::repeat | Rule::sweep | Rule::expr | Rule::branch | Rule::chain | Rule::postfix
        | Rule::operand | Rule::record | Rule::list | Rule::group | Rule::entry | Rule::hole => "a value",
        Rule::assign | Rule::equals => "`=`",
        Rule::carried => "`name = value`",
        Rule::axis => "`name in values`",
        Rule::out_type | Rule::type_expr | Rule::type_sum | Rule::type_atom | Rule::named_type
        | Rule::lower_type | Rule::list_type | Rule::type_group | Rule::record_type | Rule::words => "a type",
        Rule::field => "a field",
        Rule::number_range => "a range",
        Rule::equal | Rule::not_equal | Rule::less_equal | Rule::greater_equal | Rule::less | Rule::greater
        | Rule::to_closed | Rule::to_open | Rule::plus | Rule::subtract | Rule::times | Rule::divide
        | Rule::power | Rule::ascription | Rule::access | Rule::index | Rule::kw_as | Rule::kw_and
        | Rule::kw_or => "an operator",
        Rule::call => "a call",
        Rule::column => "a column",
        Rule::number => "a number",
        Rule::text | Rule::raw | Rule::block | Rule::line => "a text",
        Rule::arrow => "`->`",
        Rule::colon => "`:`",
        Rule::kw_use => "`use`",
        Rule::kw_param => "`param`",
        Rule::kw_type => "`type`",
        Rule::kw_extern => "`extern`",
        Rule::kw_fn => "`fn`",
        Rule::kw_objective => "`objective`",
        Rule::kw_stage => "`stage`",
        Rule::kw_recipe => "`recipe`",
        Rule::kw_profile => "`profile`",
        Rule::kw_with => "`with`",
        Rule::kw_trained => "`trained`",
        Rule::kw_for => "`for`",
        Rule::kw_in => "`in`",
        Rule::kw_to => "`to`",
        Rule::kw_if => "`if`",
        Rule::kw_then => "`then`",
        Rule::kw_else => "`else`",
        Rule::kw_not => "`not`",
        Rule::kw_expect => "`expect`",
        Rule::kw_export => "`export`",
        Rule::kw_gate => "`gate`",
        Rule::kw_loss => "`loss`",
        Rule::kw_metric => "`metric`",
        Rule::kw_state => "`state`",
        Rule::kw_limit => "`limit`",
        Rule::kw_weighted => "`weighted`",
        Rule::kw_repeat => "`repeat`",
        Rule::kw_sweep => "`sweep`",
        Rule::kw_carrying => "`carrying`",
        Rule::kw_until => "`until`",
        Rule::kw_keep => "`keep`",
        Rule::WHITESPACE | Rule::COMMENT | Rule::doc_start | Rule::doc | Rule::file | Rule::headed
        | Rule::stray_doc | Rule::export_form | Rule::param_slot | Rule::present_param | Rule::message | Rule::value
        | Rule::lax_assign | Rule::annotation | Rule::until | Rule::keep | Rule::field_slot
        | Rule::present_field | Rule::field_spread | Rule::low | Rule::high | Rule::bound | Rule::minus
        | Rule::optional | Rule::term | Rule::prefix | Rule::negate | Rule::infix | Rule::upper | Rule::slot
        | Rule::present | Rule::spread | Rule::named | Rule::lax_named | Rule::lax_colon | Rule::gap
        | Rule::missing | Rule::point_number | Rule::raw_chars | Rule::block_chars | Rule::line_chars
        | Rule::escape | Rule::brace | Rule::word | Rule::blank | Rule::skip | Rule::keyword | Rule::item_word
        | Rule::piece | Rule::raw_text | Rule::inner_hole | Rule::junk | Rule::line_end | Rule::carry_on
        | Rule::item_junk | Rule::margin | Rule::entry_junk | Rule::param_junk | Rule::field_junk
        | Rule::group_junk | Rule::index_junk | Rule::hole_junk | Rule::bare_message | Rule::bare_text
        | Rule::bare_target | Rule::bare_path | Rule::bare_title | Rule::head_word | Rule::head_junk
        | Rule::last_block | Rule::only_item | Rule::only_statement | Rule::only_entry | Rule::only_parameter
        | Rule::only_field | Rule::only_expr | Rule::only_keyword => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_names_for_people_or_none() {
        for rule in Rule::all_rules() {
            let called = called(*rule).unwrap_or_default();
            assert!(!called.contains('_'), "{rule:?} is called {called}");
        }
    }

    #[test]
    fn expectations_read_as_a_sentence() {
        assert_eq!(Expected(vec!["a", "b", "c"]).to_string(), "a, b or c");
        assert_eq!(Expected(vec!["a", "b"]).to_string(), "a or b");
        assert_eq!(Expected(vec!["`carrying`", "`{`"]).nearest("carying"), Some("`carrying`"));
    }
}
