use proptest::prelude::*;

use super::super::family::conventional;
use super::*;

const STABLE: &str = "checkout-aaaaaaaa";
const CANDIDATE: &str = "checkout-bbbbbbbb";

fn identity(arm: Arm) -> Identity {
    let (set, version) = match arm {
        Arm::Stable => (STABLE, "1.0.0"),
        Arm::Candidate => (CANDIDATE, "2.0.0"),
    };
    Identity { arm, set: set.to_owned(), version: version.to_owned(), pods: 3, relabelled: None }
}

fn try_resolve(query: &str, identities: &[Identity]) -> Result<Resolved, String> {
    resolve(query, &conventional(), "shop", "checkout", identities)
}

/// What a query selects; `$release` stands for the candidate.
fn selects(query: &str) -> Resolved {
    let identities = [identity(Arm::Stable), identity(Arm::Candidate)];
    try_resolve(&query.replace("$release", CANDIDATE), &identities).unwrap()
}

fn codes(selected: &Selected) -> Vec<&'static str> {
    selected.codes.iter().map(|code| code.as_str()).collect()
}

/// Checks which arms and codes a query selects: `c` and `s` are the arms.
#[track_caller]
fn check(query: &str, arms: &str, expected: &[&str]) {
    let resolved = selects(query);
    let mut found = String::new();
    for (selected, letter) in [(&resolved.candidate, 'c'), (&resolved.stable, 's')] {
        if selected.any {
            found.push(letter);
            assert_eq!(codes(selected), expected, "{query}");
        } else {
            assert_eq!(*selected, Selected::default(), "{query}");
        }
    }
    assert_eq!(found, arms, "{query}: {:?}", resolved.note);
}

#[track_caller]
fn check_note(query: &str, expected: &str) {
    assert_eq!(selects(query).note.as_deref(), Some(expected), "{query}");
}

const ALL: &[&str] = &["200", "404", "500"];

#[test]
fn each_operator() {
    for (matchers, arms, expected) in [
        (r#"release="$release""#, "c", ALL),
        (r#"release!="$release""#, "s", ALL),
        (r#"release=~"checkout-[ab]+""#, "cs", ALL),
        (r#"release!~".*b""#, "s", ALL),
        (r#"release="$release",code="500""#, "c", &["500"]),
        (r#"release="$release",code!="500""#, "c", &["200", "404"]),
        (r#"release="$release",code=~"5..""#, "c", &["500"]),
        (r#"release="$release",code!~"5..""#, "c", &["200", "404"]),
        (r#"release="$release",code=~"2..|404""#, "c", &["200", "404"]),
        (r#"code!~"4..",code!~"5..""#, "cs", &["200"]),
        (r#"namespace="shop",app="checkout",job=~".+""#, "cs", ALL),
        ("", "cs", ALL),
    ] {
        check(&format!("sum(increase(http_requests_total{{{matchers}}}[60s]))"), arms, expected);
    }
}

#[test]
fn regular_expressions_match_the_whole_value() {
    check(r#"http_requests_total{release=~"bbbb"}"#, "", &[]);
    check(r#"http_requests_total{release=~"checkout"}"#, "", &[]);
    check(r#"http_requests_total{release=~"checkout.*b|x"}"#, "c", ALL);
    check(r#"http_requests_total{code=~"5"}"#, "", &[]);
    check(r#"http_requests_total{code!~"5"}"#, "cs", ALL);
}

#[test]
fn an_absent_label_is_empty() {
    for (matcher, arms) in [
        (r#"version="""#, "cs"),
        (r#"version!="2.0.0""#, "cs"),
        (r#"version=~".*""#, "cs"),
        (r#"version!~"2.*""#, "cs"),
        (r#"version="2.0.0""#, ""),
        (r#"version!="""#, ""),
        (r#"version=~".+""#, ""),
        (r#"version!~"""#, ""),
    ] {
        let expected = if arms.is_empty() { &[] } else { ALL };
        check(&format!("http_requests_total{{{matcher}}}"), arms, expected);
    }
}

#[test]
fn the_name_is_matched_like_a_label() {
    check(r#"{__name__="http_requests_total",release="$release"}"#, "c", ALL);
    check(r#"{"http_requests_total",release="$release"}"#, "c", ALL);
    check(r#"{__name__=~"http_requests_.*"}"#, "cs", ALL);
    check(r#"{__name__=~"http_requests"}"#, "", &[]);
    let resolved = selects(r#"{__name__!~".*(_bucket|_count)",release="$release",code="500"}"#);
    assert!(resolved.families.contains("http_requests_total"), "{resolved:?}");
    assert_eq!(resolved.measure, Some(Measure::Requests));
}

#[test]
fn the_release_can_be_named_in_many_ways() {
    for query in [
        r#"http_requests_total{pod=~"$release-.*"}"#,
        r#"http_requests_total{kubernetes_pod_name=~"$release-.{5}"}"#,
        r#"istio_requests_total{reporter="destination",destination_workload="$release"}"#,
        r#"istio_requests_total{destination_service=~"$release\\..*"}"#,
        r#"istio_requests_total{destination_service="$release.shop.svc.cluster.local"}"#,
        r#"istio_requests_total{destination_version="2.0.0"}"#,
        r#"response_total{deployment="$release",direction="inbound"}"#,
        r#"envoy_cluster_upstream_rq{envoy_cluster_name=~".*_$release_.*"}"#,
        r#"nginx_ingress_controller_requests{service="$release"}"#,
        r#"traefik_service_requests_total{service=~`shop-$release-\d+@kubernetes`}"#,
    ] {
        check(query, "c", ALL);
        assert_eq!(selects(query).note.filter(|_| query.contains("$release")), None, "{query}");
    }
}

#[test]
fn values_that_follow_from_the_code() {
    let query = r#"response_total{deployment="$release",classification="failure"}"#;
    check(query, "c", &["500"]);
    let query = r#"envoy_cluster_upstream_rq_xx{envoy_response_code_class!="5"}"#;
    check(query, "cs", &["200", "404"]);
    let query = r#"http_server_requests_seconds_count{outcome=~"CLIENT.*",status="404"}"#;
    check(query, "cs", &["404"]);
    let query = r#"http_server_requests_seconds_count{outcome="SUCCESS",status="404"}"#;
    check(query, "", &[]);
}

#[test]
fn no_matcher_for_the_release_selects_both_arms() {
    let resolved = selects(r#"sum(rate(http_requests_total{code=~"5.."}[5m]))"#);
    assert!(resolved.candidate.any && resolved.stable.any);
    assert_eq!(resolved.note, None);
}

#[test]
fn selectors_are_united() {
    let ratio = r#"sum(rate(http_requests_total{release="$release",code="500"}[1m]))
        / sum(rate(http_requests_total{release="$release",code!="404"}[1m]))"#;
    check(ratio, "c", &["200", "500"]);
    check(
        r#"rate(http_requests_total{release="$release",code="500"}[1m])
            - on () rate(http_requests_total{release!="$release",code="500"}[1m])"#,
        "cs",
        &["500"],
    );
    let resolved = selects(r#"http_requests_total{release="$release",code="200" or code="404"}"#);
    assert_eq!(codes(&resolved.candidate), ["200", "404"]);
    assert_eq!(codes(&resolved.stable), ["404"]);
}

#[test]
fn an_empty_side_empties_the_answer() {
    for (query, arms) in [
        (r#"http_requests_total{release="$release"} / nothing"#, ""),
        (r#"http_requests_total{release="$release"} or nothing"#, "c"),
        (r#"http_requests_total{release="$release"} unless nothing"#, "c"),
        (r#"sum(http_requests_total{release="$release"}) + sum(nothing) > 0"#, ""),
        (r#"absent(http_requests_total{release="$release"})"#, ""),
    ] {
        check(query, arms, ALL);
        assert!(selects(query).note.is_some(), "{query}");
    }
}

#[test]
fn what_is_measured() {
    for (query, measure, unit) in [
        ("http_requests_total", Some(Measure::Requests), Unit::Seconds),
        ("http_request_duration_seconds_bucket", Some(Measure::DurationBuckets), Unit::Seconds),
        ("http_request_duration_seconds_count", Some(Measure::DurationCount), Unit::Seconds),
        ("response_latency_ms_bucket", Some(Measure::DurationBuckets), Unit::Milliseconds),
        ("container_memory_working_set_bytes", Some(Measure::Level), Unit::Seconds),
        (
            r#"container_cpu_usage_seconds_total / on (pod)
                kube_pod_container_resource_limits{resource="cpu"}"#,
            Some(Measure::Level),
            Unit::Seconds,
        ),
        ("http_requests_total + on () container_cpu_utilization", None, Unit::Seconds),
        ("nothing", None, Unit::Seconds),
    ] {
        let resolved = selects(query);
        assert_eq!((resolved.measure, resolved.unit), (measure, unit), "{query}");
        assert_eq!(resolved.note.is_none(), measure.is_some(), "{query}");
    }
    check_note(
        "http_requests_total + on () container_cpu_utilization",
        "the query combines metrics of different kinds: `container_cpu_utilization`, \
         `http_requests_total`",
    );
}

#[test]
fn buckets() {
    let edges = [100, 250, 500, 1_000].map(Latency::from_millis);
    for (matchers, selected) in [
        ("", "0.1 0.25 0.5 1 +Inf"),
        (r#"le="0.5""#, "0.5"),
        (r#"le="1.0""#, "1"),
        (r#"le="+Inf""#, "+Inf"),
        (r#"le=~"0.5|0.25""#, "0.25 0.5"),
        (r#"le!="+Inf",le!="0.10""#, "0.25 0.5 1"),
        (r#"le="0.3""#, ""),
    ] {
        let query = format!("http_request_duration_seconds_bucket{{{matchers}}}");
        let resolved = selects(&query);
        let chosen = &resolved.candidate.edges;
        let all = edges.iter().copied().map(Some).chain([None]);
        let found: Vec<_> = all
            .filter(|edge| chosen.selects(resolved.unit, *edge))
            .map(|edge| resolved.unit.le(edge))
            .collect();
        assert_eq!(found.join(" "), selected, "{query}");
        assert_eq!(chosen.is_restricted(), !matchers.is_empty(), "{query}");
        assert_eq!(resolved.note_on_edges(&edges).is_none(), !selected.is_empty(), "{query}");
    }
    let resolved = selects(r#"response_latency_ms_bucket{le="300"}"#);
    assert_eq!(
        resolved.note_on_edges(&edges).unwrap(),
        r#"no bucket has `le="300"`; `le` is one of 100, 250, 500, 1000, +Inf"#
    );
    assert_eq!(selects("http_requests_total").note_on_edges(&edges), None);
    assert!(!selects(r#"http_requests_total{le="1"}"#).candidate.any);
}

#[test]
fn notes_on_names() {
    for (query, expected) in [
        (
            "http_request_total",
            "no series named `http_request_total`; did you mean `http_requests_total`?",
        ),
        ("http_requests", "no series named `http_requests`; did you mean `http_requests_total`?"),
        (
            "istio_request_total",
            "no series named `istio_request_total`; did you mean `istio_requests_total`?",
        ),
        ("up", "no series named `up`"),
        (r#"{__name__="foo_bar_baz"}"#, "no series named `foo_bar_baz`"),
        (r#"{__name__=~"foo.*"}"#, r#"no series has `__name__=~"foo.*"`"#),
        (
            r#"{__name__=~"http.*",__name__!~"h.*"}"#,
            r#"no series has `__name__=~"http.*"` and `__name__!~"h.*"`"#,
        ),
        (
            "sum(http_requests_total) / sum(http_reqests_total)",
            "no series named `http_reqests_total`; did you mean `http_requests_total`?",
        ),
        ("vector(1)", "the query selects no series, so it says nothing of any release"),
    ] {
        check_note(query, expected);
    }
}

#[test]
fn notes_on_labels() {
    let labels = "labels are app, app_kubernetes_io_instance, app_kubernetes_io_name, code, \
                  container, handler, instance, job, kubernetes_namespace, kubernetes_pod_name, \
                  method, namespace, node, path, pod, release, service, status, status_code";
    for (query, expected) in [
        (
            r#"http_requests_total{version="$release"}"#,
            format!(
                "no series of `http_requests_total` of the candidate has \
                 `version=\"{CANDIDATE}\"`; it has no label `version`, but `release` has such a \
                 value"
            ),
        ),
        (
            r#"http_requests_total{version="2.0.0"}"#,
            format!(
                "no series of `http_requests_total` has `version=\"2.0.0\"`; it has no label \
                 `version`; {labels}"
            ),
        ),
        (
            r#"http_requests_total{relase="x"}"#,
            "no series of `http_requests_total` has `relase=\"x\"`; it has no label `relase` (did \
             you mean `release`?)"
                .to_owned(),
        ),
    ] {
        check_note(query, &expected);
    }
}

#[test]
fn notes_on_values() {
    for (query, expected) in [
        (
            r#"http_requests_total{release="checkout"}"#,
            "no series of `http_requests_total` has `release=\"checkout\"`; label `release` has \
             the values \"checkout-aaaaaaaa\", \"checkout-bbbbbbbb\"",
        ),
        (
            r#"http_requests_total{release="$release-canary"}"#,
            "no series of `http_requests_total` of the candidate has \
             `release=\"checkout-bbbbbbbb-canary\"`; label `release` has the value \
             \"checkout-bbbbbbbb\"",
        ),
        (
            r#"http_requests_total{release="$release",code="503"}"#,
            "no series of `http_requests_total` of the candidate has `code=\"503\"`; label `code` \
             has the values \"200\", \"404\", \"500\"",
        ),
        (
            r#"http_requests_total{release!="$release"}"#,
            "no series of `http_requests_total` of the candidate has \
             `release!=\"checkout-bbbbbbbb\"`; label `release` has the value \
             \"checkout-bbbbbbbb\"",
        ),
        (
            r#"http_requests_total{code="200",release="$release",status=~"5..",job=~".+"}"#,
            "no series of `http_requests_total` of the candidate has `code=\"200\"` and \
             `status=~\"5..\"` at once",
        ),
        (
            r#"http_requests_total{release="checkout-aaaaaaaa",pod=~"checkout-bbbbbbbb-.*"}"#,
            "no series of `http_requests_total` has `release=\"checkout-aaaaaaaa\"` and \
             `pod=~\"checkout-bbbbbbbb-.*\"` at once",
        ),
    ] {
        check_note(query, expected);
    }
    let pods = selects(r#"http_requests_total{pod="checkout"}"#).note.unwrap();
    assert!(pods.contains("label `pod` has the values \"checkout-aaaaaaaa-"), "{pods}");
    let long = format!(r#"http_requests_total{{code="{}"}}"#, "x".repeat(10_000));
    assert!(selects(&long).note.unwrap().len() < 400);
}

#[test]
fn a_relabelled_arm_is_not_found_under_the_former_label() {
    let mut candidate = identity(Arm::Candidate);
    candidate.relabelled = Some(("release".to_owned(), "rollout".to_owned()));
    let identities = [identity(Arm::Stable), candidate];
    let query = |set| format!(r#"sum(rate(http_requests_total{{release="{set}"}}[1m]))"#);
    let resolved = try_resolve(&query(CANDIDATE), &identities).unwrap();
    assert!(!resolved.candidate.any && !resolved.stable.any);
    let note = resolved.note.unwrap();
    assert!(
        note.starts_with(
            "no series of `http_requests_total` of the candidate has \
             `release=\"checkout-bbbbbbbb\"`; it has no label `release`, but `rollout` has such a \
             value"
        ),
        "{note}"
    );
    let resolved = try_resolve(&query(STABLE), &identities).unwrap();
    assert!(!resolved.candidate.any && resolved.stable.any);
    assert_eq!(resolved.note, None);
    let resolved = try_resolve(&query(CANDIDATE).replace("release", "rollout"), &identities);
    assert!(resolved.unwrap().candidate.any);
    // A query that names no release is about both, so it is said that one is missing.
    let both = r#"http_requests_total{release=~"checkout-.*"}"#;
    let resolved = try_resolve(both, &identities).unwrap();
    assert!(resolved.stable.any && !resolved.candidate.any);
    assert!(resolved.note.unwrap().contains("of the candidate"));
    // An absent label is empty, so a selector that excludes the stable release still finds it.
    let others = query(STABLE).replace('=', "!=");
    assert!(try_resolve(&others, &identities).unwrap().candidate.any);
}

#[test]
fn no_pods_no_series() {
    let mut candidate = identity(Arm::Candidate);
    candidate.pods = 0;
    let identities = [identity(Arm::Stable), candidate];
    let query = format!(r#"http_requests_total{{release="{CANDIDATE}"}}"#);
    let resolved = try_resolve(&query, &identities).unwrap();
    assert!(!resolved.candidate.any);
    assert_eq!(
        resolved.note.unwrap(),
        "there are no pods of the candidate, so there are no series"
    );
    let query = format!(r#"nginx_ingress_controller_requests{{service="{CANDIDATE}"}}"#);
    assert!(try_resolve(&query, &identities).unwrap().candidate.any);
    let nobody = try_resolve(&query, &[]).unwrap();
    assert_eq!(nobody.note.unwrap(), "there are no pods, so there are no series");
    let many = Identity { pods: u32::MAX, ..identity(Arm::Stable) };
    assert!(!try_resolve(r#"http_requests_total{pod="x"}"#, &[many]).unwrap().stable.any);
}

#[test]
fn a_query_that_is_not_promql_is_an_error() {
    for query in ["", "sum(", "http_requests_total{code=500}", "rate(http_requests_total)"] {
        let problem = try_resolve(query, &[]).unwrap_err();
        assert!(problem.starts_with("not valid PromQL"), "{query}: {problem}");
    }
}

const LABELS: [&str; 6] = ["release", "pod", "code", "status", "version", "le"];

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = try_resolve(&text, &[identity(Arm::Stable), identity(Arm::Candidate)]);
    }

    #[test]
    fn arbitrary_matchers_never_panic_and_are_explained(
        name in proptest::sample::select(&["http_requests_total", "istio_requests_total", "x"][..]),
        matchers in proptest::collection::vec(
            (
                proptest::sample::select(&LABELS[..]),
                proptest::sample::select(&["=", "!=", "=~", "!~"][..]),
                proptest::sample::select(&["", ".*", "5..", "500", CANDIDATE, "checkout-.+"][..]),
            ),
            0..5,
        ),
    ) {
        let matchers: Vec<_> =
            matchers.iter().map(|(label, op, value)| format!("{label}{op}\"{value}\"")).collect();
        let query = format!("sum({name}{{{}}})", matchers.join(","));
        let identities = [identity(Arm::Stable), identity(Arm::Candidate)];
        let resolved = try_resolve(&query, &identities).unwrap();
        let [stable, candidate] = [&resolved.stable, &resolved.candidate];
        if !candidate.any && (query.contains(CANDIDATE) || !stable.any) {
            prop_assert!(resolved.note.is_some(), "{query}");
        }
        for selected in [stable, candidate] {
            prop_assert_eq!(selected.any, !selected.codes.is_empty());
        }
    }
}

#[test]
fn presets_tell_the_releases_apart() {
    use backout_core::policy::{BucketUnit, Preset, Signal, SignalKind, Source};
    use backout_core::units::Span;

    let kind_of = |text: &str, then: &mut dyn FnMut(&SignalKind<'_>)| {
        let signal: Signal = serde_json::from_str(text).unwrap();
        then(&signal.kind().unwrap());
    };
    for source in Source::ALL {
        let preset = |rest: &str, max: &str| {
            let source = serde_json::to_string(&source).unwrap();
            let preset = format!(r#"{{"source":{source},"measures":{rest}}}"#);
            assert!(serde_json::from_str::<Preset>(&preset).is_ok(), "{preset}");
            format!(r#"{{"name":"a","preset":{preset},"max":"{max}"}}"#)
        };
        let filled =
            |query: &backout_core::policy::Query| query.fill(CANDIDATE, "shop", Span::from_mins(1));
        kind_of(&preset(r#""errors""#, "1%"), &mut |kind| {
            let SignalKind::Ratio(ratio, _) = kind else { panic!("{kind:?}") };
            check(&filled(&ratio.bad), "c", &["500"]);
            check(&filled(&ratio.total), "c", ALL);
        });
        kind_of(&preset(r#""latency","q":0.99"#, "400ms"), &mut |kind| {
            let SignalKind::Quantile(quantiled, _) = kind else { panic!("{kind:?}") };
            let resolved = selects(&filled(&quantiled.histogram));
            assert!(resolved.candidate.any && !resolved.stable.any, "{:?}", resolved.note);
            assert_eq!(resolved.measure, Some(Measure::DurationBuckets));
            let unit = match quantiled.unit {
                BucketUnit::Seconds => Unit::Seconds,
                BucketUnit::Milliseconds => Unit::Milliseconds,
            };
            assert_eq!(resolved.unit, unit);
        });
    }
}
