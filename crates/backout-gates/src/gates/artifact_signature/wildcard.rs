//! Patterns of identities.

/// Says whether a text matches a pattern in which `*` stands for any characters, also none. The
/// whole text must match, and case counts.
///
/// Runs in time proportional to the product of the lengths at worst, whatever the pattern.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return text.is_empty() };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        // The earliest match leaves the most for what follows, so it never misses one.
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_characters_and_nothing_else_does() {
        assert!(matches("a@example.com", "a@example.com"));
        assert!(!matches("a@example.com", "a@examplexcom"));
        assert!(!matches("a@example.com", "a@example.com.evil.org"));
        let workflow = "https://github.com/shop/*/.github/workflows/release.yml@refs/tags/*";
        assert!(matches(
            workflow,
            "https://github.com/shop/checkout/.github/workflows/release.yml@refs/tags/v1"
        ));
        assert!(!matches(
            workflow,
            "https://github.com/evil/shop/.github/workflows/release.yml@refs/tags/v1"
        ));
        assert!(matches("*", "") && matches("**", "x") && matches("a*a", "aa"));
        assert!(!matches("a*a", "a") && !matches("", "x") && matches("*a*b", "xaxbxb"));
        assert!(!matches("Shop*", "shop"));
    }
}
