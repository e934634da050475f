use super::*;

fn config(json: &str) -> Config {
    serde_json::from_str(json).unwrap()
}

async fn login(json: &str, repository: &str) -> Result<Option<Login>, String> {
    let repository = repository.parse().unwrap();
    Credentials::none().login_in(&config(json), &repository).await
}

fn password(user: &str, password: &str) -> Login {
    Login::Password { user: user.to_owned(), password: Secret::new(password) }
}

#[tokio::test]
async fn entries_are_found_as_tools_write_them() {
    let auth = BASE64.encode("me:hush");
    let hub = format!(r#"{{"auths":{{"https://index.docker.io/v1/":{{"auth":"{auth}"}}}}}}"#);
    assert_eq!(login(&hub, "nginx").await, Ok(Some(password("me", "hush"))));
    assert_eq!(login(&hub, "registry.example/a").await, Ok(None));
    let parts = r#"{"auths":{
        "registry.example":{"username":"all","password":"1"},
        "registry.example/shop":{"username":"shop","password":"2"},
        "https://other.example/v2/":{"identitytoken":"t"}}}"#;
    assert_eq!(login(parts, "registry.example/a").await, Ok(Some(password("all", "1"))));
    assert_eq!(login(parts, "registry.example/shop/a").await, Ok(Some(password("shop", "2"))));
    assert_eq!(login(parts, "registry.example/shopping").await, Ok(Some(password("all", "1"))));
    let identity = Login::Identity(Secret::new("t"));
    assert_eq!(login(parts, "other.example/a").await, Ok(Some(identity)));
    assert_eq!(login(r#"{"auths":null,"credsStore":""}"#, "a").await, Ok(None));
    assert_eq!(login(r#"{"auths":{"registry.example":{}}}"#, "registry.example/a").await, Ok(None));
}

#[tokio::test]
async fn errors_and_debug_output_have_no_secret() {
    let broken = r#"{"auths":{"registry.example":{"auth":"aHVzaA"}}}"#;
    let told = login(broken, "registry.example/a").await.unwrap_err();
    assert!(told.contains("registry.example") && !told.contains("hush"), "{told}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    std::fs::write(&file, r#"{"auths":{"registry.example":{"auth":["hush-hush"]}}}"#).unwrap();
    let credentials = Credentials::in_files(vec![file]);
    let told = credentials.login(&"registry.example/a".parse().unwrap()).await.unwrap_err();
    assert!(told.contains("line 1") && !told.contains("hush"), "{told}");
    let shown = format!("{:?}", password("me", "hush"));
    assert!(!shown.contains("hush"), "{shown}");
}

#[tokio::test]
async fn names_of_helpers_are_not_paths() {
    let told = login(r#"{"credsStore":"../../bin/sh"}"#, "registry.example/a").await.unwrap_err();
    assert!(told.contains("not the name"), "{told}");
}

#[test]
fn files_are_looked_for_where_docker_and_podman_keep_them() {
    let with = |set: &'static [(&str, &str)]| {
        files(move |name| {
            let found = set.iter().find(|(key, _)| *key == name)?;
            Some(OsString::from(found.1))
        })
    };
    let paths = |expected: &[&str]| expected.iter().map(PathBuf::from).collect::<Vec<_>>();
    assert_eq!(with(&[("HOME", "/h")]), paths(&["/h/.docker/config.json"]));
    let docker = with(&[("HOME", "/h"), ("DOCKER_CONFIG", "/d"), ("REGISTRY_AUTH_FILE", "")]);
    assert_eq!(docker, paths(&["/d/config.json"]));
    let podman = with(&[("REGISTRY_AUTH_FILE", "/r/auth.json"), ("HOME", "/h")]);
    assert_eq!(podman, paths(&["/r/auth.json", "/h/.docker/config.json"]));
    assert_eq!(with(&[]), paths(&[]));
}
