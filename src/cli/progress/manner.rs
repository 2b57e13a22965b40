//! How this process speaks on stderr.

use std::env;
use std::io::{self, IsTerminal};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::{Board, Display};

/// What is told while work goes on.
#[derive(Debug, Args)]
pub(in crate::cli) struct ProgressArguments {
    /// Say only what goes wrong.
    #[arg(short, long)]
    quiet: bool,

    /// Tell what happens on stderr, as one JSON object a line.
    #[arg(long, env = "ENVSERVE_EVENTS", value_enum, value_name = "FORMAT")]
    events: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// JSON, an object a line.
    Jsonl,
}

/// To whom this process speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Manner {
    /// A person at a terminal: lines that change.
    Terminal,
    /// A log: whole lines, now and then.
    Lines,
    /// A program.
    Json,
    /// Nobody who wants to know more than what goes wrong.
    Quiet,
}

static CHOSEN: OnceLock<(Manner, Instant)> = OnceLock::new();

impl Manner {
    /// Returns what was chosen; before that, what goes for every reader.
    pub(in crate::cli) fn of_process() -> Self {
        CHOSEN.get().map_or(Self::Lines, |(manner, _)| *manner)
    }

    /// Returns the time since it was chosen, which is when work began.
    pub(super) fn elapsed() -> Duration {
        CHOSEN.get().map(|(_, begun)| begun.elapsed()).unwrap_or_default()
    }
}

impl ProgressArguments {
    /// Chooses for this process; the first call counts.
    fn choose(&self) -> Manner {
        let manner = match self.events {
            Some(Format::Jsonl) => Manner::Json,
            None if self.quiet => Manner::Quiet,
            None if is_at_terminal() => Manner::Terminal,
            None => Manner::Lines,
        };
        CHOSEN.get_or_init(|| (manner, Instant::now())).0
    }

    /// Returns what shows one piece of work.
    pub(in crate::cli) fn display(&self) -> Display {
        Display::new(self.choose())
    }

    /// Returns what shows so many pieces of work.
    pub(in crate::cli) fn board(&self, total: usize) -> Board {
        Board::new(self.choose(), total)
    }

    /// Says whether only what goes wrong is to be said.
    pub(in crate::cli) fn is_quiet(&self) -> bool {
        self.quiet
    }
}

/// Says whether somebody looks at a terminal that understands more than lines.
fn is_at_terminal() -> bool {
    let plain = env::var_os("TERM").is_none_or(|terminal| terminal.is_empty() || terminal == "dumb");
    !plain && !is_set("CI") && io::stderr().is_terminal()
}

/// Says whether a variable is set to anything but a word for no.
fn is_set(name: &str) -> bool {
    env::var(name).is_ok_and(|value| !["", "0", "false"].contains(&value.as_str()))
}
