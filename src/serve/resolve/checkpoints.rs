//! What is special about requests for checkpoints: not everybody may have one, and not every host can use it.

use super::Resolver;
use crate::environment::{BuildError, definition};
use crate::execute::CheckpointWorker;
use crate::serve::admission::Rights;
use crate::serve::cache::Answer;
use crate::serve::wanted::Wanted;
use crate::spec::{KindName, Shard};
use crate::store::StoreError;

impl Resolver {
    /// Looks an environment up, and says in which shard it is looked for. A checkpoint that was made on another host
    /// than that of the executor is not for this one, which has a shard of its own.
    pub(super) async fn find(&self, wanted: &Wanted) -> Result<(Shard, Option<Answer>), StoreError> {
        let answer = self.lookup(wanted.shard, wanted).await?;
        let Some(facts) = answer.as_ref().and_then(|answer| answer.descriptor.checkpoint.as_ref()) else {
            return Ok((wanted.shard, answer));
        };
        // Whoever can make none takes what there is.
        match self.inner.dispatch.executor(&wanted.properties).checkpoints().await {
            Ok(CheckpointWorker::Own(host)) if *host != facts.made.host => {
                let shard = self.shard_parts(&wanted.properties, Some(host.to_string())).shard();
                Ok((shard, self.lookup(shard, wanted).await?))
            }
            _ => Ok((wanted.shard, answer)),
        }
    }

    /// Says whether an environment is a checkpoint, as far as that can be seen before it is built.
    pub(super) async fn is_checkpoint(&self, wanted: &Wanted) -> bool {
        let definition = definition(&self.inner.sources, &wanted.parts).await;
        definition.is_ok_and(|definition| definition.kind_name() == KindName::Checkpoint)
    }
}

/// Refuses a checkpoint to those who may not have any.
pub(super) fn check(rights: Rights, environment: &str, answer: &Answer) -> Result<(), BuildError> {
    if rights.checkpoints || answer.descriptor.checkpoint.is_none() {
        return Ok(());
    }
    Err(BuildError::CheckpointDenied { environment: environment.to_owned() })
}
