//! Why the world could not be observed or changed: what, where, and what to do next.

use backout_core::machine::EffectResult;

/// What is known about a request that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Refused for good: trying the same again gives the same answer.
    Refused,
    /// Not done; trying again may help.
    Failed,
    /// No answer came: it may or may not have been done.
    Ambiguous,
    /// The object, resource definition or permission that it needs is not there.
    Missing,
}

/// Why the world could not be observed or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What is known about the request.
    pub kind: Kind,
    /// What went wrong, with the object and, where an API said so, its own message.
    pub message: String,
    /// What to do next, if something is to be done by a person.
    pub help: Option<String>,
}

impl Failure {
    /// A failure of this kind.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), help: None }
    }

    /// The same, with what to do next.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What went wrong and what to do, in one line.
    #[must_use]
    pub fn in_full(&self) -> String {
        match &self.help {
            Some(help) => format!("{}; {help}", self.message),
            None => self.message.clone(),
        }
    }

    /// What the engine is told about an effect that ended so. Something that is missing may be
    /// made by someone meanwhile, so that it is worth another try until the step's deadline.
    #[must_use]
    pub fn result(&self) -> EffectResult {
        let message = self.in_full();
        match self.kind {
            Kind::Refused => EffectResult::Refused(message),
            Kind::Failed | Kind::Missing => EffectResult::Failed(message),
            Kind::Ambiguous => EffectResult::Ambiguous(message),
        }
    }
}

/// An error with its causes, each told once.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_told = cause.to_string();
        if !told.contains(&cause_told) {
            told.push_str(": ");
            told.push_str(&cause_told);
        }
        source = cause.source();
    }
    told
}
