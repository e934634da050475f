//! Parts of a release that someone else carries out.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A part of a release that a pipeline carries out itself, before the rollout begins. The plan
/// takes it as done, the way back leaves it alone, and what stays is listed as residue.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum External {
    /// The commit of the configuration repository. A release set still holds its own copies of the
    /// ConfigMaps and Secrets that its pods read, so that those go back with the traffic.
    Config,
    /// Schema migrations.
    Migrations,
    /// Feature flags.
    Flags,
    /// Infrastructure modules.
    Infrastructure,
}

impl External {
    /// Every part, in the order of a plan.
    pub const ALL: [Self; 4] = [Self::Infrastructure, Self::Migrations, Self::Config, Self::Flags];
}

impl fmt::Display for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "config",
            Self::Migrations => "migrations",
            Self::Flags => "flags",
            Self::Infrastructure => "infrastructure",
        })
    }
}
