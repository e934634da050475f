//! `cargo xtask test`: unit, integration and doc tests, shown while they run and counted.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::conftest;
use crate::docker_registry;
use crate::workspace::cargo;

/// Runs the tests. `args` go to `cargo test`; without any, the whole workspace is tested.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    let mut command = cargo();
    command.args(["test", "--no-fail-fast"]);
    match docker_registry::prepare() {
        Ok(program) => drop(command.env(docker_registry::VARIABLE, program)),
        // Single crates can be tested on a machine that is no Debian.
        Err(error) if names_packages(args) => eprintln!("warning: {error:#}"),
        Err(error) => return Err(error),
    }
    if !names_packages(args) {
        command.arg("--workspace");
    }
    give_conftest(&mut command, args);
    let mut child =
        command.args(args).stdout(Stdio::piped()).spawn().context("cannot start `cargo test`")?;
    let stdout = child.stdout.take().context("`cargo test` has no output")?;
    let counted = show_and_count(BufReader::new(stdout), std::io::stdout().lock());
    let status = child.wait().context("cannot wait for `cargo test`")?;
    let count = counted?;

    println!("{count}");
    if !status.success() {
        bail!("`cargo test`: {status}");
    }
    if args.is_empty() && count.passed == 0 {
        bail!("no test ran");
    }
    Ok(())
}

/// Gives the tests of Rego policies the real conftest. Where it cannot be built, they compare with
/// what it answered when its answers were written down.
fn give_conftest(command: &mut Command, args: &[&str]) {
    let is_tested = !names_packages(args) || args.contains(&"backout-admission");
    if !is_tested || std::env::var_os(conftest::VARIABLE).is_some() {
        return;
    }
    match conftest::prepare() {
        Ok(program) => {
            command.env(conftest::VARIABLE, program);
        }
        Err(error) => println!("note: conftest is not asked again: {error:#}"),
    }
}

fn names_packages(args: &[&str]) -> bool {
    args.iter()
        .take_while(|arg| **arg != "--")
        .any(|arg| arg.starts_with("-p") || arg.starts_with("--package"))
}

/// Copies each line as it comes and sums up the results among them.
fn show_and_count(mut from: impl BufRead, mut to: impl Write) -> Result<Count> {
    let mut count = Count::default();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).context("cannot read the output of the tests")? > 0 {
        to.write_all(&line).and_then(|()| to.flush()).context("cannot show the output")?;
        if let Some(result) = Count::parse(&String::from_utf8_lossy(&line)) {
            count.add(result);
        }
        line.clear();
    }
    Ok(count)
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Count {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Count {
    /// Reads the line that ends the output of each test binary, for example
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out`.
    fn parse(line: &str) -> Option<Self> {
        let result = line.strip_prefix("test result: ")?;
        let words: Vec<&str> = result.split_whitespace().collect();
        let before = |name: &str| {
            let pair = words.windows(2).find(|pair| pair[1].trim_end_matches(';') == name)?;
            pair[0].parse().ok()
        };
        Some(Self {
            passed: before("passed")?,
            failed: before("failed")?,
            ignored: before("ignored")?,
        })
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { passed, failed, ignored } = self;
        write!(f, "tests: {passed} passed, {failed} failed, {ignored} ignored")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_binaries_are_summed() {
        let output = "\
running 2 tests
test a ... ok
test b ... FAILED
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

   Doc-tests something
test result: ok. 40 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 1.50s
";
        let mut shown = Vec::new();
        let count = show_and_count(output.as_bytes(), &mut shown).unwrap();
        assert_eq!(count.to_string(), "tests: 41 passed, 1 failed, 2 ignored");
        assert_eq!(String::from_utf8(shown).unwrap(), output);
    }

    #[test]
    fn colour_does_not_matter() {
        let line =
            "test result: \u{1b}[32mok\u{1b}(B\u{1b}[m. 7 passed; 0 failed; 1 ignored; 0 measured";
        assert_eq!(Count::parse(line), Some(Count { passed: 7, failed: 0, ignored: 1 }));
    }

    #[test]
    fn other_lines_are_not_results() {
        assert_eq!(Count::parse("test result::parses ... ok"), None);
        assert_eq!(Count::parse("test result: ok."), None);
    }

    #[test]
    fn output_that_is_not_text_is_passed_on() {
        let mut shown = Vec::new();
        show_and_count(&b"\xff\xfe\nlast line"[..], &mut shown).unwrap();
        assert_eq!(shown, b"\xff\xfe\nlast line");
    }

    #[test]
    fn packages_are_looked_for_among_the_arguments_of_cargo() {
        assert!(names_packages(&["-p", "backout"]));
        assert!(names_packages(&["--package=backout"]));
        assert!(!names_packages(&["planner"]));
        assert!(!names_packages(&["--", "-p"]));
    }
}
