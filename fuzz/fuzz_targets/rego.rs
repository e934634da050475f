#![no_main]
//! No module makes the reader of Rego policies panic, use up the stack or read for ever, and what it
//! refuses names its file.

use backout_admission::rego::{Options, Policies};
use backout_core::document::Source;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for is_v0 in [false, true] {
        let options = Options { is_v0, ..Options::default() };
        let modules = [Source::new("fuzzed.rego", text)];
        if let Err(unreadable) = Policies::read(&modules, &[], &options) {
            assert!(!unreadable.problems.is_empty());
        }
    }
});
