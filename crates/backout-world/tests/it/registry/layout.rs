//! A folder in OCI image layout instead of the network.

use backout_fixtures::image::{self, Artifact, Image};
use backout_fixtures::layout;
use backout_gates::oci::{Lookup, Repository, Wanted};
use backout_world::registry::{ReferrersPlace, Registry};

fn image(files: &str) -> Artifact {
    Image::new("linux/amd64").layer(&[("app", files)]).build()
}

fn repository() -> Repository {
    "registry.example/shop/checkout".parse().expect("a repository")
}

#[tokio::test]
async fn images_are_found_by_name_and_digest_without_layers() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (image("one"), image("two"));
    let index = image::index(&[("linux/amd64", &two)], &[]);
    let signature = image::referrer(&one, "a/b", "a/b", b"x", &[]);
    let name = Some("registry.example/shop/checkout:1.42.0");
    let images = [(name, &one), (Some("1.41.0"), &index), (None, &signature)];
    layout::write(folder.path(), &images, false);
    let (above, name) = (folder.path().parent(), folder.path().file_name());
    let layout = name.map(|name| name.to_string_lossy().into_owned());
    let policy = backout_core::policy::Registry { layout, ..Default::default() };
    let registry = Registry::of_policy(&policy, above.expect("a folder")).expect("a layout");
    let repository = repository();
    for (tag, expected) in [("1.42.0", Some(&one)), ("1.41.0", Some(&index)), ("1.40.0", None)] {
        let read = registry.manifest(&repository, &Wanted::tag(tag).unwrap()).await;
        let digest = read.found().map(|found| found.digest);
        assert_eq!(digest, expected.map(Artifact::digest), "{tag}");
    }
    let other: Repository = "registry.example/other".parse().unwrap();
    let read = registry.manifest(&other, &Wanted::tag("1.42.0").unwrap()).await;
    assert_eq!(read, Lookup::Absent, "the whole reference names another repository");
    let read = registry.manifest(&repository, &Wanted::Digest(two.digest())).await;
    let manifest = read.found().expect("an index's images are found by digest").manifest;
    let config = registry.config(&repository, &manifest.image().unwrap().config).await;
    assert_eq!(config.found().unwrap().architecture, "amd64");
    let referrers = registry.referrers(&repository, &one.digest()).await.found().unwrap();
    assert_eq!((referrers.descriptors.len(), referrers.place), (1, ReferrersPlace::Layout));
    let tags = registry.tags(&repository).await.found().unwrap();
    assert_eq!(tags, ["1.41.0", "1.42.0"]);
    let absent = registry.manifest(&repository, &Wanted::Digest(image("x").digest())).await;
    assert_eq!(absent, Lookup::Absent);
}

#[tokio::test]
async fn what_is_cut_or_no_layout_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::in_layout(folder.path());
    let one = image("one");
    let by_digest = Wanted::Digest(one.digest());
    let failed = async |wanted: &Wanted| match registry.manifest(&repository(), wanted).await {
        Lookup::Failed(why) => why,
        other => panic!("{other:?}"),
    };
    assert!(failed(&by_digest).await.contains("not an OCI image layout"));
    layout::write(folder.path(), &[(Some("1"), &one)], false);
    let blob = folder.path().join("blobs/sha256").join(one.digest().hex());
    std::fs::write(&blob, &one.bytes[..20]).unwrap();
    assert!(failed(&by_digest).await.contains("changed or cut"));
    std::fs::remove_file(&blob).unwrap();
    assert!(failed(&Wanted::tag("1").unwrap()).await.contains("no such blob"));
    let two = image("two");
    layout::write(folder.path(), &[(Some("1"), &one), (Some("1"), &two)], false);
    assert!(failed(&Wanted::tag("1").unwrap()).await.contains("more than one"));
    std::fs::write(folder.path().join("index.json"), "{").unwrap();
    assert!(failed(&Wanted::tag("1").unwrap()).await.contains("ends in the middle"));
}
