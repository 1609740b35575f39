//! The target `reconcile` for libFuzzer; what it checks is in `tests/src/fuzz/reconcile.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sweep_tests::fuzz::run("reconcile", data));
