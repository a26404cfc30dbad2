//! Signs and words behind an operand, and when what waits is put together.

use super::compile::{Compiler, Next, Outcome, Sign, Waiting, binding, unquoted};
use super::error::FilterError;
use super::lexer::Token;
use super::operand::{Operand, What};
use super::program::{Relation, Search, Step, Truth};

impl Compiler<'_> {
    /// A sign behind an operand.
    pub(super) fn sign(&mut self) -> Outcome {
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
                let condition = self.listed(&operand, texts, negated)?;
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
    pub(super) fn trailing(&self) -> FilterError {
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
            Token::Name(name) => format!("AND, OR or the end is missing before {name:.40}"),
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
