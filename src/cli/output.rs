//! What goes to stdout and stderr: results, errors, the log.

mod absent;
mod asked;
mod explained;
mod fetched;
mod host;
mod planned;
mod version;

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

pub(super) use absent::Absent;
pub(super) use asked::{KeyComponents, Variables};
pub(super) use explained::Explained;
pub(super) use fetched::{FetchedEnvironment, FetchedSources, ProbedEnvironment, ProbedState};
pub(super) use host::{Abilities, Checked, Instances};
pub(super) use planned::{Plan, Planned, UnknownRoot};
pub(super) use version::Version;

use super::Exit;
use super::error::CliError;
use super::failure::Failure;
use super::progress::{LogWriter, Manner, What, clean, print_to_stderr, say_json};

/// Sends log records to stderr: a daemon's from `info` up, else from `warn` up; `ENVSERVE_LOG` says otherwise.
pub(super) fn start_log(daemon: bool) {
    let log = tracing_subscriber::fmt()
        .with_writer(LogWriter)
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

/// Prints one JSON object in a line to stdout.
pub(super) fn print_json(object: &impl Serialize) -> Result<(), CliError> {
    print(value(object).to_string().as_bytes())
}

/// Returns an object as JSON, its fields in the order of their names.
pub(super) fn value(object: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(object).expect("what is printed has text keys and texts")
}

/// Prints a remark to stderr.
pub(super) fn note(text: &str) {
    match Manner::of_process() {
        Manner::Json => say_json(None, What::Note { text: text.to_owned() }),
        Manner::Terminal | Manner::Lines => print_to_stderr(format!("note: {}\n", clean(text)).as_bytes()),
        Manner::Quiet => {}
    }
}

/// Says that the process is about to end.
pub(super) fn end(exit: Exit) {
    if Manner::of_process() == Manner::Json {
        say_json(None, What::Done { exit: exit.code() });
    }
}

/// Prints an error with its causes, the log of a failed build, and a hint.
pub(super) fn show_error(error: &CliError) {
    if !error.is_silent() {
        show_failure(None, &Failure::of(error));
    }
}

/// Prints an error, and of what it is.
pub(super) fn show_failure(of: Option<&str>, failure: &Failure) {
    if Manner::of_process() == Manner::Json {
        let Failure { message, causes, hint, log, .. } = failure.clone();
        return say_json(of, What::Error { message, causes, hint, log });
    }
    let of = of.map(|of| format!("{of}: ")).unwrap_or_default();
    print_to_stderr(format!("error: {}{failure}", clean(&of)).as_bytes());
}
