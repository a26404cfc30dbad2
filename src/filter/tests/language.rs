//! What the language takes, and what its refusals say.

use proptest::prelude::*;

use super::*;

fn refused(expression: &str) -> FilterError {
    match Filter::sql(expression) {
        Err(refused) => refused,
        Ok(_) => panic!("{expression} is taken"),
    }
}

/// Place, name of the difference, and a word of what to do.
#[test]
fn a_refusal_says_where_and_what_to_write_instead() {
    for (expression, at, deviation, hint) in [
        ("", 0, None, "write a condition"),
        ("a LIKE 'x%'", 2, Some("trailing-text"), "CONTAINS"),
        ("a + 1 = 2", 2, Some("trailing-text"), "cannot calculate"),
        ("a * 2 = 4", 2, None, "cannot calculate"),
        ("a = 007 AND b = 1", 5, Some("trailing-text"), "AND, OR or the end"),
        ("a = 1) AND b = 2", 5, Some("trailing-text"), "closes nothing"),
        ("upper(a) = 'X'", 5, Some("trailing-text"), "no functions"),
        ("a = 1 ORDER BY b", 6, Some("trailing-text"), "before ORDER"),
        ("b = 2 AND NOT a = 1", 10, Some("not-binds-tight"), "NOT (...)"),
        ("NOT a IN ('x')", 0, Some("not-binds-tight"), "NOT (...)"),
        ("a = 1 OR flag", 9, Some("bare-property"), "flag = TRUE"),
        ("NOT flag", 4, Some("bare-property"), "flag = TRUE"),
        ("a > -b", 4, Some("negate-non-number"), "numbers only"),
        ("TRUE = flag", 0, Some("bool-left"), "on the right"),
        ("(a = 1) = b", 1, Some("bool-left"), "on the right"),
        ("a = 1 = 1", 6, Some("bool-vs-number"), "never equal"),
        ("1 = TRUE", 2, Some("bool-vs-number"), "never equal"),
        ("123 CONTAINS '2'", 0, Some("text-op-non-text"), "here is a number"),
        ("a = --5", 7, Some("dashes-at-end"), "--"),
        ("a = NULL", 4, None, "IS NULL"),
        ("NULL <> a", 0, None, "IS NULL"),
        ("a > 'x'", 4, None, "without quotes"),
        ("a > 1 > 0", 0, None, "here is a condition"),
        ("a == 1", 3, None, "single ="),
        ("a != 1", 2, None, "<>"),
        ("a < > 1", 4, None, "<>"),
        ("a = \"x\"", 4, None, "'...'"),
        ("a && b", 2, None, "AND"),
        ("a = 1;", 5, None, "leave it out"),
        ("a.b = 1", 1, None, "names"),
        ("a = 'x", 4, None, "'"),
        ("a = 1 /* x", 6, None, "*/"),
        ("(a = 1", 0, None, ") is missing"),
        ("in = 1", 0, None, "cannot be a property's name"),
        ("a IS 1", 5, None, "IS NOT NULL"),
        ("a NOT = 1", 6, None, "behind NOT"),
        ("a IN 'x'", 5, None, "IN ('a', 'b')"),
        ("a IN (1)", 6, None, "write '...'"),
        ("a IN ('x' 'y')", 10, None, ", or )"),
        ("1 IN ('x')", 0, None, "a property stands before IN"),
        ("a CONTAINS b", 11, None, "'...'"),
        ("a BETWEEN 1 OR 2", 12, None, "upper bound"),
        ("a BETWEEN 3 AND 2", 10, None, "nothing is between"),
        ("a = 9223372036854775808", 4, None, "9223372036854775807"),
        ("a = 1e400", 4, None, "larger"),
        ("1", 0, None, "compare it"),
        ("a = 1 AND 'x'", 10, None, "compare it"),
    ] {
        let refused = refused(expression);
        assert_eq!((refused.offset(), refused.deviation()), (at, deviation), "{refused}");
        assert!(refused.to_string().contains(hint), "{refused}");
    }
}

#[test]
fn the_place_is_marked_below_the_line_it_is_in() {
    let marked = refused("a = 1\nAND 'ж' = b\tAND c\nOR d = 1").to_string();
    let lines: Vec<&str> = marked.lines().collect();
    assert_eq!(lines[1..], ["    AND 'ж' = b AND c", "                    ^"]);
    let long =
        refused(&format!("a = '{}' AND b {}", "x".repeat(5000), "y".repeat(5000))).to_string();
    let lines: Vec<&str> = long.lines().collect();
    assert!(lines[1].len() < 80 && long.len() < 300, "{long}");
    assert_eq!(lines[1].chars().nth(lines[2].len() - 1), Some('y'), "{long}");
}

#[test]
fn a_zero_may_have_a_dot_and_that_is_told() {
    assert_eq!(verdict("a > 0.0", &[("a", "1")]), Verdict::True);
    assert_eq!(verdict("a < -0.0", &[("a", "-0.0")]), Verdict::False);
    for text in ["a > 0.0", "a > .0", "a > 0e1", "a > 1e-400"] {
        assert_eq!(sql(text).deviation(), Some("zero-float"), "{text}");
    }
    assert_eq!(sql("a > 0 OR a > 4.9e-324").deviation(), None);
}

/// Two texts, and so many times between them a third, with its number.
fn repeated(before: &str, count: usize, unit: &str, after: &str) -> String {
    let units: Vec<String> = (0..count).map(|n| unit.replace("{}", &n.to_string())).collect();
    format!("{before}{}{after}", units.concat())
}

#[test]
fn chains_and_lists_are_as_long_as_the_text_allows() {
    let or = repeated("", 50_000, "a = '{}' OR ", "a = 'end'");
    assert_eq!(verdict(&or, &[("a", "end")]), Verdict::True);
    assert_eq!(verdict(&or, &[("a", "7")]), Verdict::True);
    assert_eq!(verdict(&or, &[("a", "none")]), Verdict::False);
    let and = repeated("", 50_000, "a <> '{}' AND ", "a = 'x'");
    assert_eq!(verdict(&and, &[("a", "x")]), Verdict::True);
    assert_eq!(verdict(&and, &[("a", "0")]), Verdict::False);
    let list = repeated("a IN (", 90_000, "'{}', ", "'end')");
    assert_eq!(verdict(&list, &[("a", "54321")]), Verdict::True);
    assert_eq!(verdict(&list, &[("a", "v")]), Verdict::False);
    let long = format!("{}b = 1", " ".repeat((1 << 20) - 5));
    assert_eq!(verdict(&long, &[("b", "1")]), Verdict::True);
    assert_eq!(refused(&format!(" {long}")).deviation(), Some("length-limit"));
}

/// On a thread whose stack holds next to nothing.
#[test]
fn depth_has_a_limit_and_takes_no_stack() {
    let nested = |before: &str, after: &str, n: usize| {
        format!("{}a = 1{}", before.repeat(n), after.repeat(n))
    };
    let run = move || {
        for (before, after, levels) in [
            ("(", ")", 1024),
            ("NOT (", ")", 512),
            ("b = 2 OR (", ")", 1024),
            ("b = '2' AND (b = 1 OR (b = 2 = (", ")))", 341),
        ] {
            assert_eq!(
                verdict(&nested(before, after, levels), &[("a", "1"), ("b", "2")]),
                Verdict::True,
                "{before}"
            );
            let refused = refused(&nested(before, after, 100_000 / before.len()));
            assert_eq!(refused.deviation(), Some("depth-limit"), "{before}");
        }
        assert_eq!(refused(&"NOT ".repeat(100_000)).deviation(), Some("depth-limit"));
        assert_eq!(refused(&"- ".repeat(100_000)).deviation(), Some("depth-limit"));
    };
    let thread = std::thread::Builder::new().stack_size(64 << 10).spawn(run);
    thread.unwrap().join().unwrap();
}

proptest! {
    /// Words, signs and noise in any order.
    #[test]
    fn no_text_panics_and_every_refusal_has_a_place_in_it(
        words in prop::collection::vec(
            prop_oneof![
                8 => prop::sample::select(vec![
                    "a", "b", "LIKE", "NOT", "and", "OR", "BETWEEN", "IN", "TRUE", "false", "NULL", "IS", "CONTAINS",
                    "startswith", "ENDSWITH", "=", "<>", "<", "<=", ">", ">=", "(", ")", ",", "+", "-", "'x'", "''",
                    "'it''s'", "0", "7L", "3000000000", "1.5", ".0", "1e3", "--", "\n", "/*", "*/", "'", "ж", "🎈",
                ]).prop_map(str::to_owned),
                1 => "\\PC{0,3}",
            ],
            0..40,
        ),
        blank in prop::sample::select(vec!["", " ", "\t"]),
        block in prop::collection::vec(prop_oneof![Just(1_u8), Just(2), b'a'..=b'b', b'0'..=b'9'], 0..40),
    ) {
        let text = words.join(blank);
        match Filter::sql(&text) {
            Ok(filter) => {
                let _verdict = filter.verdict(&block);
            }
            Err(refused) => {
                prop_assert!(text.is_char_boundary(refused.offset()));
                prop_assert_eq!(refused.to_string().lines().count(), 3);
            }
        }
    }
}
