//! Random consuming against an obvious model of it, on a clock that is moved by hand: what may come next, which attempt it is, what settling it
//! answers, what is counted; across leases that end, moves, crashes and closes.
//!
//! `PROPTEST_CASES` is the number of cases.
#![expect(clippy::unwrap_used, reason = "this is a test")]
#![expect(clippy::indexing_slicing, reason = "this is a test")]

mod support {
    pub(crate) mod consume {
        mod group;
        mod keys;
        pub(crate) mod ops;
        mod settling;
        pub(crate) mod world;
    }
}

use proptest::prelude::*;
use proptest::test_runner::Config;

use support::consume::ops::{ops, setup};
use support::consume::world::World;

fn cases() -> Config {
    let chosen = std::env::var_os("PROPTEST_CASES").is_some();
    let default = Config::default();
    let cases = if chosen { default.cases } else { 16 };
    Config { cases, failure_persistence: None, max_shrink_iters: 1500, ..default }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn every_message_comes_when_it_may_and_as_often_as_it_must(setup in setup(), ops in ops()) {
        World::new(&setup).run(&ops.0);
    }
}
