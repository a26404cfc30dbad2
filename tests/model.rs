//! Random uses of a queue against an obvious model of it, on disk and in memory.
//!
//! `PROPTEST_CASES` is the number of cases per test.
#![expect(clippy::unwrap_used, clippy::panic, reason = "this is a test")]
#![expect(clippy::indexing_slicing, reason = "this is a test")]
#![expect(clippy::disallowed_methods, reason = "a directory is copied behind the library's back")]

mod support {
    pub(crate) mod model {
        mod check;
        mod expected;
        pub(crate) mod ops;
        mod receiving;
        mod sending;
        pub(crate) mod world;
    }
}

use proptest::prelude::*;
use proptest::test_runner::Config;

use support::model::ops::{ops, setup};
use support::model::world::World;

fn cases(ordinary: u32) -> Config {
    let chosen = std::env::var_os("PROPTEST_CASES").is_some();
    let default = Config::default();
    let cases = if chosen { default.cases } else { ordinary };
    Config { cases, failure_persistence: None, max_shrink_iters: 4000, ..default }
}

proptest! {
    #![proptest_config(cases(30))]

    #[test]
    fn a_queue_on_disk_does_what_the_model_says(setup in setup(), ops in ops()) {
        World::on_disk(setup).run(ops);
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_queue_in_memory_does_what_the_model_says(setup in setup(), ops in ops()) {
        World::in_memory(setup).run(ops);
    }
}
