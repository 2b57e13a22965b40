//! The progress of one piece of work.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::client::{Event, Events};
use crate::spec::{nearest, shown};

/// Time between two lines of progress where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows progress on stderr: a line that changes on a terminal, else a line now and then.
pub(in crate::cli) struct Display {
    bar: ProgressBar,
    /// When each topic was last spoken of; set where lines are said: neither on a terminal nor when quiet.
    said: Option<Mutex<HashMap<String, Instant>>>,
}

impl Display {
    pub(in crate::cli) fn new(quiet: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let bar = terminal && !quiet;
        let target = if bar { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let said = (!terminal && !quiet).then(|| Mutex::new(HashMap::new()));
        Self { bar: ProgressBar::with_draw_target(None, target), said }
    }

    /// Takes the progress off the terminal.
    pub(in crate::cli) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Says a line unless the topic was spoken of a moment ago.
    fn say(&self, topic: &str, line: &str) {
        let Some(said) = &self.said else { return };
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if said.get(topic).is_some_and(|at| now < *at + LINE_EVERY) {
            return;
        }
        said.insert(topic.to_owned(), now);
        drop(writeln!(io::stderr(), "{line}"));
    }

    /// Says a line that is not replaced, unless nothing is to be said.
    fn warn(&self, text: &str) {
        if self.said.is_some() || !self.bar.is_hidden() {
            self.bar.suspend(|| drop(writeln!(io::stderr(), "warning: {text}")));
        }
    }

    fn spin(&self, message: String) {
        self.bar.set_style(style("{spinner} {wide_msg}"));
        self.bar.enable_steady_tick(Duration::from_millis(100));
        self.bar.set_message(message);
    }

    fn download(&self, done: u64, total: u64) {
        if self.bar.length() != Some(total) {
            self.bar.disable_steady_tick();
            self.bar.set_style(style("fetching {bytes}/{total_bytes} {wide_bar} {bytes_per_sec} {eta}"));
            self.bar.set_length(total);
        }
        self.bar.set_position(done);
        let megabytes = |bytes| bytes / 1_000_000;
        self.say("download", &format!("fetching: {} of {} MB", megabytes(done), megabytes(total)));
    }
}

/// Says which variables there are in place of one that there is not.
fn unknown_variable(name: &str, environment: &str, known: &[String]) -> String {
    let said = format!("environment `{environment}` has no variable `{}`, so it changes nothing", shown(name));
    if known.is_empty() {
        return format!("{said}: there is none that it has");
    }
    let meant = nearest(name, known.iter().map(String::as_str));
    let meant = meant.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
    format!("{said}; {meant}it has `{}`", known.join("`, `"))
}

fn style(template: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are constants of this file")
}

impl Events for Display {
    fn event(&self, event: Event) {
        match event {
            Event::UnknownVariable { name, environment, known } => {
                self.warn(&unknown_variable(&name, &environment, &known));
            }
            Event::Root { repository } => {
                let line = format!("fetching the sources of `{repository}`");
                self.say(&line, &line);
                self.spin(line);
            }
            Event::FetchedByServer { repository, serve } => {
                let line = format!("`{serve}` has fetched the sources of `{repository}`");
                self.say(&line, &line);
            }
            Event::Fetch { file, address, done, total } => {
                let total = total.map(|total| format!(" of {}", HumanBytes(total))).unwrap_or_default();
                let line = format!("fetching `{file}` from `{address}`: {}{total}", HumanBytes(done));
                self.say(&format!("fetch {file}"), &line);
                self.spin(line);
            }
            Event::Upload { repository } => {
                let line = format!("sending the sources of `{repository}`");
                self.say(&line, &line);
                self.spin(line);
            }
            Event::Build { phase, environment, actions_done, actions_total, log } => {
                let line = format!("{phase} {environment}: {actions_done} of {actions_total} actions done");
                if phase == "build" {
                    self.say(&format!("build {environment}"), &line);
                }
                self.spin(log.last().map_or(line.clone(), |last| format!("{line} | {last}")));
            }
            Event::Answer { .. } => {}
            Event::Download { done, total } => self.download(done, total),
            Event::Detour { cas, serve, reason } => {
                let line = format!("cannot fetch from `{cas}` itself ({reason}): blobs come through `{serve}`");
                self.say("detour", &line);
                self.spin(line);
            }
            Event::Waiting { reason } => {
                let line = format!("waiting: {reason}");
                self.say("waiting", &line);
                self.spin(line);
            }
            Event::Local { reason } => {
                let line = format!("building on this host: {reason}");
                self.say("local", &line);
                self.spin(line);
            }
            Event::Lost { first, count } => {
                let others = if count > 1 { format!(" and {} other blobs", count - 1) } else { String::new() };
                let line = format!("blob `{first}`{others} of the answer not found in the CAS: asking again");
                self.say(&line, &line);
                self.spin(line);
            }
        }
    }
}
