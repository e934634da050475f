//! How many tests passed, and how many did not.

use std::fmt;

/// A number of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Those that passed.
    pub passed: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that were not run.
    pub ignored: u64,
}

impl Count {
    /// Sums up the results of all test programs in an output: lines such as
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured`.
    #[must_use]
    pub fn of_output(output: &str) -> Self {
        output.lines().filter_map(Self::of_line).fold(Self::default(), Self::and)
    }

    fn of_line(line: &str) -> Option<Self> {
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

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, ignored } = self;
        write!(f, "tests: {passed} passed, {failed} failed, {ignored} ignored")
    }
}

#[cfg(test)]
mod tests {
    use super::Count;

    #[test]
    fn results_of_all_programs_are_summed() {
        let output = "running 2 tests\n\
            test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n\
            test result: ok. 40 passed; 0 failed; 2 ignored; 0 measured; finished in 1.50s\n\
            test result: ok.\n";
        assert_eq!(Count::of_output(output).to_string(), "tests: 41 passed, 1 failed, 2 ignored");
    }
}
