//! Filling the cache of a server: many environments at once, of which nothing is downloaded.
//!
//! ```text
//! names of a file ─► requests of a spec ─► plan of the union ─► each filled
//! ```
//!
//! What is shared by several is built once: by the server, which has one flight for a key. A root that it does not
//! know is given once: by this client, where whoever needs it too waits.

mod keep;
mod names;
mod requests;
mod union;

use std::sync::atomic::{AtomicBool, Ordering};

use super::events::{Event, Events};
use super::{Client, ClientError, Request};
use crate::spec::Descriptor;

pub use requests::Batch;
pub use union::UnionPlan;

/// The priority of what is built before anybody needs it: what somebody waits for has 0, and comes first.
pub const PREFILL_PRIORITY: i32 = 100;

/// An environment that the server has.
#[derive(Debug, Clone)]
pub struct Filled {
    /// What it answered.
    pub descriptor: Descriptor,
    /// Whether it had the environment before.
    pub hit: bool,
}

impl Client {
    /// Sees to it that the server has an environment, and downloads nothing of it.
    ///
    /// # Errors
    /// As `fetch_absent`.
    ///
    /// # Cancel safety
    /// What has begun goes on at the server; the next call waits for it.
    pub async fn fill(&self, request: &Request, events: &dyn Events) -> Result<Filled, ClientError> {
        let heard = Heard { events, hit: AtomicBool::new(false) };
        let descriptor = self.fetch_absent(request, &heard).await?;
        Ok(Filled { descriptor, hit: heard.hit.into_inner() })
    }
}

/// Passes events on, and remembers whether the answer came from the cache.
struct Heard<'a> {
    events: &'a dyn Events,
    hit: AtomicBool,
}

impl Events for Heard<'_> {
    fn event(&self, event: Event) {
        if let Event::Answer { hit } = event {
            self.hit.store(hit, Ordering::Relaxed);
        }
        self.events.event(event);
    }
}
