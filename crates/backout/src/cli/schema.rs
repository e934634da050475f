//! `backout schema`: the shape of every document, for editors and other programs.

use backout_core::document::nearest;
use backout_core::policy::ReleasePolicy;
use backout_core::release::Release;
use backout_sim::scenario::Scenario;
use backout_sim::world::WorldDocument;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use crate::error::Failure;
use crate::exit_code::Exit;
use crate::terminal::Terminal;

/// Prints the JSON Schema of a kind of document; without a kind, lists the kinds.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Kind of the document, in upper or lower case.
    kind: Option<String>,
}

/// A kind of document.
struct Kind {
    /// As the document itself writes it.
    name: &'static str,
    /// What it is for.
    what: &'static str,
    /// The file of its schema.
    file: &'static str,
    schema: fn() -> Schema,
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "ReleasePolicy",
        what: "how one workload is released and backed out (`backout.yaml`)",
        file: "release-policy",
        schema: schema_of::<ReleasePolicy>,
    },
    Kind {
        name: "Release",
        what: "what is shipped (`releases/*.yaml`)",
        file: "release",
        schema: schema_of::<Release>,
    },
    Kind {
        name: "Scenario",
        what: "what goes wrong in a rehearsal, and what must come of it",
        file: "scenario",
        schema: schema_of::<Scenario>,
    },
    Kind {
        name: "World",
        what: "what the virtual world of a rehearsal is like (`world.yaml`)",
        file: "world",
        schema: schema_of::<WorldDocument>,
    },
];

pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let text = match &arguments.kind {
        Some(wanted) => document(find(wanted)?)?,
        None => list(),
    };
    terminal.print(&text)?;
    Ok(Exit::Pass)
}

fn find(wanted: &str) -> Result<&'static Kind, Failure> {
    KINDS.iter().find(|kind| kind.name.eq_ignore_ascii_case(wanted)).ok_or_else(|| {
        let names = KINDS.map(|kind| kind.name);
        let help = match nearest(wanted, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("choose one of {}", names.join(", ")),
        };
        Failure::usage(format!("there is no kind `{wanted}`"), help)
    })
}

fn list() -> String {
    let longest = KINDS.iter().map(|kind| kind.name.len()).max().unwrap_or_default();
    KINDS.iter().map(|kind| format!("{:longest$}  {}\n", kind.name, kind.what)).collect()
}

fn document(kind: &Kind) -> Result<String, Failure> {
    let mut schema = (kind.schema)();
    let id = format!("https://backout.dev/schemas/{}.schema.json", kind.file);
    schema.insert("$id".to_owned(), id.into());
    schema.insert("title".to_owned(), kind.name.into());
    let text = serde_json::to_string_pretty(&schema)
        .map_err(|error| Failure::Output(std::io::Error::other(error)))?;
    Ok(text + "\n")
}

fn schema_of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn kinds_are_found_in_any_case() {
        assert_eq!(find("releasepolicy").unwrap().name, "ReleasePolicy");
        assert_eq!(find("WORLD").unwrap().name, "World");
        let help = |wanted: &str| match find(wanted).err() {
            Some(Failure::Usage { help, .. }) => help,
            other => panic!("{other:?}"),
        };
        assert_eq!(help("ReleasePolicies"), "did you mean `ReleasePolicy`?");
        assert_eq!(help("x"), "choose one of ReleasePolicy, Release, Scenario, World");
    }

    #[test]
    fn every_schema_says_what_it_is() {
        for kind in &KINDS {
            let text = document(kind).unwrap();
            assert!(text.ends_with("}\n"));
            let schema: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
            assert_eq!(schema["title"], kind.name);
            assert_eq!(schema["type"], "object");
            assert!(schema["$id"].as_str().unwrap().ends_with(".schema.json"));
        }
    }
}
