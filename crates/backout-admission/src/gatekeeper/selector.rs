//! Label selectors, and names with wildcards.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A Kubernetes label selector; an empty one selects everything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LabelSelector {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<Requirement>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    key: String,
    operator: Operator,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl LabelSelector {
    /// Whether labels are selected.
    pub(super) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |(key, value): (&String, &String)| labels.get(key) == Some(value);
        self.match_labels.iter().all(has)
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }
}

impl Requirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

/// Whether a name is the one of a pattern, which may begin or end with `*`.
pub(super) fn is_like(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        _ if pattern == "*" => true,
        (Some(_), Some(_)) => name.contains(pattern.trim_matches('*')),
        (Some(end), None) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_requirement_must_be_met() {
        let selects = |text: &str, pairs: &[(&str, &str)]| {
            serde_json::from_str::<LabelSelector>(text).unwrap().matches(&labels(pairs))
        };
        assert!(selects("{}", &[]));
        assert!(selects(r#"{"matchLabels": {"a": "1"}}"#, &[("a", "1"), ("b", "2")]));
        assert!(!selects(r#"{"matchLabels": {"a": "1"}}"#, &[("a", "2")]));
        let one = |operator: &str| {
            format!(
                r#"{{"matchExpressions": [{{"key": "a", "operator": "{operator}", "values": ["1"]}}]}}"#
            )
        };
        assert!(selects(&one("In"), &[("a", "1")]) && !selects(&one("In"), &[]));
        assert!(selects(&one("NotIn"), &[]) && !selects(&one("NotIn"), &[("a", "1")]));
        assert!(selects(&one("Exists"), &[("a", "")]) && !selects(&one("Exists"), &[]));
        assert!(selects(&one("DoesNotExist"), &[]) && !selects(&one("DoesNotExist"), &[("a", "")]));
        assert!(serde_json::from_str::<LabelSelector>(&one("Near")).is_err());
    }

    #[test]
    fn wildcards_stand_at_either_end() {
        for (pattern, name, expected) in [
            ("kube-*", "kube-system", true),
            ("kube-*", "my-kube-x", false),
            ("*-system", "kube-system", true),
            ("*cube*", "a-cube-b", true),
            ("*", "anything", true),
            ("shop", "shop", true),
            ("shop", "shop2", false),
        ] {
            assert_eq!(is_like(pattern, name), expected, "{pattern} {name}");
        }
    }
}
