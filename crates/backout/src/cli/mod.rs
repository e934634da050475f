//! Commands: one file each. The doc comment of an argument struct is its help text.

mod explain;
mod help_page;
mod install;
mod live;
mod plan;
mod schema;
mod simulate;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use crate::error::Failure;
use crate::exit_code::Exit;
use crate::terminal::{Color, Terminal};

/// Plans the way back before a release, rehearses it, and runs it.
#[derive(Debug, Parser)]
#[command(name = "backout", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
struct Global {
    /// When to use colour. `NO_COLOR` and `CLICOLOR_FORCE` are respected.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    color: Color,
}

#[derive(Debug, Subcommand)]
enum Command {
    Simulate(simulate::Arguments),
    Plan(plan::Arguments),
    Explain(explain::Arguments),
    Schema(schema::Arguments),
    Adopt(live::adopt::Arguments),
    Run(live::run::Arguments),
    Status(live::status::Arguments),
    Promote(live::command::Promote),
    Pause(live::command::Pause),
    Resume(live::command::Resume),
    Abort(live::command::Abort),
    Rollback(live::rollback::Arguments),
    Quarantine(live::quarantine::Arguments),
    Detach(live::detach::Arguments),
    Controller(live::controller::Arguments),
    Install(install::Arguments),
    #[command(hide = true)]
    HelpPage(help_page::Arguments),
}

/// Form of the result on standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Human,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
    /// One JSON document per line.
    Jsonl,
}

/// Parses the arguments, runs the command, and says how it ended.
pub(crate) fn run() -> ExitCode {
    let is_plugin = is_plugin(std::env::args_os().next());
    let matches = command(is_plugin).get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.format(&mut command(is_plugin)).exit(),
    };
    let terminal = Terminal::new(cli.global.color, is_plugin);
    let result = match cli.command {
        Command::Simulate(arguments) => simulate::run(&arguments, &terminal),
        Command::Plan(arguments) => plan::run(&arguments, &terminal),
        Command::Explain(arguments) => explain::run(&arguments, &terminal),
        Command::Schema(arguments) => schema::run(&arguments, &terminal),
        Command::Adopt(arguments) => live::adopt::run(&arguments, &terminal),
        Command::Run(arguments) => live::run::run(&arguments, &terminal),
        Command::Status(arguments) => live::status::run(&arguments, &terminal),
        Command::Promote(arguments) => arguments.run(&terminal),
        Command::Pause(arguments) => arguments.run(&terminal),
        Command::Resume(arguments) => arguments.run(&terminal),
        Command::Abort(arguments) => arguments.run(&terminal),
        Command::Rollback(arguments) => live::rollback::run(&arguments, &terminal),
        Command::Quarantine(arguments) => live::quarantine::run(&arguments, &terminal),
        Command::Detach(arguments) => live::detach::run(&arguments, &terminal),
        Command::Controller(arguments) => live::controller::run(&arguments, &terminal),
        Command::Install(arguments) => install::run(&arguments, &terminal),
        Command::HelpPage(arguments) => help_page::run(&arguments, &terminal),
    };
    finish(result, &terminal).into()
}

/// Whether `kubectl` started the program: it calls `kubectl-backout` for `kubectl backout`.
fn is_plugin(started_as: Option<OsString>) -> bool {
    let path = started_as.map(PathBuf::from);
    let name = path.as_deref().and_then(Path::file_stem);
    name.is_some_and(|name| name == "kubectl-backout")
}

/// The program's arguments, told as they are typed.
fn command(is_plugin: bool) -> clap::Command {
    let command = Cli::command();
    if is_plugin { command.bin_name("kubectl backout") } else { command }
}

/// Prints an error, if there is one.
fn finish(result: Result<Exit, Failure>, terminal: &Terminal) -> Exit {
    match result {
        Ok(exit) => exit,
        Err(failure) => {
            let exit = failure.exit();
            terminal.complain(&crate::render::diagnostic::failure(&failure));
            exit
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_every_command_fit() {
        command(false).debug_assert();
    }

    #[test]
    fn as_a_plugin_it_is_told_as_it_is_typed() {
        for (name, plugin) in [
            ("/usr/local/bin/kubectl-backout", true),
            ("kubectl-backout", true),
            ("backout", false),
            ("/usr/bin/kubectl", false),
        ] {
            assert_eq!(is_plugin(Some(name.into())), plugin, "{name}");
        }
        assert!(!is_plugin(None));
    }
}
