//! What filling many environments comes to: what they share is counted once.

use std::collections::HashSet;

use futures::StreamExt;

use crate::client::{Client, PlannedBuild, PlannedState, Request};
use crate::spec::GitId;

/// Plans that are asked for side by side.
const PLANS_AT_ONCE: usize = 8;

/// What filling several environments would come to.
#[derive(Debug, Clone, Default)]
pub struct UnionPlan {
    /// The environments, each once, with what they use, as far as that is not in the cache.
    pub environments: Vec<PlannedBuild>,
    /// The repositories whose roots the server does not know, each tree once.
    pub roots: Vec<(String, GitId)>,
    /// Whether this is all that there is to say of all of them.
    pub complete: bool,
}

impl UnionPlan {
    /// Returns those that would be built.
    pub fn builds(&self) -> impl Iterator<Item = &PlannedBuild> {
        self.environments.iter().filter(|planned| planned.state == PlannedState::Build)
    }

    /// Returns how many there are already.
    pub fn hits(&self) -> usize {
        self.environments.len() - self.builds().count()
    }

    /// Returns for how many milliseconds the last builds of those took that would be built, one after the other; and
    /// of how many none is remembered.
    pub fn last_ms(&self) -> (u64, usize) {
        let last = self.builds().map(|planned| planned.last_ms);
        last.fold((0, 0), |(sum, unknown), last| match last {
            Some(last) => (sum.saturating_add(last), unknown),
            None => (sum, unknown + 1),
        })
    }
}

impl Client {
    /// Says what filling environments would come to, and does none of it. What the server cannot say of one of them
    /// stands in nobody's way: whoever fills it is told.
    pub async fn plan_union(&self, requests: &[&Request]) -> UnionPlan {
        let mut asked = futures::stream::iter(requests)
            .map(async |request| (request, self.ask_plan(request).await))
            .buffered(PLANS_AT_ONCE);
        let mut plan = UnionPlan { complete: true, ..UnionPlan::default() };
        let (mut keys, mut trees) = (HashSet::new(), HashSet::new());
        while let Some((request, answer)) = asked.next().await {
            let Ok((answer, complete)) = answer else {
                plan.complete = false;
                continue;
            };
            plan.complete &= complete;
            let environments = answer.environments.into_iter().map(PlannedBuild::from);
            plan.environments.extend(environments.filter(|planned| keys.insert(planned.key.clone())));
            let roots = answer.unknown_roots.iter().filter_map(|tree| request.root(tree));
            plan.roots.extend(roots.filter(|(_, tree)| trees.insert(*tree)));
        }
        drop(asked);
        plan.roots.sort_unstable();
        plan
    }
}
