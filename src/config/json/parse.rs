//! Text to value.

use std::fmt;

use super::value::{Key, Member, Value};

/// Containers inside containers, at most: parsing, writing and dropping recurse this deep and no deeper.
pub(super) const DEPTH_MAX: usize = 64;

/// Where a text stops being JSON, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ParseError {
    /// In bytes from the start of the text.
    pub(crate) offset: usize,
    pub(crate) message: &'static str,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.message, self.offset)
    }
}

type Parsed<T> = Result<T, ParseError>;

/// Parses one value that fills the whole text, white space around it aside.
///
/// Accepted beyond the standard: member names that are integers or identifiers without quotes.
///
/// # Errors
///
/// The first offset at which the text cannot be continued to be JSON.
pub(crate) fn parse(bytes: &[u8]) -> Parsed<Value> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| ParseError { offset: e.valid_up_to(), message: "the text is not UTF-8" })?;
    let mut parser = Parser { text, at: 0 };
    parser.skip_space();
    let value = parser.value(DEPTH_MAX)?;
    parser.skip_space();
    if parser.peek().is_some() { parser.fail("nothing may follow the value") } else { Ok(value) }
}

struct Parser<'a> {
    text: &'a str,
    /// Always on a character boundary: it only moves over ASCII bytes or over whole runs between them.
    at: usize,
}

impl<'a> Parser<'a> {
    fn fail<T>(&self, message: &'static str) -> Parsed<T> {
        Err(ParseError { offset: self.at, message })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word));
        if found {
            self.at += word.len();
        }
        found
    }

    fn eat_while(&mut self, accepted: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        while self.peek().is_some_and(&accepted) {
            self.at += 1;
        }
        self.since(start)
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        self.eat_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'));
    }

    fn value(&mut self, depth_left: usize) -> Parsed<Value> {
        match self.peek() {
            Some(b'{' | b'[') if depth_left == 0 => self.fail("the value is nested too deeply"),
            Some(b'{') => self.object(depth_left - 1),
            Some(b'[') => self.array(depth_left - 1),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => Ok(Value::Number(self.number()?.into())),
            None => self.fail("the text ends where a value should be"),
            Some(_) if self.eat_word("null") => Ok(Value::Null),
            Some(_) if self.eat_word("true") => Ok(Value::Bool(true)),
            Some(_) if self.eat_word("false") => Ok(Value::Bool(false)),
            Some(_) => self.fail("this is not the start of a value"),
        }
    }

    fn array(&mut self, depth_left: usize) -> Parsed<Value> {
        let mut items = Vec::new();
        self.eat(b'[');
        self.skip_space();
        if self.eat(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            self.skip_space();
            items.push(self.value(depth_left)?);
            self.skip_space();
            if self.eat(b']') {
                return Ok(Value::Array(items));
            }
            if !self.eat(b',') {
                return self.fail("an array goes on with a comma or ends with a bracket");
            }
        }
    }

    fn object(&mut self, depth_left: usize) -> Parsed<Value> {
        let mut members = Vec::new();
        self.eat(b'{');
        self.skip_space();
        if self.eat(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            members.push(self.member(depth_left)?);
            self.skip_space();
            if self.eat(b'}') {
                return Ok(Value::Object(members));
            }
            if !self.eat(b',') {
                return self.fail("an object goes on with a comma or ends with a brace");
            }
        }
    }

    fn member(&mut self, depth_left: usize) -> Parsed<Member> {
        self.skip_space();
        let key = self.key()?;
        self.skip_space();
        if !self.eat(b':') {
            return self.fail("a colon must follow a member's name");
        }
        self.skip_space();
        Ok((key, self.value(depth_left)?))
    }

    fn key(&mut self) -> Parsed<Key> {
        match self.peek() {
            Some(b'"') => Ok(Key::text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => Ok(Key::bare(self.integer()?)),
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$') => {
                Ok(Key::text(self.eat_while(|b| b.is_ascii_alphanumeric() || b"_$".contains(&b))))
            }
            _ => self.fail("this is not a member's name"),
        }
    }

    fn integer(&mut self) -> Parsed<&'a str> {
        let start = self.at;
        self.eat(b'-');
        // A leading zero stands alone: "01" fails at whatever has to follow the number.
        if !self.eat(b'0') {
            self.digits()?;
        }
        Ok(self.since(start))
    }

    fn number(&mut self) -> Parsed<&'a str> {
        let start = self.at;
        self.integer()?;
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _signed = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(self.since(start))
    }

    fn digits(&mut self) -> Parsed<()> {
        if self.eat_while(|b| b.is_ascii_digit()).is_empty() {
            return self.fail("a digit is missing");
        }
        Ok(())
    }

    fn string(&mut self) -> Parsed<String> {
        let mut text = String::new();
        self.eat(b'"');
        loop {
            text.push_str(self.eat_while(|b| b >= 0x20 && b != b'"' && b != b'\\'));
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => return self.fail("a control character must be escaped"),
                None => return self.fail("the text ends inside a string"),
            }
        }
    }

    fn escape(&mut self) -> Parsed<char> {
        self.eat(b'\\');
        let escaped = match self.peek() {
            Some(plain @ (b'"' | b'\\' | b'/')) => char::from(plain),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return self.fail("this is not an escape"),
        };
        self.at += 1;
        Ok(escaped)
    }

    /// The digits after `\u`, and the second half of a pair if the first asks for one.
    fn unicode(&mut self) -> Parsed<char> {
        let start = self.at;
        let first = self.hex4()?;
        let code = if (0xd800..0xdc00).contains(&first) && self.eat_word("\\u") {
            match self.hex4()? {
                second @ 0xdc00..0xe000 => 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                _ => first,
            }
        } else {
            first
        };
        let lone = ParseError { offset: start, message: "half of a surrogate pair stands alone" };
        char::from_u32(code).ok_or(lone)
    }

    fn hex4(&mut self) -> Parsed<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|b| char::from(b).to_digit(16)) else {
                return self.fail("four hex digits must follow");
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}
