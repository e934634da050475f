//! Where output goes: results to standard output, everything else to standard error.

use std::io::{self, IsTerminal as _, Write as _};

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;

use crate::error::Failure;

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless the environment says otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Standard output and standard error, with or without colour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    choice: ColorChoice,
    /// Whether the program was started by `kubectl`.
    is_plugin: bool,
}

impl Terminal {
    /// Streams with this choice of colour.
    pub(crate) const fn new(color: Color, is_plugin: bool) -> Self {
        let choice = match color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        Self { choice, is_plugin }
    }

    /// Writes a result. Styles in it are left out where there is no colour.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        let mut stream = AutoStream::new(io::stdout().lock(), self.choice);
        match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
            // A reader that has seen enough is no error, and must not hide the verdict.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(Failure::Output),
        }
    }

    /// Writes a page over the one before, on a terminal: what is gone is wiped, and what is the same
    /// does not flicker.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn redraw(&self, text: &str) -> Result<(), Failure> {
        const HOME: &str = "\x1b[H";
        const WIPE_LINE: &str = "\x1b[K\n";
        const WIPE_BELOW: &str = "\x1b[J";
        // What moves the cursor is no colour, and is kept where colours are not.
        let mut page = AutoStream::new(Vec::new(), self.choice_of_stdout());
        page.write_all(text.as_bytes()).map_err(Failure::Output)?;
        let page = String::from_utf8_lossy(&page.into_inner()).replace('\n', WIPE_LINE);
        let mut stream = io::stdout().lock();
        let drawn = format!("{HOME}{page}{WIPE_BELOW}");
        match stream.write_all(drawn.as_bytes()).and_then(|()| stream.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(Failure::Output),
        }
    }

    /// Whether standard output takes colours.
    fn choice_of_stdout(&self) -> ColorChoice {
        match self.choice {
            ColorChoice::Auto => AutoStream::choice(&io::stdout()),
            choice => choice,
        }
    }

    /// Writes a hint, progress or an error. Nothing can be done when that fails.
    pub(crate) fn complain(&self, text: &str) {
        let mut stream = AutoStream::new(io::stderr().lock(), self.choice);
        // Commands are told as they are typed.
        let typed = self.is_plugin.then(|| text.replace("`backout ", "`kubectl backout "));
        let text = typed.as_deref().unwrap_or(text);
        let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    }

    /// Whether a person watches standard error.
    pub(crate) fn is_watched(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Writes the log of everything below to standard error, a JSON document per line. `RUST_LOG`
    /// chooses what; by default everything that a person may have to act on.
    pub(crate) fn log_json(&self) {
        let filter = tracing_subscriber::EnvFilter::try_from_default_env()
            .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
        // A second subscriber changes nothing.
        let _ = tracing_subscriber::fmt()
            .json()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .try_init();
    }
}
