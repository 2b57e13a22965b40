//! How this process speaks on stderr.

use std::env;
use std::io::{self, IsTerminal};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};

use super::json::{What, say};
use super::{Board, Display};

/// What is told while work goes on.
#[derive(Debug, Args)]
pub(in crate::cli) struct ProgressArguments {
    /// Say only what goes wrong.
    #[arg(short, long)]
    quiet: bool,

    /// How to tell what happens on stderr.
    #[arg(long, env = "ENVSERVE_EVENTS", value_enum, value_name = "FORMAT")]
    events: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people: lines that change on a terminal, whole lines elsewhere.
    #[value(alias = "")]
    Text,
    /// For programs: JSON, an object a line.
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
            Some(Format::Text) | None if self.quiet => Manner::Quiet,
            Some(Format::Text) | None if is_at_terminal() => Manner::Terminal,
            Some(Format::Text) | None => Manner::Lines,
        };
        if CHOSEN.set((manner, Instant::now())).is_ok() && manner == Manner::Json {
            let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let unix_ms = u64::try_from(unix_ms).unwrap_or(u64::MAX);
            say(None, What::Begin { unix_ms, envserve: env!("CARGO_PKG_VERSION").to_owned() });
        }
        Manner::of_process()
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
