use std::os::unix::fs::PermissionsExt;

use super::*;

/// A program that stands in for Helm.
fn fake(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("helm");
    let text = format!("#!/bin/sh\ncase $1 in version) echo v3.99.0; exit;; esac\n{script}\n");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

async fn render(script: &str, hidden: &[String]) -> Result<Vec<u8>, Trouble> {
    let folder = tempfile::tempdir().unwrap();
    let helm = Helm::at(fake(folder.path(), script)).await?.within(Duration::from_secs(2));
    let request = Request {
        chart: Path::new("chart"),
        values: &[PathBuf::from("-a.yaml")],
        release: "shop",
        namespace: "prod",
        kube_version: None,
        hidden,
    };
    helm.template(&request).await
}

#[tokio::test]
async fn helm_is_asked_as_it_should_be() {
    let text = render("echo \"$@\"; echo $KUBECONFIG; env | grep -c CARGO", &[]).await;
    // The count of variables is zero, and grep then fails.
    assert!(matches!(text, Err(Trouble::Failed { .. })), "{text:?}");
    let text =
        String::from_utf8(render("echo \"$@\"; echo $KUBECONFIG", &[]).await.unwrap()).unwrap();
    let mut lines = text.lines();
    let told = lines.next().unwrap();
    assert!(
        told.starts_with("template shop /") && told.contains("/chart --namespace prod --values /")
    );
    assert!(told.ends_with("/-a.yaml"), "{told}");
    assert_eq!(lines.next(), Some("/dev/null"));
}

#[tokio::test]
async fn what_helm_says_is_shown_without_values() {
    let hidden = ["hunter22".to_owned(), "one\n  two-lines".to_owned(), "a".to_owned()];
    let error = render("echo first >&2; echo 'bad hunter22 and two-lines' >&2; exit 1", &hidden)
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(error, "helm ended with status 1: first; bad <hidden> and <hidden>");
}

#[tokio::test]
async fn a_helm_that_hangs_or_floods_is_ended() {
    let error = render("sleep 86414", &[]).await.unwrap_err().to_string();
    assert!(error.contains("took longer than it may"), "{error}");
    let error = render("exec yes", &[]).await.unwrap_err().to_string();
    assert!(error.contains("wrote more than it may"), "{error}");
}

#[tokio::test]
async fn what_is_no_helm_is_said() {
    let error = Helm::at(PathBuf::from("/nowhere/helm")).await.unwrap_err().to_string();
    assert!(error.starts_with("helm is not installed"), "{error}");
    for (script, told) in [("echo v2.17.0", "it says `v2.17.0`"), ("exit 9", "status 9")] {
        let folder = tempfile::tempdir().unwrap();
        let path = fake(folder.path(), "");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        let error = Helm::at(path).await.unwrap_err().to_string();
        assert!(error.contains("no Helm 3 or 4") && error.contains(told), "{error}");
    }
}

#[tokio::test]
async fn the_real_helm_renders_the_example() {
    let Some(program) = std::env::var_os(VARIABLE).filter(|named| !named.is_empty()) else {
        return;
    };
    let helm = Helm::at(PathBuf::from(program)).await.unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/checkout/deploy");
    let values = [example.join("values/production.yaml")];
    let chart = example.join("chart");
    let mut request = Request {
        chart: &chart,
        values: &values,
        release: "checkout",
        namespace: "shop",
        kube_version: Some("1.36.0"),
        hidden: &[],
    };
    let rendered = helm.template(&request).await.unwrap();
    let objects =
        backout_core::manifest::read("rendered", &rendered, &backout_core::manifest::limits())
            .map_err(|error| error.to_string())
            .unwrap();
    assert!(objects.iter().any(|object| object.to_string() == "Deployment shop/checkout"));
    // Production's values are needed: without them the schema refuses.
    request.values = &[];
    let error = helm.template(&request).await.unwrap_err().to_string();
    assert!(error.contains("coupons"), "{error}");
}
