//! A build that requests wait for.

use std::sync::Arc;

use super::checkpoints::check;
use crate::environment::{BuildError, Priority, Progress};
use crate::serve::admission::Rights;
use crate::serve::cache::Answer;
use crate::serve::flight::Seat;

/// A build that a request waits for.
pub struct Flight {
    pub(super) seat: Seat<Result<Answer, Arc<BuildError>>>,
    pub(super) environment: String,
    pub(super) rights: Rights,
}

impl Flight {
    /// Returns the priority of the build.
    pub(super) fn priority(&self) -> &Priority {
        self.seat.priority()
    }

    /// Waits for the next progress; `None` at the end.
    pub async fn next(&mut self) -> Option<Progress> {
        self.seat.next().await
    }

    /// Waits for the end of the build.
    ///
    /// # Errors
    /// Those of the build; `CheckpointDenied` when whoever asked may not have what was built.
    pub async fn answer(mut self) -> Result<Answer, Arc<BuildError>> {
        let lost = || Err(Arc::new(BuildError::Lost { environment: self.environment.clone() }));
        let answer = self.seat.result().await.unwrap_or_else(lost)?;
        check(self.rights, &self.environment, &answer)?;
        Ok(answer)
    }
}
