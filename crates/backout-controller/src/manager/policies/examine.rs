//! Looks whether a release could be rolled out with a policy now.

use backout_core::judgement::Window;
use backout_core::policy::{Gate, ReleasePolicy, Signal};
use backout_core::snapshot::PerArm;
use backout_core::units::{Span, Time};
use backout_world::failure::{Failure, Kind};
use backout_world::kubernetes::objects::{DEPLOYMENT, Objects, Sort};
use backout_world::kubernetes::owners;
use backout_world::live;
use backout_world::prometheus::{Asked, Prometheus, Remedy};
use backout_world::traffic::{self, Arms};
use jiff::Timestamp;
use kube::Client;
use kube::core::DynamicObject;

use super::report::Report;
use super::{Basis, allowed};
use crate::conditions::{About, Reason};
use crate::resources::parse_policy;
use crate::rollout::environment;

/// Looks at everything that a rollout needs. What was found never ends the look: a person would
/// rather mend everything at once.
pub(super) async fn examine(
    client: &Client,
    object: &DynamicObject,
    basis: &Basis,
    runs_programs: bool,
) -> Report {
    let mut report = Report::default();
    if !basis.rivals.is_empty() {
        let message = format!(
            "other policies are for the same workload: {}; keep one of them, nothing is released \
             until then",
            basis.rivals.join(", ")
        );
        report.stall(Reason::SeveralPolicies, message);
    }
    let policy = match parse_policy(object) {
        Ok(policy) => policy,
        Err(invalid) => {
            report.stall(Reason::InvalidSpec, invalid.to_string());
            return report;
        }
    };
    let told = format!("ReleasePolicy {}/{}", policy.metadata.namespace, policy.metadata.name);
    if let Err(error) = environment(object, &policy, &told) {
        report.stall(Reason::UnknownEnvironment, error.to_string());
    }
    for gate in &policy.spec.gates {
        if let Some(why) = not_evaluated(gate, runs_programs) {
            report.stall(Reason::UnknownGate, why);
        }
    }
    let stable = basis.stable_set.as_str();
    if stable.is_none() {
        let message = format!("{told}: the workload was not adopted; run `backout adopt`");
        report.wait(message);
    }
    let objects = Objects::new(client.clone(), policy.metadata.namespace.as_str());
    let (deployment, route, permissions, measured) = futures::join!(
        deployment(&objects, &policy),
        route(client, &objects, &policy, basis),
        permissions(client, &policy),
        measurements(client, &policy, stable)
    );
    for found in [deployment, route, permissions, measured] {
        report.add(found);
    }
    report
}

/// Why a gate cannot be evaluated where the controller runs.
fn not_evaluated(gate: &Gate, runs_programs: bool) -> Option<String> {
    match gate {
        Gate::SmokeTest(_) if runs_programs => None,
        Gate::SmokeTest(_) => Some(
            "the controller runs no programs of a policy; let the pipeline run the smoke test and \
             take it out of `spec.gates`, or start the controller with `--allow-programs`"
                .to_owned(),
        ),
        Gate::ArtifactDigest(_)
        | Gate::ArtifactSignature(_)
        | Gate::Vulnerabilities(_)
        | Gate::Policies(_)
        | Gate::ConfigDrift(_)
        | Gate::Probes(_)
        | Gate::Context(_) => Some(live::BeginError::Gate { gate: gate.name() }.to_string()),
    }
}

async fn deployment(objects: &Objects, policy: &ReleasePolicy) -> Report {
    let mut report = Report::default();
    let name = policy.spec.workload.name.as_str();
    if let Err(failure) = objects.need(DEPLOYMENT, name).await {
        let failure = match failure.help {
            None if failure.kind == Kind::Missing => {
                failure.with_help("create it, or correct `spec.workload.name`")
            }
            _ => failure,
        };
        report.failed(About::Deployment, &failure);
    }
    report
}

async fn route(
    client: &Client,
    objects: &Objects,
    policy: &ReleasePolicy,
    basis: &Basis,
) -> Report {
    let mut report = Report::default();
    let route = &policy.spec.traffic.route;
    let Some(sort) = Sort::of_route(&route.kind.to_string()) else { return report };
    let object = match objects.need(sort, route.name.as_str()).await {
        Ok(object) => object,
        Err(failure) => {
            let failure = match failure.help {
                None if failure.kind == Kind::Missing => {
                    failure.with_help("create it, or correct `spec.traffic.route`")
                }
                _ => failure,
            };
            report.failed(About::Route, &failure);
            return report;
        }
    };
    match owners::owner(objects, &object).await {
        Ok(owner) => {
            if let Some(told) = owner.warning() {
                report.note(told);
            }
        }
        Err(failure) => report.note(format!("who owns the route: {}", failure.in_full())),
    }
    // While a release is on its way its own driver reads the route, and knows both arms.
    if let (Some(stable), None) = (basis.stable_set.as_str(), &basis.active) {
        let arms = Arms {
            namespace: objects.namespace().to_owned(),
            route: route.name.to_string(),
            service: None,
            workload: policy.spec.workload.name.to_string(),
            stable: stable.to_owned(),
            candidate: None,
        };
        if let Err(failure) = traffic::provider(route, client.clone()).read(&arms).await {
            report.failed(About::Route, &failure);
        }
    }
    report
}

async fn permissions(client: &Client, policy: &ReleasePolicy) -> Report {
    let mut report = Report::default();
    let namespace = policy.metadata.namespace.as_str();
    match allowed::missing(client, namespace, policy.spec.traffic.route.kind).await {
        Ok(missing) if missing.is_empty() => {}
        Ok(missing) => report.stall(
            Reason::MissingPermission,
            format!(
                "in namespace {namespace} the controller may not: {}; grant the permission; \
                 `backout install -o yaml` prints what is needed",
                missing.join(", ")
            ),
        ),
        Err(failure) => report.failed(About::Other, &failure),
    }
    report
}

async fn measurements(client: &Client, policy: &ReleasePolicy, stable: Option<&str>) -> Report {
    let mut report = Report::default();
    let prometheus = match live::prometheus(client, policy).await {
        Ok(Ok(prometheus)) => prometheus,
        Ok(Err(why)) => {
            report.stall(Reason::MissingMetrics, why);
            return report;
        }
        Err(failure) => {
            report.failed(About::Prometheus, &failure);
            return report;
        }
    };
    let now =
        Time::from_millis(u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default());
    if let Err(failure) = prometheus.client().query("vector(1)", now, Remedy::Aggregate).await {
        report.failed(About::Prometheus, &failure);
        return report;
    }
    if let Some(stable) = stable {
        for signal in &policy.spec.signals {
            report.add(signal_of(&prometheus, policy, signal, stable, now).await);
        }
    }
    report
}

/// Asks one signal for the release that serves.
async fn signal_of(
    prometheus: &Prometheus,
    policy: &ReleasePolicy,
    signal: &Signal,
    stable: &str,
    now: Time,
) -> Report {
    let mut report = Report::default();
    // The policy was validated, so that each signal has a kind.
    let Ok(kind) = signal.kind() else { return report };
    let arms = PerArm { stable: stable.to_owned(), candidate: stable.to_owned() };
    let end = Time::from_millis(
        now.as_millis().saturating_sub(policy.spec.triggers.metrics_delay.as_millis()),
    );
    let length = policy.spec.triggers.window.max(Span::from_secs(1));
    let start = Time::from_millis(end.as_millis().saturating_sub(length.as_millis()));
    let asked = Asked {
        signals: std::slice::from_ref(&kind),
        arms: &arms,
        namespace: policy.metadata.namespace.as_str(),
        window: Window { start, end },
        run_start: start,
    };
    match prometheus.answers(asked, &kind).await {
        Ok(None) => {}
        Ok(Some(why)) => report.note(format!(
            "signal {} finds nothing for the release that serves ({stable}): {why}",
            signal.name
        )),
        Err(failure) => {
            let Failure { kind, message, help } = failure;
            let message = format!("signal {}: {message}", signal.name);
            report.failed(About::Prometheus, &Failure { kind, message, help });
        }
    }
    report
}
