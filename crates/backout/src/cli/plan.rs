//! `backout plan`: every step forward with its step back, before anything is done.

use std::io;

use backout_core::plan::{Choice, Plan, forward};

use super::Output;
use crate::error::Failure;
use crate::exit_code::Exit;
use crate::project::{self, Loaded, ProjectArguments};
use crate::render;
use crate::terminal::Terminal;

/// Shows every step of a release with its way back, before anything is done.
///
/// The plan is made from files: what only a cluster knows is assumed, and the assumptions are
/// listed. Ends with exit code 11 when there is no automatic way back from some step.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    project: ProjectArguments,
    /// Form of the result.
    #[arg(short, long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let loaded = project::load(&arguments.project.selection())?;
    let plan = assumed(&loaded)?;
    let text = match arguments.output {
        Output::Human => render::plan::plan(&plan, &loaded),
        Output::Json => serde_json::to_string_pretty(&plan).map_err(unprintable)? + "\n",
        Output::Jsonl => serde_json::to_string(&plan).map_err(unprintable)? + "\n",
        Output::Yaml => yaml(&plan)?,
    };
    terminal.print(&text)?;
    Ok(exit(&plan))
}

/// The plan for a world in which all is well with the stable release.
fn assumed(loaded: &Loaded) -> Result<Plan, Failure> {
    /// Noise of the world, which a plan does not depend on.
    const SEED: u64 = 1;
    let project = &loaded.project;
    let world = project.healthy_world(project.brief.clone(), SEED);
    Ok(forward::plan(&project.brief, &world.snapshot())?)
}

fn exit(plan: &Plan) -> Exit {
    let blocked = plan.ways_back.iter().any(|way| matches!(way.decision.choice, Choice::Hold(_)));
    if blocked { Exit::Blocked } else { Exit::Pass }
}

/// YAML with exactly the structure of the JSON.
fn yaml(plan: &Plan) -> Result<String, Failure> {
    let value = serde_json::to_value(plan).map_err(unprintable)?;
    serde_saphyr::to_string(&value).map_err(unprintable)
}

fn unprintable(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::Output(io::Error::other(error))
}
