//! What may be compared with what, and the steps that do it.

use super::compile::Compiler;
use super::error::FilterError;
use super::operand::{Operand, What};
use super::program::{Relation, Scalar, Search, Step, Truth};

impl Compiler<'_> {
    /// The operand has to be a condition, whose outcome is then the current one.
    pub(super) fn condition(&mut self, operand: Operand) -> Result<(), FilterError> {
        let Operand { at, what } = operand;
        match what {
            What::Condition => Ok(()),
            What::Literal(truth) => {
                self.code.add(Step::Constant(truth));
                Ok(())
            }
            What::Property { name, .. } => {
                let name: String = name.chars().take(40).collect();
                let what = format!("a property alone is no condition: write {name} = TRUE");
                Err(self.refuse(at, what).deviating("bare-property"))
            }
            What::Text(_) | What::Number { .. } => {
                let what =
                    format!("{} alone is no condition: compare it with something", what.kind());
                Err(self.refuse(at, what))
            }
        }
    }

    pub(super) fn no_null(&self, operand: &Operand) -> Result<(), FilterError> {
        if matches!(operand.what, What::Literal(Truth::Unknown)) {
            let what = "nothing is equal to NULL: write IS NULL or IS NOT NULL";
            return Err(self.refuse(operand.at, what));
        }
        Ok(())
    }

    /// `=` and, negated, `<>`. A condition on the left is put aside.
    pub(super) fn equal(
        &mut self,
        left: Operand,
        right: Operand,
        at: usize,
        negated: bool,
    ) -> Result<(), FilterError> {
        self.no_null(&left)?;
        self.no_null(&right)?;
        let number = |what: &What| matches!(what, What::Number { .. });
        match (left.what.is_condition(), right.what.is_condition()) {
            (true, true) => {
                self.condition(right)?;
                self.code.add(Step::AsideEqualsCurrent { negated });
            }
            (false, true) if !number(&left.what) => {
                self.condition(right)?;
                if let Some(left) = left.what.scalar() {
                    self.code.add(Step::TextEqualsCurrent { left, negated });
                }
            }
            (true, false) if !number(&right.what) => {
                let what = format!(
                    "{} stands on the left of {}: write it on the right",
                    left.what.kind(),
                    right.what.kind()
                );
                return Err(self.refuse(left.at, what).deviating("bool-left"));
            }
            (false, false) => {
                if let (Some(left), Some(right)) = (left.what.scalar(), right.what.scalar()) {
                    self.code.add(Step::Equal { left, right, negated });
                }
            }
            (true, false) | (false, true) => {
                let what = "a number and what is true or false are never equal";
                return Err(self.refuse(at, what).deviating("bool-vs-number"));
            }
        }
        Ok(())
    }

    /// `<`, `<=`, `>` and `>=`.
    pub(super) fn compare(
        &mut self,
        left: Operand,
        right: Operand,
        relation: Relation,
    ) -> Result<(), FilterError> {
        let (left, right) = (self.ordered(left)?, self.ordered(right)?);
        self.code.add(Step::Compare { left, right, relation });
        Ok(())
    }

    /// What has an order: numbers, and properties that hold one.
    fn ordered(&self, operand: Operand) -> Result<Scalar, FilterError> {
        let what = match operand.what {
            What::Property { place, .. } => return Ok(Scalar::Property(place)),
            What::Number { number, .. } => return Ok(Scalar::Number(number)),
            What::Text(_) => {
                "only numbers have an order: write the number without quotes, or compare texts with = or <>"
                    .to_owned()
            }
            other => format!("only numbers have an order, and here is {}", other.kind()),
        };
        Err(self.refuse(operand.at, what))
    }

    pub(super) fn between(
        &mut self,
        value: Operand,
        low: Operand,
        high: Operand,
        negated: bool,
    ) -> Result<Operand, FilterError> {
        let at = value.at;
        if let (
            What::Number { number: least, written: true },
            What::Number { number: most, written: true },
        ) = (&low.what, &high.what)
            && !negated
            && least.compare(*most).is_gt()
        {
            return Err(
                self.refuse(low.at, "the lower bound is above the upper one: nothing is between")
            );
        }
        let value = self.ordered(value)?;
        let bounds = Box::new((self.ordered(low)?, self.ordered(high)?));
        self.code.add(Step::Between { value, bounds, negated });
        Ok(Operand { at, what: What::Condition })
    }

    pub(super) fn listed(
        &mut self,
        value: &Operand,
        texts: Box<[Box<str>]>,
        negated: bool,
    ) -> Result<Operand, FilterError> {
        let at = value.at;
        let What::Property { place, .. } = value.what else {
            let what = format!("a property stands before IN, not {}", value.what.kind());
            return Err(self.refuse(at, what));
        };
        self.code.add(Step::In { value: Scalar::Property(place), texts, negated });
        Ok(Operand { at, what: What::Condition })
    }

    pub(super) fn search(
        &mut self,
        value: Operand,
        how: Search,
        wanted: Box<str>,
        negated: bool,
    ) -> Result<Operand, FilterError> {
        let at = value.at;
        let value = match value.what {
            What::Property { place, .. } => Scalar::Property(place),
            What::Text(text) => Scalar::Text(text),
            other => {
                let what = format!("texts are searched, and here is {}", other.kind());
                return Err(self.refuse(at, what).deviating("text-op-non-text"));
            }
        };
        self.code.add(Step::Search { value, how, wanted, negated });
        Ok(Operand { at, what: What::Condition })
    }
}
