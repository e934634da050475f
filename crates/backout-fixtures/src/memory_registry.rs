//! A registry in this process that has the referrers API, in pages of two.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use backout_core::units::Digest;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::image::OCI_INDEX;

/// Referrers on one page.
const PAGE: usize = 2;

/// A registry that ends with the test.
#[derive(Debug)]
pub struct MemoryRegistry {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for MemoryRegistry {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[derive(Debug, Default)]
struct Kept {
    blobs: BTreeMap<String, Bytes>,
    /// Media type and bytes, by repository and digest.
    manifests: BTreeMap<(String, String), (String, Bytes)>,
    tags: BTreeMap<(String, String), String>,
}

impl MemoryRegistry {
    /// Starts a registry.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it has an address");
        let kept = Arc::<Mutex<Kept>>::default();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                let service = service_fn(move |request| {
                    let kept = Arc::clone(&kept);
                    async move { Ok::<_, Infallible>(answer(&kept, request).await) }
                });
                let io = TokioIo::new(stream);
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(io, service),
                );
            }
        });
        Self { address, serving }
    }

    /// Where it listens, which is also the host in references.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn answer(kept: &Mutex<Kept>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let path = head.uri.path().trim_start_matches("/v2/").to_owned();
    let query = head.uri.query().unwrap_or_default();
    let found = |kind: &str| {
        let (repository, rest) = path.split_once(&format!("/{kind}/"))?;
        Some((repository.to_owned(), rest.to_owned()))
    };
    if let Some((repository, _)) = found("blobs/uploads") {
        return match head.method {
            Method::POST => respond(StatusCode::ACCEPTED)
                .header(header::LOCATION, format!("/v2/{repository}/blobs/uploads/1"))
                .body(Full::default())
                .expect("a response"),
            _ => {
                kept.blobs.insert(Digest::of_bytes(&body).to_string(), body);
                empty(StatusCode::CREATED)
            }
        };
    }
    if let Some((_, digest)) = found("blobs") {
        let blob = kept.blobs.get(&digest).cloned();
        return blob.map_or_else(|| unknown("BLOB_UNKNOWN"), |blob| Response::new(Full::new(blob)));
    }
    if let Some((repository, name)) = found("manifests") {
        if head.method == Method::PUT {
            let media_type = head.headers[header::CONTENT_TYPE].to_str().expect("text").to_owned();
            return kept.put(repository, name, media_type, body);
        }
        return kept.manifest(repository, name);
    }
    match found("referrers") {
        Some((repository, digest)) => kept.referrers(&repository, &digest, query),
        None => empty(if path.is_empty() { StatusCode::OK } else { StatusCode::NOT_FOUND }),
    }
}

impl Kept {
    fn put(
        &mut self,
        repository: String,
        name: String,
        media_type: String,
        body: Bytes,
    ) -> Response<Full<Bytes>> {
        let digest = Digest::of_bytes(&body).to_string();
        if name != digest {
            self.tags.insert((repository.clone(), name), digest.clone());
        }
        self.manifests.insert((repository, digest), (media_type, body));
        empty(StatusCode::CREATED)
    }

    fn manifest(&self, repository: String, name: String) -> Response<Full<Bytes>> {
        let tag = (repository.clone(), name.clone());
        let digest = self.tags.get(&tag).cloned().unwrap_or(name);
        let Some((media_type, bytes)) = self.manifests.get(&(repository, digest.clone())) else {
            return unknown("MANIFEST_UNKNOWN");
        };
        respond(StatusCode::OK)
            .header(header::CONTENT_TYPE, media_type)
            .header("Docker-Content-Digest", digest)
            .body(Full::new(bytes.clone()))
            .expect("a response")
    }

    fn referrers(&self, repository: &str, digest: &str, query: &str) -> Response<Full<Bytes>> {
        let mut all = Vec::new();
        for ((of, own), (media_type, bytes)) in &self.manifests {
            let manifest: Value = serde_json::from_slice(bytes).unwrap_or_default();
            if of == repository && manifest["subject"]["digest"] == digest {
                all.push(json!({
                    "mediaType": media_type,
                    "digest": own,
                    "size": bytes.len(),
                    "artifactType": manifest["artifactType"],
                    "annotations": manifest["annotations"],
                }));
            }
        }
        let from: usize = query.strip_prefix("from=").and_then(|it| it.parse().ok()).unwrap_or(0);
        let page: Vec<&Value> = all.iter().skip(from).take(PAGE).collect();
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": page});
        let mut response = respond(StatusCode::OK).header(header::CONTENT_TYPE, OCI_INDEX);
        if from + PAGE < all.len() {
            let next = from + PAGE;
            let link = format!("</v2/{repository}/referrers/{digest}?from={next}>; rel=\"next\"");
            response = response.header(header::LINK, link);
        }
        response.body(Full::from(index.to_string())).expect("a response")
    }
}

fn respond(status: StatusCode) -> http::response::Builder {
    Response::builder().status(status)
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    respond(status).body(Full::default()).expect("a response")
}

fn unknown(code: &str) -> Response<Full<Bytes>> {
    let body = json!({"errors": [{"code": code, "message": "unknown"}]}).to_string();
    let mut response = empty(StatusCode::NOT_FOUND);
    *response.body_mut() = Full::from(body);
    response
}
