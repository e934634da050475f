//! Statements on whether vulnerabilities affect a product (VEX): OpenVEX, and the analyses of
//! CycloneDX documents.
//!
//! Neither format has a date on which a statement ends, so none expires. Statements that are dated
//! later override earlier ones, as OpenVEX has it; of two with the same date, the worse one counts.
//! Who signed a document is not looked at here.

use std::collections::BTreeSet;

use backout_core::units::{Digest, Time};
use packageurl::PackageUrl;

use super::recognise::{self, Kind};
use super::subject::digest_in;
use super::{Analysis, Cause, Image, Limits, Unusable, Vulnerability};

/// A document of statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statements {
    /// The file, as its user would write it.
    pub file: String,
    /// The statements, in the order of the file.
    pub statements: Vec<Statement>,
}

/// One statement: what some products and some vulnerabilities have to do with each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Names of the vulnerability.
    pub ids: BTreeSet<String>,
    /// What it says, and why.
    pub analysis: Analysis,
    /// When it was made.
    pub at: Option<Time>,
    /// What it is about. A statement on nothing matches nothing.
    pub products: Vec<Product>,
}

/// A product that a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Anything that names it: one suffices.
    pub identifiers: Vec<Identifier>,
    /// The parts of it that are meant, each by what names it; all of it when there is none.
    pub subcomponents: Vec<Vec<Identifier>>,
}

/// What names a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identifier {
    /// A package URL, with version and qualifiers where they are given.
    Purl(PackageUrl<'static>),
    /// A digest of an image.
    Digest(Digest),
}

impl Identifier {
    /// Reads a package URL, or a reference with a digest; nothing else names anything here.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        if let Some(digest) = digest_in(text) {
            return Some(Self::Digest(digest));
        }
        text.trim().parse().ok().map(Self::Purl)
    }

    fn names_image(&self, image: &Image) -> bool {
        match self {
            Self::Digest(digest) => image.digests.contains(digest),
            Self::Purl(purl) if purl.ty() == "oci" && purl.version().is_none() => {
                let (_, last) =
                    image.repository.rsplit_once('/').unwrap_or(("", &image.repository));
                let qualifier = |name: &str| purl.qualifiers().get(name).map(AsRef::as_ref);
                let repository = qualifier("repository_url");
                purl.name() == last
                    && repository.is_none_or(|at: &str| at == image.repository)
                    && qualifier("tag").is_none_or(|tag: &str| tag == image.tag)
            }
            Self::Purl(_) => false,
        }
    }

    fn names_package(&self, found: &Vulnerability) -> bool {
        matches!(self, Self::Purl(purl) if found.package.is_meant_by(purl))
    }
}

impl Statement {
    /// Whether the statement is about a vulnerability, known by all its names, in an image.
    #[must_use]
    pub fn is_about(&self, image: &Image, names: &BTreeSet<String>, found: &Vulnerability) -> bool {
        self.ids.iter().any(|id| names.contains(id))
            && self.products.iter().any(|product| product.covers(image, found))
    }
}

impl Product {
    fn covers(&self, image: &Image, found: &Vulnerability) -> bool {
        let package = |part: &[Identifier]| part.iter().any(|id| id.names_package(found));
        let is_image = self.identifiers.iter().any(|id| id.names_image(image));
        if self.subcomponents.is_empty() {
            return is_image || package(&self.identifiers);
        }
        is_image && self.subcomponents.iter().any(|part| package(part))
    }
}

/// Reads a document of statements.
///
/// # Errors
/// When the file is too large, has no statements, or cannot be read to its end.
pub fn read(name: &str, bytes: &[u8], limits: &Limits) -> Result<Statements, Unusable> {
    let bytes = super::text_of(name, bytes, limits)?;
    let most = limits.max_findings;
    let statements = match recognise::kind(name, bytes)? {
        Kind::OpenVex => super::openvex::statements(bytes, most),
        Kind::CycloneDx => super::cyclonedx::statements(name, bytes, most),
        _ => return Err(none(name)),
    };
    let statements = statements.map_err(|error| Unusable::json(name, &error))?;
    if statements.is_empty() {
        return Err(none(name));
    }
    Ok(Statements { file: name.to_owned(), statements })
}

fn none(name: &str) -> Unusable {
    Unusable::new(
        name,
        Cause::NoStatements,
        "the file has no statement on any vulnerability",
        "give an OpenVEX document, or CycloneDX with analyses of vulnerabilities",
    )
}

/// What the statements say together on one finding: the newest that is about it, of equally old ones
/// one that does not set it aside. Statements dated after `now` do not count yet.
#[must_use]
pub fn say<'a>(
    documents: impl IntoIterator<Item = &'a Statements>,
    image: &Image,
    names: &BTreeSet<String>,
    found: &Vulnerability,
    now: Time,
) -> Option<&'a Statement> {
    documents
        .into_iter()
        .flat_map(|document| &document.statements)
        .filter(|statement| statement.at.is_none_or(|at| at <= now))
        .filter(|statement| statement.is_about(image, names, found))
        .max_by_key(|statement| (statement.at, !statement.analysis.sets_aside))
}
