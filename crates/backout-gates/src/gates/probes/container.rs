//! The probes of one container.

use backout_core::document::FieldPath;
use backout_core::finding::{Finding, Subject};
use backout_core::manifest::Manifest;
use serde_json::Value;

use super::super::found::{at, helped, labelled};
use super::{DEPENDS, INVALID, NO_LIVENESS, NO_STARTUP, NOT_READY, OVERLAP, SAME};

/// Ways to ask, of which a probe has exactly one.
const HANDLERS: &[&str] = &["exec", "grpc", "httpGet", "tcpSocket"];
/// The probes of a container.
const PROBES: &[&str] = &["startupProbe", "readinessProbe", "livenessProbe"];
/// Parts of paths that applications answer for their dependencies.
const DEPENDENCY_PATHS: &[&str] = &["ready", "readyz", "readiness", "deep", "dependencies", "db"];
/// From here on, a delay before the first liveness probe hides a slow start.
const SLOW_START_S: i64 = 30;

/// A container, and what is known of it.
pub(super) struct Container<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) value: &'a Value,
    pub(super) path: FieldPath,
    pub(super) name: &'a str,
    /// Whether requests reach it.
    pub(super) serves: bool,
    /// Whether it runs beside others; what runs before them has no probes.
    pub(super) may_be_probed: bool,
}

/// A number of a probe, with the default that Kubernetes has for it. It takes 0 for "not set".
pub(super) fn number(probe: &Value, key: &str) -> i64 {
    let default = match key {
        "periodSeconds" => 10,
        "failureThreshold" => 3,
        "timeoutSeconds" | "successThreshold" => 1,
        _ => 0,
    };
    probe[key].as_i64().filter(|number| *number != 0).unwrap_or(default)
}

impl<'a> Container<'a> {
    pub(super) fn probe(&self, key: &str) -> Option<&'a Value> {
        self.value.get(key).filter(|probe| !probe.is_null())
    }

    fn field(&self, keys: &[&str]) -> Subject {
        let path = keys.iter().fold(self.path.clone(), |path, key| path.key(*key));
        at(self.manifest, &path)
    }

    /// How messages name it: `container web of Deployment shop`.
    pub(super) fn title(&self) -> String {
        format!("container {} of {}", self.name, self.manifest)
    }

    pub(super) fn judge(&self, findings: &mut Vec<Finding>) {
        for key in PROBES {
            let Some(probe) = self.probe(key) else { continue };
            if !self.may_be_probed {
                findings.push(helped(
                    INVALID.found(
                        self.field(&[key]),
                        format!("{}: an init container has no {key}", self.title()),
                    ),
                    "move the probe to the container that serves, or make it a sidecar with \
                     restartPolicy: Always",
                ));
                continue;
            }
            self.judge_form(key, probe, findings);
            let (timeout, period) =
                (number(probe, "timeoutSeconds"), number(probe, "periodSeconds"));
            if period > 0 && timeout > period {
                findings.push(labelled(
                    OVERLAP.found(
                        self.field(&[key, "timeoutSeconds"]),
                        format!("{}: {key} may take longer than its period", self.title()),
                    ),
                    format!("{timeout} s, and asked every {period} s"),
                ));
            }
        }
        self.judge_presence(findings);
        self.judge_liveness(findings);
    }

    fn judge_presence(&self, findings: &mut Vec<Finding>) {
        if !self.serves {
            return;
        }
        if self.probe("readinessProbe").is_none() {
            findings.push(labelled(
                NOT_READY.found(
                    self.field(&["name"]),
                    format!("{} serves and has no readinessProbe", self.title()),
                ),
                "gets requests as soon as its process runs",
            ));
        }
        if self.probe("livenessProbe").is_none() {
            findings.push(
                NO_LIVENESS
                    .found(self.field(&["name"]), format!("{} has no livenessProbe", self.title())),
            );
        }
    }

    fn judge_liveness(&self, findings: &mut Vec<Finding>) {
        let Some(liveness) = self.probe("livenessProbe") else { return };
        let delay = number(liveness, "initialDelaySeconds");
        if delay >= SLOW_START_S && self.probe("startupProbe").is_none() {
            findings.push(labelled(
                NO_STARTUP.found(
                    self.field(&["livenessProbe", "initialDelaySeconds"]),
                    format!("{}: liveness waits instead of a startupProbe", self.title()),
                ),
                format!("every start waits {delay} s"),
            ));
        }
        if let Some(readiness) = self.probe("readinessProbe")
            && handler(liveness) == handler(readiness)
            && handler(liveness).is_some_and(|(kind, _)| kind != "tcpSocket")
        {
            if patience(liveness) <= patience(readiness) {
                findings.push(SAME.found(
                    self.field(&["livenessProbe"]),
                    format!("{}: livenessProbe asks what readinessProbe asks", self.title()),
                ));
            }
            return;
        }
        let path = liveness["httpGet"]["path"].as_str().unwrap_or_default();
        let words = path.split(|c: char| !c.is_ascii_alphanumeric());
        if words.into_iter().any(|word| DEPENDENCY_PATHS.contains(&word)) {
            findings.push(DEPENDS.found(
                self.field(&["livenessProbe", "httpGet", "path"]),
                format!("{}: livenessProbe asks for `{path}`", self.title()),
            ));
        }
    }

    fn judge_form(&self, key: &str, probe: &Value, findings: &mut Vec<Finding>) {
        let mut wrong = |keys: &[&str], message: String| {
            let keys: Vec<&str> = [key].into_iter().chain(keys.iter().copied()).collect();
            let message = format!("{}: {key} {message}", self.title());
            findings.push(INVALID.found(self.field(&keys), message));
        };
        let handlers: Vec<&str> =
            HANDLERS.iter().copied().filter(|handler| !probe[handler].is_null()).collect();
        match handlers.as_slice() {
            [] => wrong(&[], format!("asks nothing; it needs one of {}", HANDLERS.join(", "))),
            [_] => {}
            several => wrong(&[], format!("asks in several ways: {}", several.join(", "))),
        }
        for (field, least) in [
            ("initialDelaySeconds", 0),
            ("periodSeconds", 0),
            ("timeoutSeconds", 0),
            ("successThreshold", 0),
            ("failureThreshold", 0),
        ] {
            let value = &probe[field];
            if !value.is_null() && value.as_i64().is_none_or(|number| number < least) {
                wrong(&[field], format!("has a {field} that is no whole number from 0 up"));
            }
        }
        if key != "readinessProbe" && number(probe, "successThreshold") != 1 {
            wrong(&["successThreshold"], "must have successThreshold 1".to_owned());
        }
        if key == "readinessProbe" && !probe["terminationGracePeriodSeconds"].is_null() {
            wrong(
                &["terminationGracePeriodSeconds"],
                "must not have terminationGracePeriodSeconds".to_owned(),
            );
        }
        for handler in handlers {
            self.judge_handler(handler, &probe[handler], &mut wrong);
        }
    }

    fn judge_handler(&self, kind: &str, handler: &Value, wrong: &mut dyn FnMut(&[&str], String)) {
        match kind {
            "exec" => {
                let command = handler["command"].as_array();
                if command.is_none_or(|command| {
                    command.first().and_then(Value::as_str).is_none_or(str::is_empty)
                }) {
                    wrong(&["exec", "command"], "has no command".to_owned());
                }
            }
            "grpc" => {
                if !handler["port"].as_i64().is_some_and(is_port) {
                    wrong(&["grpc", "port"], "needs a number from 1 to 65535 as port".to_owned());
                }
            }
            _ => {
                if let Some(message) = self.wrong_port(&handler["port"]) {
                    wrong(&[kind, "port"], message);
                }
                let scheme = handler["scheme"].as_str();
                let is_scheme = handler["scheme"].is_null()
                    || scheme.is_some_and(|scheme| matches!(scheme, "HTTP" | "HTTPS"));
                if kind == "httpGet" && !is_scheme {
                    wrong(
                        &["httpGet", "scheme"],
                        "has a scheme other than HTTP and HTTPS".to_owned(),
                    );
                }
            }
        }
    }

    /// What is wrong with a port that is a number or a name.
    fn wrong_port(&self, port: &Value) -> Option<String> {
        match port {
            Value::Number(number) if number.as_i64().is_some_and(is_port) => None,
            Value::String(name) => {
                let mut names = self.value["ports"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|port| port["name"].as_str());
                if names.any(|named| named == name) {
                    return None;
                }
                Some(if name.bytes().all(|byte| byte.is_ascii_digit()) {
                    format!("has the text \"{name}\" as port; write the number without quotes")
                } else {
                    format!("asks port `{name}`, and no port of the container has that name")
                })
            }
            _ => Some("has no port from 1 to 65535".to_owned()),
        }
    }
}

fn is_port(number: i64) -> bool {
    (1..=65_535).contains(&number)
}

fn handler(probe: &Value) -> Option<(&'static str, &Value)> {
    HANDLERS.iter().find_map(|kind| Some((*kind, probe.get(kind).filter(|it| !it.is_null())?)))
}

/// How long a failing probe is borne, in seconds.
fn patience(probe: &Value) -> i64 {
    number(probe, "periodSeconds").saturating_mul(number(probe, "failureThreshold"))
}
