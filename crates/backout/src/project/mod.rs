//! A user's project on disk: a policy, the releases beside it, and the configuration of one
//! environment.
//!
//! Everything that is wrong with the files is reported at once, each problem at its place.

mod chart;
pub(crate) mod files;
mod releases;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backout_core::document::{Document, Problem, Unreadable, nearest};
use backout_core::plan::Brief;
use backout_core::policy::ReleasePolicy;
use backout_core::policy::validate::{self, Breach};
use backout_sim::rehearse::Project;
use backout_sim::world::{WorldDocument, WorldSpec};

use crate::error::Failure;
use files::Expected;

/// The name of a policy that is found by itself.
const POLICY: &str = "backout.yaml";

/// The name of a world beside a policy.
const WORLD: &str = "world.yaml";

/// What marks the root of a repository.
const REPOSITORY: &str = ".git";

const IS_POLICY: Expected = Expected {
    kind: "ReleasePolicy",
    help: "name the policy or its directory; a release is chosen with `--release`",
};

const IS_WORLD: Expected =
    Expected { kind: "World", help: "give the file another name, or remove it" };

/// Arguments that choose a project.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ProjectArguments {
    /// Directory of the project, or its policy. Default: `backout.yaml` in this directory or the
    /// closest one above, up to the root of the repository.
    #[arg(value_name = "PROJECT")]
    project: Option<PathBuf>,
    /// The policy as a file, a directory, or `-` for standard input.
    #[arg(short = 'f', long = "file", value_name = "FILE", conflicts_with = "project")]
    file: Option<PathBuf>,
    /// The release on its way: a version, the name of a record, or a file. Default: the newest.
    #[arg(long, value_name = "RELEASE")]
    release: Option<String>,
    /// The release that serves now, given likewise. Default: the newest before the candidate.
    #[arg(long, value_name = "RELEASE")]
    against: Option<String>,
    /// The environment that is released to.
    #[arg(long = "env", value_name = "ENVIRONMENT", default_value = DEFAULT_ENVIRONMENT)]
    environment: String,
}

/// The environment that is released to when none is named.
const DEFAULT_ENVIRONMENT: &str = "production";

impl ProjectArguments {
    /// What the arguments choose.
    pub(crate) fn selection(&self) -> Selection {
        Selection {
            target: self.project.clone().or_else(|| self.file.clone()),
            release: self.release.clone(),
            against: self.against.clone(),
            environment: self.environment.clone(),
        }
    }
}

/// Which project, releases and environment a command works on.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// A directory, a policy, or `-` for standard input; nothing to look for a policy.
    pub(crate) target: Option<PathBuf>,
    /// The candidate: a version, the name of a record, or a file.
    pub(crate) release: Option<String>,
    /// The stable release, given likewise.
    pub(crate) against: Option<String>,
    /// The environment.
    pub(crate) environment: String,
}

impl Selection {
    /// The arguments that choose the same again, each after a space, for a command to be copied.
    pub(crate) fn arguments(&self) -> String {
        let mut arguments = String::new();
        let mut push = |argument: &str| {
            arguments.push(' ');
            arguments.push_str(&quoted(argument));
        };
        if let Some(target) = &self.target {
            push(&target.to_string_lossy());
        }
        for (option, value) in [("--release", &self.release), ("--against", &self.against)] {
            if let Some(value) = value {
                push(option);
                push(value);
            }
        }
        if self.environment != DEFAULT_ENVIRONMENT {
            push("--env");
            push(&self.environment);
        }
        arguments
    }
}

/// An argument as a shell takes it.
pub(crate) fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./+:@%,=".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

/// A project that was read and found to be sound.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The policy.
    pub(crate) policy: Document<ReleasePolicy>,
    /// What is planned and rehearsed.
    pub(crate) project: Project,
    /// Which files the project was made from.
    pub(crate) files: Files,
}

/// The files that a project was made from, as their user would write them.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    /// The policy.
    pub(crate) policy: String,
    /// The record of the release that serves.
    pub(crate) stable: String,
    /// The record of the release on its way.
    pub(crate) candidate: String,
    /// The chart's folder.
    pub(crate) chart: String,
    /// The environment's values, later ones win.
    pub(crate) values: Vec<String>,
    /// The world, unless it is the default one.
    pub(crate) world: Option<String>,
}

/// Reads a project.
///
/// # Errors
/// When a file cannot be read, says something that does not fit, or does not exist.
pub(crate) fn load(selection: &Selection) -> Result<Loaded, Failure> {
    let place = Place::find(selection.target.as_deref())?;
    let mut troubles = Troubles::default();
    let policy = troubles.keep(files::document(&place.policy, IS_POLICY))?;
    let records = releases::read(&place.directory, &mut troubles)?;
    let (world, world_name) = read_world(&place.directory, &mut troubles)?;
    let Some(policy) = policy else { return Err(troubles.into()) };

    let mut breaches = validate::validate(&policy.value);
    let environment = &selection.environment;
    let position = policy
        .value
        .spec
        .environments
        .iter()
        .position(|candidate| candidate.name.as_str() == environment);
    let config = match position {
        Some(index) => {
            chart::read(&place.directory, &policy.value, index, &mut breaches, &mut troubles)?
        }
        None => chart::Configuration::default(),
    };
    // The policy comes first: what is wrong there often explains the rest.
    troubles.0.splice(0..0, breached(&policy, breaches));
    if !troubles.0.is_empty() {
        return Err(troubles.into());
    }
    let Some(index) = position else { return Err(no_environment(&policy.value, environment)) };

    let chosen = releases::choose(&records, &policy.value, selection, &place.directory)?;
    let brief = Brief {
        policy: Arc::new(policy.value.clone()),
        environment: policy.value.spec.environments[index].name.clone(),
        stable: Arc::new(chosen.stable.value),
        candidate: Arc::new(chosen.candidate.value),
    };
    brief.check()?;
    Ok(Loaded {
        files: Files {
            policy: policy.source.name.clone(),
            stable: chosen.stable.source.name,
            candidate: chosen.candidate.source.name,
            chart: config.chart,
            values: config.values,
            world: world_name,
        },
        policy,
        project: Project::new(brief, world, config.missing_keys),
    })
}

fn no_environment(policy: &ReleasePolicy, wanted: &str) -> Failure {
    let names: Vec<_> =
        policy.spec.environments.iter().map(|environment| environment.name.as_str()).collect();
    let help = match nearest(wanted, names.iter().copied()) {
        Some(near) => format!("did you mean `--env {near}`?"),
        None => format!("choose one with `--env`: {}", names.join(", ")),
    };
    Failure::usage(format!("the policy has no environment `{wanted}`"), help)
}

/// The world beside a policy and its file; without a file, the default one.
fn read_world(
    directory: &Path,
    troubles: &mut Troubles,
) -> Result<(WorldSpec, Option<String>), Failure> {
    let path = directory.join(WORLD);
    if !path.exists() {
        return Ok((WorldSpec::default(), None));
    }
    let document = troubles.keep(files::document::<WorldDocument>(&path, IS_WORLD))?;
    let spec = document.map(|document| document.value.spec).unwrap_or_default();
    Ok((spec, Some(files::shown(&path))))
}

/// The policy that an argument chooses: a file, a directory, or what is found upward.
///
/// # Errors
/// When there is none.
pub(crate) fn find_policy(file: Option<&Path>) -> Result<PathBuf, Failure> {
    Place::find(file).map(|place| place.policy)
}

/// Where a project is.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// The policy, or `-`.
    policy: PathBuf,
    /// Where paths of the policy start.
    directory: PathBuf,
}

impl Place {
    fn find(target: Option<&Path>) -> Result<Self, Failure> {
        let Some(target) = target else { return Self::search() };
        if files::is_stdin(target) {
            return Ok(Self { policy: target.to_owned(), directory: PathBuf::from(".") });
        }
        if !target.is_dir() {
            return Ok(Self::of(target.to_owned()));
        }
        let policy = target.join(POLICY);
        if policy.exists() {
            return Ok(Self::of(policy));
        }
        Err(Failure::usage(
            format!("there is no {POLICY} in {}", files::shown(target)),
            "name the policy itself, or write one: `backout schema ReleasePolicy` shows its shape",
        ))
    }

    fn of(policy: PathBuf) -> Self {
        let parent = policy.parent().filter(|parent| !parent.as_os_str().is_empty());
        Self { directory: parent.unwrap_or(Path::new(".")).to_owned(), policy }
    }

    /// Looks for a policy from the current directory up to the root of the repository. Outside of
    /// a repository only the current directory counts, so that a stray file of someone else's
    /// higher up is never taken for the policy.
    fn search() -> Result<Self, Failure> {
        let here = std::env::current_dir()
            .map_err(|source| Failure::File { path: ".".to_owned(), source })?;
        let depth = here.ancestors().position(|above| above.join(REPOSITORY).exists());
        let upward = here.ancestors().take(depth.unwrap_or(0) + 1).enumerate();
        for (steps, directory) in upward {
            if directory.join(POLICY).exists() {
                let up: PathBuf = std::iter::repeat_n("..", steps).collect();
                return Ok(Self::of(up.join(POLICY)));
            }
        }
        let message = match depth {
            Some(_) => format!("there is no {POLICY} here or above, up to the repository's root"),
            None => format!("there is no {POLICY} here, and this is no repository to search"),
        };
        Err(Failure::usage(
            message,
            "name a project, such as `examples/checkout`, or write a policy: \
             `backout schema ReleasePolicy` shows its shape",
        ))
    }
}

/// Documents of a project that cannot be used.
#[derive(Debug, Default)]
struct Troubles(Vec<Unreadable>);

impl Troubles {
    /// Keeps a document's problems for later; other failures end the work at once.
    fn keep<T>(&mut self, result: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Failure::Document(unreadable)) => {
                self.0.push(*unreadable);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Keeps the rules that a document breaks.
    fn check<T>(&mut self, document: &Document<T>, breaches: Vec<Breach>) {
        self.0.extend(breached(document, breaches));
    }
}

impl From<Troubles> for Failure {
    fn from(troubles: Troubles) -> Self {
        Self::Documents(troubles.0)
    }
}

/// A document that breaks rules, with the place of every breach; nothing when it breaks none.
pub(crate) fn breached<T>(document: &Document<T>, breaches: Vec<Breach>) -> Option<Unreadable> {
    let mut problems: Vec<Problem> = breaches
        .into_iter()
        .map(|breach| Problem {
            location: Some(document.map.nearest(&breach.path)),
            path: Some(breach.path),
            message: breach.message,
            expected: None,
            help: Some(breach.help),
        })
        .collect();
    problems.sort_by_key(|problem| problem.location);
    (!problems.is_empty()).then(|| Unreadable {
        source_name: document.source.name.clone(),
        source: Some(document.source.clone()),
        problems,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_lies_in_a_directory() {
        for (policy, directory) in [("a/b.yaml", "a"), ("b.yaml", "."), ("../b.yaml", "..")] {
            assert_eq!(Place::of(policy.into()).directory, Path::new(directory), "{policy}");
        }
        let stdin = Place::find(Some(Path::new("-"))).unwrap();
        assert_eq!(stdin.directory, Path::new("."));
    }

    #[test]
    fn the_same_choice_can_be_typed_again() {
        let selection = Selection {
            target: Some(PathBuf::from("my shop/backout.yaml")),
            release: Some("1.42.0".to_owned()),
            against: None,
            environment: "staging".to_owned(),
        };
        assert_eq!(selection.arguments(), " 'my shop/backout.yaml' --release 1.42.0 --env staging");
        let plain = Selection {
            target: None,
            release: None,
            against: None,
            environment: DEFAULT_ENVIRONMENT.to_owned(),
        };
        assert_eq!(plain.arguments(), "");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
