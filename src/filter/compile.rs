//! From an SQL filter to its steps: operands and signs wait on two stacks until what follows decides, so that no nesting is too
//! deep for the thread.

use std::collections::BTreeMap;

use super::code::Code;
use super::error::FilterError;
use super::lexer::{Lexer, Token};
use super::names::Names;
use super::operand::{Operand, What};
use super::program::{DEEPEST, Program, Relation, Search, Step, Truth};

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
    at: usize,
    token: Token<'a>,
    operands: Vec<Operand>,
    waiting: Vec<Waiting>,
    /// Parentheses, NOTs and signs among what waits.
    nested: usize,
    pub(super) code: Code,
    places: BTreeMap<&'a str, usize>,
}

/// A sign that waits for what stands behind it.
#[derive(Debug)]
struct Waiting {
    at: usize,
    sign: Sign,
}

#[derive(Debug, Clone, Copy)]
enum Sign {
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
mod binding {
    pub(super) const OR: u8 = 1;
    pub(super) const AND: u8 = 2;
    pub(super) const EQUALITY: u8 = 3;
    pub(super) const COMPARISON: u8 = 4;
}

impl Sign {
    /// `None` of what only a token ends.
    const fn binding(self) -> Option<u8> {
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
enum Next {
    Operand,
    Sign,
    Nothing,
}

type Outcome = Result<Next, FilterError>;

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

    fn advance(&mut self) -> Result<(), FilterError> {
        (self.at, self.token) = self.lexer.next()?;
        Ok(())
    }

    fn pop(&mut self) -> Result<Operand, FilterError> {
        self.operands.pop().ok_or_else(|| self.refuse(self.at, "a condition is missing here"))
    }

    fn wait(&mut self, at: usize, sign: Sign) -> Result<(), FilterError> {
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

    fn done_waiting(&mut self) {
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
    fn operand_done(&mut self) -> Outcome {
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

    /// A sign behind an operand.
    fn sign(&mut self) -> Outcome {
        let at = self.at;
        match self.token {
            Token::Or => self.logic(binding::OR),
            Token::And => self.logic(binding::AND),
            Token::Equal => self.equality(false),
            Token::Unequal => self.equality(true),
            Token::Less => self.relation(Relation::Less),
            Token::LessOrEqual => self.relation(Relation::LessOrEqual),
            Token::Greater => self.relation(Relation::Greater),
            Token::GreaterOrEqual => self.relation(Relation::GreaterOrEqual),
            Token::Is => self.is_null(),
            Token::Not => {
                self.advance()?;
                self.word(true, at)
            }
            Token::Close => {
                self.reduce(0)?;
                if !matches!(self.waiting.last(), Some(Waiting { sign: Sign::Open, .. })) {
                    return Err(self.trailing());
                }
                self.done_waiting();
                self.advance()?;
                self.operand_done()
            }
            Token::End => {
                self.reduce(0)?;
                match self.waiting.last() {
                    Some(Waiting { at, .. }) => {
                        Err(self.refuse(*at, "the ( has no end: a ) is missing"))
                    }
                    None => Ok(Next::Nothing),
                }
            }
            _ => self.word(false, at),
        }
    }

    fn logic(&mut self, binding: u8) -> Outcome {
        self.reduce(binding)?;
        let left = self.pop()?;
        let left_at = left.at;
        self.condition(left)?;
        self.operands.push(Operand { at: left_at, what: What::Condition });
        let sign = if binding == binding::OR {
            Sign::Or(self.code.decide_unless(Truth::True))
        } else {
            Sign::And(self.code.decide_unless(Truth::False))
        };
        self.wait(self.at, sign)?;
        self.advance()?;
        Ok(Next::Operand)
    }

    fn equality(&mut self, negated: bool) -> Outcome {
        self.reduce(binding::EQUALITY)?;
        let left = self.pop()?;
        if left.what.is_condition() {
            let literal = matches!(left.what, What::Literal(_));
            self.no_null(&left)?;
            // Whether it is a literal still matters, its outcome is put aside.
            if let What::Literal(truth) = left.what {
                self.code.add(Step::Constant(truth));
            }
            self.code.add(Step::PutAside);
            let what = if literal { left.what } else { What::Condition };
            self.operands.push(Operand { at: left.at, what });
        } else {
            self.operands.push(left);
        }
        self.wait(self.at, Sign::Equal { negated })?;
        self.advance()?;
        Ok(Next::Operand)
    }

    fn relation(&mut self, relation: Relation) -> Outcome {
        self.reduce(binding::COMPARISON)?;
        self.wait(self.at, Sign::Relation(relation))?;
        self.advance()?;
        Ok(Next::Operand)
    }

    fn is_null(&mut self) -> Outcome {
        self.reduce(binding::EQUALITY)?;
        self.advance()?;
        let negated = matches!(self.token, Token::Not);
        if negated {
            self.advance()?;
        }
        if !matches!(self.token, Token::Null) {
            return Err(self.refuse(self.at, "NULL is missing behind IS: IS NULL, IS NOT NULL"));
        }
        self.advance()?;
        let operand = self.pop()?;
        let at = operand.at;
        if operand.what.is_condition() {
            if let What::Literal(truth) = operand.what {
                self.code.add(Step::Constant(truth));
            }
            self.code.add(Step::IsUnknown { negated });
        } else if let Some(value) = operand.what.scalar() {
            self.code.add(Step::IsNull { value, negated });
        }
        self.operands.push(Operand { at, what: What::Condition });
        Ok(Next::Sign)
    }

    /// A word between operands, with NOT before it or not.
    fn word(&mut self, negated: bool, at: usize) -> Outcome {
        let how = match self.token {
            Token::Between => {
                self.reduce(binding::COMPARISON)?;
                self.advance()?;
                self.wait(at, Sign::BetweenLow { negated })?;
                return Ok(Next::Operand);
            }
            Token::In => {
                self.reduce(binding::COMPARISON)?;
                self.advance()?;
                let texts = self.texts()?;
                let operand = self.pop()?;
                let condition = self.listed(operand, texts, negated)?;
                self.operands.push(condition);
                return Ok(Next::Sign);
            }
            Token::Contains => Search::Contains,
            Token::StartsWith => Search::StartsWith,
            Token::EndsWith => Search::EndsWith,
            _ if negated => {
                let what = "BETWEEN, IN, CONTAINS, STARTSWITH or ENDSWITH is missing behind NOT";
                return Err(self.refuse(self.at, what));
            }
            _ => return Err(self.trailing()),
        };
        self.reduce(binding::COMPARISON)?;
        self.advance()?;
        let Token::Text(raw) = self.token else {
            return Err(self.refuse(self.at, "a text in '...' is missing here"));
        };
        self.advance()?;
        let operand = self.pop()?;
        let condition = self.search(operand, how, unquoted(raw), negated)?;
        self.operands.push(condition);
        Ok(Next::Sign)
    }

    /// The list behind IN.
    fn texts(&mut self) -> Result<Box<[Box<str>]>, FilterError> {
        let mut texts = Vec::new();
        if !matches!(self.token, Token::Open) {
            return Err(self.refuse(self.at, "a list is missing here: IN ('a', 'b')"));
        }
        loop {
            self.advance()?;
            let Token::Text(raw) = self.token else {
                return Err(self.refuse(self.at, "IN compares texts only: write '...' here"));
            };
            texts.push(unquoted(raw));
            self.advance()?;
            match self.token {
                Token::Comma => {}
                Token::Close => break,
                _ => return Err(self.refuse(self.at, "a , or ) is missing here")),
            }
        }
        self.advance()?;
        texts.sort_unstable();
        texts.dedup();
        Ok(texts.into())
    }

    /// The filter could end here, but it does not.
    fn trailing(&self) -> FilterError {
        let what = match self.token {
            Token::Name(name) if name.eq_ignore_ascii_case("LIKE") => {
                "LIKE is not known: use CONTAINS, STARTSWITH or ENDSWITH".into()
            }
            Token::Plus | Token::Minus => {
                "filters cannot calculate: AND, OR or the end is missing here".into()
            }
            Token::Close => "this ) closes nothing".into(),
            Token::Comma => {
                "a , stands only in the list behind IN: AND, OR or the end is missing here".into()
            }
            Token::Open => {
                "there are no functions, and AND or OR is missing between conditions".into()
            }
            Token::Name(name) => format!("AND, OR or the end is missing before {:.40}", name),
            _ => "AND, OR or the end is missing here".to_owned(),
        };
        self.refuse(self.at, what).deviating("trailing-text")
    }

    /// Puts together what binds at least so tightly.
    fn reduce(&mut self, least: u8) -> Result<(), FilterError> {
        while let Some(Waiting { at, sign }) = self.waiting.last()
            && sign.binding().is_some_and(|binding| binding >= least)
        {
            let (at, sign) = (*at, *sign);
            self.done_waiting();
            let (right, left) = (self.pop()?, self.pop()?);
            let left_at = left.at;
            match sign {
                Sign::Or(jump) => {
                    self.condition(right)?;
                    self.code.add(Step::Or);
                    self.code.land(jump);
                }
                Sign::And(jump) => {
                    self.condition(right)?;
                    self.code.add(Step::And);
                    self.code.land(jump);
                }
                Sign::Equal { negated } => self.equal(left, right, at, negated)?,
                Sign::Relation(relation) => self.compare(left, right, relation)?,
                _ => {}
            }
            self.operands.push(Operand { at: left_at, what: What::Condition });
        }
        Ok(())
    }
}

fn unquoted(raw: &str) -> Box<str> {
    raw.replace("''", "'").into()
}
