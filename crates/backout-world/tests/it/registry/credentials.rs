//! Credentials go where they should, nowhere else, and are never shown.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use backout_fixtures::image::{Image, OCI_MANIFEST};
use backout_gates::oci::{Lookup, Wanted};
use backout_world::registry::{Credentials, Fetched, Registry};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::server::{Answer, Server, response};
use super::{options, repository};

const PASSWORD: &str = "hush-7f3a";

fn manifest() -> Answer {
    let bytes = Image::new("linux/amd64").layer(&[("app", "one")]).build().bytes;
    let text = String::from_utf8(bytes.to_vec()).expect("it is JSON");
    response("200 OK", &[("Content-Type", OCI_MANIFEST)], &text)
}

fn basic() -> String {
    STANDARD.encode(format!("me:{PASSWORD}"))
}

/// A Docker configuration that knows a server's password.
fn docker_config(folder: &Path, server: &Server) -> Credentials {
    let file = folder.join("config.json");
    let text = format!("{{\"auths\":{{\"{}\":{{\"auth\":\"{}\"}}}}}}", server.address, basic());
    std::fs::write(&file, text).expect("writable");
    Credentials::in_files(vec![folder.join("missing.json"), file])
}

async fn read(server: &Server, credentials: Credentials) -> Lookup<Fetched> {
    let registry = Registry::over_http(options(), credentials).expect("the options can be used");
    let shown = format!("{registry:?}");
    assert!(!shown.contains(PASSWORD) && !shown.contains(&basic()), "{shown}");
    let wanted = Wanted::tag("1").expect("it is a tag");
    let read = registry.manifest(&repository(server.address, "a"), &wanted).await;
    if let Lookup::Failed(why) = &read {
        assert!(!why.contains("hush") && !why.contains(&basic()), "{why}");
    }
    read
}

fn why(read: Lookup<Fetched>) -> String {
    match read {
        Lookup::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

fn authorization(head: &str) -> Option<&str> {
    head.lines().find_map(|line| line.strip_prefix("authorization: "))
}

#[tokio::test]
async fn a_password_is_sent_when_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|head| match authorization(head) {
        Some(sent) if sent == format!("Basic {}", basic()) => manifest(),
        _ => response("401 Unauthorized", &[("WWW-Authenticate", "Basic realm=\"x\"")], ""),
    });
    let server = server.await;
    let found = read(&server, docker_config(folder.path(), &server)).await;
    assert!(matches!(found, Lookup::Found(_)), "{found:?}");
    assert_eq!(authorization(&server.asked()[0]), None, "nobody asked yet");
    let refused = why(read(&server, Credentials::none()).await);
    assert!(refused.contains("401") && refused.contains("docker login"), "{refused}");
}

/// A registry whose tokens another server gives, and that server.
async fn with_tokens(given: &'static str) -> (Server, Server) {
    let tokens = Server::start(move |head| match authorization(head) {
        Some(sent) if sent == format!("Basic {}", basic()) => response("200 OK", &[], given),
        _ => response("401 Unauthorized", &[], ""),
    });
    let tokens = tokens.await;
    let realm = format!("Bearer realm=\"http://{}/token\",service=\"shop\"", tokens.address);
    let registry = Server::start(move |head| match authorization(head) {
        Some("Bearer token-5e1f") => manifest(),
        _ => response("401 Unauthorized", &[("WWW-Authenticate", realm.as_str())], ""),
    });
    (registry.await, tokens)
}

#[tokio::test]
async fn a_token_is_fetched_with_the_password_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, tokens) = with_tokens("{\"token\":\"token-5e1f\"}").await;
    let found = read(&registry, docker_config(folder.path(), &registry)).await;
    assert!(matches!(found, Lookup::Found(_)), "{found:?}");
    let asked = tokens.asked();
    let wanted = "GET /token?scope=repository%3Aa%3Apull&service=shop ";
    assert!(asked[0].starts_with(wanted), "{}", asked[0]);
    assert!(registry.asked().iter().all(|head| !head.contains(&basic())), "only tokens go there");
    let refused = why(read(&registry, Credentials::none()).await);
    assert!(refused.contains("gives tokens, answers 401"), "{refused}");
    let (registry, _tokens) = with_tokens("{}").await;
    let none = why(read(&registry, docker_config(folder.path(), &registry)).await);
    assert!(none.contains("gave none"), "{none}");
}

#[tokio::test]
async fn a_refresh_token_is_changed_into_an_access_token() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Server::start(|head| {
        let is_asked_well = head.starts_with("POST /token ") && authorization(head).is_none();
        let body = "{\"access_token\":\"token-5e1f\"}";
        response(if is_asked_well { "200 OK" } else { "400 Bad Request" }, &[], body)
    });
    let tokens = tokens.await;
    let realm = format!("Bearer realm=\"http://{}/token\"", tokens.address);
    let registry = Server::start(move |head| match authorization(head) {
        Some("Bearer token-5e1f") => manifest(),
        _ => response("401 Unauthorized", &[("WWW-Authenticate", realm.as_str())], ""),
    });
    let registry = registry.await;
    let file = folder.path().join("config.json");
    let entry = format!("{{\"identitytoken\":\"{PASSWORD}\"}}");
    let text = format!("{{\"auths\":{{\"http://{}/v2/\":{entry}}}}}", registry.address);
    std::fs::write(&file, text).expect("writable");
    let found = read(&registry, Credentials::in_files(vec![file])).await;
    assert!(matches!(found, Lookup::Found(_)), "{found:?}");
    assert_eq!(tokens.asked().len(), 1);
}

#[tokio::test]
async fn a_realm_that_others_can_read_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (realm, expected) in [
        ("http://tokens.invalid/token", "wants our credentials at http://tokens.invalid/token"),
        ("http://me:x@tokens.invalid/", "no usable address"),
        ("not an address", "no usable address"),
    ] {
        let header = format!("Bearer realm=\"{realm}\"");
        let server = Server::start(move |_| {
            response("401 Unauthorized", &[("WWW-Authenticate", header.as_str())], "")
        });
        let server = server.await;
        let refused = why(read(&server, docker_config(folder.path(), &server)).await);
        assert!(refused.contains(expected), "{refused}");
        let anonymous = why(read(&server, Credentials::none()).await);
        assert!(!anonymous.contains("cannot be reached"), "it was not even tried: {anonymous}");
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_gets_no_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = Server::start(|_| manifest()).await;
    let location = format!("http://{}/blob?signature=1", elsewhere.address);
    let registry = Server::start(move |head| match authorization(head) {
        Some(_) => response("307 Temporary Redirect", &[("Location", location.as_str())], ""),
        None => response("401 Unauthorized", &[("WWW-Authenticate", "Basic realm=\"x\"")], ""),
    });
    let registry = registry.await;
    let found = read(&registry, docker_config(folder.path(), &registry)).await;
    assert!(matches!(found, Lookup::Found(_)), "{found:?}");
    let asked = elsewhere.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with("GET /blob?signature=1 ") && authorization(&asked[0]).is_none());
}

#[tokio::test]
async fn a_registry_that_repeats_the_password_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|head| {
        let sent = authorization(head).unwrap_or_default();
        let body =
            format!("{{\"errors\":[{{\"code\":\"DENIED\",\"message\":\"{sent} {PASSWORD}\"}}]}}");
        let challenge = [("WWW-Authenticate", "Basic realm=\"x\"")];
        response(
            if sent.is_empty() { "401 Unauthorized" } else { "403 Forbidden" },
            &challenge,
            &body,
        )
    });
    let server = server.await;
    let refused = why(read(&server, docker_config(folder.path(), &server)).await);
    assert!(refused.contains("403") && refused.contains("DENIED"), "{refused}");
}

/// A configuration whose store is this script.
fn with_helper(folder: &Path, script: &str) -> Credentials {
    let helper = folder.join("docker-credential-backout-test");
    std::fs::write(&helper, format!("#!/bin/sh\n{script}\n")).expect("writable");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&helper, mode).expect("it is ours");
    let file = folder.join("config.json");
    std::fs::write(&file, "{\"credsStore\":\"backout-test\"}").expect("writable");
    Credentials::in_files(vec![file])
        .with_helper_folder(folder.to_owned())
        .with_helper_timeout(Duration::from_millis(500))
}

#[tokio::test]
async fn credential_helpers_are_asked_within_limits() {
    let server = Server::start(|head| match authorization(head) {
        Some(sent) if sent == format!("Basic {}", basic()) => manifest(),
        _ => response("401 Unauthorized", &[("WWW-Authenticate", "Basic realm=\"x\"")], ""),
    });
    let server = server.await;
    let folder = tempfile::tempdir().unwrap();
    let given = format!(
        "read s; test \"$s\" = {} || exit 9; test \"$1\" = get || exit 9; \
        echo '{{\"ServerURL\":\"x\",\"Username\":\"me\",\"Secret\":\"{PASSWORD}\"}}'",
        server.address
    );
    let found = read(&server, with_helper(folder.path(), &given)).await;
    assert!(matches!(found, Lookup::Found(_)), "{found:?}");
    let unknown = "echo 'credentials not found in native keychain'; exit 1";
    let refused = why(read(&server, with_helper(folder.path(), unknown)).await);
    assert!(refused.contains("docker login"), "{refused}");
    for (script, expected) in [
        ("sleep 60", "took longer than 0.5 s"),
        ("echo hush-7f3a; exit 3", "failed"),
        ("echo hush-7f3a", "did not answer as credential helpers do"),
        ("yes hush-7f3a", "more than 65536 bytes"),
    ] {
        let refused = why(read(&server, with_helper(folder.path(), script)).await);
        assert!(refused.contains(expected), "{script}: {refused}");
    }
}
