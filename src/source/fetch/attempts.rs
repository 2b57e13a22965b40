//! Attempts at one address, until it gives the file or cannot be expected to.

use std::sync::Arc;
use std::time::Duration;

use super::check::Expected;
use super::error::Fault;
use super::partial::Partial;
use super::transfer::Transfer;
use super::web::{Asked, Web};
use super::{FetchProgress, Fetcher, Reason};
use crate::store::blocking;
use crate::transport::Backoff;

/// The longest pause between attempts, also when the server asks for one.
pub(in crate::source) const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// An attempt that brings the file on by so many bytes does not count.
const WORTH: u64 = 1 << 20;

/// What is fetched from one address.
pub(in crate::source) struct Attempts<'a> {
    pub(in crate::source) fetcher: &'a Fetcher,
    pub(in crate::source) web: &'a Web,
    pub(in crate::source) asked: &'a Asked<'a>,
    /// The address without credentials.
    pub(in crate::source) shown: &'a str,
    pub(in crate::source) expected: &'a Arc<Expected>,
    pub(in crate::source) progress: &'a dyn FetchProgress,
}

impl Attempts<'_> {
    /// Makes `partial` the whole file, and checks it.
    pub(in crate::source) async fn run(&self, partial: &mut Partial) -> Result<(), Fault> {
        let options = &self.fetcher.shared.options;
        let mut backoff = Backoff::new(options.first_pause, LONGEST_PAUSE);
        let mut furthest = partial.size();
        let mut left = options.attempts.max(1);
        loop {
            let reason = match self.attempt(partial).await {
                Ok(()) => return Ok(()),
                Err(Fault::Address(reason)) if reason.is_transient() => reason,
                Err(fault) => return Err(fault),
            };
            // Counted from the furthest byte yet: who starts over each time does not get on.
            if partial.size() >= furthest.saturating_add(WORTH) {
                furthest = partial.size();
                left = options.attempts.max(1);
                backoff = Backoff::new(options.first_pause, LONGEST_PAUSE);
            } else {
                left -= 1;
            }
            let Some(pause) = pause(&reason, &mut backoff).filter(|_| left > 0) else { return Err(reason.into()) };
            tracing::debug!(address = self.shown, %reason, ?pause, "a transfer is tried again");
            tokio::time::sleep(pause).await;
        }
    }

    /// Transfers what is lacking, and checks the whole. A file that was put together from several answers and is
    /// another one than expected may be one of several versions: then it is transferred once more, from the start.
    async fn attempt(&self, partial: &mut Partial) -> Result<(), Fault> {
        if !partial.is_whole() {
            self.transfer(partial).await?;
        }
        let mut checked = self.check(partial).await;
        if partial.is_pieced() && matches!(checked, Err(Reason::Mismatch(_))) {
            partial.clear().await?;
            self.transfer(partial).await?;
            checked = self.check(partial).await;
        }
        if checked.is_err() {
            partial.clear().await?;
        }
        Ok(checked?)
    }

    async fn transfer(&self, partial: &mut Partial) -> Result<(), Fault> {
        let shared = &self.fetcher.shared;
        let _permit = shared.transfers.acquire().await.expect("it is never closed");
        let max_bytes = self.max_bytes();
        let (web, asked, shown, progress) = (self.web, self.asked, self.shown, self.progress);
        let transfer = Transfer { web, asked, shown, max_bytes, progress };
        match transfer.run(partial).await {
            // What lay here is of no use with this server, and forgotten: now it is asked for the whole.
            Err(Fault::Address(Reason::OtherRange { .. })) => transfer.run(partial).await,
            done => done,
        }
    }

    async fn check(&self, partial: &Partial) -> Result<(), Reason> {
        let (expected, path) = (Arc::clone(self.expected), partial.path().to_owned());
        let limit = self.max_bytes();
        blocking(move || expected.check(&path, limit).map(drop)).await
    }

    /// Returns the bytes that are taken: as many as it has, where that is known.
    fn max_bytes(&self) -> u64 {
        let limit = self.fetcher.shared.options.max_bytes;
        self.expected.size().map_or(limit, |size| size.min(limit))
    }
}

/// Returns how long to wait before the next attempt, or `None` when the server wants to be left alone for longer.
pub(in crate::source) fn pause(reason: &Reason, backoff: &mut Backoff) -> Option<Duration> {
    match reason {
        Reason::Status { retry_after: Some(seconds), .. } => {
            Some(Duration::from_secs(*seconds)).filter(|pause| *pause <= LONGEST_PAUSE)
        }
        _ => Some(backoff.pause()),
    }
}
