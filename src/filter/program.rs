//! A compiled filter: conditions one after the other, with jumps over those that no longer matter.

use std::cmp::Ordering;

use super::number::{Number, double, order};

/// What a condition says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    False,
    True,
    Unknown,
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

impl Truth {
    const fn negated(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::True => Self::False,
            Self::Unknown => Self::Unknown,
        }
    }

    const fn negated_if(self, negated: bool) -> Self {
        if negated { self.negated() } else { self }
    }

    const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::True, Self::True) => Self::True,
            _ => Self::Unknown,
        }
    }

    const fn or(self, other: Self) -> Self {
        self.negated().and(other.negated()).negated()
    }

    /// `=` in general, `None` being unknown: it is asymmetric, as `RocketMQ`'s.
    fn equal<T>(left: Option<T>, right: Option<T>, equal: impl FnOnce(T, T) -> bool) -> Self {
        match (left, right) {
            (Some(left), Some(right)) => equal(left, right).into(),
            (None, None) => Self::True,
            (None, Some(_)) => Self::Unknown,
            (Some(_), None) => Self::False,
        }
    }

    const fn known(self) -> Option<bool> {
        match self {
            Self::False => Some(false),
            Self::True => Some(true),
            Self::Unknown => None,
        }
    }
}

/// A property's text is not the number that it is compared with: no filter can pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotANumber;

/// What a condition compares.
#[derive(Debug)]
pub(super) enum Scalar {
    /// By its place among the names of the program.
    Property(usize),
    Text(Box<str>),
    Number(Number),
}

#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Text(&'a str),
    Number(Number),
}

impl Scalar {
    fn value<'a>(&'a self, properties: &[Option<&'a str>]) -> Option<Value<'a>> {
        match self {
            Self::Property(slot) => properties.get(*slot).copied().flatten().map(Value::Text),
            Self::Text(text) => Some(Value::Text(text)),
            Self::Number(number) => Some(Value::Number(*number)),
        }
    }

    fn text<'a>(&'a self, properties: &[Option<&'a str>]) -> Option<&'a str> {
        match self.value(properties) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Relation {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    Contains,
    StartsWith,
    EndsWith,
}

/// One step. Its outcome is the current one, which the next step finds.
#[derive(Debug)]
pub(super) enum Step {
    Constant(Truth),
    Equal {
        left: Scalar,
        right: Scalar,
        negated: bool,
    },
    Compare {
        left: Scalar,
        right: Scalar,
        relation: Relation,
    },
    Between {
        value: Scalar,
        bounds: Box<(Scalar, Scalar)>,
        negated: bool,
    },
    /// The texts are sorted.
    In {
        value: Scalar,
        texts: Box<[Box<str>]>,
        negated: bool,
    },
    Search {
        value: Scalar,
        how: Search,
        wanted: Box<str>,
        negated: bool,
    },
    IsNull {
        value: Scalar,
        negated: bool,
    },
    /// Whether the current outcome is unknown.
    IsUnknown {
        negated: bool,
    },
    /// Whether a text and the current outcome are the same.
    TextEqualsCurrent {
        left: Scalar,
        negated: bool,
    },
    /// Whether the outcome put aside and the current one are the same.
    AsideEqualsCurrent {
        negated: bool,
    },
    Not,
    /// Puts the current outcome aside.
    PutAside,
    /// As that, unless the outcome is so: then goes on elsewhere, behind the step that would take it up.
    PutAsideUnless {
        truth: Truth,
        target: usize,
    },
    /// Together with the outcome put aside.
    And,
    Or,
}

/// A compiled filter.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) steps: Box<[Step]>,
    /// Outcomes that are put aside at once, at most.
    pub(super) aside: usize,
}

/// Outcomes put aside that are room for without being asked.
const SHALLOW: usize = 16;
/// Those that there is room for at all.
pub(super) const DEEPEST: usize = 1024;

impl Program {
    /// What the filter says of these properties, given in the order of its names.
    ///
    /// # Errors
    ///
    /// A condition that matters compares a number with a text that is none.
    pub(super) fn run(&self, properties: &[Option<&str>]) -> Result<Truth, NotANumber> {
        if self.aside <= SHALLOW {
            self.run_with(properties, &mut [Truth::Unknown; SHALLOW])
        } else {
            self.run_with(properties, &mut [Truth::Unknown; DEEPEST])
        }
    }

    fn run_with(
        &self,
        properties: &[Option<&str>],
        aside: &mut [Truth],
    ) -> Result<Truth, NotANumber> {
        let mut current = Truth::Unknown;
        let (mut at, mut depth) = (0, 0);
        while let Some(step) = self.steps.get(at) {
            at += 1;
            match step {
                Step::PutAsideUnless { truth, target } if current == *truth => at = *target,
                Step::PutAsideUnless { .. } | Step::PutAside => {
                    if let Some(place) = aside.get_mut(depth) {
                        *place = current;
                    }
                    depth += 1;
                }
                Step::And | Step::Or | Step::AsideEqualsCurrent { .. } => {
                    depth = depth.saturating_sub(1);
                    let left = aside.get(depth).copied().unwrap_or(Truth::Unknown);
                    current = match step {
                        Step::And => left.and(current),
                        Step::Or => left.or(current),
                        _ => step.equals(left, current),
                    };
                }
                _ => current = step.outcome(current, properties)?,
            }
        }
        Ok(current)
    }
}

impl Step {
    fn equals(&self, left: Truth, right: Truth) -> Truth {
        let negated = matches!(self, Self::AsideEqualsCurrent { negated: true });
        Truth::equal(left.known(), right.known(), |left, right| left == right).negated_if(negated)
    }

    /// Of a step that takes nothing up.
    fn outcome(&self, current: Truth, properties: &[Option<&str>]) -> Result<Truth, NotANumber> {
        Ok(match self {
            Self::Equal { left, right, negated } => {
                equal(left, right, properties)?.negated_if(*negated)
            }
            Self::Compare { left, right, relation } => compare(left, right, *relation, properties)?,
            Self::Between { value, bounds, negated } => {
                between(value, bounds, *negated, properties)?
            }
            Self::In { value, texts, negated } => match value.text(properties) {
                Some(text) => {
                    let found = texts.binary_search_by(|known| (**known).cmp(text)).is_ok();
                    (found != *negated).into()
                }
                None => Truth::Unknown,
            },
            Self::Search { value, how, wanted, negated } => match value.text(properties) {
                Some(text) if !wanted.is_empty() => {
                    let found = match how {
                        Search::Contains => text.contains(&**wanted),
                        Search::StartsWith => text.starts_with(&**wanted),
                        Search::EndsWith => text.ends_with(&**wanted),
                    };
                    (found != *negated).into()
                }
                _ => Truth::False,
            },
            Self::IsNull { value, negated } => {
                (value.value(properties).is_none() != *negated).into()
            }
            Self::IsUnknown { negated } => ((current == Truth::Unknown) != *negated).into(),
            Self::TextEqualsCurrent { left, negated } => {
                let left = left.text(properties).map(|text| text.eq_ignore_ascii_case("true"));
                Truth::equal(left, current.known(), |left, right| left == right)
                    .negated_if(*negated)
            }
            Self::Not => current.negated(),
            Self::Constant(truth) => *truth,
            _ => current,
        })
    }
}

fn equal(left: &Scalar, right: &Scalar, properties: &[Option<&str>]) -> Result<Truth, NotANumber> {
    let (left, right) = (left.value(properties), right.value(properties));
    Ok(match (left, right) {
        (Some(Value::Text(left)), Some(Value::Text(right))) => (left == right).into(),
        (Some(left), Some(right)) => ordered(left, right)?.is_eq().into(),
        _ => Truth::equal(left, right, |_, _| false),
    })
}

fn compare(
    left: &Scalar,
    right: &Scalar,
    relation: Relation,
    properties: &[Option<&str>],
) -> Result<Truth, NotANumber> {
    Ok(match (left.value(properties), right.value(properties)) {
        (Some(left), Some(right)) => relation.holds(ordered(left, right)?).into(),
        _ => Truth::Unknown,
    })
}

/// Each bound by itself, and the upper one only if it still matters.
fn between(
    value: &Scalar,
    (low, high): &(Scalar, Scalar),
    negated: bool,
    properties: &[Option<&str>],
) -> Result<Truth, NotANumber> {
    let relation = if negated { Relation::Less } else { Relation::GreaterOrEqual };
    let above = compare(value, low, relation, properties)?;
    if above == Truth::from(negated) {
        return Ok(above);
    }
    let relation = if negated { Relation::Greater } else { Relation::LessOrEqual };
    let below = compare(value, high, relation, properties)?;
    Ok(if negated { above.or(below) } else { above.and(below) })
}

/// A text beside a number is read as one of its width; two texts as doubles.
fn ordered(left: Value<'_>, right: Value<'_>) -> Result<Ordering, NotANumber> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => Some(left.compare(right)),
        (Value::Text(left), Value::Number(right)) => {
            right.read_alike(left).map(|left| left.compare(right))
        }
        (Value::Number(left), Value::Text(right)) => {
            left.read_alike(right).map(|right| left.compare(right))
        }
        (Value::Text(left), Value::Text(right)) => {
            double(left).zip(double(right)).map(|(left, right)| order(left, right))
        }
    }
    .ok_or(NotANumber)
}
