//! `cargo xtask invariants`: what ARCHITECTURE.md promises and no compiler holds.
//!
//! Most promises are absences, and a check for an absence passes when it looks in the wrong
//! place. So each check returns what it looked at, and fails when that is nothing.

mod dependencies;
mod lints;
mod modules;
mod text;

use anyhow::{Context, Result, bail, ensure};

/// What a check looked at, for people, and what it found wrong.
#[derive(Debug)]
struct Report {
    looked_at: String,
    findings: Vec<String>,
}

type Check = fn() -> Result<Report>;

/// Each check under the promise that it holds.
const CHECKS: &[(&str, Check)] = &[
    ("pure crates reach no runtime, network, cluster or clock", dependencies::purity),
    ("dependencies between our crates point one way", dependencies::direction),
    ("clippy rules of pure crates include the root's", lints::clippy_supersets),
    ("unsafe code is forbidden in every member", lints::unsafe_forbidden),
    ("only the program prints and exits", text::only_the_program_prints),
    ("every source and test file is part of a target", modules::none_forgotten),
    ("no tracked file names a path of one machine", text::no_machine_paths),
    ("no source file is too long to be read", text::no_long_files),
];

/// Runs every check, then fails if one found something.
pub(crate) fn run() -> Result<()> {
    let mut failed = 0;
    for (promise, check) in CHECKS {
        let Report { looked_at, findings } = check().context(*promise)?;
        ensure!(!looked_at.starts_with("0 "), "{promise}: nothing was looked at");
        let word = if findings.is_empty() { "ok  " } else { "FAIL" };
        println!("{word} {promise} ({looked_at})");
        for finding in &findings {
            println!("     {finding}");
        }
        failed += usize::from(!findings.is_empty());
    }
    if failed > 0 {
        bail!("{failed} of {} invariants do not hold", CHECKS.len());
    }
    Ok(())
}
