//! Arbitrary bytes as a policy: a value or located problems, never a panic.
#![no_main]

use backout_core::document::{Limits, read};
use backout_core::policy::{ReleasePolicy, validate::validate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match read::<ReleasePolicy>("fuzz.yaml", bytes, &Limits::default()) {
        Ok(document) => {
            for breach in validate(&document.value) {
                let _ = document.map.nearest(&breach.path);
            }
        }
        Err(unreadable) => assert!(!unreadable.problems.is_empty()),
    }
});
