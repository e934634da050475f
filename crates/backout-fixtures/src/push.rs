//! Images into a registry, by plain HTTP.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::image::Artifact;

/// Pushes an image with everything that it names, under its digest and these tags.
pub async fn push(registry: SocketAddr, repository: &str, tags: &[&str], image: &Artifact) {
    for child in &image.children {
        Box::pin(push(registry, repository, &[], child)).await;
    }
    for (digest, blob) in &image.blobs {
        let uploads = format!("/v2/{repository}/blobs/uploads/");
        let begun = send(registry, Method::POST, &uploads, None).await;
        assert_eq!(begun.status(), StatusCode::ACCEPTED, "the upload begins");
        let location = begun.headers()[header::LOCATION].to_str().expect("an address");
        let path = location.find("/v2/").map_or(location, |at| &location[at..]);
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{separator}digest={digest}");
        let body = Some(("application/octet-stream", blob.clone()));
        let put = send(registry, Method::PUT, &path, body).await;
        assert_eq!(put.status(), StatusCode::CREATED, "the blob is taken");
    }
    let digest = image.digest();
    for name in std::iter::once(digest.as_str()).chain(tags.iter().copied()) {
        let path = format!("/v2/{repository}/manifests/{name}");
        let body = Some((image.media_type.as_str(), image.bytes.clone()));
        let put = send(registry, Method::PUT, &path, body).await;
        let status = put.status();
        let told = put.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(status, StatusCode::CREATED, "{}", String::from_utf8_lossy(&told));
    }
}

/// Deletes a manifest, as the clean-up of a registry does.
pub async fn delete(registry: SocketAddr, repository: &str, image: &Artifact) {
    let path = format!("/v2/{repository}/manifests/{}", image.digest());
    let deleted = send(registry, Method::DELETE, &path, None).await;
    assert_eq!(deleted.status(), StatusCode::ACCEPTED, "the manifest is deleted");
}

async fn send(
    registry: SocketAddr,
    method: Method,
    path: &str,
    body: Option<(&str, Bytes)>,
) -> Response<Incoming> {
    let mut request = Request::builder().method(method).uri(format!("http://{registry}{path}"));
    if let Some((media_type, _)) = &body {
        request = request.header(header::CONTENT_TYPE, *media_type);
    }
    let body = body.map(|(_, bytes)| bytes).unwrap_or_default();
    let request = request.body(Full::new(body)).expect("a request");
    let client = Client::builder(TokioExecutor::new()).build_http();
    client.request(request).await.expect("the registry answers")
}
