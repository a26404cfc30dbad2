//! Filters against a second evaluator and against any text, and what their refusals say. Verdicts recorded from `RocketMQ` are held
//! against the library by the example `filter_cases`.

mod language;
mod numbers;
mod reference;
mod stored;
mod tags;

use super::*;

fn sql(expression: &str) -> Filter {
    Filter::sql(expression).unwrap_or_else(|refused| panic!("{refused}"))
}

fn verdict(expression: &str, properties: &[(&str, &str)]) -> Verdict {
    let value = |name: &str| properties.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    sql(expression).evaluate(value)
}

fn block(properties: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in properties {
        properties::push(&mut block, name, value);
    }
    block
}
