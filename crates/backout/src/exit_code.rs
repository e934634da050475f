//! Exit codes: the same for every output format.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything is as it must be.
    Pass,
    /// An error of the tool or of an API.
    Error,
    /// Wrong arguments, or input that cannot be read.
    Usage,
    /// Findings at or above `--fail-on`.
    Findings,
    /// Not rollbackable, or blocked.
    Blocked,
    /// The run ended in a successful rollback.
    RolledBack,
    /// The rollback failed, or the state is unknown: page a person.
    RollbackFailed,
    /// Inconclusive, no data, or out of time.
    Inconclusive,
}

impl Exit {
    /// Every code, in order.
    pub(crate) const ALL: [Self; 8] = [
        Self::Pass,
        Self::Error,
        Self::Usage,
        Self::Findings,
        Self::Blocked,
        Self::RolledBack,
        Self::RollbackFailed,
        Self::Inconclusive,
    ];

    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::Findings => 10,
            Self::Blocked => 11,
            Self::RolledBack => 12,
            Self::RollbackFailed => 13,
            Self::Inconclusive => 14,
        }
    }

    /// What it means.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Pass => "pass, promoted",
            Self::Error => "error of the tool or of an API",
            Self::Usage => "usage: wrong arguments, or a file that cannot be read",
            Self::Findings => "findings at or above `--fail-on`",
            Self::Blocked => "not rollbackable, or blocked",
            Self::RolledBack => "the run ended in a successful rollback",
            Self::RollbackFailed => "rollback failed or state unknown: page a person",
            Self::Inconclusive => "inconclusive, no data, timeout",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
