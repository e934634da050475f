//! What an API server's answer means for a request.

use crate::failure::{Failure, Kind, with_causes};

/// What an error of the client means, for a request on this object, such as
/// `HTTPRoute shop/checkout`.
#[must_use]
pub fn failure(object: &str, error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) => api(object, status.code, &status.reason, &status.message),
        // The request was sent, or may have been: what became of it is not known.
        kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::ReadEvents(_) => {
            Failure::new(Kind::Ambiguous, format!("{object}: no answer: {}", with_causes(error)))
        }
        kube::Error::SerdeError(_) => Failure::new(
            Kind::Failed,
            format!("{object}: the answer cannot be read: {}", with_causes(error)),
        ),
        _ => Failure::new(Kind::Failed, format!("{object}: {}", with_causes(error))),
    }
}

fn api(object: &str, code: u16, reason: &str, message: &str) -> Failure {
    let told = format!("{object}: {message}");
    match code {
        // An admission webhook or policy answers with a code of its choice, and says so.
        _ if message.contains("denied the request") => Failure::new(Kind::Refused, told),
        400 | 405 | 413 | 415 | 422 => Failure::new(Kind::Refused, told),
        401 => Failure::new(Kind::Failed, told)
            .with_help("check the credentials of the kubeconfig or of the service account"),
        403 if message.contains("exceeded quota") => Failure::new(Kind::Failed, told),
        403 => Failure::new(Kind::Missing, told)
            .with_help("grant the permission; `backout install -o yaml` prints what is needed"),
        404 => missing(object, message),
        409 if reason == "AlreadyExists" => Failure::new(Kind::Refused, told),
        409 => Failure::new(Kind::Failed, format!("{object} changed since it was read")),
        // The server gave up on it and does not say how far it came.
        504 => Failure::new(Kind::Ambiguous, told),
        _ => Failure::new(Kind::Failed, told),
    }
}

/// A missing object is told from a missing resource definition: the server answers the latter
/// without naming an object.
fn missing(object: &str, message: &str) -> Failure {
    let kind = object.split(' ').next().unwrap_or(object);
    if message.contains("could not find the requested resource") || message == "404 page not found"
    {
        Failure::new(Kind::Missing, format!("the cluster does not know the kind {kind}"))
            .with_help(format!("install the resource definition of {kind}"))
    } else {
        Failure::new(Kind::Missing, format!("{object} does not exist"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admission_webhook_refuses_for_good() {
        let message = "admission webhook \"policy.sigstore.dev\" denied the request: no signature";
        let failure = api("Deployment shop/a", 403, "Forbidden", message);
        assert_eq!(failure.kind, Kind::Refused);
        assert!(failure.message.contains("no signature"));
    }

    #[test]
    fn a_missing_kind_is_told_from_a_missing_object() {
        let kind = missing("HTTPRoute shop/a", "the server could not find the requested resource");
        assert!(kind.in_full().contains("install the resource definition of HTTPRoute"));
        let object = missing("HTTPRoute shop/a", "httproutes \"a\" not found");
        assert_eq!(object.message, "HTTPRoute shop/a does not exist");
    }
}
