//! Credentials, certificates, and servers that are away, slow or no Prometheus.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use backout_core::units::Span;
use backout_world::failure::{Failure, Kind};
use backout_world::prometheus::{Access, Auth, Client, Secret};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::server::{self, Setup, ask, free_address, is_installed, ready};

/// A user whose password is `correct-horse`.
const USERS: &str = "basic_auth_users:\n  \
    reader: $2b$04$OYzidu8mdTlAQTplzaYAcu6YOCFuIuVlDW8ghL4srE5Sb4wiap4eS\n";

async fn refused(access: &Access) -> Failure {
    let client = Client::new(access).expect("the access can be used");
    ask(&client, "vector(1)").await.expect_err("it is refused")
}

#[tokio::test]
async fn a_user_and_password_are_told_and_never_repeated() {
    if !is_installed("a_user_and_password_are_told_and_never_repeated") {
        return;
    }
    let server = server::start(Setup { web: Some((USERS, Vec::new())), ..Setup::default() }).await;
    let with = |password: &str| {
        let password = Secret::new(password);
        Access { auth: Auth::Basic { user: "reader".to_owned(), password }, ..server.access() }
    };
    // As a file or a Secret has it, with a line end.
    let client = ready(&with("correct-horse\n")).await;
    assert_eq!(ask(&client, "vector(7)").await.expect("it answers"), Some(7.0));

    for access in [with("wrong-horse"), server.access()] {
        let told = refused(&access).await.in_full();
        assert!(told.contains("refuses us: 401"), "{told}");
        assert!(told.contains("`basicAuthSecret`"), "{told}");
        assert!(!told.contains("horse"), "{told}");
        assert!(!format!("{access:?}").contains("horse"));
    }
}

#[tokio::test]
async fn a_private_authority_is_believed_when_it_is_named() {
    if !is_installed("a_private_authority_is_believed_when_it_is_named") {
        return;
    }
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("it signs itself");
    let key = KeyPair::generate().expect("a key");
    let names = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let certificate = names.signed_by(&key, &*authority).expect("it signs");
    let web = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";
    let files = vec![("server.crt", certificate.pem()), ("server.key", key.serialize_pem())];
    let server = server::start(Setup { web: Some((web, files)), ..Setup::default() }).await;

    let address = format!("https://{}", server.address);
    let ca_pem = Some(authority.pem().into_bytes());
    let named = Access { ca_pem, ..Access::new(&address) };
    let client = ready(&named).await;
    assert_eq!(ask(&client, "vector(7)").await.expect("it answers"), Some(7.0));
    let any = Access { insecure_skip_verify: true, ..Access::new(&address) };
    assert_eq!(ask(&ready(&any).await, "vector(7)").await.expect("it answers"), Some(7.0));

    let told = refused(&Access::new(&address)).await.in_full();
    assert!(told.contains("cannot be reached") && told.contains("certificate"), "{told}");
    let other = CertificateParams::default();
    let other = CertifiedIssuer::self_signed(other, KeyPair::generate().expect("a key"));
    let ca_pem = Some(other.expect("it signs itself").pem().into_bytes());
    let told = refused(&Access { ca_pem, ..Access::new(&address) }).await.in_full();
    assert!(told.contains("certificate"), "{told}");
}

/// A server that answers every request alike, after it has seen its head.
async fn answers(respond: impl Fn(&str) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("it has an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                let mut part = [0; 1024];
                match stream.read(&mut part).await {
                    Ok(length) if length > 0 => head.extend_from_slice(&part[..length]),
                    _ => break,
                }
            }
            let response = respond(&String::from_utf8_lossy(&head));
            // The client may have gone away, which is what some tests are about.
            let _gone = stream.write_all(response.as_bytes()).await;
            if response.ends_with("...") {
                // The rest never comes.
                tokio::spawn(async move {
                    let _held = stream;
                    std::future::pending::<()>().await;
                });
            }
        }
    });
    address
}

fn response(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

const SEVEN: &str = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"7"]}]}}"#;

#[tokio::test]
async fn a_bearer_token_is_told_and_never_repeated() {
    let address = answers(|head| {
        let known = head.lines().any(|line| {
            let line = line.to_ascii_lowercase();
            line == "authorization: bearer t0ken"
        });
        let no = r#"{"status":"error","errorType":"forbidden","error":"no tenant"}"#;
        if known { response("200 OK", SEVEN) } else { response("403 Forbidden", no) }
    })
    .await;
    let with = |token: &str| Access {
        auth: Auth::Bearer(Secret::new(token)),
        ..Access::new(format!("http://{address}"))
    };
    let client = Client::new(&with("t0ken\n")).expect("the access can be used");
    assert_eq!(ask(&client, "vector(7)").await.expect("it answers"), Some(7.0));
    let told = refused(&with("wr0ng")).await.in_full();
    assert!(told.contains("403 Forbidden: no tenant"), "{told}");
    assert!(told.contains("`bearerTokenSecret`") && !told.contains("wr0ng"), "{told}");
}

#[tokio::test]
async fn a_server_that_is_away_is_told_with_its_address() {
    let address = free_address();
    let failure = refused(&Access::new(format!("http://{address}"))).await;
    let told = failure.in_full();
    assert_eq!(failure.kind, Kind::Failed);
    assert!(told.contains(&address.to_string()) && told.contains("cannot be reached"), "{told}");
    assert!(told.contains("`metrics.prometheus.address`"), "{told}");
}

#[tokio::test]
async fn a_slow_answer_ends_with_the_time_limit() {
    for begun_answer in [
        "HTTP/1.1 200 OK\r\nX: ...",
        "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"status\"...",
    ] {
        let address = answers(move |_| begun_answer.to_owned()).await;
        let timeout = Span::from_millis(300);
        let begun = Instant::now();
        let failure =
            refused(&Access { timeout, ..Access::new(format!("http://{address}")) }).await;
        assert!(begun.elapsed() < Duration::from_secs(5));
        let told = failure.in_full();
        assert!(told.contains("took longer than 300ms"), "{told}");
        assert!(told.contains("`metrics.prometheus.timeout`"), "{told}");
    }
}

#[tokio::test]
async fn what_is_no_prometheus_is_told_apart() {
    for (status, body, told) in [
        ("404 Not Found", "404 page not found", "no Prometheus API at this address"),
        ("200 OK", "<html>sign in</html>", "does not answer as Prometheus does"),
        ("502 Bad Gateway", "<html>", "answers 502 Bad Gateway"),
        (
            "400 Bad Request",
            r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
            "`backout simulate`",
        ),
        ("302 Found\r\nLocation: http://sso/?token=t0p", "", "redirects to http://sso/,"),
    ] {
        let address = answers(move |_| response(status, body)).await;
        let failure = refused(&Access::new(format!("http://{address}"))).await.in_full();
        assert!(failure.contains(told), "{failure}");
        assert!(!failure.contains("t0p"), "{failure}");
    }
}
