//! Filters against recorded verdicts of `RocketMQ`, a second evaluator, and any text.
