//! When two ways to write the same thing mean the same.

use std::collections::BTreeSet;

use backout_core::release::Release;

use crate::names::{backout, helm, kubernetes, oci, otel};

/// The shortest cut of a commit that is taken for it.
const SHORTEST_COMMIT: usize = 7;

/// Whether what stands under a name agrees with what is expected there.
pub(super) fn agree(name: &str, expected: &str, said: &str, release: &Release) -> bool {
    match name {
        oci::REVISION | otel::REVISION | backout::GIT_SHA => same_commit(expected, said),
        oci::SOURCE | otel::REPOSITORY => same_repository(expected, said),
        oci::VERSION | kubernetes::VERSION => {
            said == expected || said.strip_prefix('v') == Some(expected)
        }
        otel::MANIFEST_DIGEST | otel::REPO_DIGESTS | backout::IMAGE_DIGESTS => {
            same_digests(expected, said, release)
        }
        backout::FLAGS | backout::MIGRATIONS => set(expected) == set(said),
        helm::CHART => said
            .strip_suffix(&expected.replace('+', "_"))
            .is_some_and(|rest| rest.len() > 1 && rest.ends_with('-')),
        _ => said == expected,
    }
}

/// A commit may be cut short, but not so short that it could be another.
fn same_commit(expected: &str, said: &str) -> bool {
    let (expected, said) = (expected.to_ascii_lowercase(), said.to_ascii_lowercase());
    said == expected || (said.len() >= SHORTEST_COMMIT && expected.starts_with(&said))
}

/// Whether two addresses are of the same repository, whatever the protocol.
pub(super) fn same_repository(one: &str, other: &str) -> bool {
    fn core(address: &str) -> String {
        let address = address.trim().trim_end_matches('/');
        let address = address.strip_suffix(".git").unwrap_or(address);
        let address = match address.split_once("://") {
            Some((_, rest)) => rest.to_owned(),
            // `git@host:path` is how ssh writes `host/path`.
            None => address.replacen(':', "/", 1),
        };
        let host_at = address.find('/').unwrap_or(address.len());
        let user_at = address[..host_at].rfind('@').map_or(0, |at| at + 1);
        address[user_at..].to_ascii_lowercase()
    }
    core(one) == core(other)
}

/// A workload may name the image of one platform where the record names the index.
fn same_digests(expected: &str, said: &str, release: &Release) -> bool {
    let digest = |part: &str| {
        let at = part.find("sha256:")?;
        Some(part[at..].to_owned())
    };
    let said: BTreeSet<String> = said.split(',').filter_map(|part| digest(part.trim())).collect();
    let expected: BTreeSet<String> = expected.split(',').filter_map(digest).collect();
    let platforms: BTreeSet<String> = release
        .spec
        .images
        .iter()
        .flat_map(|image| &image.platforms)
        .map(|platform| platform.digest.to_string())
        .collect();
    let is_known = |one: &String| expected.contains(one) || platforms.contains(one);
    !said.is_empty() && said.iter().all(is_known) && said.len() >= expected.len()
}

fn set(list: &str) -> BTreeSet<&str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_repository_agree() {
        for other in [
            "https://git.example/shop/checkout",
            "https://git.example/shop/checkout.git",
            "https://user@GIT.example/shop/checkout/",
            "git@git.example:shop/checkout.git",
            "ssh://git@git.example/shop/checkout",
        ] {
            assert!(same_repository("https://git.example/shop/checkout", other), "{other}");
        }
        for other in ["", "https://git.example/shop/cart", "https://other.example/shop/checkout"] {
            assert!(!same_repository("https://git.example/shop/checkout", other), "{other}");
        }
    }

    #[test]
    fn commits_may_be_cut_but_not_too_short() {
        let full = "e1e50b089da2afafcfa3e1d1ab6602d9caa5e9d4";
        assert!(same_commit(full, full) && same_commit(full, "e1e50b0"));
        assert!(
            !same_commit(full, "e1e50b") && !same_commit(full, "") && !same_commit(full, "e1e50b1")
        );
    }
}
