//! What is known of a build while it runs.

use std::collections::VecDeque;

use tokio::sync::watch;

use crate::execute::{ExecutionEvents, Stage};

/// Lines of a running action's output that are kept.
const LOG_LINES: usize = 10;

/// What a build is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Finding out what has to be built.
    #[default]
    Plan,
    /// Bringing sources into the CAS.
    Roots,
    /// Waiting for a place at the executor.
    Queue,
    /// Running actions.
    Build,
    /// Writing the descriptor.
    Publish,
}

impl Phase {
    /// Returns the name used in the protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Roots => "roots",
            Self::Queue => "queue",
            Self::Build => "build",
            Self::Publish => "publish",
        }
    }
}

/// The state of a build. Each value replaces the last, so a reader may skip some.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// On which environment.
    pub environment: String,
    /// Actions that have ended.
    pub actions_done: u32,
    /// Actions that the build comes to.
    pub actions_total: u32,
    /// The last lines of the running action's output.
    pub log: VecDeque<String>,
}

/// Where a build tells of its progress.
#[derive(Debug, Clone)]
pub struct ProgressSink {
    sender: watch::Sender<Progress>,
}

impl ProgressSink {
    /// Returns a sink that has nothing to tell yet.
    pub fn new() -> Self {
        Self { sender: watch::Sender::default() }
    }

    /// Returns a reader that sees the newest state.
    pub fn subscribe(&self) -> watch::Receiver<Progress> {
        self.sender.subscribe()
    }

    /// Begins a phase.
    pub fn phase(&self, phase: Phase) {
        self.sender.send_modify(|progress| progress.phase = phase);
    }

    /// Turns to an environment; its log starts empty.
    pub fn environment(&self, name: &str) {
        self.sender.send_modify(|progress| {
            name.clone_into(&mut progress.environment);
            progress.log.clear();
        });
    }

    /// Sets the number of actions done and of all.
    pub fn actions(&self, done: u32, total: u32) {
        self.sender.send_modify(|progress| {
            progress.actions_done = done;
            progress.actions_total = total;
        });
    }

    /// Shows what a build that this one waits for is doing. The count of actions stays this one's own.
    pub fn show(&self, other: &Progress) {
        self.sender.send_modify(|progress| {
            progress.phase = other.phase;
            progress.environment.clone_from(&other.environment);
            progress.log.clone_from(&other.log);
        });
    }
}

impl Default for ProgressSink {
    fn default() -> Self {
        Self::new()
    }
}

impl ExecutionEvents for ProgressSink {
    fn stage(&self, stage: Stage) {
        match stage {
            Stage::Queued => self.phase(Phase::Queue),
            Stage::Executing => self.phase(Phase::Build),
            Stage::CacheCheck | Stage::Completed => {}
        }
    }

    fn log(&self, line: &str) {
        self.sender.send_modify(|progress| {
            if progress.log.len() == LOG_LINES {
                progress.log.pop_front();
            }
            progress.log.push_back(line.to_owned());
        });
    }
}
