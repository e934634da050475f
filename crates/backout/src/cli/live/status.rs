//! `backout status`: where a release is, or where all are.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use super::controller::stopped;
use super::{Cluster, Connection, block_on, follow, gather, release_name};
use crate::cli::Output;
use crate::error::Failure;
use crate::exit_code::Exit;
use crate::render::live::status::Shown;
use crate::report::json::document;
use crate::terminal::Terminal;

/// Time between two looks while it is followed.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Shows where a release is: verdict, sets, steps, signals. Without a name, every release.
///
/// Reads only. What cannot be read is named, and the rest is shown. Ends with 0 whatever the
/// release does: `backout run` and `backout rollback` are the commands that end by the outcome.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The release, by name or as `release/NAME`. Default: every release of the namespace.
    #[arg(value_name = "NAME", value_parser = release_name)]
    name: Option<String>,
    /// Follow it until it has an outcome. On a terminal the page is drawn anew; elsewhere a line is
    /// added when something has changed.
    #[arg(short, long)]
    watch: bool,
    /// Form of the result. Followed, one document for every change.
    #[arg(short, long, value_enum, default_value_t = Output::Human)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    block_on(async {
        let cluster = arguments.connection.cluster(None).await?;
        if arguments.watch {
            let draws = arguments.output == Output::Human && io::stdout().is_terminal();
            let screen = Screen { terminal, output: arguments.output, draws, last: None };
            return watched(&cluster, arguments.name.as_deref(), screen, &mut stopped()?).await;
        }
        let looked = look(&cluster, arguments.name.as_deref()).await?;
        terminal.print(&looked.text(arguments.output)?)?;
        Ok(Exit::Pass)
    })
}

/// What was seen at one look.
enum Looked {
    One(Box<Shown>),
    All(crate::render::live::status::List),
}

async fn look(cluster: &Cluster, name: Option<&str>) -> Result<Looked, Failure> {
    match name {
        Some(name) => Ok(Looked::One(Box::new(gather::release(cluster, name).await?))),
        None => Ok(Looked::All(gather::releases(cluster).await?)),
    }
}

impl Looked {
    fn text(&self, output: Output) -> Result<String, Failure> {
        fn written<T: Serialize>(
            value: &T,
            output: Output,
            human: impl FnOnce() -> String,
        ) -> Result<String, Failure> {
            Ok(document(value, output)?.unwrap_or_else(human))
        }
        match self {
            Self::One(shown) => written(&**shown, output, || shown.render()),
            Self::All(list) => written(list, output, || list.render()),
        }
    }

    /// What changes when something changed, and not by the passing of time.
    fn essence(&self) -> Result<String, Failure> {
        self.text(Output::Jsonl)
    }

    fn is_over(&self) -> bool {
        matches!(self, Self::One(shown) if shown.status.outcome.is_some())
    }

    /// A change in a line, where pages would only be piled up.
    fn line(&self) -> Option<String> {
        let Self::One(shown) = self else { return None };
        let at = shown.now.strftime("%H:%M:%SZ");
        Some(format!("{at} {}\n", follow::in_a_line(&shown.status)))
    }
}

/// Where what was seen goes to.
struct Screen<'a> {
    terminal: &'a Terminal,
    output: Output,
    /// Whether the page is drawn anew each time.
    draws: bool,
    /// What was written last.
    last: Option<Written>,
}

struct Written {
    essence: String,
    line: Option<String>,
}

impl Screen<'_> {
    fn show(&mut self, looked: &Looked) -> Result<(), Failure> {
        if self.draws {
            return self.terminal.redraw(&looked.text(self.output)?);
        }
        let (essence, line) = (looked.essence()?, looked.line());
        let is_same = self.last.as_ref().is_some_and(|last| last.essence == essence);
        if is_same {
            return Ok(());
        }
        let is_first = self.last.is_none();
        let text = match (self.output, &line) {
            (Output::Human, Some(line)) if !is_first && !looked.is_over() => {
                // The times in front of the lines differ.
                let before = self.last.as_ref().and_then(|last| last.line.as_deref());
                let told = before.and_then(|it| it.split_once(' ')).map(|(_, told)| told);
                if told == line.split_once(' ').map(|(_, told)| told) {
                    String::new()
                } else {
                    line.clone()
                }
            }
            (Output::Yaml, _) => format!("---\n{}", looked.text(self.output)?),
            _ => looked.text(self.output)?,
        };
        self.last = Some(Written { essence, line });
        self.terminal.print(&text)
    }
}

async fn watched(
    cluster: &Cluster,
    name: Option<&str>,
    mut screen: Screen<'_>,
    stop: &mut watch::Receiver<bool>,
) -> Result<Exit, Failure> {
    let mut looked = look(cluster, name).await?;
    let mut trouble = String::new();
    loop {
        screen.show(&looked)?;
        if looked.is_over() {
            return Ok(Exit::Pass);
        }
        loop {
            tokio::select! {
                () = tokio::time::sleep(BETWEEN_LOOKS) => {}
                _ = stop.wait_for(|stop| *stop) => return Ok(Exit::Pass),
            }
            match look(cluster, name).await {
                Ok(new) => {
                    trouble.clear();
                    looked = new;
                    break;
                }
                // What is shown stays; the cluster may answer again.
                Err(failure) => {
                    let told = format!("note: {failure}\n");
                    if told != trouble {
                        screen.terminal.complain(&told);
                        trouble = told;
                    }
                }
            }
        }
    }
}
