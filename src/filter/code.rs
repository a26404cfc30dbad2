//! Steps as they are put together, in the order in which they run.

use super::program::{Program, Step, Truth};

/// The steps so far.
#[derive(Debug, Default)]
pub(super) struct Code {
    steps: Vec<Step>,
    depth: usize,
    deepest: usize,
}

impl Code {
    pub(super) fn add(&mut self, step: Step) {
        match step {
            Step::PutAside | Step::PutAsideUnless { .. } => {
                self.depth += 1;
                self.deepest = self.deepest.max(self.depth);
            }
            Step::And | Step::Or | Step::AsideEqualsCurrent { .. } => {
                self.depth = self.depth.saturating_sub(1);
            }
            _ => {}
        }
        self.steps.push(step);
    }

    /// Puts the left side aside, unless it decides by itself. Returns the jump that [`Self::land`] needs.
    pub(super) fn decide_unless(&mut self, truth: Truth) -> usize {
        self.add(Step::PutAsideUnless { truth, target: usize::MAX });
        self.steps.len() - 1
    }

    /// The jump leads to what comes next.
    pub(super) fn land(&mut self, jump: usize) {
        let next = self.steps.len();
        if let Some(Step::PutAsideUnless { target, .. }) = self.steps.get_mut(jump) {
            *target = next;
        }
    }

    /// Outcomes that have to be put aside, at most.
    pub(super) const fn deepest(&self) -> usize {
        self.deepest
    }

    /// Jumps that would only jump again go there at once: a long chain ends at the first condition that decides it.
    pub(super) fn finished(mut self) -> Program {
        for at in (0..self.steps.len()).rev() {
            let Some(Step::PutAsideUnless { truth, target }) = self.steps.get(at) else { continue };
            if let Some(Step::PutAsideUnless { truth: again, target: further }) =
                self.steps.get(*target)
                && again == truth
            {
                let further = *further;
                if let Some(Step::PutAsideUnless { target, .. }) = self.steps.get_mut(at) {
                    *target = further;
                }
            }
        }
        Program { steps: self.steps.into(), aside: self.deepest }
    }
}
