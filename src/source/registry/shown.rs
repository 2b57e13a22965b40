//! What was last shown to each repository: tokens are good for more than one request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Url;
use reqwest::header::HeaderValue;

/// How long it is shown again. Credentials that were taken away are not used for longer.
const KEPT: Duration = Duration::from_secs(300);
/// Most repositories for which it is kept.
const MAX_KEPT: usize = 256;

/// What was last shown to one repository. Who has the lock finds out what to show instead.
pub(super) type Shown = Arc<tokio::sync::Mutex<Option<HeaderValue>>>;

/// What was last shown to repositories, by their addresses.
#[derive(Clone, Default)]
pub(super) struct LastShown(Arc<Mutex<HashMap<Url, (Instant, Shown)>>>);

impl LastShown {
    /// Returns what was shown to the repository, to be looked at and replaced.
    pub(super) fn to(&self, base: &Url) -> Shown {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (since, _)| since.elapsed() < KEPT);
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        let (_, shown) = kept.entry(base.clone()).or_insert_with(|| (Instant::now(), Shown::default()));
        Arc::clone(shown)
    }
}
