//! Words, numbers, texts and signs of an SQL filter.

use super::error::FilterError;
use super::number::{Number, decimal};

/// A piece of a filter.
#[derive(Debug, Clone, Copy)]
pub(super) enum Token<'a> {
    Name(&'a str),
    /// Between the quotes, a quote inside still doubled.
    Text(&'a str),
    Number(Number),
    Not,
    And,
    Or,
    Between,
    In,
    True,
    False,
    Null,
    Is,
    Contains,
    StartsWith,
    EndsWith,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Open,
    Close,
    Comma,
    Plus,
    Minus,
    End,
}

const KEYWORDS: [(&str, Token<'_>); 12] = [
    ("NOT", Token::Not),
    ("AND", Token::And),
    ("OR", Token::Or),
    ("BETWEEN", Token::Between),
    ("IN", Token::In),
    ("TRUE", Token::True),
    ("FALSE", Token::False),
    ("NULL", Token::Null),
    ("IS", Token::Is),
    ("CONTAINS", Token::Contains),
    ("STARTSWITH", Token::StartsWith),
    ("ENDSWITH", Token::EndsWith),
];

/// The longest first.
const SIGNS: [(&str, Token<'_>); 11] = [
    ("<>", Token::Unequal),
    ("<=", Token::LessOrEqual),
    (">=", Token::GreaterOrEqual),
    ("<", Token::Less),
    (">", Token::Greater),
    ("=", Token::Equal),
    ("(", Token::Open),
    (")", Token::Close),
    (",", Token::Comma),
    ("+", Token::Plus),
    ("-", Token::Minus),
];

/// Takes one token after the other.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    filter: &'a str,
    at: usize,
    /// A zero was written with a dot or exponent.
    pub(super) real_zero: bool,
    /// The filter ends within a comment of `--`.
    pub(super) ends_in_comment: bool,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(filter: &'a str) -> Self {
        Self { filter, at: 0, real_zero: false, ends_in_comment: false }
    }

    fn rest(&self) -> &'a str {
        self.filter.get(self.at..).unwrap_or_default()
    }

    /// The next token and where it begins.
    ///
    /// # Errors
    ///
    /// What begins there is no token.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'a>), FilterError> {
        self.skip_blanks()?;
        let (at, rest) = (self.at, self.rest());
        let Some(first) = rest.chars().next() else { return Ok((at, Token::End)) };
        let second_is_digit = rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        let token = match first {
            'a'..='z' | 'A'..='Z' | '_' | '$' => self.word(),
            '\'' => self.text()?,
            '0'..='9' => self.number()?,
            '.' if second_is_digit => self.number()?,
            _ => {
                let sign = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign));
                let (sign, token) = sign.ok_or_else(|| self.unknown(first))?;
                self.at += sign.len();
                *token
            }
        };
        Ok((at, token))
    }

    fn skip_blanks(&mut self) -> Result<(), FilterError> {
        loop {
            let rest = self.rest().trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
            self.at = self.filter.len() - rest.len();
            if let Some(comment) = rest.strip_prefix("/*") {
                let end = comment.find("*/").ok_or_else(|| {
                    FilterError::new(self.filter, self.at, "the comment has no end: */ is missing")
                })?;
                self.at += end + 4;
            } else if rest.starts_with("--") {
                let end = rest.find(['\n', '\r']);
                self.ends_in_comment = end.is_none();
                self.at += end.unwrap_or(rest.len());
            } else {
                return Ok(());
            }
        }
    }

    /// Takes the bytes at the beginning of the rest that are so.
    fn take_while(&mut self, is_so: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.bytes().position(|b| !is_so(b)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    fn word(&mut self) -> Token<'a> {
        let word = self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$');
        let keyword = KEYWORDS.iter().find(|(keyword, _)| word.eq_ignore_ascii_case(keyword));
        keyword.map_or(Token::Name(word), |(_, token)| *token)
    }

    fn text(&mut self) -> Result<Token<'a>, FilterError> {
        let from = self.at + 1;
        let mut end = from;
        loop {
            let quote = self.filter.get(end..).and_then(|rest| rest.find('\''));
            let quote = quote.ok_or_else(|| {
                FilterError::new(self.filter, self.at, "the text has no end: a ' is missing")
            })?;
            end += quote;
            if self.filter.as_bytes().get(end + 1) != Some(&b'\'') {
                break;
            }
            end += 2;
        }
        self.at = end + 1;
        Ok(Token::Text(self.filter.get(from..end).unwrap_or_default()))
    }

    fn number(&mut self) -> Result<Token<'a>, FilterError> {
        let from = self.at;
        let digits = self.take_while(|b| b.is_ascii_digit());
        let dot = self.rest().starts_with('.');
        if dot {
            self.at += 1;
            self.take_while(|b| b.is_ascii_digit());
        }
        let exponent = self.exponent();
        let refused = |what| Err(FilterError::new(self.filter, from, what));
        if dot || exponent > 0 {
            self.at += exponent;
            let text = self.filter.get(from..self.at).unwrap_or_default();
            let value = decimal(text).unwrap_or(f64::INFINITY);
            if value.is_infinite() {
                return refused("the number is larger than any that can be stored");
            }
            self.real_zero |= value == 0.0;
            return Ok(Token::Number(Number::Double(value)));
        }
        if digits.starts_with('0') {
            // A zero is a number by itself; what follows makes no sense behind one.
            self.at = from + 1;
            return Ok(Token::Number(Number::Int(0)));
        }
        let Ok(value) = digits.parse::<i64>() else {
            return refused(
                "the number is larger than 9223372036854775807: write it with a dot at its end",
            );
        };
        if self.rest().starts_with(['l', 'L']) {
            self.at += 1;
        }
        let number = i32::try_from(value).map_or(Number::Long(value), Number::Int);
        Ok(Token::Number(number))
    }

    /// How long the exponent is that stands here; 0 if there is none.
    fn exponent(&self) -> usize {
        let rest = self.rest();
        let Some(after) = rest.strip_prefix(['e', 'E']) else { return 0 };
        let unsigned = after.strip_prefix(['+', '-']).unwrap_or(after);
        let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 { 0 } else { rest.len() - unsigned.len() + digits }
    }

    fn unknown(&self, c: char) -> FilterError {
        let what = match c {
            '!' => "! has no meaning here: unequal is <>, and otherwise write NOT (...)".into(),
            '"' | '`' => format!("{c} has no meaning here: texts stand in '...', names alone"),
            '*' | '/' | '%' => format!("{c} has no meaning here: filters cannot calculate"),
            '&' => "& has no meaning here: write AND".into(),
            '|' => "| has no meaning here: write OR".into(),
            ';' => "; has no meaning here: leave it out".into(),
            '.' | ':' => format!(
                "{c} has no meaning here: names are made of letters a-z and A-Z, digits, _ and $"
            ),
            _ => format!("{c:?} has no meaning here"),
        };
        FilterError::new(self.filter, self.at, what)
    }
}
