//! Value to text, in the shape of the broker's own files.

use std::fmt::Write;

use super::value::Value;

/// The value as pretty text: tabs, one named member a line, integer keys bare and side by side, no newline at the end.
pub(crate) fn to_text(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value, Some(0));
    out
}

/// The value as text on one line, as a broker writes its metrics.
pub(crate) fn to_line(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value, None);
    out
}

/// `level` is how far a line is moved in, if there are lines.
fn write_value(out: &mut String, value: &Value, level: Option<usize>) {
    let inner = level.map(|level| level + 1);
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(text) => out.push_str(text),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push('[');
            let mut items = items.iter();
            if let Some(first) = items.next() {
                write_value(out, first, inner);
            }
            for item in items {
                out.push(',');
                write_value(out, item, inner);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (at, (key, value)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                if key.is_bare() {
                    out.push_str(key.as_str());
                } else {
                    new_line(out, inner);
                    write_string(out, key.as_str());
                }
                out.push(':');
                write_value(out, value, inner);
            }
            if !members.is_empty() {
                new_line(out, level);
            }
            out.push('}');
        }
    }
}

fn new_line(out: &mut String, level: Option<usize>) {
    if let Some(level) = level {
        out.push('\n');
        out.extend(std::iter::repeat_n('\t', level));
    }
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // All of these fit four digits.
            '\0'..' ' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string cannot fail.
                write!(out, "\\u{:04X}", u32::from(c)).ok();
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
}
