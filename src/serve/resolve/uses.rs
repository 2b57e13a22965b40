//! The environments that another one uses: each from the cache, or by a flight of its own.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{Resolution, Resolver};
use crate::environment::{BuildError, Dependencies, Known, Plan, Priority, ProgressSink};
use crate::serve::admission::Rights;
use crate::serve::dispatch::Properties;
use crate::spec::{Descriptor, EnvKey, KeyParts, Shard};

/// The environments that a plan need not go into.
pub(super) struct InCache<'a> {
    pub(super) resolver: &'a Resolver,
    pub(super) shard: Shard,
}

#[async_trait]
impl Known for InCache<'_> {
    async fn is_known(&self, key: &EnvKey) -> Result<bool, BuildError> {
        Ok(self.resolver.inner.cache.lookup(self.shard, key).await?.is_some())
    }
}

/// The environments that a build uses: each from the cache, or by a flight of its own.
pub(super) struct InFlight<'a> {
    resolver: &'a Resolver,
    properties: &'a Properties,
    progress: &'a ProgressSink,
    priority: &'a Priority,
    total: u32,
    waiting: Mutex<Plan>,
}

impl<'a> InFlight<'a> {
    pub(super) fn new(
        resolver: &'a Resolver,
        properties: &'a Properties,
        progress: &'a ProgressSink,
        priority: &'a Priority,
        plan: Plan,
    ) -> Self {
        let total = plan.actions();
        progress.actions(0, total);
        Self { resolver, properties, progress, priority, total, waiting: Mutex::new(plan) }
    }

    fn done(&self, key: &EnvKey) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.done(key);
        self.progress.actions(self.total - waiting.actions(), self.total);
    }
}

#[async_trait]
impl Dependencies for InFlight<'_> {
    async fn environment(&self, parts: KeyParts) -> Result<Arc<Descriptor>, BuildError> {
        let wanted = self.resolver.wanted(parts, self.properties.clone());
        let key = wanted.key;
        let resolution = self.resolver.resolve(wanted, &[], Rights::ALL, self.priority.number()).await?;
        let answer = match resolution {
            Resolution::Hit(answer) => answer,
            Resolution::Building { mut flight, .. } => {
                self.priority.wait_for(flight.priority());
                while let Some(progress) = flight.next().await {
                    self.progress.show(&progress);
                }
                flight.answer().await.map_err(BuildError::Dependency)?
            }
        };
        self.done(&key);
        Ok(answer.descriptor)
    }
}
