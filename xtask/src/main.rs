//! The project's own tasks. `cargo xtask help` lists them.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod conftest;
mod docker_registry;
mod e2e;
mod generate;
mod helm;
mod invariants;
mod new_rule;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::new_rule::Kind;

const HELP: &str = "\
The project's own tasks.

Usage: cargo xtask <TASK>

  test [ARGS]         run every test and count them; ARGS go to `cargo test`
  e2e [NAME...]       run scenarios on real clusters, all if none is named
  scale [ARGS]        measure many releases at once on one controller; see --help
  cluster             start a real cluster with the demo, until Ctrl-C
  docker-registry     get the registry for tests, and print where it is
  conftest            get conftest for the tests of Rego policies, and print where it is
  helm                get Helm for the tests of the chart, and print where it is
  generate [--check]  write the generated files, or fail when one is out of date
  invariants          check what ARCHITECTURE.md promises
  new-fault NAME      add a fault to the simulator
  new-oracle NAME     add an oracle to the simulator
  new-traffic NAME    add a kind of object that moves traffic
  help                print this text
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Result<()> {
    match args {
        ["test", rest @ ..] => test::run(rest),
        ["e2e", names @ ..] => e2e::scenarios(names),
        ["scale", rest @ ..] => e2e::scale(rest),
        ["cluster"] => e2e::cluster(),
        ["docker-registry"] => docker_registry::run(),
        ["conftest"] => conftest::run(),
        ["helm"] => helm::run(),
        ["generate"] => generate::write(),
        ["generate", "--check"] => generate::check(),
        ["invariants"] => invariants::run(),
        ["new-fault", name] => new_rule::run(Kind::Fault, name),
        ["new-oracle", name] => new_rule::run(Kind::Oracle, name),
        ["new-traffic", name] => new_rule::run(Kind::Traffic, name),
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        [] => bail!("no task given\n\n{HELP}"),
        _ => bail!("not a task: `{}`\n\n{HELP}", args.join(" ")),
    }
}
