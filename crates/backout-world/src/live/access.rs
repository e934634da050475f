//! From a policy's words to clients: where measurements come from, and what probes ask.

use std::time::Duration;

use backout_core::plan::Brief;
use backout_core::policy::{self, FlipRule, ReleasePolicy};
use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::Client;
use kube::api::Api;

use crate::failure::{Failure, Kind};
use crate::kubernetes::answer;
use crate::probe::{Prober, Setup};
use crate::prometheus::{self, Access, Auth, Prometheus, Secret};

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(10);

/// The server of measurements that a policy names; or why there is none. Secrets that the policy
/// names are read here.
///
/// # Errors
///
/// When a Secret or its key is missing or cannot be read, or the address is none.
pub async fn prometheus(
    client: &Client,
    policy: &ReleasePolicy,
) -> Result<Result<Prometheus, String>, Failure> {
    let Some(metrics) = &policy.spec.metrics else {
        return Ok(Err("the policy does not say where measurements come from; set \
                       `spec.metrics.prometheus.address`"
            .to_owned()));
    };
    let asked = &metrics.prometheus;
    let secrets = Secrets {
        api: Api::namespaced(client.clone(), policy.metadata.namespace.as_str()),
        namespace: policy.metadata.namespace.as_str(),
    };
    let mut access = Access::new(&asked.address);
    access.insecure_skip_verify = asked.insecure_skip_verify;
    access.timeout = asked.timeout;
    access.auth = secrets.auth(asked).await?;
    if let Some(ca) = &asked.ca_secret {
        access.ca_pem = Some(secrets.value(ca.name.as_str(), &ca.key).await?);
    }
    Ok(Ok(Prometheus::new(prometheus::Client::new(&access)?)))
}

/// Probes, if the policy has any.
pub(super) fn prober(brief: &Brief) -> Result<Option<Prober>, Failure> {
    let FlipRule::Check(check) = &brief.policy.spec.traffic.verify else { return Ok(None) };
    let Some(probe) = &check.probe else { return Ok(None) };
    let (stable, candidate) = (&brief.stable, &brief.candidate);
    let kind = brief.policy.spec.traffic.route.kind;
    let setup = Setup::new(probe, kind, &stable.set_name(), &candidate.set_name())
        .or_versions(&stable.spec.version, &candidate.spec.version);
    Prober::new(setup).map(Some)
}

/// Values of Secrets in the policy's namespace.
struct Secrets<'a> {
    api: Api<SecretObject>,
    namespace: &'a str,
}

impl Secrets<'_> {
    async fn auth(&self, asked: &policy::Prometheus) -> Result<Auth, Failure> {
        if let Some(token) = &asked.bearer_token_secret {
            return Ok(Auth::Bearer(self.text(token.name.as_str(), &token.key).await?));
        }
        if let Some(basic) = &asked.basic_auth_secret {
            let user = self.value(basic.name.as_str(), &basic.user_key).await?;
            let user = String::from_utf8_lossy(&user).trim_end().to_owned();
            let password = self.text(basic.name.as_str(), &basic.password_key).await?;
            return Ok(Auth::Basic { user, password });
        }
        Ok(Auth::None)
    }

    async fn text(&self, name: &str, key: &str) -> Result<Secret, Failure> {
        let value = self.value(name, key).await?;
        let text = std::str::from_utf8(&value).map_err(|_| {
            let told = self.told(name);
            Failure::new(Kind::Refused, format!("{told}: the value of {key} is no text"))
        })?;
        Ok(Secret::new(text))
    }

    async fn value(&self, name: &str, key: &str) -> Result<Vec<u8>, Failure> {
        let told = self.told(name);
        let found = match tokio::time::timeout(LIMIT, self.api.get(name)).await {
            Ok(answer) => answer.map_err(|error| answer::failure(&told, &error))?,
            Err(_) => {
                return Err(Failure::new(Kind::Failed, format!("{told}: no answer within 10s")));
            }
        };
        let value = found.data.and_then(|mut data| data.remove(key)).map(|value| value.0);
        value.ok_or_else(|| {
            Failure::new(Kind::Missing, format!("{told} has no key {key}"))
                .with_help("add it, or name another under `spec.metrics.prometheus`")
        })
    }

    fn told(&self, name: &str) -> String {
        format!("Secret {}/{name}", self.namespace)
    }
}
