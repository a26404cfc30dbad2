#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pocketmq::fuzzing::timer_wheel(data));
