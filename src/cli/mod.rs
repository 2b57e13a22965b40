//! The command line: a file per verb, each typed arguments → one call → output.
//!
//! stdout is data, stderr is everything else.

mod absolute;
mod arguments;
mod client;
mod completion;
mod describe;
mod described;
mod doctor;
mod duration;
mod env;
mod error;
mod execute;
mod execution;
mod exit;
mod explain;
mod failure;
mod fetch;
mod fsck;
mod gc;
mod headings;
mod instance;
mod key;
mod make_checkpoint;
mod manual;
mod nix;
mod output;
mod pins;
mod placement;
mod plan;
mod prefill;
mod progress;
mod remote;
mod resolve;
mod run;
mod schema;
mod security;
mod serve;
mod shell;
mod sources;
mod store;
mod trial;

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

pub use exit::Exit;

use crate::checkpoint::VERB as CHECKPOINT_VERB;
use crate::client::ClientError;
use crate::container::{HOOK_VERB, attach};
use crate::instance::{SUPERVISE_VERB, supervise};

use error::CliError;

/// Prepared environments: built once, fetched in milliseconds.
#[derive(Debug, Parser)]
#[command(name = "envserve", version, propagate_version = true, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const AFTER_HELP: &str = "\
Examples:
  envserve fetch spec.json                  print the directory of an environment
  envserve shell spec.json -- cc --version  run a command in it
  envserve plan spec.json                   say what a fetch would build and move

Without `--serve ADDRESS` or ENVSERVE_SERVE a private daemon is started, which leaves by itself.
What is printed on stdout is data. `envserve VERB --help` says more of each.";

impl Cli {
    /// Reads the command line of this process.
    fn read() -> Result<Self, clap::Error> {
        let mut command = headings::grouped(Self::command());
        let matches = command.try_get_matches_from_mut(std::env::args_os())?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Get an environment and print the directory it lies in.
    Fetch(fetch::Arguments),
    /// Run a command, or a shell, in an environment.
    Shell(shell::Arguments),
    /// Print the variables of an environment, to be evaluated by a shell.
    Env(env::Arguments),
    /// Print the documentation of an environment.
    Describe(describe::Arguments),
    /// Say what fetching an environment would build and move.
    Plan(plan::Arguments),
    /// Say why an environment is not in the cache.
    Explain(explain::Arguments),
    /// Print the key of an environment.
    Key(key::Arguments),
    /// Print the spec with every root fixed by its Git tree id.
    Resolve(resolve::Arguments),
    /// Have a server build environments before anybody needs them.
    Prefill(Box<prefill::Arguments>),
    /// List or drop the names under which a server keeps entries.
    Pins(pins::Arguments),
    /// Run a command in an image.
    Run(run::Arguments),
    /// Start instances of an image, which run beside each other.
    Up(Box<instance::up::Arguments>),
    /// Run a command in an instance.
    Exec(instance::exec::Arguments),
    /// Copy files between this host and instances.
    Cp(instance::cp::Arguments),
    /// Print what an instance has said.
    Logs(instance::logs::Arguments),
    /// Start instances again from their image.
    Reset(instance::reset::Arguments),
    /// End instances.
    Down(instance::down::Arguments),
    /// List the instances that are there.
    Ps(instance::ps::Arguments),
    /// Make the forms of a warm service, as an action.
    #[command(name = CHECKPOINT_VERB, hide = true)]
    MakeCheckpoint,
    /// Run the daemon that answers requests for environments.
    Serve(Box<serve::Arguments>),
    /// Run a remote-execution endpoint alone.
    Execute(execute::Arguments),
    /// Evict from the store of a daemon what was not used for long.
    Gc(gc::Arguments),
    /// Check the store of a daemon, and mend it.
    Fsck(fsck::Arguments),
    /// Say what this host can, and how to get what it lacks.
    Doctor(doctor::Arguments),
    /// Print the JSON schema of a file that is read, or of what `--json` prints.
    Schema(schema::Arguments),
    /// Print a script by which a shell completes the command line.
    Completion(completion::Arguments),
    /// Write the manual pages.
    Manual(manual::Arguments),
    /// Try something with containers, for `doctor`.
    #[command(hide = true)]
    Trial(trial::Arguments),
}

/// Exit codes of a process that SIGINT or SIGTERM has ended, as a shell has them.
const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    if let Some(exit) = run_by_itself() {
        return exit;
    }
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            drop(error.print());
            return exit.into();
        }
    };
    output::start_log(matches!(cli.verb, Verb::Serve(_) | Verb::Execute(_)));
    ended(run(cli.verb))
}

fn ended(outcome: Result<Exit, CliError>) -> ExitCode {
    let exit = outcome.unwrap_or_else(|error| {
        output::show_error(&error);
        error.exit()
    });
    output::end(exit);
    exit.into()
}

/// Runs one of the verbs by which this program starts itself whenever an instance starts: to put a whole command line
/// together for them would take longer than what they do.
fn run_by_itself() -> Option<ExitCode> {
    let words: Vec<OsString> = std::env::args_os().skip(1).take(3).collect();
    let outcome = match &words[..] {
        // Looks after an instance, as `up` says.
        [verb] if verb == SUPERVISE_VERB => {
            output::start_log(false);
            supervise().map_err(CliError::from)
        }
        // Hands a container that is being started to the process that looks after it.
        [verb, socket] if verb == HOOK_VERB => attach(socket.as_ref()).map_err(|error| ClientError::from(error).into()),
        _ => return None,
    };
    Some(ended(outcome.map(|()| Exit::Done)))
}

fn run(verb: Verb) -> Result<Exit, CliError> {
    match verb {
        Verb::Serve(arguments) => serve::run(&arguments),
        Verb::Execute(arguments) => execute::run(&arguments),
        Verb::Fetch(arguments) => verb_on_one_thread(fetch::run(arguments)),
        Verb::Resolve(arguments) => verb_on_one_thread(resolve::run(arguments)),
        Verb::Key(arguments) => verb_on_one_thread(key::run(arguments)),
        Verb::Plan(arguments) => verb_on_one_thread(plan::run(arguments)),
        Verb::Prefill(arguments) => to_its_end(prefill::run(*arguments)),
        Verb::Explain(arguments) => verb_on_one_thread(explain::run(arguments)),
        Verb::Schema(arguments) => schema::run(&arguments),
        Verb::Describe(arguments) => verb_on_one_thread(describe::run(arguments)),
        Verb::Env(arguments) => verb_on_one_thread(env::run(arguments)),
        Verb::Shell(arguments) => match on_one_thread(shell::prepare(arguments))? {
            ControlFlow::Continue(prepared) => prepared.run(),
            ControlFlow::Break(exit) => Ok(exit),
        },
        Verb::Run(arguments) => match on_one_thread(run::prepare(arguments))? {
            ControlFlow::Continue(prepared) => prepared.run(),
            ControlFlow::Break(exit) => Ok(exit),
        },
        Verb::Up(arguments) => verb_on_one_thread(instance::up::run(*arguments)),
        Verb::Exec(arguments) => instance::exec::run(arguments),
        Verb::Cp(arguments) => instance::cp::run(arguments),
        Verb::Logs(arguments) => instance::logs::run(arguments),
        Verb::Reset(arguments) => instance::reset::run(arguments),
        Verb::Down(arguments) => instance::down::run(arguments),
        Verb::Ps(arguments) => instance::ps::run(arguments),
        Verb::MakeCheckpoint => make_checkpoint::run(),
        Verb::Gc(arguments) => gc::run(&arguments),
        Verb::Pins(arguments) => verb_on_one_thread(pins::run(arguments)),
        Verb::Fsck(arguments) => fsck::run(&arguments),
        Verb::Doctor(arguments) => verb_on_one_thread(doctor::run(arguments)),
        Verb::Completion(arguments) => completion::run(&arguments),
        Verb::Manual(arguments) => manual::run(&arguments),
        Verb::Trial(arguments) => trial::run(&arguments),
    }
}

/// Runs a client's verb.
fn verb_on_one_thread(verb: impl Future<Output = Result<Exit, CliError>>) -> Result<Exit, CliError> {
    Ok(match on_one_thread(verb)? {
        ControlFlow::Continue(exit) | ControlFlow::Break(exit) => exit,
    })
}

/// Does a client's work; a signal breaks it off. One thread starts faster than many, and its work does not wait for
/// another core.
fn on_one_thread<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<ControlFlow<Exit, T>, CliError> {
    to_its_end(unless_signalled(work))
}

/// Does a client's work, which looks after signals itself.
fn to_its_end<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    let ended = runtime.block_on(work);
    // What still blocks is given up.
    runtime.shutdown_background();
    ended
}

/// Does work unless a signal breaks it off. What it has started ends with it: commands have a process group of their own.
async fn unless_signalled<T>(
    work: impl Future<Output = Result<T, CliError>>,
) -> Result<ControlFlow<Exit, T>, CliError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Runtime)?;
    tokio::select! {
        ended = work => ended.map(ControlFlow::Continue),
        _ = interrupt.recv() => Ok(ControlFlow::Break(Exit::Command(INTERRUPTED))),
        _ = terminate.recv() => Ok(ControlFlow::Break(Exit::Command(TERMINATED))),
    }
}
