//! Errors of the program: what, where, what was expected, what to do next.

use backout_core::document::Unreadable;
use backout_core::plan::PlanError;

use crate::exit_code::Exit;

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A document that cannot be read; rendered as diagnostics.
    #[error("cannot read {}", .0.source_name)]
    Document(Box<Unreadable>),
    /// Several documents of a project; rendered as diagnostics, all of them.
    #[error("{} documents cannot be used", .0.len())]
    Documents(Vec<Unreadable>),
    /// A file that cannot be opened.
    #[error("cannot read {path}")]
    File {
        /// As the user gave it.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// As the user gave it.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Arguments that do not fit.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        help: String,
    },
    /// No plan can be made.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The cluster, or something that was asked through it, did not do what was asked.
    #[error("{message}")]
    Cluster {
        /// What went wrong, with the object.
        message: String,
        /// What to do.
        help: Option<String>,
    },
    /// Output that cannot be written.
    #[error("cannot write the output")]
    Output(#[source] std::io::Error),
}

impl Failure {
    /// A usage error.
    pub(crate) fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), help: help.into() }
    }

    /// A failure of the cluster.
    pub(crate) fn cluster(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Cluster { message: message.into(), help: Some(help.into()) }
    }

    /// How the program ends because of it.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Document(_)
            | Self::Documents(_)
            | Self::File { .. }
            | Self::Usage { .. }
            | Self::Plan(_) => Exit::Usage,
            Self::Write { .. } | Self::Output(_) | Self::Cluster { .. } => Exit::Error,
        }
    }
}

impl From<backout_world::failure::Failure> for Failure {
    fn from(failure: backout_world::failure::Failure) -> Self {
        Self::Cluster { message: failure.message, help: failure.help }
    }
}
