//! Asks a person before something is done.

use std::io::{self, BufRead as _, IsTerminal as _};

use crate::error::Failure;
use crate::terminal::Terminal;

/// Whether a person is asked.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Consent {
    /// Do it without asking.
    #[arg(long)]
    yes: bool,
    /// Never ask: without `--yes` nothing is done.
    #[arg(long)]
    no_input: bool,
}

impl Consent {
    /// Asks, unless the answer is given already.
    ///
    /// # Errors
    /// When the answer is no, or nobody can be asked.
    pub(crate) fn ask(&self, terminal: &Terminal, question: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if self.no_input || !io::stdin().is_terminal() {
            return Err(Failure::usage(
                format!("nobody can be asked: {question}"),
                "give `--yes` to do it without asking; nothing was done",
            ));
        }
        terminal.complain(&format!("{question} [y/N] "));
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(Failure::Output)?;
        if matches!(line.trim().to_lowercase().as_str(), "y" | "yes") {
            Ok(())
        } else {
            Err(Failure::usage("not confirmed", "nothing was done"))
        }
    }
}
