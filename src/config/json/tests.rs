use proptest::prelude::*;

use super::parse::DEPTH_MAX;
use super::*;

fn parsed(text: &str) -> Value {
    parse(text.as_bytes()).unwrap()
}

fn failure(text: &str) -> usize {
    parse(text.as_bytes()).unwrap_err().offset
}

#[test]
fn every_kind_of_value_is_read() {
    let value = parsed(r#" {"a":[null,true,false,-0.50e+3,"xé"],"b":{}} "#);
    let expected = Value::object([
        (
            "a",
            Value::Array(vec![
                Value::Null,
                Value::Bool(true),
                Value::Bool(false),
                Value::Number("-0.50e+3".into()),
                Value::string("xé"),
            ]),
        ),
        ("b", Value::Object(vec![])),
    ]);
    assert_eq!(value, expected);
}

#[test]
fn integer_keys_need_no_quotes_and_stay_bare() {
    let text = "{\n\t\"t@g\":{0:12,1:30,-1:2\n\t}\n}";
    let value = parsed(text);
    let members = value.get("t@g").unwrap().members().unwrap();
    assert!(members.iter().all(|(key, _)| key.is_bare()));
    assert_eq!(to_text(&value), text);
    assert_ne!(value, parsed(r#"{"t@g":{"0":12,"1":30,"-1":2}}"#));
}

#[test]
fn identifier_keys_need_no_quotes() {
    assert_eq!(parsed("{ab_$9:1,null:2}"), parsed(r#"{"ab_$9":1,"null":2}"#));
}

#[test]
fn the_last_of_two_members_of_one_name_counts() {
    let mut value = parsed(r#"{"a":1,"a":2}"#);
    assert_eq!(value.get("a").unwrap().as_i64(), Some(2));
    value.set("a", Value::number(3));
    assert_eq!(value, parsed(r#"{"a":1,"a":3}"#));
}

#[test]
fn integers_are_read_in_quotes_too_but_never_rounded() {
    assert_eq!(parsed("\"-7\"").as_i64(), Some(-7));
    assert_eq!(parsed("9223372036854775807").as_i64(), Some(i64::MAX));
    for text in ["9223372036854775808", "1.0", "1e2", "true", "\"\"", "null"] {
        assert_eq!(parsed(text).as_i64(), None, "{text}");
    }
}

#[test]
fn an_error_names_the_byte() {
    for (text, offset) in [
        ("", 0),
        ("  ", 2),
        ("{\"a\":1", 6),
        ("{\"a\" 1}", 5),
        ("{\"a\":1,}", 7),
        ("[1,]", 3),
        ("[1 2]", 3),
        ("01", 1),
        ("1.", 2),
        ("-", 1),
        ("1e+", 3),
        ("{1.5:0}", 2),
        ("{01:0}", 2),
        ("nul", 0),
        ("'a'", 0),
        ("\"a\nb\"", 2),
        ("\"\\x\"", 2),
        ("\"\\u12g4\"", 5),
        ("\"\\ud800x\"", 3),
        ("\"\\ud800\\u0041\"", 3),
        ("\"\\udc00\"", 3),
        ("{} {}", 3),
        ("// no\n1", 0),
    ] {
        assert_eq!(failure(text), offset, "{text:?}");
    }
    assert_eq!(parse(b"\"\xff\"").unwrap_err().offset, 1);
}

#[test]
fn a_torn_text_never_parses() {
    let text = to_text(&parsed(r#"{"a":{0:1,1:-2.5e1},"b":["\u00e9\n",true,{}],"c":"d"}"#));
    for end in 0..text.len() {
        assert!(parse(&text.as_bytes()[..end]).is_err(), "{end}");
    }
}

#[test]
fn nesting_is_allowed_up_to_the_limit_and_refused_beyond() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
    assert_eq!(failure(&nested(DEPTH_MAX + 1)), DEPTH_MAX);
    assert_eq!(failure(&"{\"a\":[".repeat(1_000_000)), DEPTH_MAX / 2 * 6);
}

#[test]
fn escapes_mean_their_characters() {
    let all = r#""\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\uDE00\u2028""#;
    let value = parsed(all);
    assert_eq!(value, Value::string("\"\\/\u{8}\u{c}\n\r\tAé😀\u{2028}"));
    assert_eq!(to_text(&value), r#""\"\\/\b\f\n\r\tAé😀\u2028""#);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?"
            .prop_map(|text| Value::Number(text.into())),
        any::<String>().prop_map(Value::String),
        "[\\x00-\\xff]{0,8}".prop_map(Value::String),
    ];
    let key = prop_oneof![
        any::<String>().prop_map(Key::text),
        any::<u32>().prop_map(Key::integer),
        any::<i64>().prop_map(|n| Key::bare(n.to_string())),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..8).prop_map(Value::Object),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_equal(value in any_value()) {
        prop_assert_eq!(parse(to_text(&value).as_bytes()), Ok(value));
    }

    #[test]
    fn any_bytes_give_a_value_or_an_offset_inside_them(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "[\\[\\]{}:,\"\\\\untrefals0-9eE.+ \t-]{0,80}".prop_map(String::into_bytes),
        ],
    ) {
        match parse(&bytes) {
            Ok(value) => prop_assert_eq!(parse(to_text(&value).as_bytes()), Ok(value)),
            Err(error) => prop_assert!(error.offset <= bytes.len()),
        }
    }
}
