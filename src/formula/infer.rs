//! The form of every slot of a tape, bottom up.

use super::program::{Along, Network, Node, Op, Program, Slot, When};
use super::refusal::{Refusal, ShapeError};
use super::shape::{Changes, Form, Inner, Shape, Under};
use super::words::{self, Layout, Rows, Token, Word};

/// The form of every slot. A refused part gets its likeliest form, so that each mistake is told once.
pub fn forms(program: &Program, under: Under) -> (Vec<Form>, Vec<ShapeError>) {
    let mut infer = Infer { program, under, forms: Vec::with_capacity(program.nodes.len()), errors: Vec::new() };
    for slot in 0..program.nodes.len() {
        let form = infer.node(slot);
        infer.forms.push(form);
    }
    (infer.forms, infer.errors)
}

struct Infer<'a> {
    program: &'a Program,
    under: Under,
    forms: Vec<Form>,
    errors: Vec<ShapeError>,
}

fn table(changes: Changes) -> Form {
    Form { shape: Shape::Table, inner: Inner::Unknown, changes, gradient: false }
}

impl Infer<'_> {
    fn node(&mut self, slot: Slot) -> Form {
        let node = &self.program.nodes[slot];
        match &node.op {
            Op::Const(_) | Op::Artifact(_) => table(Changes::Once),
            Op::Column(_) => Form { shape: Shape::Row, ..table(Changes::Once) },
            Op::Trained { when, .. } => {
                let now = *when == When::Now;
                Form { gradient: now, ..table(if now { Changes::Present } else { Changes::Once }) }
            }
            Op::State(_) if self.under == Under::Train => Form { inner: Inner::One, ..table(Changes::Step) },
            Op::State(_) => Form { inner: Inner::One, ..table(Changes::Once) },
            Op::Call { word, network, other, when } => self.call(slot, word, [Some(network), other.as_ref()], *when),
            Op::Word(word) => self.word(slot, node, word),
            Op::Over { word, along } => self.over(slot, node, word, along),
            Op::If => Form { gradient: self.gradient(&node.args[1..]), ..self.joined(slot) },
            Op::List => self.list(slot),
            Op::Record(_) | Op::Field(_) | Op::Template => Form { inner: Inner::Unknown, gradient: false, ..self.joined(slot) },
            Op::Index => Form { inner: Inner::Unknown, gradient: self.forms[node.args[0]].gradient, ..self.joined(slot) },
        }
    }

    fn gradient(&self, slots: &[Slot]) -> bool {
        slots.iter().any(|&slot| self.forms[slot].gradient)
    }

    fn refuse(&mut self, slot: Slot, refusal: Refusal) {
        self.errors.push(ShapeError::new(self.program, slot, refusal));
    }

    /// Arguments broadcast to each other; no gradient yet.
    fn joined(&mut self, slot: Slot) -> Form {
        let node = &self.program.nodes[slot];
        let mut form = Form { inner: Inner::One, ..table(Changes::Once) };
        for (i, &arg) in node.args.iter().enumerate() {
            let other = self.forms[arg].clone();
            match form.shape.join(&other.shape) {
                Some(shape) => form.shape = shape,
                None => {
                    let first = node.args[..i].iter().copied().find(|&a| matches!(self.forms[a].shape, Shape::Token(_))).unwrap_or(arg);
                    self.clash(slot, first, arg);
                }
            }
            form.inner = form.inner.max(other.inner);
            form.changes = form.changes.max(other.changes);
        }
        form
    }

    fn clash(&mut self, slot: Slot, a: Slot, b: Slot) {
        let sequence = |slot: Slot| match self.forms[slot].shape {
            Shape::Token(sequence) => super::show::show(self.program, sequence),
            _ => String::new(),
        };
        let refusal =
            Refusal::TwoSequences { first: (self.program.nodes[a].span, sequence(a)), second: (self.program.nodes[b].span, sequence(b)) };
        self.refuse(slot, refusal);
    }

    fn call(&mut self, slot: Slot, word: &Word, networks: [Option<&Network>; 2], when: When) -> Form {
        use words::Network as Gives;
        let args = self.joined(slot);
        let words::Kind::Network(gives) = word.kind else { unreachable!("only network words are calls") };
        let trained = networks.into_iter().flatten().any(|network| !matches!(network, Network::Artifact(_)));
        if trained && matches!(gives, Gives::Sample | Gives::Lens | Gives::Inside | Gives::Choose | Gives::Scores) {
            self.refuse(slot, Refusal::AsksTrained { word: word.name });
        }
        let first = self.program.nodes[slot].args[0];
        if args.changes == Changes::Present || matches!(args.shape, Shape::Token(_) | Shape::Ends) {
            self.refuse(slot, Refusal::SequenceChanges);
        }
        let shape = if gives.per_token() { Shape::Token(self.sequence(first)) } else { Shape::Row };
        let inner = if matches!(gives, Gives::Inside | Gives::Choose | Gives::Scores) { Inner::List } else { Inner::One };
        let present = trained && when == When::Now;
        Form { shape, inner, changes: if present { Changes::Present } else { args.changes }, gradient: present }
    }

    /// What names the tokens of a sequence: of `after(d, c)` the completion, whatever it answers.
    fn sequence(&self, slot: Slot) -> Slot {
        match &self.program.nodes[slot] {
            Node { op: Op::Word(word), args, .. } if word.name == "after" => args[1],
            _ => slot,
        }
    }

    fn word(&mut self, slot: Slot, node: &Node, word: &Word) -> Form {
        match word.kind {
            words::Kind::Number(number) => Form { gradient: number.slope.is_some() && self.gradient(&node.args), ..self.joined(slot) },
            words::Kind::Token(token) => self.token(slot, node, token),
            words::Kind::Items(items) => {
                let gradient = items == words::Items::Dot && self.gradient(&node.args);
                Form { inner: Inner::One, gradient, ..self.joined(slot) }
            }
            words::Kind::Layout(Layout::Length | Layout::Finished) => Form { inner: Inner::One, ..self.joined(slot) },
            words::Kind::Aggregate(_) => {
                let form = self.joined(slot);
                Form { shape: Shape::Table, inner: Inner::One, ..form }
            }
            words::Kind::Distinct | words::Kind::Cluster | words::Kind::Kept(_) => {
                Form { shape: Shape::Row, inner: Inner::One, ..self.joined(slot) }
            }
            _ => Form { inner: Inner::Unknown, ..self.joined(slot) },
        }
    }

    fn token(&mut self, slot: Slot, node: &Node, token: Token) -> Form {
        let first = self.forms[node.args[0]].clone();
        let form = self.joined(slot);
        let gradient = self.gradient(&node.args);
        match (token, &first.shape) {
            (Token::AtEnd, Shape::Ends | Shape::Token(_)) => {
                self.refuse(slot, Refusal::NotOneARow { word: "at_end" });
                Form { shape: Shape::Ends, inner: Inner::One, gradient, ..form }
            }
            (Token::AtEnd, _) => Form { shape: Shape::Ends, inner: Inner::One, gradient, ..form },
            (_, Shape::Ends) => {
                self.refuse(node.args[0], Refusal::NoSequence);
                Form { gradient, ..form }
            }
            (_, Shape::Token(_)) => Form { gradient, ..form },
            (_, _) if first.inner != Inner::One => Form { gradient, inner: Inner::List, ..form },
            _ => {
                let word = if token == Token::Next { "next" } else { "tail_sum" };
                self.refuse(slot, Refusal::NothingAlong { word });
                Form { gradient, ..form }
            }
        }
    }

    fn list(&mut self, slot: Slot) -> Form {
        let node = &self.program.nodes[slot];
        let form = self.joined(slot);
        if let Some(&tokens) = node.args.iter().find(|&&a| matches!(self.forms[a].shape, Shape::Token(_) | Shape::Ends)) {
            self.refuse(tokens, Refusal::TokensInList);
        }
        Form { inner: Inner::List, gradient: self.gradient(&node.args), ..form }
    }

    fn over(&mut self, slot: Slot, node: &Node, word: &Word, along: &Along) -> Form {
        let form = self.joined(slot);
        match (along, word.kind) {
            (Along::Tokens, words::Kind::Reduction(_)) => self.over_tokens(slot, node, form),
            (Along::Row, words::Kind::Rows(Rows::Dice | Rows::DistinctNgrams)) => {
                Form { shape: Shape::Row, inner: Inner::One, gradient: false, ..form }
            }
            (Along::Tokens | Along::Row, _) => {
                self.refuse(slot, Refusal::NoAxis { word: word.name });
                Form { shape: Shape::Row, ..form }
            }
            _ => self.over_rows(slot, node, word, along, form),
        }
    }

    fn over_tokens(&mut self, slot: Slot, node: &Node, form: Form) -> Form {
        let gradient = self.gradient(&node.args[..1]);
        let Form { shape, inner, .. } = self.forms[node.args[0]].clone();
        match shape {
            Shape::Token(_) => Form { shape: Shape::Row, inner: Inner::One, gradient, ..form },
            Shape::Ends => {
                self.refuse(node.args[0], Refusal::NoSequence);
                Form { shape: Shape::Row, inner: Inner::One, gradient, ..form }
            }
            shape => {
                if inner == Inner::One {
                    self.refuse(slot, Refusal::OneNumber { shape: shape.name() });
                }
                Form { inner: Inner::One, gradient, ..form }
            }
        }
    }

    fn over_rows(&mut self, slot: Slot, node: &Node, word: &Word, along: &Along, form: Form) -> Form {
        let (axis, mut changes) = self.axis(slot, along);
        changes = changes.max(form.changes);
        if form.shape == Shape::Ends {
            self.refuse(slot, Refusal::NoSequence);
        }
        let words::Kind::Rows(rows) = word.kind else {
            let gradient = self.gradient(&node.args[..1]);
            return Form { shape: axis, inner: Inner::One, changes, gradient };
        };
        if matches!(form.shape, Shape::Token(_)) {
            self.refuse(slot, Refusal::NotOneARow { word: word.name });
        }
        match rows {
            Rows::Count | Rows::Dice | Rows::DistinctNgrams => Form { shape: axis, inner: Inner::One, changes, gradient: false },
            Rows::Gathered | Rows::Centroid => Form { shape: axis, inner: Inner::List, changes, gradient: false },
            Rows::Rank | Rows::SelfBleu => Form { shape: Shape::Row, inner: Inner::One, changes, gradient: false },
            Rows::ArgMax => Form { shape: axis, inner: form.inner, changes, gradient: self.gradient(&node.args[..1]) },
            Rows::Shifted => Form { shape: Shape::Row, inner: form.inner, changes, gradient: self.gradient(&node.args[..1]) },
        }
    }

    /// The shape that an axis leaves, and how often its groups change.
    fn axis(&mut self, slot: Slot, along: &Along) -> (Shape, Changes) {
        match along {
            Along::Columns(columns) => {
                for &column in columns {
                    let form = &self.forms[column];
                    if form.changes != Changes::Once || matches!(form.shape, Shape::Token(_) | Shape::Ends) {
                        self.refuse(column, Refusal::GroupChanges);
                    }
                }
                (Shape::Group(columns.clone()), Changes::Once)
            }
            Along::Batch => {
                if self.under == Under::Rows {
                    self.refuse(slot, Refusal::BatchOutside);
                }
                (Shape::Step, Changes::Step)
            }
            Along::All | Along::Tokens | Along::Row => (Shape::Table, Changes::Once),
        }
    }
}
