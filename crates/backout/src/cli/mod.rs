//! Commands: one file each. The doc comment of an argument struct is its help text.

mod explain;
mod help_page;
mod install;
mod live;
mod plan;
mod schema;
mod simulate;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    let cli = Cli::parse();
    let terminal = Terminal::new(cli.global.color);
    let result = match cli.command {
        Command::Simulate(arguments) => simulate::run(&arguments, &terminal),
        Command::Plan(arguments) => plan::run(&arguments, &terminal),
        Command::Explain(arguments) => explain::run(&arguments, &terminal),
        Command::Schema(arguments) => schema::run(&arguments, &terminal),
        Command::Adopt(arguments) => live::adopt::run(&arguments, &terminal),
        Command::Run(arguments) => live::run::run(&arguments, &terminal),
        Command::Detach(arguments) => live::detach::run(&arguments, &terminal),
        Command::Controller(arguments) => live::controller::run(&arguments, &terminal),
        Command::Install(arguments) => install::run(&arguments, &terminal),
        Command::HelpPage(arguments) => help_page::run(&arguments, &terminal),
    };
    finish(result, &terminal).into()
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
