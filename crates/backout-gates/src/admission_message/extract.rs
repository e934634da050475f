//! Names in a message. Nothing here fails: what is not found is left out.

/// The most names of one kind that are told.
const MOST_NAMES: usize = 20;

/// The longest name that is told, in characters.
const MOST_CHARACTERS: usize = 300;

/// The name of the webhook that refused or did not answer.
pub(super) fn webhook(text: &str) -> Option<String> {
    ["admission webhook \"", "failed calling webhook \""]
        .iter()
        .find_map(|before| between(text, before, "\""))
        .map(told)
}

/// Policies, constraints, bindings and levels, in the order of the forms that they are written in.
pub(super) fn policies(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("ValidatingAdmissionPolicy '") {
        rest = rest.get(at..).unwrap_or_default();
        let policy = between(rest, "ValidatingAdmissionPolicy '", "'");
        let binding = between(rest, "with binding '", "'");
        match (policy, binding) {
            (Some(policy), Some(binding)) => names.push(format!("{policy} (binding {binding})")),
            (Some(policy), None) => names.push(policy.to_owned()),
            (None, _) => {}
        }
        rest = rest.get("ValidatingAdmissionPolicy '".len()..).unwrap_or_default();
    }
    names.extend(between(text, "violates PodSecurity \"", "\"").map(str::to_owned));
    names.extend(cluster_image_policies(text));
    if text.contains("gatekeeper") {
        names.extend(constraints(text));
    }
    names.extend(kyverno(text));
    names.extend(between(text, "exceeded quota: ", ",").map(str::to_owned));
    let mut once: Vec<String> = Vec::new();
    for name in names {
        let name = told(&name);
        if !name.is_empty() && !once.contains(&name) && once.len() < MOST_NAMES {
            once.push(name);
        }
    }
    once
}

/// `failed policy: <name>: spec.containers[0].image ...`
fn cluster_image_policies(text: &str) -> impl Iterator<Item = String> {
    text.split("failed policy: ")
        .skip(1)
        .filter_map(|rest| rest.split([':', '\n']).next())
        .map(str::to_owned)
}

/// `[<constraint>] <message>`, at the beginning of a message or line.
fn constraints(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| {
            let line = line.rsplit("denied the request: ").next().unwrap_or(line).trim_start();
            let name = line.strip_prefix('[')?.split_once(']')?.0;
            is_name(name).then(|| name.to_owned())
        })
        .collect()
}

/// Kyverno writes policies at the beginning of lines and rules below them, after
/// `blocked due to the following policies` or `policy ... for resource violation`.
fn kyverno(text: &str) -> Vec<String> {
    let Some(at) = ["due to the following policies", "for resource violation"]
        .iter()
        .find_map(|mark| text.find(mark).map(|at| at + mark.len()))
    else {
        return Vec::new();
    };
    let mut names = Vec::new();
    let mut policy: Option<&str> = None;
    let mut has_rule = false;
    for line in text.get(at..).unwrap_or_default().lines() {
        let is_rule = line.starts_with(' ');
        let Some((name, _)) = line.split_once(':').filter(|(name, _)| is_name(name.trim())) else {
            continue;
        };
        if is_rule {
            if let Some(policy) = policy {
                names.push(format!("{policy}/{}", name.trim()));
                has_rule = true;
            }
        } else {
            names.extend(policy.filter(|_| !has_rule).map(str::to_owned));
            policy = Some(name);
            has_rule = false;
        }
    }
    names.extend(policy.filter(|_| !has_rule).map(str::to_owned));
    names
}

/// References to images: whatever has a digest, and what stands where messages write images.
pub(super) fn images(text: &str) -> Vec<String> {
    let mut images: Vec<String> = Vec::new();
    let mut add = |word: &str| {
        let word = told(word.trim_end_matches([':', '.', ',']));
        if is_reference(&word) && !images.contains(&word) && images.len() < MOST_NAMES {
            images.push(word);
        }
    };
    let mut before = "";
    for word in text.split(|c: char| c.is_whitespace() || "\"'`()<>[]{},;".contains(c)) {
        if word.is_empty() {
            continue;
        }
        let is_named = matches!(
            before.trim_end_matches(':'),
            "image" | ".image" | "for" | "value" | "verification"
        );
        if word.contains("@sha256:") || (is_named && word.contains('/')) {
            add(word);
        }
        before = word;
    }
    images
}

/// Registry or repository, and a tag or digest.
fn is_reference(word: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    let last = word.rsplit('/').next().unwrap_or(word);
    !word.is_empty()
        && word.chars().all(fits)
        && !word.contains("://")
        && word.starts_with(|c: char| c.is_ascii_alphanumeric())
        && last.contains(':')
}

/// A name as Kubernetes has them.
fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    !name.is_empty() && name.len() <= 253 && name.chars().all(fits)
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let start = text.find(before)? + before.len();
    let rest = text.get(start..)?;
    rest.get(..rest.find(after)?)
}

/// A name without what would move a terminal's cursor, and of bounded length.
fn told(name: &str) -> String {
    name.chars()
        .filter(|c| !c.is_control())
        .take(MOST_CHARACTERS)
        .collect::<String>()
        .trim()
        .to_owned()
}
