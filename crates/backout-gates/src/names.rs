//! The names under which workloads, images and pods say where they come from.
//!
//! Standard names are used wherever there is one; `backout.dev/...` fills the gaps. No standard
//! knows migrations, and `feature_flag.*` of OpenTelemetry is about evaluations, not about what a
//! release was shipped with.

/// Annotations of OCI images, as manifest annotations and, by Docker's habit, as labels of the
/// image's configuration. From the OCI image specification.
pub mod oci {
    /// When the image was built, RFC 3339.
    pub const CREATED: &str = "org.opencontainers.image.created";
    /// Where its source is.
    pub const SOURCE: &str = "org.opencontainers.image.source";
    /// The version of the packaged software.
    pub const VERSION: &str = "org.opencontainers.image.version";
    /// The commit that it was built from.
    pub const REVISION: &str = "org.opencontainers.image.revision";
    /// The digest of its base image.
    pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
    /// The name of its base image.
    pub const BASE_NAME: &str = "org.opencontainers.image.base.name";
}

/// Labels and annotations that Kubernetes recommends or writes itself.
pub mod kubernetes {
    /// The application's name.
    pub const NAME: &str = "app.kubernetes.io/name";
    /// One installation of the application.
    pub const INSTANCE: &str = "app.kubernetes.io/instance";
    /// The application's version.
    pub const VERSION: &str = "app.kubernetes.io/version";
    /// What it is within its architecture.
    pub const COMPONENT: &str = "app.kubernetes.io/component";
    /// The larger application that it belongs to.
    pub const PART_OF: &str = "app.kubernetes.io/part-of";
    /// The tool that manages it.
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    /// Why it was changed last.
    pub const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";
}

/// Labels and annotations that Helm's charts and Helm itself write.
pub mod helm {
    /// Chart and version, as `name-version`, with `_` for `+`.
    pub const CHART: &str = "helm.sh/chart";
    /// The Helm release that owns the object.
    pub const RELEASE_NAME: &str = "meta.helm.sh/release-name";
}

/// Attributes of the OpenTelemetry semantic conventions (August 2026).
pub mod otel {
    /// The commit that was built.
    pub const REVISION: &str = "vcs.ref.head.revision";
    /// The branch or tag that was built.
    pub const REF_NAME: &str = "vcs.ref.head.name";
    /// The repository that was built.
    pub const REPOSITORY: &str = "vcs.repository.url.full";
    /// The build.
    pub const RUN_ID: &str = "cicd.pipeline.run.id";
    /// The page of the build.
    pub const RUN_URL: &str = "cicd.pipeline.run.url.full";
    /// The digest of one image.
    pub const MANIFEST_DIGEST: &str = "oci.manifest.digest";
    /// Every image as `repository@digest`.
    pub const REPO_DIGESTS: &str = "container.image.repo_digests";
}

/// Names of Backout's own, for what has no standard name.
pub mod backout {
    /// Commit that was built.
    pub const GIT_SHA: &str = "backout.dev/git-sha";
    /// Number of the build.
    pub const BUILD_NUMBER: &str = "backout.dev/build-number";
    /// Page of the build.
    pub const BUILD_URL: &str = "backout.dev/build-url";
    /// Digests of the images, by container, as `name=sha256:...`, comma-separated.
    pub const IMAGE_DIGESTS: &str = "backout.dev/image-digests";
    /// Flags as the release wants them, as `key=on|off`, comma-separated.
    pub const FLAGS: &str = "backout.dev/flags";
    /// Ids of the migrations of the release, comma-separated.
    pub const MIGRATIONS: &str = "backout.dev/migrations";
    /// Commit of the configuration.
    pub const CONFIG_REVISION: &str = "backout.dev/config-revision";
    /// Version of the chart.
    pub const CHART_VERSION: &str = "backout.dev/chart-version";
    /// Name of the release's record.
    pub const RECORD: &str = "backout.dev/record";
    /// Version that people use for the release.
    pub const VERSION: &str = super::kubernetes::VERSION;
}
