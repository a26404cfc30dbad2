//! Judges SQL filters: reads cases, one JSON object a line, and prints what becomes of each.
//!
//! ```sh
//! cargo run --release --example filter_cases -- FILE.jsonl
//! ```
//!
//! A case has an `id`, an expression `expr` (or `expr_repeat`: `prefix`, `n` times `unit` with `{i}` for its number, `suffix`) and
//! `props`, the properties of a message. Printed are `id`, `compile` (`ok` or `error`), `result` (`true`, `false`, `null` for
//! unknown, `"error"`), `passes`, and, where docs/FILTERS.md decided otherwise than RocketMQ, `deviation`, its name there.

#![expect(clippy::print_stderr, reason = "a command-line program talks to its user")]

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::process::ExitCode;

use pocketmq::{Filter, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Case {
    id: Value,
    expr: Option<String>,
    expr_repeat: Option<Repeat>,
    #[serde(default)]
    props: Option<HashMap<String, String>>,
}

#[derive(Deserialize)]
struct Repeat {
    prefix: String,
    unit: String,
    n: usize,
    suffix: String,
}

impl Case {
    fn expression(&self) -> Result<String, String> {
        match (&self.expr, &self.expr_repeat) {
            (Some(expression), None) => Ok(expression.clone()),
            (None, Some(Repeat { prefix, unit, n, suffix })) => {
                let units = (0..*n).map(|i| unit.replace("{i}", &i.to_string()));
                Ok(format!("{prefix}{}{suffix}", units.collect::<String>()))
            }
            _ => Err(format!("{}: either expr or expr_repeat is needed", self.id)),
        }
    }

    fn judge(&self) -> Result<Judged<'_>, String> {
        let id = &self.id;
        Ok(match Filter::sql(&self.expression()?) {
            Ok(filter) => {
                let property = |name: &str| Some(self.props.as_ref()?.get(name)?.as_str());
                let verdict = filter.evaluate(property);
                let result = match verdict {
                    Verdict::True => json!(true),
                    Verdict::False => json!(false),
                    Verdict::Unknown => Value::Null,
                    _ => json!("error"),
                };
                let passes = verdict == Verdict::True;
                let deviation = filter.deviation();
                Judged { id, compile: "ok", result, passes, deviation, error: None }
            }
            Err(refused) => Judged {
                id,
                compile: "error",
                result: Value::Null,
                passes: false,
                deviation: refused.deviation(),
                error: Some(refused.to_string()),
            },
        })
    }
}

/// What becomes of a case.
#[derive(Serialize)]
struct Judged<'a> {
    id: &'a Value,
    compile: &'static str,
    result: Value,
    passes: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    deviation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (Some(path), None) = (words.next(), words.next()) else {
        eprintln!("usage: filter_cases FILE.jsonl");
        return ExitCode::from(2);
    };
    match judge(&path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("filter_cases: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "an example reads its own input")]
fn judge(path: &str) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(io::stdout().lock());
    for line in BufReader::new(File::open(path)?).lines() {
        let line = line?;
        if !line.trim().is_empty() {
            let case: Case = serde_json::from_str(&line)?;
            writeln!(out, "{}", serde_json::to_string(&case.judge()?)?)?;
        }
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::read_to_string;
    use std::path::Path;

    use super::*;

    fn file(name: &str) -> String {
        read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
    }

    /// Every case of the file (written down from `RocketMQ` 5.3.3) is judged as there, or by a decision that docs/FILTERS.md lists.
    #[test]
    fn every_recorded_case_is_judged_as_by_rocketmq_or_by_a_listed_decision() {
        let docs = file("docs/FILTERS.md");
        let mut deviations = BTreeMap::new();
        let mut as_recorded = 0;
        for line in file("tests/data/sql92-cases.jsonl").lines() {
            let recorded: Value = serde_json::from_str(line).unwrap();
            let case: Case = serde_json::from_str(line).unwrap();
            let judged = serde_json::to_value(case.judge().unwrap()).unwrap();
            let same = |what: &str| judged[what] == recorded[what];
            if same("compile") && same("result") && same("passes") {
                as_recorded += 1;
            } else if recorded["unstable"] != true {
                let tag = judged["deviation"].as_str();
                let tag = tag.unwrap_or_else(|| panic!("{judged}\nis not {recorded}")).to_owned();
                assert!(
                    docs.contains(&format!("\n| `{tag}` |")),
                    "{tag} is not in docs/FILTERS.md"
                );
                // Only refusals differ, and what is taken beside: no filter that both take says another thing.
                assert_ne!(judged["compile"], recorded["compile"], "{judged}\nis not {recorded}");
                *deviations.entry(tag).or_insert(0) += 1;
            }
        }
        let expected = [
            ("bare-property", 20),
            ("bool-left", 5),
            ("bool-vs-number", 3),
            ("dashes-at-end", 1),
            ("negate-non-number", 12),
            ("not-binds-tight", 11),
            ("text-op-non-text", 5),
            ("trailing-text", 54),
            ("zero-float", 5),
        ];
        let expected = expected.map(|(tag, count)| (tag.to_owned(), count)).into();
        assert_eq!((as_recorded, deviations), (827, expected));
    }

    #[test]
    fn a_case_may_be_written_as_a_repetition() {
        let case = r#"{"id": 1, "expr_repeat": {"prefix": "a IN (", "unit": "'v{i}', ", "n": 2, "suffix": "'')"}}"#;
        let case: Case = serde_json::from_str(case).unwrap();
        assert_eq!(case.expression().unwrap(), "a IN ('v0', 'v1', '')");
        assert_eq!(case.judge().unwrap().result, Value::Null);
        assert!(serde_json::from_str::<Case>(r#"{"id": 1}"#).unwrap().judge().is_err());
    }
}
