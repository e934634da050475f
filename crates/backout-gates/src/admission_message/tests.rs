use std::fmt::Write as _;

use super::*;

const DIGEST: &str = "sha256:2a5ab3c4d5e6f708192a3b4c5d6e7f80912a3b4c5d6e7f80912a3b4c5d6e7f80";

fn shown(message: &str) -> String {
    let it = classify(message);
    let mut shown = format!("> {}\n", message.replace('\n', "\n> "));
    let who = it.refused_by.map_or_else(|| "-".to_owned(), |refuser| refuser.to_string());
    let webhook = it.webhook.as_deref().unwrap_or("-");
    writeln!(shown, "refused by {who}, webhook {webhook}").unwrap();
    writeln!(shown, "policies {:?}\nimages {:?}\ncause {:?}", it.policies, it.images, it.cause)
        .unwrap();
    for candidate in &it.candidates {
        writeln!(shown, "  may be {} {candidate}", candidate.code()).unwrap();
    }
    writeln!(shown, "means: {}", it.meaning).unwrap();
    for next in &it.next {
        writeln!(shown, "next: {next}").unwrap();
    }
    shown
}

#[test]
fn messages_about_signatures() {
    let image = format!("registry.example.com/shop/checkout@{DIGEST}");
    let cip = "admission webhook \"policy.sigstore.dev\" denied the request: validation failed: failed \
               policy: signed-by-ci: spec.template.spec.containers[0].image";
    let messages = [
        ("key", format!("{cip} {image} signature key validation failed for authority release for {image}: no matching signatures")),
        ("none_found", format!("Error creating: {cip} {image} signature keyless validation failed for authority release for {image}: no signatures found")),
        ("no_policy", format!("admission webhook \"policy.sigstore.dev\" denied the request: validation failed: no matching policies: spec.containers[0].image {image}")),
        ("tag", "admission webhook \"policy.sigstore.dev\" denied the request: validation failed: invalid value: registry.example.com/shop/checkout:1.42.0 must be an image digest: spec.containers[0].image".to_owned()),
        ("kyverno", format!("admission webhook \"mutate.kyverno.svc-fail\" denied the request: \n\nresource Deployment/shop/checkout was blocked due to the following policies\n\nverify-image:\n  autogen-check-signature: 'image verification failed for {image}: signature mismatch'")),
        ("kyverno_none", "admission webhook \"mutate.kyverno.svc-fail\" denied the request: \n\nresource Pod/shop/checkout was blocked due to the following policies \n\nverify-image:\n  check: 'failed to verify image ghcr.io/shop/checkout:1.42.0: .attestors[0].entries[0].keys: no signatures found'".to_owned()),
        ("attestations", format!("{cip} {image} attestation keyless validation failed for authority release for {image}: no matching attestations: ")),
        ("ratify", "admission webhook \"validation.gatekeeper.sh\" denied the request: [ratify-constraint] Subject failed verification: registry.example.com/shop/checkout:1.42.0".to_owned()),
        ("connaisseur", "admission webhook \"connaisseur-svc.connaisseur.svc\" denied the request: Unable to find signed digest for image docker.io/shop/checkout:1.42.0.".to_owned()),
        ("node", format!("Failed to pull image \"{image}\": SignatureValidationFailed: A signature was required, but no signature exists")),
        ("unauthorized", format!("admission webhook \"policy.sigstore.dev\" denied the request: validation failed: GET https://registry.example.com/v2/: UNAUTHORIZED: {image}")),
    ];
    for (name, message) in messages {
        insta::assert_snapshot!(name, shown(&message));
    }
}

#[test]
fn messages_about_other_things() {
    let messages = [
        (
            "admission_policy",
            "deployments.apps \"checkout\" is forbidden: ValidatingAdmissionPolicy 'replica-limit' with binding 'replica-limit-shop' denied request: failed expression: object.spec.replicas <= 5",
        ),
        (
            "pod_security",
            "pods \"checkout-7d9\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"app\" must set securityContext.allowPrivilegeEscalation=false)",
        ),
        (
            "gatekeeper",
            "admission webhook \"validation.gatekeeper.sh\" denied the request: [must-have-owner] you must provide labels: {\"owner\"}\n[no-latest] container <app> uses the tag latest",
        ),
        (
            "kyverno_policy",
            "admission webhook \"validate.kyverno.svc-fail\" denied the request: \n\nresource Deployment/shop/checkout was blocked due to the following policies \n\nrequire-probes:\n  autogen-liveness: 'validation error: a probe is required. rule autogen-liveness failed at path /spec/template/spec/containers/0/livenessProbe/'\nrequire-requests: Requests are required",
        ),
        (
            "timeout",
            "Internal error occurred: failed calling webhook \"policy.sigstore.dev\": failed to call webhook: Post \"https://webhook.cosign-system.svc:443/validations?timeout=10s\": context deadline exceeded",
        ),
        (
            "no_endpoints",
            "Internal error occurred: failed calling webhook \"validate.kyverno.svc-fail\": failed to call webhook: Post \"https://kyverno-svc.kyverno.svc:443/validate/fail?timeout=10s\": no endpoints available for service \"kyverno-svc\"",
        ),
        (
            "unreachable",
            "Internal error occurred: failed calling webhook \"hooks.example.com\": failed to call webhook: Post \"https://hooks.shop.svc:443/\": tls: failed to verify certificate: x509: certificate signed by unknown authority",
        ),
        (
            "quota",
            "pods \"checkout-7d9\" is forbidden: exceeded quota: shop-quota, requested: cpu=2, used: cpu=9, limited: cpu=10",
        ),
        (
            "other_webhook",
            "admission webhook \"budget.example.com\" denied the request: the team's budget is used up",
        ),
        ("unknown", "Back-off restarting failed container app in pod checkout-7d9"),
    ];
    for (name, message) in messages {
        insta::assert_snapshot!(name, shown(message));
    }
}

#[test]
fn nothing_panics_and_nothing_grows() {
    let words = [
        "",
        "\u{0}",
        "admission webhook \"",
        "ValidatingAdmissionPolicy '",
        "failed policy: ",
        "[",
        "]",
        "@sha256:",
        "image ",
        "denied the request: ",
        "\u{1b}[2J",
        "é",
        "gatekeeper",
        "\n",
        " a:",
        "due to the following policies",
    ];
    for first in words {
        for second in words {
            for third in words {
                let it = classify(&format!("{first}{second}{third}"));
                assert!(it.policies.iter().chain(&it.images).all(|name| !name.contains('\u{1b}')));
            }
        }
    }
    let it = classify(&"é ValidatingAdmissionPolicy 'x".repeat(1 << 18));
    assert!(it.is_cut && it.policies.len() <= 20);
    let images: String = (0..1000).map(|n| format!("image a.b/c:{n} ")).collect();
    assert_eq!(classify(&images).images.len(), 20);
}
