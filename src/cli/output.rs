//! What goes to stdout and stderr: results, errors, the log.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::error::CliError;
use super::failure::Failure;

/// Sends log records to stderr: a daemon's from `info` up, else from `warn` up; `ENVSERVE_LOG` says otherwise.
pub(super) fn start_log(daemon: bool) {
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false);
    match EnvFilter::try_from_env("ENVSERVE_LOG") {
        Ok(filter) => log.with_env_filter(filter).init(),
        // A filter takes milliseconds to put together.
        Err(_) => log.with_max_level(if daemon { LevelFilter::INFO } else { LevelFilter::WARN }).init(),
    }
}

/// Prints a line to stdout.
pub(super) fn print(line: &[u8]) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(line)
        .and_then(|()| stdout.write_all(b"\n"))
        .and_then(|()| stdout.flush())
        .map_err(CliError::Stdout)
}

/// Prints a remark to stderr.
pub(super) fn note(text: &str) {
    // Nobody is left to tell when stderr is closed.
    drop(writeln!(io::stderr(), "note: {text}"));
}

/// Prints an error with its causes, the log of a failed build, and a hint.
pub(super) fn show_error(error: &CliError) {
    if error.is_silent() {
        return;
    }
    say(&format!("error: {}", Failure::of(error)));
}

/// Writes text to stderr.
pub(super) fn say(text: &str) {
    // Nobody is left to tell when stderr is closed.
    drop(io::stderr().write_all(text.as_bytes()));
}
