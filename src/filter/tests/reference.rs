//! Random expressions against an evaluator that does, in the plainest way, what docs/FILTERS.md says.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// A filter as a tree.
#[derive(Debug, Clone)]
enum Tree {
    Literal(Option<bool>),
    Compare(Leaf, &'static str, Leaf),
    Between(Leaf, bool, Leaf, Leaf),
    In(&'static str, bool, Vec<&'static str>),
    Search(Leaf, bool, &'static str, &'static str),
    LeafIsNull(Leaf, bool),
    BelowIsNull(Box<Self>, bool),
    LeafEquals(Leaf, bool, Box<Self>),
    Equals(Box<Self>, bool, Box<Self>),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

#[derive(Debug, Clone, Copy)]
enum Leaf {
    Name(&'static str),
    Text(&'static str),
    /// As written.
    Number(&'static str),
}

const TEXTS: [&str; 16] = [
    "1",
    "10",
    "-5",
    "1.0",
    "1e1",
    " 10 ",
    "3000000000",
    "true",
    "TRUE",
    "no",
    "eu",
    "xeu",
    "it's",
    "NaN",
    "",
    "ж",
];

impl Leaf {
    fn print(self) -> String {
        match self {
            Self::Name(name) => name.to_owned(),
            Self::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Self::Number(number) => number.to_owned(),
        }
    }
}

impl Tree {
    /// With all the parentheses that may be needed.
    fn print(&self) -> String {
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        let sign = |negated: &bool| if *negated { "<>" } else { "=" };
        let all = |trees: &[Self], word: &str| {
            trees.iter().map(|tree| format!("({})", tree.print())).collect::<Vec<_>>().join(word)
        };
        match self {
            Self::Literal(Some(value)) => value.to_string(),
            Self::Literal(None) => "null".into(),
            Self::Compare(left, sign, right) => {
                format!("{} {sign} {}", left.print(), right.print())
            }
            Self::Between(value, negated, low, high) => {
                format!(
                    "{} {}BETWEEN {} AND {}",
                    value.print(),
                    not(negated),
                    low.print(),
                    high.print()
                )
            }
            Self::In(name, negated, texts) => {
                let mut list = String::new();
                for text in texts {
                    let _ = write!(
                        list,
                        "{}{}",
                        if list.is_empty() { "" } else { "," },
                        Leaf::Text(text).print()
                    );
                }
                format!("{name} {}IN ({list})", not(negated))
            }
            Self::Search(value, negated, how, wanted) => {
                format!("{} {}{how} {}", value.print(), not(negated), Leaf::Text(wanted).print())
            }
            Self::LeafIsNull(leaf, negated) => format!("{} IS {}NULL", leaf.print(), not(negated)),
            Self::BelowIsNull(tree, negated) => {
                format!("({}) IS {}NULL", tree.print(), not(negated))
            }
            Self::LeafEquals(leaf, negated, tree) => {
                format!("{} {} ({})", leaf.print(), sign(negated), tree.print())
            }
            Self::Equals(left, negated, right) => {
                format!("({}) {} ({})", left.print(), sign(negated), right.print())
            }
            Self::Not(tree) => format!("NOT ({})", tree.print()),
            Self::And(trees) => all(trees, " AND "),
            Self::Or(trees) => all(trees, "\nor "),
        }
    }
}

type Properties<'a> = BTreeMap<&'a str, &'a str>;
/// `Err`: an error of evaluation. `None`: unknown.
type Outcome = Result<Option<bool>, ()>;

fn whole_number(text: &str) -> Option<i64> {
    text.strip_suffix('L').unwrap_or(text).parse().ok()
}

/// The number that a literal is, or a text beside it: whether they are -1, 0 or 1 apart.
fn against_number(
    number: &str,
    text: &str,
    text_is_number: bool,
) -> Result<std::cmp::Ordering, ()> {
    let real = |text: &str| match text.trim() {
        "NaN" => Ok(f64::NAN),
        text => text.strip_suffix('L').unwrap_or(text).parse::<f64>().map_err(drop),
    };
    match (whole_number(number), whole_number(text)) {
        (Some(number), Some(value)) => {
            let narrow = i32::try_from(number).is_ok();
            if narrow && !text_is_number && i32::try_from(value).is_err() {
                return Err(());
            }
            Ok(value.cmp(&number))
        }
        (Some(_), None) if !text_is_number => Err(()),
        _ => Ok(real(text)?.total_cmp(&real(number)?)),
    }
}

fn order(left: Leaf, right: Leaf, properties: &Properties<'_>) -> Result<std::cmp::Ordering, ()> {
    let text = |leaf| value(leaf, properties).ok_or(());
    match (left, right) {
        (Leaf::Number(left), Leaf::Number(right)) => against_number(right, left, true),
        (left, Leaf::Number(right)) => against_number(right, text(left)?, false),
        (Leaf::Number(left), right) => Ok(against_number(left, text(right)?, false)?.reverse()),
        (left, right) => against_number("1.5", text(left)?, false).and_then(|_| {
            against_number("1.5", text(right)?, false)?;
            let real = |text: &str| text.trim().parse::<f64>().map_err(drop);
            Ok(real(text(left)?)?.total_cmp(&real(text(right)?)?))
        }),
    }
}

fn value<'a>(leaf: Leaf, properties: &Properties<'a>) -> Option<&'a str> {
    match leaf {
        Leaf::Name(name) => properties.get(name).copied(),
        Leaf::Text(text) | Leaf::Number(text) => Some(text),
    }
}

fn negate_if(negated: bool, outcome: Option<bool>) -> Option<bool> {
    outcome.map(|truth| truth != negated)
}

fn equality(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (None, None) => Some(true),
        (None, Some(_)) => None,
        (left, right) => Some(left == right),
    }
}

fn compare(left: Leaf, sign: &str, right: Leaf, properties: &Properties<'_>) -> Outcome {
    let missing = |leaf| value(leaf, properties).is_none();
    if sign == "=" || sign == "<>" {
        let negated = sign == "<>";
        let is_number = |leaf| matches!(leaf, Leaf::Number(_));
        let equal = match (missing(left), missing(right)) {
            (true, true) => Some(true),
            (true, false) => None,
            (false, true) => Some(false),
            _ if is_number(left) || is_number(right) => {
                Some(order(left, right, properties)?.is_eq())
            }
            _ => Some(value(left, properties) == value(right, properties)),
        };
        return Ok(negate_if(negated, equal));
    }
    if missing(left) || missing(right) {
        return Ok(None);
    }
    let order = order(left, right, properties)?;
    Ok(Some(match sign {
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    }))
}

/// AND, or with `decides` true OR: from the left, until one decides.
fn chain(outcomes: impl Iterator<Item = Outcome>, decides: bool) -> Outcome {
    let mut unknown = false;
    for outcome in outcomes {
        match outcome? {
            Some(truth) if truth == decides => return Ok(Some(decides)),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { None } else { Some(!decides) })
}

fn evaluate(tree: &Tree, properties: &Properties<'_>) -> Outcome {
    let below = |tree: &Tree| evaluate(tree, properties);
    Ok(match tree {
        Tree::Literal(truth) => *truth,
        Tree::Compare(left, sign, right) => compare(*left, sign, *right, properties)?,
        Tree::Between(value, negated, low, high) => {
            let signs = if *negated { ["<", ">"] } else { [">=", "<="] };
            let both = [(signs[0], low), (signs[1], high)];
            let both =
                both.into_iter().map(|(sign, bound)| compare(*value, sign, *bound, properties));
            chain(both, *negated)?
        }
        Tree::In(name, negated, texts) => {
            negate_if(*negated, properties.get(name).map(|text| texts.contains(text)))
        }
        Tree::Search(leaf, negated, how, wanted) => Some(match value(*leaf, properties) {
            Some(text) if !wanted.is_empty() => {
                let found = match *how {
                    "CONTAINS" => text.matches(wanted).count() > 0,
                    "STARTSWITH" => text.find(wanted) == Some(0),
                    _ => {
                        text.rfind(wanted) == text.len().checked_sub(wanted.len())
                            && text.ends_with(wanted)
                    }
                };
                found != *negated
            }
            _ => false,
        }),
        Tree::LeafIsNull(leaf, negated) => Some(value(*leaf, properties).is_none() != *negated),
        Tree::BelowIsNull(tree, negated) => Some(below(tree)?.is_none() != *negated),
        Tree::LeafEquals(leaf, negated, tree) => {
            let right = below(tree)?;
            let left = value(*leaf, properties).map(|text| text.to_uppercase() == "TRUE");
            negate_if(*negated, equality(left, right))
        }
        Tree::Equals(left, negated, right) => {
            negate_if(*negated, equality(below(left)?, below(right)?))
        }
        Tree::Not(tree) => negate_if(true, below(tree)?),
        Tree::And(trees) => chain(trees.iter().map(below), false)?,
        Tree::Or(trees) => chain(trees.iter().map(below), true)?,
    })
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "$n", "like"])
}

fn text() -> impl Strategy<Value = &'static str> {
    prop::sample::select(TEXTS.to_vec())
}

/// What has an order.
fn ordered() -> impl Strategy<Value = Leaf> {
    let numbers = vec!["1", "10", "-5", "7L", "3000000000", "1.0", "1e1", "-2.5", "10."];
    prop_oneof![2 => name().prop_map(Leaf::Name), 1 => prop::sample::select(numbers).prop_map(Leaf::Number)]
}

fn textual() -> impl Strategy<Value = Leaf> {
    prop_oneof![3 => name().prop_map(Leaf::Name), 1 => text().prop_map(Leaf::Text)]
}

fn tree() -> impl Strategy<Value = Tree> {
    let signs = prop::sample::select(vec!["<", "<=", ">", ">="]);
    let equal = prop::sample::select(vec!["=", "<>"]);
    let how = prop::sample::select(vec!["CONTAINS", "STARTSWITH", "ENDSWITH"]);
    let any_leaf = || prop_oneof![ordered(), textual()];
    let leaf = prop_oneof![
        1 => prop::sample::select(vec![Some(true), Some(false), None]).prop_map(Tree::Literal),
        4 => (ordered(), signs, ordered()).prop_map(|(l, s, r)| Tree::Compare(l, s, r)),
        6 => (any_leaf(), equal, any_leaf()).prop_map(|(l, s, r)| Tree::Compare(l, s, r)),
        // A name for a bound: two numbers in the wrong order are refused.
        2 => (ordered(), any::<bool>(), ordered(), name())
            .prop_map(|(value, not, low, high)| Tree::Between(value, not, low, Leaf::Name(high))),
        1 => (ordered(), any::<bool>(), name(), ordered())
            .prop_map(|(value, not, low, high)| Tree::Between(value, not, Leaf::Name(low), high)),
        2 => (name(), any::<bool>(), prop::collection::vec(text(), 1..5))
            .prop_map(|(name, not, texts)| Tree::In(name, not, texts)),
        2 => (textual(), any::<bool>(), how, text())
            .prop_map(|(value, not, how, wanted)| Tree::Search(value, not, how, wanted)),
        1 => (any_leaf(), any::<bool>()).prop_map(|(leaf, not)| Tree::LeafIsNull(leaf, not)),
    ];
    // NULL is not compared with =, and a filter may not begin so.
    let compared = |tree: Tree| match tree {
        Tree::Literal(None) => Tree::Not(Box::new(tree)),
        tree => tree,
    };
    leaf.prop_recursive(5, 40, 4, move |tree| {
        prop_oneof![
            3 => prop::collection::vec(tree.clone(), 2..5).prop_map(Tree::And),
            3 => prop::collection::vec(tree.clone(), 2..5).prop_map(Tree::Or),
            2 => tree.clone().prop_map(|tree| Tree::Not(tree.into())),
            1 => (tree.clone(), any::<bool>()).prop_map(|(tree, not)| Tree::BelowIsNull(tree.into(), not)),
            1 => (textual(), any::<bool>(), tree.clone())
                .prop_map(move |(leaf, not, tree)| Tree::LeafEquals(leaf, not, compared(tree).into())),
            1 => (tree.clone(), any::<bool>(), tree)
                .prop_map(move |(l, not, r)| Tree::Equals(compared(l).into(), not, compared(r).into())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_expression_says_what_the_plain_evaluator_says(
        tree in tree(),
        many in prop::collection::vec(prop::collection::btree_map(name(), text(), 0..5), 1..6),
    ) {
        let text = tree.print();
        let filter = Filter::sql(&text).unwrap_or_else(|refused| panic!("{refused}"));
        for properties in many {
            let expected = match evaluate(&tree, &properties) {
                Ok(Some(truth)) => truth.into(),
                Ok(None) => Verdict::Unknown,
                Err(()) => Verdict::Error,
            };
            let found = filter.evaluate(|name| properties.get(name).copied());
            prop_assert_eq!(found, expected, "{}", text);
            let stored: Vec<(&str, &str)> = properties.iter().map(|(n, v)| (*n, *v)).collect();
            if stored.iter().all(|(_, value)| !value.is_empty()) {
                prop_assert_eq!(filter.verdict(&block(&stored)), expected, "{}", text);
            }
        }
    }
}
