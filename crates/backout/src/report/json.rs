//! Documents as JSON, YAML and JSON lines.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::Output;
use crate::error::Failure;

/// A document in one of the forms for programs; nothing for people.
pub(crate) fn document<T: Serialize>(
    document: &T,
    output: Output,
) -> Result<Option<String>, Failure> {
    let text = match output {
        Output::Human => return Ok(None),
        Output::Json => serde_json::to_string_pretty(document).map(ended).map_err(unwritten)?,
        Output::Jsonl => serde_json::to_string(document).map(ended).map_err(unwritten)?,
        Output::Yaml => yaml(document)?,
    };
    Ok(Some(text))
}

/// A document as YAML.
pub(crate) fn yaml<T: Serialize>(document: &T) -> Result<String, Failure> {
    serde_saphyr::to_string(document).map_err(unwritten)
}

/// One line of JSON lines, with its kind as its only key.
pub(crate) fn line<T: Serialize>(kind: &str, value: &T) -> Result<String, Failure> {
    serde_json::to_string(&BTreeMap::from([(kind, value)])).map(ended).map_err(unwritten)
}

fn ended(mut text: String) -> String {
    text.push('\n');
    text
}

fn unwritten(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::Output(std::io::Error::other(error))
}
