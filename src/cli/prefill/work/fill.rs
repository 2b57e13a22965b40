//! One piece of work: an environment, or the sources of a spec.

use std::time::Instant;

use super::pieces::{Attempt, Piece};
use super::{Pin, Prefill};
use crate::cli::failure::Failure;
use crate::cli::prefill::item::{Item, Outcome};
use crate::cli::prefill::items::SpecFile;
use crate::cli::prefill::report::{Sources, milliseconds};
use crate::cli::prefill::summary;
use crate::cli::progress::Board;
use crate::client::{Building, ClientError, Events, Filled, Request};

/// What came of a piece of work.
struct Done {
    request: Box<Request>,
    filled: Filled,
    kept_until: Option<i64>,
}

impl Prefill<'_> {
    /// Gives the server the sources of a spec.
    pub(super) async fn back_up(&self, file: &SpecFile, board: &Board) -> Sources {
        let progress = board.item(&format!("sources of {}", file.file));
        let mut sources = Vec::new();
        for (spec, base) in file.variants() {
            let back_up = async || self.client.back_up_sources(&spec, base, &progress).await;
            match self.persist(&progress, back_up).await {
                Ok(more) => sources.extend(more),
                Err(error) => {
                    progress.end(Outcome::Failed.as_str());
                    return Sources::new(&file.file, Err(Failure::of(&error.into())));
                }
            }
        }
        sources.sort_by(|a, b| a.repository.cmp(&b.repository));
        sources.dedup_by(|a, b| a.repository == b.repository);
        progress.end("there");
        Sources::new(&file.file, Ok(sources))
    }

    /// Has the server have an environment, and notes with each of its items what became of that.
    pub(super) async fn fill(&self, files: &[SpecFile], piece: Piece, board: &Board) {
        let name = summary::name(&self.report.borrow().items[piece.items[0]]);
        let (progress, started) = (board.item(&name), Instant::now());
        let outcome = self.attempts(files, &piece, &progress).await;
        let duration = milliseconds(started.elapsed());
        let noted = match outcome {
            Ok(Done { request, filled, kept_until }) => {
                let outcome = if filled.hit { Outcome::Hit } else { Outcome::Built };
                self.note(&piece, outcome, |item| {
                    item.key = Some(request.parts.key());
                    item.root = Some(filled.descriptor.root);
                    (item.duration_ms, item.kept_until) = (Some(duration), kept_until);
                })
            }
            Err(error) => {
                let failure = Failure::of(&error.into());
                self.note(&piece, Outcome::Failed, |item| {
                    item.fail(failure.clone());
                    item.duration_ms = Some(duration);
                })
            }
        };
        progress.end(noted.as_str());
    }

    /// Tries what specs there are of one environment: one may have a root that another lacks.
    async fn attempts(&self, files: &[SpecFile], piece: &Piece, events: &dyn Events) -> Result<Done, ClientError> {
        let mut first = None;
        for attempt in &piece.attempts {
            match self.attempt(files, attempt, events).await {
                Ok(done) => return Ok(done),
                Err(error) => {
                    let of_root = matches!(error, ClientError::AbsentRoot { .. } | ClientError::Source(_));
                    let error = first.get_or_insert(error);
                    if !of_root {
                        break;
                    }
                    tracing::debug!(%error, "another spec may have the root");
                }
            }
        }
        Err(first.expect("a piece of work has an attempt"))
    }

    async fn attempt(&self, files: &[SpecFile], attempt: &Attempt, events: &dyn Events) -> Result<Done, ClientError> {
        let fill = async || {
            let request = match attempt {
                Attempt::Ready { request, .. } => request.clone(),
                Attempt::Later { file, target, config } => {
                    let batch = files[*file].batch(&self.directories);
                    let request = self.client.requests(batch, [(target, config)], Building::Allowed, events).await;
                    Box::new(request.into_iter().next().expect("one was asked for")?)
                }
            };
            let filled = self.client.fill(&request, events).await?;
            let kept_until = match &self.pin {
                Some(Pin { name, keep }) => Some(self.client.keep(&request, name, *keep).await?),
                None => None,
            };
            Ok(Done { request, filled, kept_until })
        };
        self.persist(events, fill).await
    }

    fn note(&self, piece: &Piece, outcome: Outcome, note: impl Fn(&mut Item)) -> Outcome {
        for number in &piece.items {
            self.item(*number, |item| {
                item.outcome = outcome;
                note(item);
            });
        }
        outcome
    }
}
