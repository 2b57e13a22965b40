//! An error as it is shown, and as reports have it: everything that there is to say of it.

use std::error::Error;
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::error::CliError;
use super::progress::clean;

/// What there is to say of an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Failure {
    /// The word for its exit code.
    pub(super) class: &'static str,
    /// The exit code of a command that ends with it.
    pub(super) exit_code: u8,
    /// What was attempted.
    pub(super) message: String,
    /// Why that failed, the last cause last.
    pub(super) causes: Vec<String>,
    /// What to do.
    pub(super) hint: Option<String>,
    /// The end of the output of a build that failed.
    pub(super) log: Option<String>,
}

impl Failure {
    pub(super) fn of(error: &CliError) -> Self {
        let exit = error.exit();
        Self {
            class: exit.class(),
            exit_code: exit.code(),
            message: error.to_string(),
            causes: std::iter::successors(error.source(), |cause| (*cause).source()).map(ToString::to_string).collect(),
            hint: error.hint(),
            log: error.log().map(str::to_owned),
        }
    }
}

impl fmt::Display for Failure {
    /// The message, then the causes, the log and a hint, without anything that a terminal obeys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", clean_lines(&self.message))?;
        self.causes.iter().try_for_each(|cause| writeln!(f, "caused by: {}", clean_lines(cause)))?;
        if let Some(log) = &self.log {
            writeln!(f, "the end of its output:")?;
            log.lines().try_for_each(|line| writeln!(f, "  | {}", clean(line)))?;
        }
        self.hint.iter().try_for_each(|hint| writeln!(f, "hint: {}", clean_lines(hint)))
    }
}

fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}
