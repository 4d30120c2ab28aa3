/**
 * @file The grammar of align for editors. It accepts what `grammar/align.pest` accepts without a mistake;
 * `tests/tree_sitter.rs` compares the two.
 * @license MIT
 */

/// <reference types="tree-sitter-cli/dsl" />
// @ts-check

// Words that cannot be names. Those that begin an item (`use`, `stage` …) stay free.
const KEYWORDS = [
  "trained", "for", "in", "as", "to", "if", "then", "else", "and", "or", "not",
  "expect", "export", "gate", "loss", "metric", "state", "limit", "weighted",
  "repeat", "sweep", "carrying", "until", "keep",
];

// How tightly operators bind, loosest first.
const OR = 1, AND = 2, NOT = 3, COMPARISON = 4, RANGE = 5, SUM = 6, PRODUCT = 7, ASCRIPTION = 8, NEGATION = 9, POWER = 10;

/** Parts with commas between them and perhaps one behind the last. */
const listed = (rule) => optional(seq(rule, repeat(seq(",", rule)), optional(",")));

/** The same without a comma behind the last. */
const several = (rule) => seq(rule, repeat(seq(",", rule)));

module.exports = grammar({
  name: "align",

  // What a regular token cannot say: src/scanner.c.
  externals: ($) => [
    $._call, // `(` on the line of what is called
    $._line_break, // in a stage: a new line that begins a statement; has no width
    $.comment,
    $.doc_comment,
    $._line_chars,
    $._block_chars,
    "...", // so that `..` is never the beginning of it
    $._recovery, // stands in no rule: valid only while the parser recovers
  ],

  extras: ($) => [/[ \t\r\n]/, $.comment],

  word: ($) => $.identifier,

  reserved: { global: (_) => KEYWORDS },

  inline: ($) => [$._argument_name, $._right],

  // `x as A + …` and `x as A < …`: a longer type, or an operator behind a shorter one.
  conflicts: ($) => [
    [$.type_sum],
    [$.type_sum, $._type_sum],
    [$.named_type],
  ],

  rules: {
    source_file: ($) => repeat(choice($.doc_comment, $._item)),

    // ── Items ──

    _item: ($) => choice(
      $.use, $.param, $.type_item, $.function, $.objective, $.extern_type, $.extern_function, $.extern_stage,
      $.stage, $.recipe, $.profile,
    ),

    // Names follow a file, and a path when braces stand there.
    use: ($) => seq("use", choice(
      seq(field("file", $._plain_text), token.immediate("."), $.used),
      seq(field("file", $._plain_text), ".", $.used),
      seq(field("path", alias($.identifier, $.module)), optional($._path)),
    )),
    _path: ($) => choice(
      seq(repeat1($._path_part), optional(seq(choice(token.immediate("."), "."), $.used))),
      seq(choice(token.immediate("."), "."), $.used),
    ),
    _path_part: ($) => seq(token.immediate("."), field("path", alias($._word_at_once, $.module))),
    used: ($) => seq("{", several(choice(alias($.identifier, $.used_name), $.type_identifier)), optional(","), "}"),

    param: ($) => seq("param", $._binder),
    type_item: ($) => seq("type", field("name", $.type_identifier), "=", field("type", $._type)),
    function: ($) => seq(
      "fn", field("name", alias($.identifier, $.function_name)), $.parameters,
      optional(seq("->", field("result", $._type))), "=", field("body", $._expression),
    ),
    objective: ($) => seq(
      "objective", field("name", alias($.identifier, $.function_name)), $.parameters, "for", field("rows", $._type),
      field("body", $.objective_body),
    ),
    extern_type: ($) => seq("extern", "type", field("name", $.type_identifier), optional($.generics)),
    extern_function: ($) => seq("extern", "fn", $._signature),
    extern_stage: ($) => seq("extern", "stage", $._signature),
    stage: ($) => seq("stage", $._signature, field("body", $.stage_body)),
    recipe: ($) => seq(
      "recipe", field("name", alias($.identifier, $.function_name)), field("title", optional($._plain_text)),
      field("body", $.recipe_body),
    ),
    profile: ($) => seq("profile", field("name", alias($.identifier, $.function_name)), field("body", $.profile_body)),

    _signature: ($) => seq(
      field("name", alias($.identifier, $.function_name)), optional($.generics), $.parameters, "->",
      field("result", $._type), optional(seq("with", field("extras", $.record_type))),
    ),
    generics: ($) => seq("<", several($.generic), ">"),
    generic: ($) => seq(field("name", $.type_identifier), optional(seq(":", field("bound", $._type)))),

    parameters: ($) => seq(choice("(", alias($._call, "(")), listed(seq(repeat($.doc_comment), $.parameter)), ")"),
    parameter: ($) => choice(
      $._binder,
      seq("...", field("name", alias($.identifier, $.parameter_name)), ":", field("type", $._type),
        optional(seq("=", field("default", $._expression)))),
    ),
    _binder: ($) => seq(
      optional("trained"), field("name", alias($.identifier, $.parameter_name)),
      optional(seq(":", field("type", $._type))), optional(seq("=", field("default", $._expression))),
    ),

    // ── Statements ──

    recipe_body: ($) => seq("{", repeat(choice($.doc_comment, $.binding, $.expect, $.gate, $.export)), "}"),
    objective_body: ($) => seq("{", repeat(choice($.doc_comment, $.binding, $.loss, $.metric, $.state)), "}"),
    profile_body: ($) => seq("{", repeat(choice($.doc_comment, $.binding, $.limit)), "}"),
    // Bindings and one value without a name, which begins a line.
    stage_body: ($) => seq(
      "{",
      repeat($.doc_comment),
      optional(seq(
        $.binding,
        repeat(seq(optional($._line_break), repeat($.doc_comment), $.binding)),
        $._line_break,
        repeat($.doc_comment),
      )),
      field("result", $._value),
      repeat($.doc_comment),
      "}",
    ),

    binding: ($) => seq(field("name", alias($.identifier, $.binding_name)), "=", field("value", $._value)),
    expect: ($) => seq("expect", field("condition", $._expression), optional($._message)),
    gate: ($) => seq("gate", field("condition", $._expression), optional($._message)),
    _message: ($) => seq(",", field("message", $._plain_text)),
    export: ($) => seq(
      "export", field("value", $._expression), "to", field("path", $._text),
      optional(seq("as", field("form", alias($.identifier, $.word)))),
    ),
    loss: ($) => seq("loss", "=", field("value", $._expression), optional(seq("weighted", field("weight", $._expression)))),
    metric: ($) => seq("metric", field("name", alias($.identifier, $.binding_name)), optional(seq("=", field("value", $._expression)))),
    state: ($) => seq(
      "state", field("name", alias($.identifier, $.binding_name)), "=", field("start", $._expression),
      "then", field("next", $._expression),
    ),
    limit: ($) => seq("limit", field("name", alias($.identifier, $.binding_name)), "=", field("value", $._expression)),

    _value: ($) => choice($._expression, $.repeat, $.sweep),
    repeat: ($) => seq(
      "repeat", field("counter", alias($.identifier, $.binding_name)), "in", field("range", $._expression),
      optional(seq("carrying", several($.carried))),
      field("body", $.recipe_body),
      optional(seq("until", field("until", $._expression))),
      optional(seq("keep", field("keep", $._expression))),
    ),
    carried: ($) => seq(field("name", alias($.identifier, $.binding_name)), "=", field("value", $._expression)),
    sweep: ($) => seq(
      "sweep", several($.axis), field("body", $.recipe_body), optional(seq("keep", field("keep", $._expression))),
    ),
    axis: ($) => seq(field("name", alias($.identifier, $.binding_name)), "in", field("values", $._expression)),

    // ── Types ──

    _type: ($) => choice($._type_sum, $.arrow_type),
    arrow_type: ($) => seq(field("from", $._type_sum), "->", field("to", $._type_sum)),
    _type_sum: ($) => choice($._type_atom, $.type_sum),
    type_sum: ($) => prec.dynamic(1, seq($._type_atom, repeat1(seq("+", $._type_atom)))),
    _type_atom: ($) => choice($._plain_type, $.ranged_type, $.optional_type),
    optional_type: ($) => seq(choice($._plain_type, $.ranged_type), "?"),
    ranged_type: ($) => seq($._plain_type, "in", $.number_range),
    _plain_type: ($) => choice($.words, $.record_type, $.list_type, $.type_group, $.named_type),
    words: ($) => seq(alias($.identifier, $.word), repeat1(seq("|", alias($.identifier, $.word)))),
    named_type: ($) => prec.dynamic(1, seq(
      field("name", $.type_identifier), optional(seq("<", several($._type), ">")),
    )),
    list_type: ($) => seq("[", $._type, "]"),
    type_group: ($) => seq("(", $._type, ")"),
    record_type: ($) => seq("{", listed(seq(repeat($.doc_comment), choice($.field, $.field_spread))), "}"),
    field: ($) => seq(
      field("name", alias($._any_word, $.column_name)), ":", field("type", $._type), optional(seq("=", field("default", $._expression))),
    ),
    field_spread: ($) => seq("...", $.type_identifier),
    number_range: ($) => prec.right(seq(
      optional(field("low", $._bound)), choice("..=", ".."), optional(field("high", $._bound)),
    )),
    _bound: ($) => choice($.number, alias($._negative, $.unary_expression)),
    _negative: ($) => seq("-", $.number),

    // ── Expressions ──

    _expression: ($) => choice($.if_expression, $._chain),
    if_expression: ($) => seq(
      "if", field("condition", $._chain), "then", field("then", $._expression), "else", field("else", $._expression),
    ),

    // Comparisons do not chain, so they stand between arithmetic only.
    _chain: ($) => choice($.logical_expression, $.not_expression, $.comparison, $._arithmetic),
    logical_expression: ($) => choice(
      prec.left(OR, seq(field("left", $._chain), field("operator", "or"), field("right", $._chain))),
      prec.left(AND, seq(field("left", $._chain), field("operator", "and"), field("right", $._chain))),
    ),
    not_expression: ($) => prec(NOT, seq(field("operator", "not"), field("operand", $._chain))),
    comparison: ($) => prec(COMPARISON, seq(
      field("left", $._arithmetic),
      field("operator", choice("==", "!=", "<", "<=", ">", ">=")),
      field("right", $._right),
    )),

    // `not` takes all it can to its right, wherever it stands.
    _right: ($) => choice($._arithmetic, $.not_expression),
    _arithmetic: ($) => choice($.binary_expression, $.range_expression, $.ascription, $.unary_expression, $._postfix),
    range_expression: ($) => prec.left(RANGE, seq(
      field("low", $._arithmetic), field("operator", choice("..", "..=")), field("high", $._right),
    )),
    binary_expression: ($) => choice(
      ...[["+", SUM], ["-", SUM], ["*", PRODUCT], ["/", PRODUCT]].map(([sign, power]) =>
        prec.left(power, seq(field("left", $._arithmetic), field("operator", sign), field("right", $._right)))),
      prec.right(POWER, seq(field("left", $._arithmetic), field("operator", "^"), field("right", $._right))),
    ),
    ascription: ($) => prec.left(ASCRIPTION, seq(field("value", $._arithmetic), "as", field("type", $._type))),
    unary_expression: ($) => prec(NEGATION, seq(field("operator", "-"), field("operand", $._right))),

    _postfix: ($) => choice(
      $._text, $.number, $.column, $.call, $.identifier, $.list, $.record, $.group,
      $.member, $.method_call, $.index_expression,
    ),
    call: ($) => seq(field("function", alias($.identifier, $.function_name)), $.arguments),
    member: ($) => seq(field("receiver", $._postfix), ".", field("name", alias($._any_word, $.column_name))),
    method_call: ($) => seq(
      field("receiver", $._postfix), ".", field("function", alias($._any_word, $.function_name)), $.arguments,
    ),
    // A bracket stands at once behind what it is an index of, and a call's on its line.
    index_expression: ($) => seq(field("receiver", $._postfix), token.immediate("["), field("index", $._expression), "]"),
    arguments: ($) => seq(alias($._call, "("), listed($._entry), ")"),
    column: ($) => seq(".", alias($._word_at_once, $.column_name)),

    record: ($) => seq("{", listed($._entry), "}"),
    list: ($) => seq("[", listed(choice($.spread, $._expression)), "]"),
    group: ($) => seq("(", $._expression, ")"),
    _entry: ($) => choice($.spread, $.named_argument, $._expression),
    spread: ($) => seq("...", $._expression),
    named_argument: ($) => seq(field("name", $._argument_name), ":", field("value", $._expression)),

    // ── Texts ──

    _text: ($) => choice($.raw_text, $.text, $.block_text),
    text: ($) => seq('"', repeat(choice($._line_part, $.hole)), token.immediate('"')),
    block_text: ($) => seq('"""', repeat(choice($._block_part, $.hole)), token.immediate('"""')),
    raw_text: (_) => token(seq('r"', /[^"\n]*/, '"')),
    hole: ($) => seq(token.immediate("{"), $._expression, "}"),

    // Titles, messages and files to use have no holes.
    _plain_text: ($) => choice($.raw_text, alias($._plain_line, $.text), alias($._plain_block, $.block_text)),
    _plain_line: ($) => seq('"', repeat($._line_part), token.immediate('"')),
    _plain_block: ($) => seq('"""', repeat($._block_part), token.immediate('"""')),

    _line_part: ($) => choice(alias($._line_chars, $.text_content), $.escape),
    _block_part: ($) => choice(alias($._block_chars, $.text_content), $.escape),
    escape: (_) => token.immediate(choice(/\\[nt\\"]/, "{{", "}}")),

    // ── Tokens ──

    number: (_) => /[0-9][0-9_]*(\.[0-9][0-9_]*)?([eE][+-]?[0-9][0-9_]*)?(%|k|M|KiB|MiB|GiB|s|min|h)?/,

    identifier: (_) => /[a-z_][A-Za-z0-9_]*/,
    type_identifier: (_) => /[A-Z][A-Za-z0-9_]*/,
    _any_word: (_) => /[A-Za-z_][A-Za-z0-9_]*/,
    _word_at_once: (_) => token.immediate(/[A-Za-z_][A-Za-z0-9_]*/),

    // Behind a dot and before a colon every word is free.
    _argument_name: ($) => choice(...[$.identifier, $.type_identifier, ...KEYWORDS].map((word) => alias(word, $.argument_name))),
  },
});
