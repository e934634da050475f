//! What each crate may reach, asked from `cargo tree`.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};

use super::Report;
use crate::workspace::{cargo, crate_name, members, output_of};

/// The crates with no clock, network, disk, environment or threads.
pub(super) const PURE: &[&str] = &[
    "backout-admission",
    "backout-core",
    "backout-gates",
    "backout-judge",
    "backout-promql",
    "backout-signatures",
    "backout-sim",
];

/// Each of our crates and those of ours that it may depend on, in tests and builds too.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    (
        "backout",
        &[
            "backout-admission",
            "backout-controller",
            "backout-core",
            "backout-gates",
            "backout-judge",
            "backout-sim",
            "backout-signatures",
            "backout-world",
        ],
    ),
    ("backout-admission", &["backout-core", "backout-gates"]),
    ("backout-controller", &["backout-core", "backout-gates", "backout-judge", "backout-world"]),
    ("backout-core", &[]),
    ("backout-e2e", &["backout-controller", "backout-core", "backout-judge", "backout-world"]),
    ("backout-fixtures", &["backout-core"]),
    ("backout-gates", &["backout-core"]),
    ("backout-judge", &["backout-core"]),
    ("backout-promql", &[]),
    ("backout-sim", &["backout-core", "backout-gates", "backout-judge", "backout-promql"]),
    ("backout-signatures", &["backout-core", "backout-gates"]),
    (
        "backout-world",
        &[
            "backout-admission",
            "backout-core",
            "backout-gates",
            "backout-judge",
            "backout-promql",
            "backout-signatures",
        ],
    ),
    ("xtask", &[]),
];

/// What no pure crate may reach. `chrono` is missing from this list on purpose: promql-parser,
/// which reads queries, brings it for its types. Our code cannot ask it for the time,
/// because none of our crates depends on it.
const FORBIDDEN: &[&str] = &[
    // Async runtimes and the layer below them.
    "async-executor",
    "async-std",
    "mio",
    "smol",
    "socket2",
    "tokio",
    // Network, TLS and clusters.
    "axum",
    "hyper",
    "hyper-util",
    "k8s-openapi",
    "kube",
    "kube-client",
    "kube-core",
    "kube-runtime",
    "native-tls",
    "openssl",
    "reqwest",
    "rustls",
    "tonic",
    "ureq",
    // Clocks.
    "humantime",
    "jiff",
    "time",
    // Sources of chance other than a seed.
    "fastrand",
    "getrandom",
    "rand",
    // Disk, processes and the terminal.
    "clap",
    "git2",
    "gix",
    "indicatif",
    "notify",
    "tempfile",
    "walkdir",
];

/// What a pure crate reaches all the same, with the reason. sigstore-verify asks jiff for the time, to
/// refuse log entries from the future; what it verifies depends on the clock in no other way, and
/// none of our pure crates can ask it, because none depends on jiff.
const EXCEPTIONS: &[(&str, &str)] = &[("backout-signatures", "jiff")];

/// What tests alone may use: the status of a release is tested on states of rehearsed runs, and
/// images and registries are made for tests.
const TESTS_MAY_USE: &[(&str, &str)] = &[
    ("backout", "backout-fixtures"),
    ("backout-controller", "backout-sim"),
    ("backout-signatures", "backout-fixtures"),
    ("backout-world", "backout-fixtures"),
];

/// The positive control: the same query must find this crate in this member.
const CONTROL: (&str, &str) = ("backout-world", "kube");

pub(super) fn purity() -> Result<Report> {
    let (member, dependency) = CONTROL;
    ensure!(
        FORBIDDEN.contains(&dependency) && reached(member)?.contains(dependency),
        "the control failed: the query does not find `{dependency}` in `{member}`"
    );
    let mut findings = Vec::new();
    let mut seen = 0;
    for member in PURE {
        let reached = reached(member)?;
        ensure!(reached.contains(*member), "`cargo tree` does not know `{member}`");
        seen += reached.len();
        let is_known = |found: &&str| EXCEPTIONS.contains(&(*member, *found));
        findings.extend(forbidden(&reached).filter(|found| !is_known(found)).map(|found| {
            format!("{member} reaches {found}: see `cargo tree -p {member} -e normal -i {found}`")
        }));
    }
    let looked_at = format!("{seen} crates reached by {}", PURE.join(", "));
    Ok(Report { looked_at, findings })
}

fn forbidden(reached: &BTreeSet<String>) -> impl Iterator<Item = &str> {
    reached.iter().map(String::as_str).filter(|name| FORBIDDEN.contains(name))
}

pub(super) fn direction() -> Result<Report> {
    let names: BTreeSet<String> = members()?.iter().map(|member| crate_name(member)).collect();
    let mut findings = Vec::new();
    for member in &names {
        let Some((_, allowed)) = MAY_DEPEND_ON.iter().find(|(name, _)| name == member) else {
            bail!("`{member}` has no row in MAY_DEPEND_ON: say what it may depend on");
        };
        let built = tree(member, &["--edges", "normal,build", "--depth", "1"])?;
        let tested = tree(member, &["--edges", "normal,build,dev", "--depth", "1"])?;
        ensure!(tested.contains(member), "`cargo tree` does not know `{member}`");
        for other in tested.intersection(&names) {
            let for_tests = TESTS_MAY_USE.contains(&(member.as_str(), other.as_str()));
            let is_fine =
                allowed.contains(&other.as_str()) || (for_tests && !built.contains(other.as_str()));
            if other != member && !is_fine {
                findings.push(format!("{member} must not depend on {other}"));
            }
        }
    }
    Ok(Report { looked_at: format!("{} crates", names.len()), findings })
}

/// The names of all crates that end up in a member's library or program, itself included.
fn reached(member: &str) -> Result<BTreeSet<String>> {
    tree(member, &["--edges", "normal"])
}

fn tree(member: &str, args: &[&str]) -> Result<BTreeSet<String>> {
    let mut command = cargo();
    command.args(["tree", "--quiet", "--prefix", "none", "--package", member]).args(args);
    let listed = String::from_utf8(output_of(&mut command)?).context("a name is not UTF-8")?;
    Ok(names(&listed))
}

/// The first word of each line: `serde v1.0.0 (proc-macro) (*)`.
fn names(listed: &str) -> BTreeSet<String> {
    listed.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_crates_are_found_by_their_whole_name() {
        let listed = "backout-core v0.1.0\nserde v1.0.0 (*)\n\nrand_core v0.10.0\n";
        assert_eq!(forbidden(&names(listed)).count(), 0);
        let listed = names("backout-core v0.1.0\nrand v0.10.0 (*)\n");
        assert_eq!(forbidden(&listed).collect::<Vec<_>>(), ["rand"]);
    }

    #[test]
    fn pure_crates_have_a_row() {
        for pure in PURE {
            assert!(MAY_DEPEND_ON.iter().any(|(name, _)| name == pure), "{pure}");
        }
    }

    #[test]
    fn the_permitted_direction_has_no_cycle() {
        for (name, allowed) in MAY_DEPEND_ON {
            for other in *allowed {
                let (_, back) = MAY_DEPEND_ON.iter().find(|(row, _)| row == other).unwrap();
                assert!(!back.contains(name), "{name} and {other}");
            }
        }
    }
}
