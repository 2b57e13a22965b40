//! The work itself: requests, the plan of the union, and each environment that comes of them, once.

mod fill;
mod pieces;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;

use super::item::{Item, Outcome};
use super::items::{SpecFile, Wanted};
use super::paths::Found;
use super::report::Report;
use super::summary::announce;
use crate::cli::error::CliError;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::progress::{Display, ProgressArguments};
use crate::client::{Building, Client, ClientError, Directories, Events, Request};
use crate::spec::{Config, PinName};

use pieces::{Piece, Pieces};

/// Specs of which the roots are found side by side.
const SPECS_AT_ONCE: usize = 4;

/// What to do while nobody can be reached.
#[derive(Debug, Clone, Copy)]
pub(super) enum Patience {
    /// To give up.
    None,
    /// To try again, for so long at most.
    Wait(Option<Duration>),
}

/// Under which name what is filled is kept, and for how long.
pub(super) struct Pin {
    pub(super) name: PinName,
    pub(super) keep: Duration,
}

/// A prefill, while it goes on.
pub(super) struct Prefill<'a> {
    pub(super) client: &'a Client,
    pub(super) patience: Patience,
    /// Whether patience came to its end: then nobody waits again.
    pub(super) gave_up: Cell<bool>,
    pub(super) report: &'a RefCell<Report>,
    pub(super) progress: &'a ProgressArguments,
    pub(super) directories: Directories,
    /// Environments that are asked for at a time.
    pub(super) jobs: usize,
    pub(super) pin: Option<Pin>,
    /// Whether the server is to have the sources.
    pub(super) sources: bool,
}

impl Prefill<'_> {
    /// Does all of it, and notes in the report what became of each item.
    ///
    /// # Errors
    /// When there is too much of it.
    pub(super) async fn run(&self, found: Vec<Found>, mut wanted: Wanted, display: &Display) -> Result<(), CliError> {
        let read = self.read(found).await;
        let reached = match read.is_empty() {
            true => Ok(()),
            false => self.persist(display, async || self.client.reach().await).await,
        };
        // Which environments a file has only the server may know.
        wanted.all &= reached.is_ok();
        let mut files = Vec::new();
        for file in read {
            files.push(self.expand(file, &wanted, display).await?);
        }
        if let Err(error) = reached {
            self.fail_rest(&Failure::of(&error.into()));
            return Ok(());
        }
        let pieces = self.pieces(&files, display).await;
        display.clear();
        warn_unknown(&wanted.configs, &pieces);
        self.plan(&pieces).await;
        self.work(&files, pieces).await;
        Ok(())
    }

    /// Does something, again while nobody can be reached and that is to be waited for.
    pub(super) async fn persist<T>(
        &self,
        events: &dyn Events,
        work: impl AsyncFn() -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let Patience::Wait(longest) = self.patience else { return work().await };
        if self.gave_up.get() {
            return work().await;
        }
        let done = self.client.wait_for(longest, events, work).await;
        self.gave_up.set(self.gave_up.get() || matches!(done, Err(ClientError::Waited { .. })));
        done
    }

    /// Turns the items into requests, and puts those together that have one key.
    async fn pieces(&self, files: &[SpecFile], events: &dyn Events) -> Pieces {
        let requests = async |file: &SpecFile| {
            let wanted = file.asked.iter().map(|asked| (&asked.target, &asked.config));
            self.client.requests(file.batch(&self.directories), wanted, Building::Forbidden, events).await
        };
        let requests: Vec<_> = futures::stream::iter(files).map(requests).buffered(SPECS_AT_ONCE).collect().await;
        let mut pieces = Pieces::default();
        for (number, (file, requests)) in files.iter().zip(requests).enumerate() {
            for (asked, request) in file.asked.iter().zip(requests) {
                match request {
                    Ok(request) => {
                        self.item(asked.item, |item| item.key = Some(request.parts.key()));
                        pieces.add(number, asked.item, request);
                    }
                    Err(error) if passes(&error) => pieces.add_later(number, asked),
                    Err(error) => {
                        let failure = Failure::of(&error.into());
                        self.item(asked.item, |item| item.fail(failure));
                    }
                }
            }
        }
        pieces
    }

    /// Says what all of it comes to.
    async fn plan(&self, pieces: &Pieces) {
        let requests: Vec<&Request> = pieces.iter().filter_map(Piece::request).collect();
        let plan = self.client.plan_union(&requests).await;
        let items = self.report.borrow().items.len();
        announce(&plan, items, pieces.len(), pieces.len() - requests.len());
        self.report.borrow_mut().planned(&plan);
    }

    /// Does every piece of work, so many at a time.
    async fn work(&self, files: &[SpecFile], pieces: Pieces) {
        let backed_up: Vec<&SpecFile> = files.iter().filter(|file| self.sources && !file.asked.is_empty()).collect();
        let board = self.progress.board(pieces.len() + backed_up.len());
        // Before what is made from them, which then finds them.
        let sources = futures::stream::iter(backed_up).map(|file| self.back_up(file, &board));
        sources.buffered(SPECS_AT_ONCE).for_each(async |sources| self.report.borrow_mut().sources.push(sources)).await;
        let (ready, later): (Vec<_>, Vec<_>) = pieces.into_iter().partition(|piece| piece.request().is_some());
        for pieces in [ready, later] {
            let work = futures::stream::iter(pieces).map(|piece| self.fill(files, piece, &board));
            work.buffer_unordered(self.jobs).for_each(async |()| ()).await;
        }
        board.clear();
    }

    fn item(&self, number: usize, note: impl FnOnce(&mut Item)) {
        note(&mut self.report.borrow_mut().items[number]);
    }

    /// Notes the same failure with all items of which nothing has become yet.
    fn fail_rest(&self, failure: &Failure) {
        let mut report = self.report.borrow_mut();
        let rest = report.items.iter_mut().filter(|item| item.outcome == Outcome::Unfinished);
        rest.for_each(|item| item.fail(failure.clone()));
    }
}

/// Says whether a request may be made later: when the server is there again, or something is built, or the others have
/// given a root.
fn passes(error: &ClientError) -> bool {
    error.is_unavailable() || matches!(error, ClientError::Unbuilt { .. } | ClientError::AbsentRoot { .. })
}

/// Tells of variables that were set and mean nothing to any of the environments.
fn warn_unknown(configs: &[Config], pieces: &Pieces) {
    let set: BTreeSet<&str> = configs.iter().flat_map(Config::iter).map(|(name, _)| name).collect();
    let requests: Vec<&Request> = pieces.iter().filter_map(Piece::request).collect();
    let matters = |name: &str| {
        requests.iter().any(|request| request.parts.effective_config.iter().any(|(known, _)| known == name))
    };
    if requests.is_empty() || requests.len() < pieces.len() {
        return;
    }
    for name in set.into_iter().filter(|name| !matters(name)) {
        output::note(&format!("none of the environments has a variable `{name}`, so it changes nothing"));
    }
}
