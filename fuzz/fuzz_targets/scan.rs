//! Arbitrary bytes as a report, as statements and as a catalogue: a value or a reason, never a panic.
#![no_main]

use backout_gates::scan::{Limits, compare, known_exploited, read, vex};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { max_bytes: 1024 * 1024, max_findings: 1_000 };
    match read("fuzz.json", bytes, &limits) {
        Ok(report) => {
            let all: Vec<_> = report.findings.iter().collect();
            let difference = compare(&all, &all);
            assert!(difference.new.is_empty() && difference.shed.is_empty());
        }
        Err(unusable) => assert!(!unusable.message.is_empty() && !unusable.help.is_empty()),
    }
    let _ = vex::read("fuzz.json", bytes, &limits);
    let _ = known_exploited::read("fuzz.json", bytes, &limits);
    let _ = backout_gates::waivers::read("fuzz.yaml", bytes);
});
