//! `backout install`: what a cluster needs, as documents to read, keep in Git and apply.

use backout_controller::install::{Manifest, Options, manifests};
use backout_controller::resources::{Resource, definition};
use serde_json::{Value, json};

use super::Output;
use crate::error::Failure;
use crate::exit_code::Exit;
use crate::terminal::Terminal;

/// Prints everything that the controller needs in a cluster. Changes nothing by itself: read it,
/// then pipe it to `kubectl apply --server-side -f -`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Form of the documents.
    #[arg(short, long, value_enum, default_value_t = Output::Yaml)]
    output: Output,
    /// Namespace of the controller; it has to exist.
    #[arg(long, default_value = "backout")]
    namespace: String,
    /// Namespace to watch, any number of times. Default: the controller's own.
    #[arg(long, conflicts_with = "cluster_wide")]
    watch: Vec<String>,
    /// Watch every namespace. Needs permissions over the whole cluster.
    #[arg(long)]
    cluster_wide: bool,
    /// Image of the controller.
    #[arg(long)]
    image: Option<String>,
    /// Leave the resource definitions out, when someone else installs them.
    #[arg(long)]
    without_crds: bool,
    /// Leave the policy out that refuses images in quarantine.
    #[arg(long)]
    without_admission_policy: bool,
    /// Print the definition of one kind only, as the chart carries it.
    #[arg(long, hide = true)]
    definition: Option<String>,
    /// Print one object only, as the chart carries it.
    #[arg(long, hide = true, value_name = "KIND/NAME")]
    object: Option<String>,
}

pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    if let Some(kind) = &arguments.definition {
        terminal.print(&yaml(&one(kind)?)?)?;
        return Ok(Exit::Pass);
    }
    let defaults = Options::default();
    let manifests = manifests(&Options {
        namespace: arguments.namespace.clone(),
        watch: arguments.watch.clone(),
        cluster_wide: arguments.cluster_wide,
        image: arguments.image.clone().unwrap_or(defaults.image),
        definitions: !arguments.without_crds,
        admission_policy: !arguments.without_admission_policy,
    });
    let text = match &arguments.object {
        Some(wanted) => document(named(&manifests, wanted)?)?,
        None => printed(&manifests, arguments.output)?,
    };
    terminal.print(&text)?;
    Ok(Exit::Pass)
}

fn named<'a>(manifests: &'a [Manifest], wanted: &str) -> Result<&'a Manifest, Failure> {
    let name = |manifest: &Manifest| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let object = &manifest.object;
        format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"]))
    };
    manifests.iter().find(|manifest| name(manifest) == wanted).ok_or_else(|| {
        let names: Vec<String> = manifests.iter().map(name).collect();
        let help = format!("choose one of {}", names.join(", "));
        Failure::usage(format!("nothing installs `{wanted}`"), help)
    })
}

fn one(kind: &str) -> Result<Value, Failure> {
    let found = Resource::ALL.into_iter().find(|resource| resource.kind() == kind);
    found.map(definition).ok_or_else(|| {
        let kinds = Resource::ALL.map(Resource::kind).join(", ");
        Failure::usage(format!("there is no resource `{kind}`"), format!("choose one of {kinds}"))
    })
}

fn printed(manifests: &[Manifest], output: Output) -> Result<String, Failure> {
    match output {
        Output::Json => {
            let items: Vec<&Value> = manifests.iter().map(|manifest| &manifest.object).collect();
            let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
            serde_json::to_string_pretty(&list).map(|text| text + "\n").map_err(unprintable)
        }
        Output::Jsonl => Ok(manifests.iter().map(|it| format!("{}\n", it.object)).collect()),
        Output::Human | Output::Yaml => manifests.iter().map(document).collect(),
    }
}

/// One document with its reason over it.
fn document(manifest: &Manifest) -> Result<String, Failure> {
    let why: String = manifest.why.lines().map(|line| format!("# {line}\n")).collect();
    Ok(format!("---\n{why}{}", yaml(&manifest.object)?))
}

fn yaml(object: &Value) -> Result<String, Failure> {
    serde_saphyr::to_string(object).map_err(unprintable)
}

fn unprintable(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::Output(std::io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_definitions_it_is_short_enough_to_read() {
        let options = Options { definitions: false, ..Options::default() };
        let text = printed(&manifests(&options), Output::Yaml).expect("it can be printed");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn documents_survive_being_printed() {
        let manifests = manifests(&Options { cluster_wide: true, ..Options::default() });
        for manifest in &manifests {
            let text = document(manifest).expect("it can be printed");
            let read: Value = serde_saphyr::from_str(&text).expect("it can be read");
            assert_eq!(read, manifest.object);
        }
    }
}
