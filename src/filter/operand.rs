//! What stands between the signs of a filter while it is compiled, and which of it may stand where.

use super::number::Number;
use super::program::{Scalar, Truth};

/// An operand and where it begins.
#[derive(Debug)]
pub(super) struct Operand {
    pub(super) at: usize,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// By its place among the names.
    Property {
        name: Box<str>,
        place: usize,
    },
    Text(Box<str>),
    /// As written, or with a sign before it.
    Number {
        number: Number,
        written: bool,
    },
    /// TRUE, FALSE or NULL, with no step yet.
    Literal(Truth),
    /// A condition: its steps are there, and leave its outcome.
    Condition,
}

impl What {
    pub(super) const fn is_condition(&self) -> bool {
        matches!(self, Self::Literal(_) | Self::Condition)
    }

    /// What it is, in a refusal.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Property { .. } => "a property",
            Self::Text(_) => "a text",
            Self::Number { .. } => "a number",
            Self::Literal(Truth::True) => "TRUE",
            Self::Literal(Truth::False) => "FALSE",
            Self::Literal(Truth::Unknown) => "NULL",
            Self::Condition => "a condition",
        }
    }

    /// As a step compares it; `None` of what is a condition.
    pub(super) fn scalar(self) -> Option<Scalar> {
        match self {
            Self::Property { place, .. } => Some(Scalar::Property(place)),
            Self::Text(text) => Some(Scalar::Text(text)),
            Self::Number { number, .. } => Some(Scalar::Number(number)),
            Self::Literal(_) | Self::Condition => None,
        }
    }
}
