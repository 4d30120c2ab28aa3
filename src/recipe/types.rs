//! Types of the language, resolved: row types are records of named fields, enums are lists of words.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A type. Width subtyping: a record with more fields fits where fewer are asked for.
#[derive(Clone, PartialEq, Debug)]
pub enum Type {
    Bool,
    Int,
    Float,
    Text,
    Path,
    /// `all | random`: one of these lower-case words.
    Words(Vec<Arc<str>>),
    Optional(Box<Type>),
    List(Box<Type>),
    /// A record; also the row type of `Data<…>`.
    Record(Row),
    /// `[Turn]`, where a plain text also fits.
    Dialogue,
    Completion,
    Sequence,
    /// One number per scored token.
    Tokens,
    Model,
    Scorer,
    Critic,
    /// What training changed, apart from the weights beside it.
    Adapter,
    /// `Model`, `Scorer` or `Critic`.
    Network,
    Estimate,
    Posterior,
    Constraint,
    Figure,
    Data(Row),
    Objective {
        rows: Row,
        metrics: Row,
    },
    /// `Row -> T`
    Formula {
        rows: Row,
        result: Box<Type>,
    },
    /// The literal `none` before anything is known about it, and the type of an untyped `fn` parameter.
    Unknown,
}

/// Named fields.
pub type Row = BTreeMap<Arc<str>, Type>;

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, row: &Row| {
            let fields: Vec<String> = row.iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
            if fields.is_empty() { f.write_str("{}") } else { write!(f, "{{ {} }}", fields.join(", ")) }
        };
        match self {
            Self::Words(words) => f.write_str(&words.join(" | ")),
            Self::Optional(ty) => write!(f, "{ty}?"),
            Self::List(ty) => write!(f, "[{ty}]"),
            Self::Record(fields) => row(f, fields),
            Self::Data(fields) => {
                f.write_str("Data<")?;
                row(f, fields)?;
                f.write_str(">")
            }
            Self::Objective { rows, .. } => {
                f.write_str("Objective<")?;
                row(f, rows)?;
                f.write_str(">")
            }
            Self::Formula { rows, result } => {
                row(f, rows)?;
                write!(f, " -> {result}")
            }
            Self::Unknown => f.write_str("none"),
            plain => write!(f, "{plain:?}"),
        }
    }
}

impl Type {
    /// Whether a value of this type may stand where `wanted` is asked for.
    pub fn fits(&self, wanted: &Type) -> bool {
        match (self, wanted) {
            (_, Type::Unknown) | (Type::Unknown, Type::Optional(_)) => true,
            (Type::Int | Type::Estimate, Type::Float)
            | (Type::Text, Type::Dialogue | Type::Completion | Type::Path | Type::Sequence)
            | (Type::Completion, Type::Text | Type::Sequence)
            | (Type::Dialogue, Type::Sequence)
            | (Type::Model | Type::Scorer | Type::Critic, Type::Network)
            | (Type::Network, Type::Model | Type::Scorer | Type::Critic) => true,
            // what runs along tokens runs along a list
            (list, Type::Tokens) if list.is_numbers() => true,
            (Type::Optional(a), Type::Optional(b)) | (Type::List(a), Type::List(b)) => a.fits(b),
            (a, Type::Optional(b)) => a.fits(b),
            (Type::Words(a), Type::Words(b)) => a.iter().all(|word| b.contains(word)),
            (Type::Words(_), Type::Text) => true,
            (Type::Record(a), Type::Record(b)) | (Type::Data(a), Type::Data(b)) => row_fits(a, b),
            // whether the rows have what it reads is checked where all their columns are known
            (Type::Objective { .. }, Type::Objective { .. }) => true,
            (a, b) => a == b,
        }
    }

    /// The narrowest type that both fit, if there is one.
    pub fn join(&self, other: &Type) -> Option<Type> {
        match (self, other) {
            (a, b) if a == b => Some(a.clone()),
            (Type::Unknown, Type::Optional(b)) | (Type::Optional(b), Type::Unknown) => Some(Type::Optional(b.clone())),
            (Type::Unknown, b) | (b, Type::Unknown) => Some(Type::Optional(Box::new(b.clone()))),
            (Type::Optional(a), b) | (b, Type::Optional(a)) => Some(Type::Optional(Box::new(a.join(b.unwrapped())?))),
            (Type::Record(a), Type::Record(b)) => Some(Type::Record(common(a, b))),
            (Type::Data(a), Type::Data(b)) => Some(Type::Data(common(a, b))),
            (Type::Tokens, b) | (b, Type::Tokens) if b.is_number() || *b == Type::Bool => Some(Type::Tokens),
            (Type::Words(a), Type::Words(b)) => {
                let mut words = a.clone();
                words.extend(b.iter().filter(|w| !a.contains(w)).cloned());
                Some(Type::Words(words))
            }
            (a, b) if a.is_number() && b.is_number() => Some(Type::Float),
            (a, b) if a.fits(b) => Some(b.clone()),
            (a, b) if b.fits(a) => Some(a.clone()),
            _ => None,
        }
    }

    /// `T` of `T?`, otherwise the type itself.
    pub fn unwrapped(&self) -> &Type {
        match self {
            Type::Optional(inner) => inner,
            other => other,
        }
    }

    /// Whether arithmetic may be done with it, one number at a time.
    pub fn is_number(&self) -> bool {
        matches!(self, Type::Int | Type::Float | Type::Estimate)
    }

    /// Whether it is a list of numbers, which arithmetic takes item by item.
    pub fn is_numbers(&self) -> bool {
        matches!(self, Type::List(item) if item.is_number() || **item == Type::Bool)
    }

    /// Whether it names a network.
    pub fn is_network(&self) -> bool {
        matches!(self, Type::Model | Type::Scorer | Type::Critic | Type::Network)
    }
}

fn row_fits(given: &Row, wanted: &Row) -> bool {
    wanted.iter().all(|(name, ty)| given.get(name).map_or(matches!(ty, Type::Optional(_)), |found| found.fits(ty)))
}

/// The fields that both rows have.
fn common(a: &Row, b: &Row) -> Row {
    a.iter().filter_map(|(name, ty)| Some((name.clone(), ty.join(b.get(name)?)?))).collect()
}
