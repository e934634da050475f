//! The releases beside a policy: which one is on its way, and which one serves.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use backout_core::document::{Document, nearest};
use backout_core::policy::ReleasePolicy;
use backout_core::release::{self, Release};
use backout_core::units::Name;

use super::files::{self, Expected};
use super::{Selection, Troubles, breached};
use crate::error::Failure;

/// The folder of the records.
const FOLDER: &str = "releases";

/// More records than this are a mistake, such as a link to the root of a disk.
const MOST: usize = 5_000;

const IS_RELEASE: Expected = Expected {
    kind: "Release",
    help: "only records of releases are read here; move other documents elsewhere",
};

/// What is moved, and what serves.
pub(super) struct Chosen {
    /// The release on its way.
    pub(super) candidate: Document<Release>,
    /// The release that serves.
    pub(super) stable: Document<Release>,
}

/// Reads every record beside a policy.
pub(super) fn read(
    directory: &Path,
    troubles: &mut Troubles,
) -> Result<Vec<Document<Release>>, Failure> {
    let folder = directory.join(FOLDER);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut records = Vec::new();
    for path in list(&folder)? {
        let Some(document) = troubles.keep(files::document::<Release>(&path, IS_RELEASE))? else {
            continue;
        };
        troubles.check(&document, release::validate::validate(&document.value));
        records.push(document);
    }
    Ok(records)
}

/// The records of a folder, by name. Hidden files are left out: editors leave such copies.
fn list(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |source| Failure::File { path: files::shown(folder), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if is_yaml(&path) && !hidden {
            paths.push(path);
        }
        if paths.len() > MOST {
            return Err(Failure::usage(
                format!("{} has more than {MOST} records", files::shown(folder)),
                "keep the releases that could still serve, and archive the others",
            ));
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// Chooses candidate and stable among the records of the policy's workload.
pub(super) fn choose(
    records: &[Document<Release>],
    policy: &ReleasePolicy,
    selection: &Selection,
    directory: &Path,
) -> Result<Chosen, Failure> {
    let workload = &policy.spec.workload.name;
    let shelf = Shelf::new(records, workload, directory);
    let candidate = selection.release.as_deref().map(|name| shelf.find(name)).transpose()?;
    let stable = selection.against.as_deref().map(|name| shelf.find(name)).transpose()?;
    let (candidate, stable) = match (candidate, stable) {
        (Some(candidate), Some(stable)) => (candidate, stable),
        (Some(candidate), None) => {
            let stable = shelf.before(&candidate)?;
            (candidate, stable)
        }
        (None, Some(stable)) => (shelf.newest()?, stable),
        (None, None) => {
            let candidate = shelf.newest()?;
            let stable = shelf.before(&candidate)?;
            (candidate, stable)
        }
    };
    if candidate.value.set_name() == stable.value.set_name() {
        return Err(Failure::usage(
            format!("release {} cannot be both candidate and stable", candidate.value.spec.version),
            "choose another candidate with `--release`, or another stable with `--against`",
        ));
    }
    Ok(Chosen { candidate, stable })
}

/// The records of one workload, oldest first.
struct Shelf<'a> {
    records: Vec<&'a Document<Release>>,
    workload: &'a Name,
    folder: String,
    strangers: usize,
}

impl<'a> Shelf<'a> {
    fn new(all: &'a [Document<Release>], workload: &'a Name, directory: &Path) -> Self {
        let mut records: Vec<_> =
            all.iter().filter(|record| &record.value.spec.workload == workload).collect();
        let by_version = records.iter().all(|record| version(&record.value).is_some());
        records.sort_by(|a, b| in_order(&a.value, &b.value, by_version));
        let strangers = all.len() - records.len();
        Self { records, workload, folder: files::shown(&directory.join(FOLDER)), strangers }
    }

    /// A release by version, by name of its record, or by file.
    fn find(&self, wanted: &str) -> Result<Document<Release>, Failure> {
        let found: Vec<_> = self
            .records
            .iter()
            .filter(|record| {
                let release = &record.value;
                release.spec.version == wanted || release.metadata.name.as_str() == wanted
            })
            .collect();
        match found.as_slice() {
            [one] => Ok((**one).clone()),
            [] if looks_like_a_path(wanted) => from_file(Path::new(wanted)),
            [] => Err(self.unknown(wanted)),
            several => {
                let names: Vec<_> =
                    several.iter().map(|record| record.value.metadata.name.as_str()).collect();
                Err(Failure::usage(
                    format!("`{wanted}` is the version of {} releases", several.len()),
                    format!("choose one by the name of its record: {}", names.join(", ")),
                ))
            }
        }
    }

    fn unknown(&self, wanted: &str) -> Failure {
        let versions: Vec<_> =
            self.records.iter().map(|record| record.value.spec.version.as_str()).collect();
        let help = match nearest(wanted, versions.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if versions.is_empty() => how_to_write_one(&self.folder),
            None => {
                let newest: Vec<_> = versions.iter().rev().take(5).copied().collect();
                format!("name a version, a record or a file; the newest are: {}", newest.join(", "))
            }
        };
        let message =
            format!("there is no release `{wanted}` of {} in {}", self.workload, self.folder);
        Failure::usage(message, help)
    }

    fn newest(&self) -> Result<Document<Release>, Failure> {
        self.records.last().map(|record| (*record).clone()).ok_or_else(|| self.too_few())
    }

    /// The newest release that is older than another.
    fn before(&self, candidate: &Document<Release>) -> Result<Document<Release>, Failure> {
        let same = |record: &&Document<Release>| {
            record.value.metadata.name == candidate.value.metadata.name
        };
        if self.records.iter().filter(|record| !same(record)).count() == 0 {
            return Err(self.too_few());
        }
        let by_version = self.records.iter().all(|record| version(&record.value).is_some())
            && version(&candidate.value).is_some();
        let older = |record: &&Document<Release>| {
            in_order(&record.value, &candidate.value, by_version) == Ordering::Less
        };
        self.records
            .iter()
            .copied()
            .rfind(|record| !same(record) && older(record))
            .cloned()
            .ok_or_else(|| {
                Failure::usage(
                    format!(
                        "no release in {} is older than {}",
                        self.folder, candidate.value.spec.version
                    ),
                    "name the release that serves with `--against`",
                )
            })
    }

    fn too_few(&self) -> Failure {
        let others = match self.strangers {
            0 => String::new(),
            strangers => format!(" ({strangers} of other workloads)"),
        };
        let place = format!("of {} in {}{others}", self.workload, self.folder);
        let message = match self.records.len() {
            0 => format!("there is no release {place}"),
            _ => format!("there is one release {place}, and a way back needs two"),
        };
        Failure::usage(message, how_to_write_one(&self.folder))
    }
}

fn how_to_write_one(folder: &str) -> String {
    format!(
        "write a record for the release that serves and one for the release on its way, such as \
         {folder}/1.42.0.yaml; `backout schema Release` shows its shape"
    )
}

fn looks_like_a_path(text: &str) -> bool {
    text.contains(['/', std::path::MAIN_SEPARATOR]) || is_yaml(Path::new(text))
}

fn from_file(path: &Path) -> Result<Document<Release>, Failure> {
    let document: Document<Release> = files::document(path, IS_RELEASE)?;
    match breached(&document, release::validate::validate(&document.value)) {
        Some(unreadable) => Err(Failure::Document(Box::new(unreadable))),
        None => Ok(document),
    }
}

/// Older releases first: by version if every version can be compared, otherwise by when they were
/// built. Names only make the order total.
fn in_order(a: &Release, b: &Release, by_version: bool) -> Ordering {
    let versions = if by_version { version(a).cmp(&version(b)) } else { Ordering::Equal };
    versions
        .then_with(|| built(a).cmp(built(b)))
        .then_with(|| a.metadata.name.cmp(&b.metadata.name))
}

/// Times in UTC as RFC 3339 writes them sort like text, once the letter is gone that would sort
/// behind a fraction of a second.
fn built(release: &Release) -> &str {
    release.spec.context.built_at.trim_end_matches('Z')
}

fn version(release: &Release) -> Option<Version> {
    Version::parse(&release.spec.version)
}

/// A version under the precedence of Semantic Versioning, with any number of numbers, because
/// versions such as `2026.3` have an obvious order as well.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    numbers: Vec<u64>,
    maturity: Maturity,
}

/// Pre-releases come before the release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Maturity {
    Pre(Vec<Identifier>),
    Final,
}

/// Numbers come before words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Word(String),
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split_once('+').map_or(text, |(before, _build)| before);
        let (numbers, pre) = match text.split_once('-') {
            Some((numbers, pre)) => (numbers, Some(pre)),
            None => (text, None),
        };
        let mut numbers: Vec<u64> = numbers.split('.').map(number).collect::<Option<_>>()?;
        // A single number could just as well be the beginning of a commit.
        if numbers.len() < 2 {
            return None;
        }
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        let identifier = |word: &str| {
            number(word).map_or_else(|| Identifier::Word(word.to_owned()), Identifier::Number)
        };
        let maturity = pre
            .map_or(Maturity::Final, |pre| Maturity::Pre(pre.split('.').map(identifier).collect()));
        Some(Self { numbers, maturity })
    }
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use backout_core::document::Limits;

    use super::*;

    fn record(name: &str, workload: &str, version: &str, built: &str) -> Document<Release> {
        let digest = "a".repeat(64);
        let commit = "b".repeat(40);
        let text = format!(
            "apiVersion: backout.dev/v1alpha1\n\
             kind: Release\n\
             metadata: {{ name: {name} }}\n\
             spec:\n  workload: {workload}\n  version: \"{version}\"\n  \
             images: [{{ name: a, repository: r, tag: t, digest: \"sha256:{digest}\" }}]\n  \
             config: {{ revision: r, chartVersion: \"1\" }}\n  \
             context: {{ gitSha: {commit}, gitRef: r, repository: r, buildNumber: 1, \
             builtAt: \"{built}\" }}\n"
        );
        let name = format!("releases/{name}.yaml");
        backout_core::document::read(&name, text.as_bytes(), &Limits::default()).unwrap()
    }

    /// The order of versions, told by name.
    fn order(versions: &[(&str, &str)]) -> Vec<String> {
        let records: Vec<_> =
            versions.iter().map(|(name, version)| record(name, "shop", version, "2026")).collect();
        let workload = Name::from_static("shop");
        let shelf = Shelf::new(&records, &workload, Path::new("."));
        shelf.records.iter().map(|record| record.value.spec.version.clone()).collect()
    }

    #[test]
    fn versions_have_the_order_of_semantic_versioning() {
        let rising = [
            "0.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "v1.2.0",
            "1.10.0",
            "2026.03.1",
        ];
        let mut shuffled: Vec<_> = rising.iter().map(|version| ("r", *version)).collect();
        shuffled.reverse();
        shuffled.swap(0, 4);
        assert_eq!(order(&shuffled), rising);
        assert_eq!(Version::parse("1.2"), Version::parse("1.2.0+build.7"));
    }

    #[test]
    fn what_is_no_version_is_ordered_by_time() {
        for text in ["", "main", "1234567", "1.x", "1..2", "99999999999999999999.1"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
        let records = [
            record("a", "shop", "e1e50b0", "2026-03-10T13:42:07Z"),
            record("b", "shop", "1.0.0", "2026-03-10T13:42:07.5Z"),
            record("c", "shop", "93d6c48", "2026-03-03T09:14:31Z"),
        ];
        let workload = Name::from_static("shop");
        let shelf = Shelf::new(&records, &workload, Path::new("."));
        let names: Vec<_> =
            shelf.records.iter().map(|record| record.value.metadata.name.as_str()).collect();
        assert_eq!(names, ["c", "a", "b"]);
    }

    fn chosen(
        records: &[Document<Release>],
        release: Option<&str>,
        against: Option<&str>,
    ) -> Result<(String, String), String> {
        let workload = Name::from_static("shop");
        let mut policy = policy();
        policy.spec.workload.name = workload;
        let selection = Selection {
            target: None,
            release: release.map(str::to_owned),
            against: against.map(str::to_owned),
            environment: "production".to_owned(),
        };
        choose(records, &policy, &selection, Path::new("p"))
            .map(|chosen| (chosen.candidate.value.spec.version, chosen.stable.value.spec.version))
            .map_err(|failure| {
                let text = failure.to_string();
                if let Failure::Usage { help, .. } = failure {
                    format!("{text}\n{help}")
                } else {
                    text
                }
            })
    }

    fn policy() -> ReleasePolicy {
        let text = include_bytes!("../../../../examples/checkout/backout.yaml");
        backout_core::document::read("backout.yaml", text, &Limits::default()).unwrap().value
    }

    #[test]
    fn the_newest_two_are_chosen_unless_others_are_named() {
        let records = [
            record("r3", "shop", "1.10.0", "2026"),
            record("r1", "shop", "1.2.0", "2026"),
            record("r2", "shop", "1.9.0", "2026"),
            record("x", "other", "9.0.0", "2026"),
        ];
        let is = |release, against, candidate: &str, stable: &str| {
            let expected = Ok((candidate.to_owned(), stable.to_owned()));
            assert_eq!(chosen(&records, release, against), expected);
        };
        is(None, None, "1.10.0", "1.9.0");
        is(Some("1.9.0"), None, "1.9.0", "1.2.0");
        is(Some("r1"), Some("r3"), "1.2.0", "1.10.0");
        is(None, Some("1.2.0"), "1.10.0", "1.2.0");
    }

    #[test]
    fn a_choice_that_cannot_be_made_says_what_to_do() {
        let none = [];
        let one = [record("r1", "shop", "1.2.0", "2026"), record("x", "other", "1.0.0", "2026")];
        let two = [record("r1", "shop", "1.2.0", "2025"), record("r2", "shop", "1.2.0", "2026")];
        let wrong =
            |records: &[_], release, against| chosen(records, release, against).unwrap_err();
        let all = [
            wrong(&none, None, None),
            wrong(&one, None, None),
            wrong(&one, Some("1.2.1"), None),
            wrong(&one, Some("4711"), None),
            wrong(&one, Some("1.2.0"), Some("1.2.0")),
            wrong(&one, Some("absent.yaml"), None),
            wrong(&two, Some("1.2.0"), None),
            wrong(&two, Some("r1"), None),
        ];
        insta::assert_snapshot!(all.join("\n\n"));
    }
}
