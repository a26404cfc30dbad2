//! From an SQL filter to its steps: operands and signs wait on two stacks until what follows decides, so that no nesting is too
//! deep for the thread.

use std::collections::BTreeMap;

use super::code::Code;
use super::error::FilterError;
use super::lexer::{Lexer, Token};
use super::names::Names;
use super::operand::{Operand, What};
use super::program::{DEEPEST, Program, Relation, Step, Truth};

/// The longest filter, in bytes.
pub(super) const LONGEST: usize = 1 << 20;

/// What is compiled of an SQL filter.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) program: Program,
    pub(super) names: Names,
    /// What of it `RocketMQ` refuses.
    pub(super) deviation: Option<&'static str>,
}

/// Compiles a filter.
///
/// # Errors
///
/// It is none, or one that `RocketMQ` takes for something else than it says.
pub(super) fn compile(filter: &str) -> Result<Compiled, FilterError> {
    if filter.len() > LONGEST {
        let what = format!("the filter has {} bytes, at most {LONGEST} are possible", filter.len());
        return Err(FilterError::new(filter, LONGEST, what).deviating("length-limit"));
    }
    let mut lexer = Lexer::new(filter);
    let (at, token) = lexer.next()?;
    let compiler = Compiler {
        filter,
        lexer,
        at,
        token,
        operands: Vec::new(),
        waiting: Vec::new(),
        nested: 0,
        code: Code::default(),
        places: BTreeMap::new(),
    };
    compiler.compile()
}

pub(super) struct Compiler<'a> {
    pub(super) filter: &'a str,
    lexer: Lexer<'a>,
    /// The token that is looked at, and where it begins.
    pub(super) at: usize,
    pub(super) token: Token<'a>,
    pub(super) operands: Vec<Operand>,
    pub(super) waiting: Vec<Waiting>,
    /// Parentheses, NOTs and signs among what waits.
    nested: usize,
    pub(super) code: Code,
    places: BTreeMap<&'a str, usize>,
}

/// A sign that waits for what stands behind it.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) at: usize,
    pub(super) sign: Sign,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Sign {
    Open,
    Not,
    Plus,
    Minus,
    /// With the jump over the right side.
    Or(usize),
    And(usize),
    Equal {
        negated: bool,
    },
    Relation(Relation),
    /// The lower bound is next.
    BetweenLow {
        negated: bool,
    },
    BetweenHigh {
        negated: bool,
    },
}

/// How tightly signs bind.
pub(super) mod binding {
    pub(in crate::filter) const OR: u8 = 1;
    pub(in crate::filter) const AND: u8 = 2;
    pub(in crate::filter) const EQUALITY: u8 = 3;
    pub(in crate::filter) const COMPARISON: u8 = 4;
}

impl Sign {
    /// `None` of what only a token ends.
    pub(super) const fn binding(self) -> Option<u8> {
        match self {
            Self::Or(_) => Some(binding::OR),
            Self::And(_) => Some(binding::AND),
            Self::Equal { .. } => Some(binding::EQUALITY),
            Self::Relation(_) => Some(binding::COMPARISON),
            _ => None,
        }
    }
}

/// What has to stand next.
pub(super) enum Next {
    Operand,
    Sign,
    Nothing,
}

pub(super) type Outcome = Result<Next, FilterError>;

impl Compiler<'_> {
    fn compile(mut self) -> Result<Compiled, FilterError> {
        let mut next = Next::Operand;
        loop {
            next = match next {
                Next::Operand => self.operand()?,
                Next::Sign => self.sign()?,
                Next::Nothing => break,
            };
        }
        let whole = self.pop()?;
        self.condition(whole)?;
        let deviation = self.lexer.real_zero.then_some("zero-float");
        let names = Names::new(self.places);
        Ok(Compiled { program: self.code.finished(), names, deviation })
    }

    pub(super) fn refuse(&self, at: usize, what: impl Into<String>) -> FilterError {
        FilterError::new(self.filter, at, what)
    }

    pub(super) fn advance(&mut self) -> Result<(), FilterError> {
        (self.at, self.token) = self.lexer.next()?;
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Result<Operand, FilterError> {
        self.operands.pop().ok_or_else(|| self.refuse(self.at, "a condition is missing here"))
    }

    pub(super) fn wait(&mut self, at: usize, sign: Sign) -> Result<(), FilterError> {
        if sign.binding().is_none() {
            self.nested += 1;
        }
        self.waiting.push(Waiting { at, sign });
        if self.nested.max(self.code.deepest()) > DEEPEST {
            let what = format!("nested too deeply: at most {DEEPEST} levels are possible");
            return Err(self.refuse(at, what).deviating("depth-limit"));
        }
        Ok(())
    }

    pub(super) fn done_waiting(&mut self) {
        if self.waiting.pop().is_some_and(|waiting| waiting.sign.binding().is_none()) {
            self.nested = self.nested.saturating_sub(1);
        }
    }

    /// A sign before an operand, or the operand.
    fn operand(&mut self) -> Outcome {
        let (at, token) = (self.at, self.token);
        let sign = match token {
            Token::Open => Some(Sign::Open),
            Token::Not => Some(Sign::Not),
            Token::Plus => Some(Sign::Plus),
            Token::Minus => Some(Sign::Minus),
            _ => None,
        };
        if let Some(sign) = sign {
            self.advance()?;
            self.wait(at, sign)?;
            return Ok(Next::Operand);
        }
        let what = match token {
            Token::Name(name) => {
                let place = self.places.len();
                let place = *self.places.entry(name).or_insert(place);
                What::Property { name: name.into(), place }
            }
            Token::Text(raw) => What::Text(unquoted(raw)),
            Token::Number(number) => What::Number { number, written: true },
            Token::True => What::Literal(Truth::True),
            Token::False => What::Literal(Truth::False),
            Token::Null => What::Literal(Truth::Unknown),
            _ => return Err(self.operand_missing()),
        };
        self.operands.push(Operand { at, what });
        self.advance()?;
        self.operand_done()
    }

    fn operand_missing(&self) -> FilterError {
        let what = match self.token {
            Token::End if self.lexer.ends_in_comment => {
                let what = "something is missing at the end: what stands behind -- does not count";
                return self.refuse(self.at, what).deviating("dashes-at-end");
            }
            Token::End if self.operands.is_empty() && self.waiting.is_empty() => {
                "the filter is empty: write a condition"
            }
            Token::End => "something is missing at the end: a property, a number or a text",
            Token::Equal => "a property, number or text is missing before =: equal is a single =",
            Token::Less | Token::Greater => {
                "a property, number or text is missing here: unequal is <>"
            }
            Token::Between
            | Token::In
            | Token::Is
            | Token::Contains
            | Token::StartsWith
            | Token::EndsWith => {
                "a property, number or text is missing here: this word cannot be a property's name"
            }
            _ => "a property, number or text is missing here",
        };
        self.refuse(self.at, what)
    }

    /// An operand is complete: the signs directly before it take it.
    pub(super) fn operand_done(&mut self) -> Outcome {
        loop {
            let Some(&Waiting { at, sign }) = self.waiting.last() else { return Ok(Next::Sign) };
            match sign {
                Sign::Plus => self.done_waiting(),
                Sign::Minus => {
                    self.done_waiting();
                    self.negate(at)?;
                }
                Sign::Not => {
                    self.not_binds_clearly(at)?;
                    self.done_waiting();
                    let operand = self.pop()?;
                    self.condition(operand)?;
                    self.code.add(Step::Not);
                    self.operands.push(Operand { at, what: What::Condition });
                }
                Sign::BetweenLow { negated } => {
                    if !matches!(self.token, Token::And) {
                        return Err(
                            self.refuse(self.at, "AND and the upper bound are missing here")
                        );
                    }
                    self.advance()?;
                    self.done_waiting();
                    self.wait(at, Sign::BetweenHigh { negated })?;
                    return Ok(Next::Operand);
                }
                Sign::BetweenHigh { negated } => {
                    self.done_waiting();
                    let (high, low, value) = (self.pop()?, self.pop()?, self.pop()?);
                    let between = self.between(value, low, high, negated)?;
                    self.operands.push(between);
                    return Ok(Next::Sign);
                }
                _ => return Ok(Next::Sign),
            }
        }
    }

    /// `NOT a = 1` would be `(NOT a) = 1`.
    fn not_binds_clearly(&self, at: usize) -> Result<(), FilterError> {
        match self.token {
            Token::And | Token::Or | Token::Close | Token::End => Ok(()),
            Token::Equal
            | Token::Unequal
            | Token::Less
            | Token::LessOrEqual
            | Token::Greater
            | Token::GreaterOrEqual
            | Token::Is
            | Token::Not
            | Token::Between
            | Token::In
            | Token::Contains
            | Token::StartsWith
            | Token::EndsWith => {
                let what = "NOT takes only what follows directly: write NOT (...) around the whole condition";
                Err(self.refuse(at, what).deviating("not-binds-tight"))
            }
            // What is wrong is what follows.
            _ => Err(self.trailing()),
        }
    }

    fn negate(&mut self, at: usize) -> Result<(), FilterError> {
        let operand = self.pop()?;
        let What::Number { number, .. } = operand.what else {
            let what =
                format!("a minus stands before numbers only, not before {}", operand.what.kind());
            return Err(self.refuse(at, what).deviating("negate-non-number"));
        };
        let what = What::Number { number: number.negated(), written: false };
        self.operands.push(Operand { at, what });
        Ok(())
    }
}

pub(super) fn unquoted(raw: &str) -> Box<str> {
    raw.replace("''", "'").into()
}
