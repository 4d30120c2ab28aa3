//! Reading and formatting text: every mistake as a reader sees it, recovery, and that no text breaks the parser.

use std::fs;
use std::path::Path;

use align::cli::render::{Style, render};
use align::diagnostic::Diagnostic;
use align::syntax::span::FileId;
use align::syntax::tree::{ExprKind, File, ItemKind, Statement, StatementKind};
use align::syntax::{CODES, format, parse};
use align::world::Sources;

/// A name for the snapshot, which begins with the reason, and the text that shows it. `…` stands for a recipe around
/// the rest.
const CASES: &[(&str, &str)] = &[
    ("annotated_binding", "…beta: Float = 0.1"),
    ("assign_operator", "…policy == sft(base)\n    rm: reward(policy)\n    x := 3\n    y += 1"),
    ("bad_name", "…reward-model = train(base)\n    größe = 3"),
    ("bad_number", "…a = .5 + 0x10 + 1e"),
    ("bare_if", "…a = 1 + if b then 2 else 3"),
    ("chained_comparison", "…a = 0 < b < 1"),
    ("empty_use", "use \"cards.align\"\nuse std.{}"),
    ("equals_for_colon", "…policy = train(base, pairs, beta = 0.1)"),
    ("foreign_comment", "# a note\n/* and\n   another */\nparam beta: Float = 0.1"),
    ("foreign_operator", "…a = !b && c ** 2 ≥ 4\n    d = f(*rows, **options)"),
    ("foreign_quotes", "…a = load_model('models/a')\n    b = load_model(“models/b”)"),
    ("foreign_syntax.import", "import torch\nfrom std import sft"),
    ("foreign_syntax.function", "def f(x):\n    x + 1\n\nfn g(x) { x + 1 }\nrecipe r {\n    h(x) = x + 1\n}"),
    ("foreign_syntax.class", "class Row { }"),
    ("foreign_syntax.loop", "…for x in xs {\n        y = f(x)\n    }\n    z = [2 * x for x in xs]"),
    ("foreign_syntax.branch", "…if ready { a = 1 }"),
    ("foreign_syntax.lambda", "…a = rows.filter(lambda row: row.harm > 1)\n    b = rows.filter(row => row.harm > 1)"),
    ("foreign_syntax.conditional", "…a = b if c else d\n    e = b ? c : d"),
    ("foreign_syntax.tuple", "…a = (1, 2)\n    b, c = f(a)"),
    ("foreign_syntax.slice", "…a = rows[0:3]"),
    ("foreign_syntax.quoted_key", "…a = { \"lora\": 16 }"),
    ("foreign_syntax.named_item", "…a = [first: 1, second: 2]"),
    ("foreign_syntax.hole", "…a = \"{share:.2f} of {}\""),
    ("foreign_syntax.part", "…a.b = 3\n    c = a.0"),
    ("foreign_syntax.top", "base = load_model(\"m\")"),
    ("foreign_word", "…let a = True\n    b = f\"{a}\"\n}\n\nstage s() -> Model {\n    return f(x)"),
    ("hole_here", "recipe r \"{name}\" {}"),
    ("idle_doc", "recipe r {\n    a = 1\n    /// nothing follows\n}"),
    ("idle_doc.inside", "…a = f(/// the rows\n        x)\n    expect a > 1 and /// more\n        a < 2\n    b = 1 /// idle"),
    ("lone_brace", "…a = \"one } and one {\""),
    ("lower_type", "fn f(x: str, y: float, z: reward_model) = x\ntype row = { a: Int }"),
    ("misplaced", "…loss = 3\n    param beta: Float = 0.1\n}\n\nexpect x > 1\n\nobjective o() for Rollout {\n    export a to \"a\""),
    ("missing_colon", "fn f(x Float) = x\ntype T = { a Int }\nparam beta Float = 0.1"),
    ("missing_comma", "…a = f(b c)\n    d = { lora: 16\n          batch: 4 }\n    expect a > 1 \"too low\""),
    ("missing_quotes", "…expect a > 1, must be high\n    export a to out/model"),
    ("missing_value", "…a = f(b,, c)"),
    ("no_result", "stage s(m: Model) -> Model {\n    a = f(m)\n}"),
    ("reserved_word", "…for = f(x)\n    a = f(to, x)\n}\n\nfn f(in: Int) = 3\n\nprofile p {"),
    ("stray_character", "…a = b; c = d @ e\n    f = 10 % of\u{a0}g"),
    (
        "too_deep",
        "…a = ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))",
    ),
    ("unclosed", "…a = f(x, y\n    b = g(a)\n    c = [1, (2]"),
    (
        "unclosed.body",
        "recipe r {\n    loop = repeat round in 1..=3 carrying p = base {\n        p = f(p)\n    b = loop.p\n}\n\nrecipe s {\n    a = 1\n\nfn f(x) = x",
    ),
    ("unexpected", "…a =\n    b = f(x) y\n    c = * d\n    e = ()\n    g = x +\n    h = if a the b else c"),
    (
        "unexpected.item",
        "fn f(x)\nobjective o(x: Int) Rollout { loss = x }\nstage s(x: Model) Model { x }\nextern f(x) -> Int\nrecipe \"title\" {}\nparam x: Float 3",
    ),
    ("unknown_escape", "…a = \"\\d+\""),
    ("unknown_start", "recipie r {\n    a = 1\n}\n\nrecipe s {\n    exepct a > 1\n    assert a > 1\n}"),
    ("unknown_unit", "…a = 8GB + 5ms + 16K"),
    (
        "unnamed_value",
        "…sft(base, rows)\n}\n\nstage s() -> Model {\n    f(x)\n    g(x)\n}\n\nf(x)\n\nstage u() -> Model {\n    f(x)\n    a = 1\n}\n\nrecipe t {",
    ),
    ("unopened", "…a = f(x))"),
    ("unterminated_text", "…a = load_model(\"models/a)\n    b = load_model(models/a\")\n    c = r\"\\d"),
    ("unterminated_text.block", "fn f(x) = \"\"\"\n    {x}\n\nfn g(x) = x"),
    ("upper_name", "…Policy = sft(Base)\n    rm = f(Policy)"),
    ("wrong_closer", "…a = [1, 2)"),
];

fn whole(text: &str) -> String {
    match text.strip_prefix('…') {
        Some(body) => format!("recipe r {{\n    {body}\n}}\n"),
        None => format!("{text}\n"),
    }
}

fn read(text: &str) -> (File, Vec<Diagnostic>) {
    parse(FileId(0), text)
}

fn drawn(diagnostics: &[Diagnostic], text: &str) -> String {
    let mut sources = Sources::default();
    sources.add("case.align", text, None);
    render(diagnostics, &sources, Style::Plain)
}

#[test]
fn every_code_is_shown() {
    let mut shown = Vec::new();
    for (name, text) in CASES {
        let text = whole(text);
        let (_, diagnostics) = read(&text);
        let code = format!("align::syntax::{}", name.split('.').next().expect("a split has a first part"));
        assert!(diagnostics.iter().any(|d| d.code == code), "{code} expected for\n{text}\n{diagnostics:#?}");
        insta::with_settings!({ snapshot_path => "snapshots/syntax", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(*name, format!("{text}────\n{}", drawn(&diagnostics, &text)));
        });
        shown.push(code);
    }
    let missing: Vec<_> = CODES.iter().filter(|code| !shown.iter().any(|shown| shown == **code)).collect();
    assert!(missing.is_empty(), "codes without a case: {missing:?}");
}

/// The library and the recipes, with their names.
fn library() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["stdlib", "recipes"] {
        for entry in fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("a readable entry").path();
            if path.extension().is_some_and(|e| e == "align") {
                found.push((path.display().to_string(), fs::read_to_string(&path).expect("a readable text")));
            }
        }
    }
    found.sort();
    assert!(found.len() > 5, "run in the root of the repository, {} is not", Path::new(".").display());
    found
}

#[test]
fn the_library_has_no_mistakes() {
    for (name, text) in library() {
        let (file, diagnostics) = read(&text);
        assert_eq!(diagnostics, [], "{name}");
        assert!(file.broken.is_empty(), "{name}");
    }
}

/// Items and statements, those inside loops too.
fn size(file: &File) -> usize {
    fn statements(body: &[Statement]) -> usize {
        let inner = |statement: &Statement| match &statement.kind {
            StatementKind::Bind { value, .. } => match &value.kind {
                ExprKind::Repeat(repeat) => statements(&repeat.body),
                ExprKind::Sweep(sweep) => statements(&sweep.body),
                _ => 0,
            },
            _ => 0,
        };
        body.iter().map(|statement| 1 + inner(statement)).sum()
    }
    let inner = |kind: &ItemKind| match kind {
        ItemKind::Recipe(recipe) => statements(&recipe.body),
        ItemKind::Objective(objective) => objective.body.len(),
        ItemKind::Stage(stage) => stage.binds.len(),
        ItemKind::Profile(profile) => profile.settings.len(),
        _ => 0,
    };
    file.items.iter().map(|item| 1 + inner(&item.kind)).sum()
}

#[test]
fn one_broken_line_costs_one_line() {
    let bodies = [
        "recipe r {\n    a = f(x)\n    @\n    b = g(y)\n}\n",
        "recipe r {\n    l = repeat i in 1..=3 carrying p = q {\n        a = f(x)\n        @\n        b = g(y)\n    }\n    c = l\n}\n",
        "recipe r {\n    s = sweep i in [1, 2] {\n        a = f(x)\n        @\n    }\n    c = s\n}\n",
        "objective o(x: Float) for Rollout {\n    a = f(x)\n    @\n    loss = a\n    metric a\n}\n",
        "stage s(x: Model) -> Model {\n    a = f(x)\n    @\n    b = g(a)\n    h(b)\n}\n",
        "profile p {\n    beta = 1\n    @\n    limit steps = 4\n}\n",
        "param a: Int = 1\n@\nparam b: Int = 2\n\nfn f(x) = x\n",
    ];
    let lines = [
        "c = f(x, ",
        "c = f(x",
        "c = f(x))",
        "c = { a: 1, b: 2",
        "c = [1, 2",
        "c = f(x) y",
        "c = \"text",
        "c = f(\"text)",
        "c = ",
        "c = + +",
        "c d e",
        "= 3",
        "c = f(x, y: )",
        "let = = 3",
        "c = ?",
        "expect",
        ") ] }",
        "c = a if b else d",
    ];
    for body in bodies {
        let without = size(&read(&body.replace("@", "")).0);
        for line in lines {
            let text = body.replace('@', line);
            let (file, diagnostics) = read(&text);
            let of_line = |d: &&Diagnostic| {
                text[..d.labels[0].span.start as usize].matches('\n').count() == body[..body.find('@').unwrap_or(0)].matches('\n').count()
            };
            assert!(!diagnostics.is_empty(), "accepted:\n{text}");
            assert_eq!(diagnostics.iter().filter(of_line).count(), diagnostics.len(), "{}", drawn(&diagnostics, &text));
            // What is left of the line itself may stand: `c = f(x` with its bracket closed.
            assert!((without..=without + 1).contains(&size(&file)), "{} of {without} left:\n{text}", size(&file));
        }
    }
}

#[test]
fn all_mistakes_at_once() {
    let text = whole("…a = f(x = 1)\n    b = 8GB\n    c == 3\n    d = f(True)\n    e = [1, 2\n    f = \"{\"\n    g = x +");
    let codes: Vec<&str> = read(&text).1.iter().map(|d| d.code.trim_start_matches("align::syntax::")).collect();
    let expected = ["equals_for_colon", "unknown_unit", "assign_operator", "foreign_word", "unclosed", "lone_brace", "unexpected"];
    assert_eq!(codes, expected);
}

/// A small generator, so that a failure comes back with the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % n.max(1) as u64).expect("less than n")
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

/// Reads and draws; what is not reported is whole.
fn survives(text: &str) -> usize {
    let (file, diagnostics) = read(text);
    let said = diagnostics.iter().any(Diagnostic::is_error);
    assert!(said || file.broken.is_empty(), "broken without a word:\n{text}");
    let drawing = drawn(&diagnostics, text);
    assert_eq!(drawing.is_empty(), diagnostics.is_empty());
    for label in diagnostics.iter().flat_map(|d| &d.labels) {
        assert!(text.get(label.span.range()).is_some(), "a label outside of the text:\n{text}");
    }
    diagnostics.len()
}

#[test]
fn every_beginning_of_a_text_is_survived() {
    for (_, text) in library() {
        let step = 1 + text.len() / 100;
        for end in (0..text.len()).step_by(step).filter(|end| text.is_char_boundary(*end)) {
            survives(&text[..end]);
            survives(&text[end..]);
        }
    }
}

#[test]
fn random_text_is_survived() {
    const SOUP: &[&str] = &[
        " ",
        "\n",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "\"\"\"",
        "=",
        ":",
        ",",
        ".",
        "x",
        "A",
        "1",
        "if ",
        "then ",
        "else ",
        "recipe r {\n",
        "stage s() -> M {\n",
        "fn f(x) = ",
        "repeat ",
        "in ",
        "é",
        "“",
        "\\",
        "//",
        "///",
        "\r",
        "..",
        "->",
        "not ",
        "-",
        "_",
        "%",
        "\0",
        "\t",
        "'",
        "r\"",
        "as ",
        "<",
        ">",
        "and ",
        "loss ",
        "|",
        "?",
        "#",
        "/*",
    ];
    let mut chance = Chance(88_172_645_463_325_252);
    for _ in 0..1500 {
        let soup: String = (0..chance.below(120)).map(|_| chance.of(SOUP)).collect();
        survives(&soup);
    }
    for _ in 0..300 {
        let bytes: Vec<u8> = (0..chance.below(300)).map(|_| u8::try_from(chance.below(256)).expect("a byte")).collect();
        survives(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn a_missing_or_foreign_token_is_survived_and_costs_little() {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let (mut cases, mut reports) = (0, 0);
    for (_, text) in library() {
        for _ in 0..60 {
            let start = chance.below(text.len());
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let Some(rest) = text.get(start..).filter(|rest| !rest.starts_with(char::is_whitespace)) else { continue };
            let end = start + rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()).max(rest.chars().next().map_or(1, char::len_utf8));
            let with = chance.of(&["", "", "(", "}", "\"", "=", "@", "x y"]);
            reports += survives(&format!("{}{with}{}", &text[..start], &text[end..]));
            cases += 1;
        }
    }
    assert!(reports < 2 * cases, "{reports} mistakes in {cases} texts with one broken place each");
}

#[test]
fn depth_is_refused_before_the_stack_ends() {
    let heads = ["", "fn f(x) = ", "recipe r {\n  x = ", "type T = "];
    let steps = [
        "(",
        "[",
        "{",
        "f(",
        "{a: ",
        "a[",
        "\"{",
        "\"{\"",
        "Data<",
        "[",
        "if ",
        "if a then ",
        "if a then b else ",
        "not ",
        "- ",
        "a ^ ",
        "a + ",
        "a.b.",
        "A -> ",
        "recipe r {\n",
        "repeat x in y {",
        "(((\n",
    ];
    for head in heads {
        for step in steps {
            let deep = step.repeat(1_000);
            assert!(!read(&format!("{head}{deep}")).1.is_empty(), "{head}{step}");
            read(&format!("{head}{deep}1{}", ")".repeat(1_000)));
        }
    }
    let nested = format!("fn f(x) = {}1{}", "(".repeat(10_000), ")".repeat(10_000));
    let codes: Vec<&str> = read(&nested).1.iter().map(|d| d.code).collect();
    assert_eq!(codes, ["align::syntax::too_deep"]);
    let fine = format!("fn f(x) = {}1{}", "(".repeat(100), ")".repeat(100));
    assert!(read(&fine).1.is_empty());
}

/// A tree without its places.
fn meaning(file: &File) -> String {
    let text = format!("{file:?}");
    let mut left = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("span: Span {") {
        left.push_str(&rest[..at]);
        rest = rest[at..].split_once('}').expect("a span ends").1;
    }
    left + rest
}

/// Formats, and checks that the form is stable, means the same and has lost no comment.
fn formatted(text: &str) -> String {
    let form = format(FileId(0), text).unwrap_or_else(|d| panic!("{}", drawn(&d, text)));
    let again = format(FileId(0), &form).unwrap_or_else(|d| panic!("{}", drawn(&d, &form)));
    assert_eq!(form, again, "not stable");
    assert_eq!(meaning(&read(text).0), meaning(&read(&form).0), "another meaning:\n{text}\n→\n{form}");
    let comments = |text: &str| text.matches("//").count();
    assert_eq!(comments(text), comments(&form), "comments were lost:\n{text}\n→\n{form}");
    assert!(form.lines().all(|line| line.trim_end() == line), "trailing blanks:\n{form}");
    form
}

#[test]
fn the_library_keeps_its_meaning_when_formatted() {
    for (_, text) in library() {
        formatted(&text);
    }
}

#[test]
fn comments_at_the_head_of_a_file_stay_where_they_are() {
    let kept = [
        "// What this file is.\n\nfn f(x) = x\n",
        "// What this file is,\n//\n// in three lines.\nuse std.sft\n",
        "// One.\n\n// Two.\n\n/// It.\nfn f(x) = x\n",
        "recipe r {\n    // first\n\n    // second\n    a = load_model(\"m\")\n}\n",
    ];
    for text in kept {
        assert_eq!(formatted(text), text);
    }
    assert_eq!(formatted("\n\n  // one\n    // two\nuse std.sft"), "// one\n// two\nuse std.sft\n");
}

#[test]
fn any_layout_keeps_its_meaning_when_formatted() {
    let mut chance = Chance(0x2545_f491_4f6c_dd1d);
    let mut sound = 0;
    for _ in 0..25 {
        for (_, text) in library() {
            let parts: Vec<&str> = text.split("\n\n").collect();
            let messy = shaken(parts[chance.below(parts.len())], &mut chance);
            if read(&messy).1.iter().all(|d| !d.is_error()) {
                formatted(&messy);
                sound += 1;
            }
        }
    }
    assert!(sound > 100, "only {sound} texts could be read");
}

/// Other blanks, line breaks and comments where blanks and commas are.
fn shaken(text: &str, chance: &mut Chance) -> String {
    let mut shaken = String::new();
    let (mut in_text, mut in_comment) = (false, false);
    let rate = 1 + chance.below(10);
    for (at, c) in text.char_indices() {
        in_comment = c != '\n' && (in_comment || !in_text && text[at..].starts_with("//"));
        in_text ^= c == '"' && !in_comment;
        let is_open = !in_text && !in_comment;
        match c {
            ' ' | '\n' if is_open && chance.below(rate) == 0 => {
                shaken.push_str(chance.of(&["\n", "  ", " // note\n", "\n// own\n\n\n  ", "\n\n\n"]));
                shaken.extend((c == '\n').then_some('\n'));
            }
            _ => shaken.push(c),
        }
        if is_open && "([{,".contains(c) && chance.below(2 * rate) == 0 {
            shaken.push_str(chance.of(&["\n", " // note\n", "\n // own\n"]));
        }
    }
    shaken
}

#[test]
fn the_form() {
    let text = "
use   std.{ sft ,dpo }   // what we need
/// How far.
param beta:Float in 0.0 .. = 0.1
fn f(x,y)=x+y*2^-x   as Int
fn long_one(advantage, rho, clip) = larger(-advantage * rho, -advantage * clamp(rho, 1 - clip, 1 + clip)) + something_else
objective o(trained critic:Critic,
  reference : Model = policy) for Rollout+{cost:Float}{
  drift=old(model.logp(.completion))-reference.logp(.completion)


  // two losses
  loss=drift weighted 1/count(over:.prompt)
  loss = clipped(drift) // the first
     + 0.5*drift
  state p = beta then if p>1 then p else p*2
  metric drift
}
stage s<R:Prompt>(policy:Model,rows:Data<R>?,reward:R+Demonstration->Float=0,...training:Training={lr:1e-6,steps:1k})->Model with{kl:Estimate,}{
  m=rows.measure(a:1,b:mean(.x,over:all)) policy
}
recipe r \"title\" {
    slow={lora:16,batch:16}
    card = {
      kind: representational, recipients: [\"society\"] }
    shown = rows.with(a: .x)
       .filter(.a>0.5 and not .b)
    loop=repeat round in 1..=3 carrying p=base,q=rows{p=f(p)
      gate p.x<10%} until p.x>1 keep max(p.x)
    runs = sweep beta in[0.05,0.1],seed in 1..=3 { d=dpo(base,beta:beta) }
    expect loop.p > 1,\"it must grow\"
    export loop.p to\"out/p\"
    export loop.p to\"out/p.gguf\"as q8_0 // small
}
profile smoke{beta=0.2 limit steps=4}
profile empty { }
";
    // A stage on one line has two statements on it, which is a mistake: put the result on a line of its own.
    let text = text.replace("over:all)) policy", "over:all))\n  policy");
    insta::assert_snapshot!(formatted(&text));
}
