use std::process::Command;

use super::*;

/// A repository with three commits on a line and one beside it.
fn repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let script = "
        git init -q -b main . && git config user.email a@b && git config user.name a
        git remote add origin https://user:hunter2@git.example/shop.git?token=x
        commit() { GIT_COMMITTER_DATE=\"$1 +0000\" git commit -q -m \"$1\"; git tag \"t$1\"; }
        echo 1 > a; git add a; commit 1000000001
        echo 2 > b; git add b; commit 1000000002
        git checkout -q -b other; echo 3 > c; git add c; commit 1000000003
        git checkout -q main; echo 4 > a; git add a; commit 1000000004
        git config core.fsmonitor 'touch ran'; git config core.pager 'touch ran'";
    let done = Command::new("sh")
        .args(["-e", "-c", script])
        .current_dir(folder.path())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .status()
        .unwrap();
    assert!(done.success());
    folder
}

#[tokio::test]
async fn facts_are_told() {
    let folder = repository();
    let git = Repository::of(folder.path());
    let head = git.head().await.unwrap();
    assert_eq!(head.branch.as_deref(), Some("main"));
    assert_eq!(git.commit("t1000000004").await.unwrap().as_ref(), Some(&head.commit));
    assert_eq!(git.commit(&head.commit[..8]).await.unwrap().as_ref(), Some(&head.commit));
    assert_eq!(git.is_ancestor("t1000000001", &head.commit).await, Ok(true));
    assert_eq!(git.is_ancestor("t1000000003", "main").await, Ok(false));
    let changed = |name: &str| folder.path().join(name);
    let at = |seconds: u64| Ok(Some(Time::from_millis(seconds * 1000)));
    assert_eq!(git.last_change(&changed("a")).await, at(1_000_000_004));
    assert_eq!(git.last_change(&changed("b")).await, at(1_000_000_002));
    assert_eq!(git.last_change(&changed("nowhere")).await, Ok(None));
    assert_eq!(git.remote().await.unwrap().as_deref(), Some("https://git.example/shop.git"));
    assert!(!changed("ran").exists(), "a program of the repository was run");
}

#[tokio::test]
async fn what_is_not_there_is_told_from_what_is_not_known() {
    let folder = repository();
    let git = Repository::of(folder.path());
    assert_eq!(git.commit("0123456789012345678901234567890123456789").await, Ok(None));
    assert_eq!(git.commit("no-such-branch").await, Ok(None));
    assert!(git.is_ancestor("no-such-branch", "main").await.is_err());
    for name in ["", "--all", "a b", "main~1", ":a"] {
        assert!(git.commit(name).await.unwrap_err().to_string().contains("no name"), "{name}");
    }
    let clone = tempfile::tempdir().unwrap();
    let done = Command::new("git")
        .args(["clone", "-q", "--depth", "1"])
        .arg(format!("file://{}", folder.path().display()))
        .arg(clone.path().join("c"))
        .status()
        .unwrap();
    assert!(done.success());
    let shallow = Repository::of(&clone.path().join("c"));
    for unknown in [
        shallow.commit("no-such-branch").await.unwrap_err(),
        shallow.last_change(&clone.path().join("c/a")).await.unwrap_err(),
    ] {
        assert!(unknown.to_string().contains("no full history"), "{unknown}");
    }
}

#[tokio::test]
async fn no_repository_and_no_git_are_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let told = Repository::of(folder.path()).head().await.unwrap_err().to_string();
    assert!(told.contains("not a git repository"), "{told}");
    let told = Repository::of(folder.path()).remote().await.unwrap_err().to_string();
    assert!(told.contains("not a git repository"), "{told}");
    let absent = Repository::of(folder.path()).asking(Path::new("/nowhere/git"));
    assert!(absent.head().await.unwrap_err().to_string().contains("could not be asked"));
    let none = Repository::of(&folder.path().join("x")).head().await.unwrap_err();
    assert_eq!(none.to_string(), "there is no such folder");
}

#[test]
fn credentials_are_taken_out_of_addresses() {
    for (with, without) in [
        ("https://user:pass@host/a.git", "https://host/a.git"),
        ("https://token@host:8443/a?x=y#z", "https://host:8443/a"),
        ("https://a@b@host", "https://host"),
        ("ssh://git@host/a", "ssh://host/a"),
        ("git@host:a.git", "git@host:a.git"),
        ("/srv/a@b", "/srv/a@b"),
    ] {
        assert_eq!(without_credentials(with), without);
    }
}
