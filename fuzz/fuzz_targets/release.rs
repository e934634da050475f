//! Arbitrary bytes as a release record: a value or located problems, never a panic.
#![no_main]

use backout_core::document::{Limits, read};
use backout_core::release::{Release, validate::validate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match read::<Release>("fuzz.yaml", bytes, &Limits::default()) {
        Ok(document) => {
            let _ = document.value.set_name();
            for breach in validate(&document.value) {
                let _ = document.map.nearest(&breach.path);
            }
        }
        Err(unreadable) => assert!(!unreadable.problems.is_empty()),
    }
});
