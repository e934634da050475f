//! `backout quarantine list`: what must not be deployed again.

use backout_world::kubernetes::quarantine::Entry;
use jiff::Timestamp;
use owo_colors::Style;

use super::table::{Leans, Table};
use super::times::since;
use crate::render::words::span;

/// Columns of a line. A digest is shown whole, because it is what is copied.
const WIDTH: usize = 140;

/// One line per digest.
pub(crate) fn table<'a>(
    namespace: &str,
    entries: impl Iterator<Item = &'a Entry>,
    now: Timestamp,
) -> String {
    let mut table = Table::new(&[
        ("RELEASE", Leans::Left),
        ("AGE", Leans::Right),
        ("DIGEST", Leans::Left),
        ("REASON", Leans::Left),
    ])
    .whole();
    let mut is_empty = true;
    for entry in entries {
        is_empty = false;
        let release = if entry.release.is_empty() { "-" } else { &entry.release };
        let age = since(&entry.since, now).map_or_else(|| "-".to_owned(), span);
        table.row(
            vec![release.to_owned(), age, entry.digest.to_string(), entry.reason.clone()],
            Style::new(),
        );
    }
    if is_empty {
        return format!("nothing is in quarantine in namespace {namespace}\n");
    }
    table.render(WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::live::testing::plain;

    #[test]
    fn a_digest_is_shown_whole() {
        let digest = format!("sha256:{}", "5a".repeat(32)).parse().unwrap();
        let entry = Entry {
            digest,
            reason: "release 1.42.0 failed".to_owned(),
            release: "checkout-1.42.0".to_owned(),
            since: "2026-02-03T09:30:00Z".to_owned(),
        };
        let by_hand = Entry { release: String::new(), since: String::new(), ..entry.clone() };
        let now = "2026-02-03T11:00:00Z".parse().unwrap();
        insta::assert_snapshot!(plain(&table("shop", [&entry, &by_hand].into_iter(), now)));
        let none = table("shop", std::iter::empty(), now);
        assert_eq!(none, "nothing is in quarantine in namespace shop\n");
    }
}
