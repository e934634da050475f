//! Guessing what a misspelt word was meant to be.

/// No field or value of a document is longer than this, so a longer word is not worth comparing.
const LONGEST: usize = 64;

/// Finds the candidate that a misspelt word was most likely meant to be.
///
/// Letter case and word separators do not count, so `min_requests` is near to `minRequests`.
/// Otherwise about one letter in three may differ; beyond that a guess would mislead. The first
/// of several equally near candidates is taken.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let folded = fold(word);
    let allowed = folded.chars().count() / 3;
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (strsim::osa_distance(&folded, &fold(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
        .filter(|candidate| *candidate != word)
}

/// Takes letter case and word separators out of a word.
fn fold(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [&str; 5] = ["minRequests", "maxErrors", "hold", "max", "min"];

    #[test]
    fn finds_what_was_meant() {
        for (word, meant) in [
            ("minRequest", "minRequests"),
            ("min_requests", "minRequests"),
            ("MINREQUESTS", "minRequests"),
            ("mniRequests", "minRequests"),
            ("maxError", "maxErrors"),
            ("holdd", "hold"),
            ("mex", "max"),
        ] {
            assert_eq!(nearest(word, FIELDS), Some(meant), "{word}");
        }
    }

    #[test]
    fn does_not_guess_wildly() {
        for word in ["", "x", "ho", "weight", "requests", "minimumNumberOfRequests", "hold"] {
            assert_eq!(nearest(word, FIELDS), None, "{word}");
        }
        assert_eq!(nearest(&"a".repeat(1_000_000), FIELDS), None);
        assert_eq!(nearest("hold", []), None);
    }
}
