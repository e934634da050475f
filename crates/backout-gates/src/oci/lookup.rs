//! What came of looking something up.

/// What came of looking something up. Something that could not be read is never taken for
/// something that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// It is there.
    Found(T),
    /// Its place was read with success, and it is not there.
    Absent,
    /// It could not be read. The reason says what was asked of whom, what went wrong and, where
    /// something is to be done, what.
    Failed(String),
}

impl<T> Lookup<T> {
    /// What was found, if it was.
    pub fn found(self) -> Option<T> {
        match self {
            Self::Found(found) => Some(found),
            Self::Absent | Self::Failed(_) => None,
        }
    }

    /// Makes something else of what was found.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Lookup<U> {
        self.and_then(|found| Lookup::Found(make(found)))
    }

    /// Looks further from what was found.
    pub fn and_then<U>(self, look: impl FnOnce(T) -> Lookup<U>) -> Lookup<U> {
        match self {
            Self::Found(found) => look(found),
            Self::Absent => Lookup::Absent,
            Self::Failed(why) => Lookup::Failed(why),
        }
    }
}

impl<T, E: std::fmt::Display> From<Result<T, E>> for Lookup<T> {
    /// An error is a failure, and never an absence.
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(found) => Self::Found(found),
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}
