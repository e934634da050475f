//! An admission webhook that refuses images by digest, as a verifier of signatures does.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use crate::cluster::certificates::Authority;
use crate::cluster::wait::until;

/// Name of the webhook's configuration.
pub const NAME: &str = "image-signatures";
/// Where the webhook listens: an address of the cluster that no pod gets.
const ADDRESS: &str = "10.244.0.3:9443";
/// A digest that no image has.
const TRIAL: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
/// Longest admission review, in bytes; the API server's own limit for objects is near 3 MiB.
const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// A running webhook server. Dropping it makes it dead, while its configuration stays.
pub struct Webhook {
    rules: Arc<Mutex<Rules>>,
    authority: String,
    task: AbortHandle,
}

#[derive(Clone, Default)]
struct Rules {
    denied: BTreeSet<String>,
    delay: Duration,
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Webhook {
    /// Starts the server, which allows everything at first.
    ///
    /// # Errors
    /// The address is taken, or no certificate can be made.
    pub async fn start() -> Result<Self> {
        let authority = Authority::new("image-signatures")?;
        let identity = authority.server(&["10.244.0.3"])?;
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())
            .context("the webhook's certificate")?;
        let key =
            PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).context("the webhook's key")?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        let listener = TcpListener::bind(ADDRESS).await.context("the webhook cannot listen")?;
        let rules = Arc::new(Mutex::new(Rules::default()));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let task = tokio::spawn(serve(listener, acceptor, rules.clone())).abort_handle();
        Ok(Self { rules, authority: authority.pem(), task })
    }

    /// Refuses images of this digest (`sha256:` and 64 digits).
    pub fn deny(&self, digest: &str) {
        self.rules().denied.insert(digest.to_owned());
    }

    /// Allows images of this digest again.
    pub fn allow(&self, digest: &str) {
        self.rules().denied.remove(digest);
    }

    /// Answers this much later.
    pub fn set_delay(&self, delay: Duration) {
        self.rules().delay = delay;
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the API server to ask this webhook about Deployments and pods outside `kube-system`.
    ///
    /// `failure_policy` is `Fail` or `Ignore`; `timeout_s` is from 1 to 30.
    ///
    /// # Errors
    /// The API server refuses the configuration.
    pub async fn install(
        &self,
        client: &Client,
        failure_policy: &str,
        timeout_s: u8,
    ) -> Result<()> {
        let resources = [("apps", "deployments"), ("", "pods")];
        self.install_on(client, failure_policy, timeout_s, &resources).await
    }

    /// The same about these resources, each with its group.
    ///
    /// # Errors
    /// The API server refuses the configuration.
    pub async fn install_on(
        &self,
        client: &Client,
        failure_policy: &str,
        timeout_s: u8,
        resources: &[(&str, &str)],
    ) -> Result<()> {
        let rule = |(group, resource): &(&str, &str)| {
            json!({
                "apiGroups": [group], "apiVersions": ["v1"], "resources": [resource],
                "operations": ["CREATE", "UPDATE"],
            })
        };
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": NAME},
            "webhooks": [{
                "name": "signatures.images.example",
                "clientConfig": {
                    "url": format!("https://{ADDRESS}/validate"),
                    "caBundle": ByteString(self.authority.clone().into_bytes()),
                },
                "rules": resources.iter().map(rule).collect::<Vec<_>>(),
                "failurePolicy": failure_policy,
                "timeoutSeconds": timeout_s,
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }],
        });
        let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
        let ours = PatchParams::apply("scenario").force();
        api.patch(NAME, &ours, &Patch::Apply(&configuration))
            .await
            .context("cannot install the webhook's configuration")?;
        Ok(())
    }
}

/// Longest wait until the API server asks the webhook.
const KNOWN: Duration = Duration::from_secs(30);

impl Webhook {
    /// Tells the API server to ask this webhook, and waits until it does: it reads the
    /// configuration a moment after it was written.
    ///
    /// # Errors
    /// The API server refuses the configuration, or asks nobody in time.
    pub async fn install_and_await(&self, client: &Client) -> Result<()> {
        self.install(client, "Fail", 5).await?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
        let trial = json!({
            "metadata": {"name": "image-signatures-trial"},
            "spec": {"containers": [{"name": "trial", "image": format!("trial@{TRIAL}")}]},
        });
        let trial: Pod = serde_json::from_value(trial).context("a pod for a trial")?;
        let parameters = PostParams { dry_run: true, ..PostParams::default() };
        self.deny(TRIAL);
        let refused = until("the webhook is asked", KNOWN, || async {
            let refused = pods.create(&parameters, &trial).await.err();
            let told = refused.map(|error| error.to_string()).unwrap_or_default();
            Ok(told.contains("no matching signatures").then_some(()))
        })
        .await;
        self.allow(TRIAL);
        refused
    }
}

/// Tells the API server to ask no webhook any more. It may be gone already.
///
/// # Errors
/// The API server refuses or does not answer.
pub async fn remove(client: &Client) -> Result<()> {
    let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    match api.delete(NAME, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        deleted => deleted.map(drop).context("cannot remove the webhook's configuration"),
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, rules: Arc<Mutex<Rules>>) {
    // The set owns the connections, so that a dead webhook also leaves open ones.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let (acceptor, rules) = (acceptor.clone(), rules.clone());
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request| {
                let rules = rules.lock().unwrap_or_else(PoisonError::into_inner).clone();
                async move { Ok::<_, Infallible>(answer(request, &rules).await) }
            });
            let http = hyper::server::conn::http1::Builder::new();
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, rules: &Rules) -> Response<Full<Bytes>> {
    tokio::time::sleep(rules.delay).await;
    let body = Limited::new(request.into_body(), BODY_LIMIT).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let review = serde_json::from_slice(&body).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(decide(&review, rules).to_string())));
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    response
}

/// The answer to an admission review.
fn decide(review: &Value, rules: &Rules) -> Value {
    let object = &review["request"]["object"];
    let spec = if object["spec"]["template"].is_object() {
        &object["spec"]["template"]["spec"]
    } else {
        &object["spec"]
    };
    let lists = ["containers", "initContainers"].map(|list| spec[list].as_array());
    let images = lists.into_iter().flatten().flatten().filter_map(|c| c["image"].as_str());
    let denied = images.into_iter().find(|image| {
        image.split_once('@').is_some_and(|(_, digest)| rules.denied.contains(digest))
    });
    let mut response = json!({"uid": review["request"]["uid"], "allowed": denied.is_none()});
    if let Some(image) = denied {
        let message = format!("image verification failed for {image}: no matching signatures");
        response["status"] = json!({"code": 403, "message": message});
    }
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
}
