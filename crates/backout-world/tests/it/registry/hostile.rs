//! Registries that lie, hang, break off, lead astray or never end.

use std::time::{Duration, Instant};

use backout_core::units::Digest;
use backout_fixtures::image::{Image, OCI_MANIFEST};
use backout_gates::oci::{Lookup, Wanted};
use backout_world::registry::{Credentials, Options, Registry};

use super::server::{Answer, Server, response};
use super::{options, reader, repository};

fn manifest() -> String {
    let bytes = Image::new("linux/amd64").layer(&[("app", "one")]).build().bytes;
    String::from_utf8(bytes.to_vec()).expect("it is JSON")
}

fn tag() -> Wanted {
    Wanted::tag("1").expect("it is a tag")
}

/// Why a manifest of this server cannot be read.
async fn failure(registry: &Registry, server: &Server, wanted: &Wanted) -> String {
    match registry.manifest(&repository(server.address, "a"), wanted).await {
        Lookup::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

async fn told(answer: impl Fn(&str) -> Answer + Send + Sync + 'static, wanted: &Wanted) -> String {
    let server = Server::start(answer).await;
    failure(&reader(), &server, wanted).await
}

fn impatient() -> Registry {
    let options = Options { timeout: Duration::from_millis(300), ..options() };
    Registry::over_http(options, Credentials::none()).expect("the options can be used")
}

#[tokio::test]
async fn a_manifest_that_is_cut() {
    let whole = manifest();
    let half = whole[..whole.len() / 2].to_owned();
    let cut = half.clone();
    let wanted = tag();
    let answer = move |_: &str| response("200 OK", &[("Content-Type", OCI_MANIFEST)], &cut);
    let json = told(answer, &wanted).await;
    assert!(json.contains("ends in the middle"), "{json}");
    let length = whole.len();
    let stream = told(
        move |_| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{half}");
            Answer::Bytes(head.into_bytes())
        },
        &wanted,
    );
    let stream = stream.await;
    assert!(stream.contains("broke off after"), "{stream}");
}

#[tokio::test]
async fn a_blob_that_is_cut() {
    let server = Server::start(|_| response("200 OK", &[], "{\"archi")).await;
    let digest = Digest::of_bytes(b"{\"architecture\":\"amd64\"}");
    let read = reader().blob(&repository(server.address, "a"), &digest, 1_000).await;
    let Lookup::Failed(why) = read else { panic!("{read:?}") };
    assert!(why.contains("lies about a digest") && why.contains(digest.as_str()), "{why}");
}

#[tokio::test]
async fn a_registry_that_hangs() {
    let heads = ["", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "HTTP/1.1 200 OK\r\n"];
    for head in heads {
        let server = Server::start(move |_| Answer::Hang(head.as_bytes().to_vec())).await;
        let begun = Instant::now();
        let why = failure(&impatient(), &server, &tag()).await;
        assert!(why.contains("took longer than 0.3 s"), "{why}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_registry_that_lies_about_a_digest() {
    let lie = Digest::of_bytes(b"something else");
    let header = lie.to_string();
    let answer = move |_: &str| {
        let headers = [("Content-Type", OCI_MANIFEST), ("Docker-Content-Digest", header.as_str())];
        response("200 OK", &headers, &manifest())
    };
    let by_tag = told(answer, &tag()).await;
    assert!(by_tag.contains("lies about a digest") && by_tag.contains(lie.as_str()), "{by_tag}");
    let asked = Wanted::Digest(lie);
    let by_digest = told(|_| response("200 OK", &[], &manifest()), &asked).await;
    assert!(by_digest.contains("was asked for"), "{by_digest}");
    let headers = [("Docker-Content-Digest", "latest")];
    let odd = told(move |_| response("200 OK", &headers, &manifest()), &tag()).await;
    assert!(odd.contains("is no digest"), "{odd}");
}

#[tokio::test]
async fn a_redirect_in_a_circle() {
    let server =
        Server::start(|_| response("307 Temporary Redirect", &[("Location", "/v2/a/x")], ""));
    let server = server.await;
    let why = failure(&reader(), &server, &tag()).await;
    assert!(why.contains("redirects more than 5 times"), "{why}");
    assert_eq!(server.asked().len(), 6);
}

#[tokio::test]
async fn a_redirect_to_plain_http_elsewhere() {
    for location in ["http://blobs.invalid/x?secret=1", "file:///etc/passwd", ""] {
        let headers = [("Location", location)];
        let why = told(move |_| response("302 Found", &headers, ""), &tag()).await;
        assert!(why.contains("redirects to") && !why.contains("secret"), "{why}");
    }
}

#[tokio::test]
async fn a_body_without_end() {
    let announced = "HTTP/1.1 200 OK\r\nContent-Length: 209715200\r\n\r\n";
    for head in [announced, "HTTP/1.1 200 OK\r\n\r\n"] {
        let begun = Instant::now();
        let why = told(move |_| Answer::Endless(head.as_bytes().to_vec()), &tag()).await;
        assert!(why.contains("more than 4194304 bytes"), "{why}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
    let server = Server::start(|_| Answer::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())).await;
    let digest = Digest::of_bytes(b"");
    let blob = reader().blob(&repository(server.address, "a"), &digest, 1_000).await;
    assert!(matches!(&blob, Lookup::Failed(why) if why.contains("1000 bytes")), "{blob:?}");
    let referrers = reader().referrers(&repository(server.address, "a"), &digest).await;
    assert!(matches!(&referrers, Lookup::Failed(_)), "{referrers:?}");
}

#[tokio::test]
async fn a_content_type_that_is_no_manifest() {
    let wanted = tag();
    let html = [("Content-Type", "text/html; charset=utf-8")];
    let page = told(move |_| response("200 OK", &html, "<html>"), &wanted).await;
    assert!(page.contains("`text/html`, which is no manifest"), "{page}");
    let index = "application/vnd.oci.image.index.v1+json";
    let answer = move |_: &str| response("200 OK", &[("Content-Type", index)], &manifest());
    let other = told(answer, &wanted).await;
    assert!(other.contains("and came as"), "{other}");
}

#[tokio::test]
async fn a_server_that_is_no_registry_has_no_missing_images() {
    let why = told(|_| response("404 Not Found", &[], "<html>"), &tag()).await;
    assert!(why.contains("there is no registry at this address"), "{why}");
    let registry = Server::start(|head| {
        let is_base = head.starts_with("GET /v2/ ");
        response(if is_base { "200 OK" } else { "404 Not Found" }, &[], "")
    });
    let registry = registry.await;
    let read = reader().manifest(&repository(registry.address, "a"), &tag()).await;
    assert_eq!(read, Lookup::Absent);
    for status in ["500 Internal Server Error", "403 Forbidden", "400 Bad Request", "206 Partial"] {
        let why = told(move |_| response(status, &[], ""), &tag()).await;
        assert!(why.contains(&status[..3]), "{why}");
    }
}

#[tokio::test]
async fn a_registry_that_is_busy() {
    let busy = || response("429 Too Many Requests", &[("Retry-After", "0")], "");
    let server = Server::start(move |_| busy()).await;
    let why = failure(&reader(), &server, &tag()).await;
    assert!(why.contains("429") && why.contains("ask again later"), "{why}");
    assert_eq!(server.asked().len(), 3, "it was asked twice more");
    let patient = [("Retry-After", "3600")];
    let server = Server::start(move |_| response("503 Busy", &patient, "")).await;
    let why = failure(&reader(), &server, &tag()).await;
    assert!(why.contains("3600 s of patience"), "{why}");
    assert_eq!(server.asked().len(), 1);
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let server =
        Server::start(move |_| match tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => busy(),
            _ => response("200 OK", &[("Content-Type", OCI_MANIFEST)], &manifest()),
        });
    let server = server.await;
    let read = reader().manifest(&repository(server.address, "a"), &tag()).await;
    assert!(matches!(read, Lookup::Found(_)), "{read:?}");
}

#[tokio::test]
async fn referrers_that_cannot_be_read_are_not_none() {
    let digest = Digest::of_bytes(b"x");
    let next = [("Link", "<http://elsewhere.invalid/v2/a>; rel=\"next\"")];
    let server =
        Server::start(move |_| response("200 OK", &next, "{\"schemaVersion\":2,\"manifests\":[]}"));
    let server = server.await;
    let read = reader().referrers(&repository(server.address, "a"), &digest).await;
    assert!(matches!(&read, Lookup::Failed(why) if why.contains("elsewhere")), "{read:?}");
    let circle = [("Link", "</v2/a/referrers/again>; rel=\"next\"")];
    let server = Server::start(move |_| {
        response("200 OK", &circle, "{\"schemaVersion\":2,\"manifests\":[]}")
    });
    let server = server.await;
    let read = reader().referrers(&repository(server.address, "a"), &digest).await;
    assert!(matches!(&read, Lookup::Failed(why) if why.contains("pages")), "{read:?}");
    let server = Server::start(|_| response("500 Internal Server Error", &[], "")).await;
    let read = reader().referrers(&repository(server.address, "a"), &digest).await;
    assert!(matches!(&read, Lookup::Failed(_)), "{read:?}");
}
