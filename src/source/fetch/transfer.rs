//! One request for a file or the rest of it, and what it brings.

use reqwest::{Response, StatusCode};

use super::error::Fault;
use super::partial::Partial;
use super::response::{length, notes, range, refusal, version};
use super::web::{Asked, Rest, Web};
use super::{FetchProgress, Reason};

/// Bytes that are gathered before they are written.
const PIECE: usize = 1 << 20;

/// Where a file comes from, and who is told.
pub(super) struct Transfer<'a> {
    pub(super) web: &'a Web,
    pub(super) asked: &'a Asked<'a>,
    /// The address without credentials.
    pub(super) shown: &'a str,
    pub(super) max_bytes: u64,
    pub(super) progress: &'a dyn FetchProgress,
}

impl Transfer<'_> {
    /// Brings the file, or what it lacks. What arrived before something went wrong is in `partial`.
    pub(super) async fn run(&self, partial: &mut Partial) -> Result<(), Fault> {
        let asked = partial.resumes().then_some(partial.size());
        let known = partial.notes().version.clone();
        let rest = asked.zip(known.as_deref()).map(|(byte, version)| Rest { byte, version });
        let mut response = self.web.ask(self.asked, rest).await?;
        match (response.status(), asked) {
            (StatusCode::OK, _) => {
                self.within_limit(length(response.headers()))?;
                partial.start(notes(response.headers())).await?;
            }
            (StatusCode::PARTIAL_CONTENT, Some(asked)) => {
                if !continues(&response, partial) {
                    return Err(other_range(partial, asked).await);
                }
                self.within_limit(length(response.headers()).map(|length| length.saturating_add(asked)))?;
                partial.goes_on();
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(asked)) => {
                let total = range(response.headers()).and_then(|range| range.total);
                return if total == Some(asked) { Ok(()) } else { Err(other_range(partial, asked).await) };
            }
            _ => return Err(refusal(&response).into()),
        }
        self.progress.begun(self.shown, partial.notes().total);
        self.receive(&mut response, partial).await
    }

    async fn receive(&self, response: &mut Response, partial: &mut Partial) -> Result<(), Fault> {
        let mut piece = Vec::new();
        loop {
            let done = partial.size() + piece.len() as u64;
            let next = match self.web.next(response, done).await {
                Ok(Some(next)) => next,
                end => {
                    partial.append(piece).await?;
                    self.progress.advanced(done);
                    return end.map(drop).map_err(Fault::from);
                }
            };
            if let Err(reason) = self.within_limit(Some(done + next.len() as u64)) {
                partial.clear().await?;
                return Err(reason.into());
            }
            piece.extend_from_slice(&next);
            if piece.len() >= PIECE {
                partial.append(std::mem::take(&mut piece)).await?;
                self.progress.advanced(partial.size());
            }
        }
    }

    fn within_limit(&self, bytes: Option<u64>) -> Result<(), Reason> {
        if bytes.is_some_and(|bytes| bytes > self.max_bytes) {
            return Err(Reason::TooLarge { limit: self.max_bytes });
        }
        Ok(())
    }
}

/// Says whether an answer starts where the file ends so far, and is of the same version as far as it says so.
fn continues(response: &Response, partial: &Partial) -> bool {
    let Some(range) = range(response.headers()) else { return false };
    let notes = partial.notes();
    let same = |known: Option<&str>, now: Option<&str>| known.is_none() || now.is_none() || known == now;
    let size = notes.total.is_none() || range.total.is_none() || notes.total == range.total;
    let version = same(notes.version.as_deref(), version(response.headers()).as_deref());
    range.first == Some(partial.size()) && size && version
}

async fn other_range(partial: &mut Partial, asked: u64) -> Fault {
    match partial.clear().await {
        Ok(()) => Reason::OtherRange { asked }.into(),
        Err(error) => error.into(),
    }
}
