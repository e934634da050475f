//! Stable words for why an object is as it is.

use std::fmt;

use backout_world::failure::{Failure, Kind};

/// What was looked for or asked when something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// What the object itself says.
    Spec,
    /// The workload that a policy names.
    Deployment,
    /// The route that moves its traffic.
    Route,
    /// Where signals are measured.
    Prometheus,
    /// Anything else.
    Other,
}

/// Why an object is ready, on its way, or stalled. Programs match the words, so that they never
/// change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Nothing is under way, and nothing is wrong.
    Settled,
    /// The workload and its route are being taken over.
    Adopting,
    /// A release is on its way.
    RollingOut,
    /// Users are being taken back to the previous release.
    RollingBack,
    /// A release waits for a person.
    Held,
    /// The workload was not adopted: a person has to begin.
    NotAdopted,
    /// What the object says cannot be carried out.
    InvalidSpec,
    /// Several policies are for the same workload.
    SeveralPolicies,
    /// The policy does not say which of its environments the cluster is.
    UnknownEnvironment,
    /// The policy has a gate that cannot be evaluated here.
    UnknownGate,
    /// The policy does not say where measurements come from.
    MissingMetrics,
    /// The Deployment that the policy names is not there.
    MissingDeployment,
    /// The route that the policy names is not there.
    MissingRoute,
    /// A Secret that the policy names, or its key, is not there.
    MissingSecret,
    /// Another object that is named is not there.
    MissingObject,
    /// The cluster does not know a kind that is needed.
    MissingResourceDefinition,
    /// The controller may not do something that it has to.
    MissingPermission,
    /// Prometheus does not answer.
    PrometheusUnreachable,
    /// Prometheus answers that it will not answer this.
    PrometheusRefused,
    /// The API server, or an admission policy, refuses for good.
    Refused,
    /// It is to be deleted, and serves users.
    Serves,
    /// It did not work, and is tried again.
    Retrying,
}

impl Reason {
    /// The word, as conditions carry it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Settled => "Settled",
            Self::Adopting => "Adopting",
            Self::RollingOut => "RollingOut",
            Self::RollingBack => "RollingBack",
            Self::Held => "Held",
            Self::NotAdopted => "NotAdopted",
            Self::InvalidSpec => "InvalidSpec",
            Self::SeveralPolicies => "SeveralPolicies",
            Self::UnknownEnvironment => "UnknownEnvironment",
            Self::UnknownGate => "UnknownGate",
            Self::MissingMetrics => "MissingMetrics",
            Self::MissingDeployment => "MissingDeployment",
            Self::MissingRoute => "MissingRoute",
            Self::MissingSecret => "MissingSecret",
            Self::MissingObject => "MissingObject",
            Self::MissingResourceDefinition => "MissingResourceDefinition",
            Self::MissingPermission => "MissingPermission",
            Self::PrometheusUnreachable => "PrometheusUnreachable",
            Self::PrometheusRefused => "PrometheusRefused",
            Self::Refused => "Refused",
            Self::Serves => "Serves",
            Self::Retrying => "Retrying",
        }
    }

    /// The word for a failure. A missing permission or definition is told from a missing object by
    /// the words of `backout_world::kubernetes::answer`, which a test holds to.
    #[must_use]
    pub fn of(about: About, failure: &Failure) -> Self {
        match (failure.kind, about) {
            (Kind::Missing, _) if helps(failure, "grant the permission") => Self::MissingPermission,
            (Kind::Missing, _) if failure.message.contains("does not know the kind") => {
                Self::MissingResourceDefinition
            }
            (_, About::Spec) => Self::InvalidSpec,
            (Kind::Missing, About::Deployment) => Self::MissingDeployment,
            (Kind::Missing, About::Route) => Self::MissingRoute,
            (Kind::Missing, About::Prometheus) if failure.message.starts_with("Secret ") => {
                Self::MissingSecret
            }
            (Kind::Missing, About::Prometheus | About::Other) => Self::MissingObject,
            (Kind::Refused, About::Prometheus) => Self::PrometheusRefused,
            (Kind::Failed | Kind::Ambiguous, About::Prometheus) => Self::PrometheusUnreachable,
            (Kind::Refused, _) => Self::Refused,
            (Kind::Failed | Kind::Ambiguous, _) => Self::Retrying,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

fn helps(failure: &Failure, with: &str) -> bool {
    failure.help.as_deref().is_some_and(|help| help.starts_with(with))
}
