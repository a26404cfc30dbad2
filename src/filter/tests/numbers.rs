//! Texts as Java reads numbers.

use std::cmp::Ordering;

use crate::filter::number::{Number, double, integer, order};

#[test]
fn whole_numbers_are_a_sign_and_digits_of_any_script() {
    for (text, value) in [
        ("0", Some(0)),
        ("-0", Some(0)),
        ("+7", Some(7)),
        ("007", Some(7)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("٣", Some(3)),
        ("-１٠", Some(-10)),
        ("+๙", Some(9)),
        ("-٩٢٢٣٣٧٢٠٣٦٨٥٤٧٧٥٨٠٨", Some(i64::MIN)),
        ("٩٢٢٣٣٧٢٠٣٦٨٥٤٧٧٥٨٠٨", None),
        ("²", None),
        ("½", None),
        ("𝟗", None),
        ("", None),
        ("-", None),
        ("+", None),
        ("+-1", None),
        ("--1", None),
        ("-+３", None),
        (" 1", None),
        ("1 ", None),
        ("1.0", None),
        ("1e3", None),
        ("1L", None),
        ("0x1", None),
        ("1_0", None),
    ] {
        assert_eq!(integer(text), value, "{text:?}");
    }
}

#[test]
fn a_text_is_read_in_the_width_of_the_number_beside_it() {
    let reads = |number: Number, text: &str| number.read_alike(text).is_some();
    assert!(reads(Number::Int(1), "2147483647") && !reads(Number::Int(1), "2147483648"));
    assert!(reads(Number::Int(1), "-2147483648") && !reads(Number::Int(1), "-2147483649"));
    assert!(reads(Number::Long(1), "2147483648") && !reads(Number::Long(1), "1.0"));
    assert!(reads(Number::Double(1.0), "1.0") && !reads(Number::Double(1.0), "1L"));
}

#[test]
fn doubles_are_javas() {
    for (text, value) in [
        ("10", 10.0),
        (" 10\t", 10.0),
        ("\u{1}10\u{0}", 10.0),
        ("5.", 5.0),
        (".5", 0.5),
        ("+1e3", 1000.0),
        ("-1E-2", -0.01),
        ("9d", 9.0),
        ("9.5F", 9.5),
        ("Infinity", f64::INFINITY),
        ("-Infinity", f64::NEG_INFINITY),
        ("1e400", f64::INFINITY),
        ("1e-400", 0.0),
        ("1e99999999999999999999", f64::INFINITY),
        ("0x1p3", 8.0),
        ("0X1.8P+1", 3.0),
        ("-0x.8p1d", -1.0),
        ("0xAp0", 10.0),
        ("0x0p9", 0.0),
        ("0x1p1023", 2_f64.powi(1023)),
        ("0x1p1024", f64::INFINITY),
        ("0x1.fffffffffffffp1023", f64::MAX),
        ("0x1.fffffffffffff7p1023", f64::MAX),
        ("0x1.fffffffffffff8p1023", f64::INFINITY),
        ("0x1p-1074", f64::from_bits(1)),
        ("0x1p-1075", 0.0),
        ("0x1.0000000000000000000000001p-1075", f64::from_bits(1)),
        ("0x1.8p-1074", f64::from_bits(2)),
        ("0x1p-1022", f64::MIN_POSITIVE),
        ("0x1p-9999999999999999999", 0.0),
        ("0x1p9999999999999999999", f64::INFINITY),
        ("0x1.00000000000008p0", 1.0),
        ("0x1.000000000000080000000000000001p0", 1.0 + f64::EPSILON),
        ("0x1.00000000000018p0", 1.0 + 2.0 * f64::EPSILON),
        ("0x10000000000000000000000p-88", 1.0),
    ] {
        assert_eq!(double(text).map(f64::to_bits), Some(value.to_bits()), "{text:?}");
    }
    assert!(double("NaN").is_some_and(f64::is_nan) && double("-NaN").is_some_and(f64::is_nan));
    assert_eq!(double("-0").map(f64::to_bits), Some((-0.0_f64).to_bits()));
}

#[test]
fn what_java_takes_for_no_double_is_none() {
    for text in [
        "",
        " ",
        ".",
        "-",
        "+-1",
        "--1",
        "e5",
        "1e",
        "1e+",
        "1.2.3",
        "inf",
        "nan",
        "infinity",
        "NAN",
        "NaNd",
        "Infinityf",
        "1L",
        "1dd",
        "1_0",
        "٣",
        "\u{a0}1",
        "0x1",
        "0x1.8",
        "0xp1",
        "0x.p1",
        "0x1p",
        "0x1p+",
        "0x1p1.0",
        "0x1pp1",
        "0x-1p1",
        "0x+1p1",
        "1 2",
        "1,5",
        "ten",
    ] {
        assert_eq!(double(text), None, "{text:?}");
    }
}

#[test]
fn doubles_have_one_order() {
    let sorted = [f64::NEG_INFINITY, -1.0, -0.0, 0.0, 1.0, f64::INFINITY, f64::NAN];
    for (at, left) in sorted.iter().enumerate() {
        for (other, right) in sorted.iter().enumerate() {
            assert_eq!(order(*left, *right), at.cmp(&other), "{left} {right}");
        }
    }
    assert_eq!(order(f64::NAN, -f64::NAN), Ordering::Equal);
}

#[test]
fn whole_numbers_are_compared_as_such_and_beside_a_double_as_doubles() {
    let long = Number::Long(9_007_199_254_740_993);
    assert!(long.compare(Number::Long(9_007_199_254_740_992)).is_gt());
    assert!(long.compare(Number::Double(9_007_199_254_740_992.0)).is_eq());
    assert!(Number::Int(0).compare(Number::Double(-0.0)).is_gt());
}
