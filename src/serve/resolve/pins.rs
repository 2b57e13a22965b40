//! What is asked of entries that are kept under names.

use std::collections::HashMap;

use super::Resolver;
use super::checkpoints::check;
use crate::environment::BuildError;
use crate::serve::admission::Rights;
use crate::serve::pins::Pins;
use crate::serve::wanted::Wanted;
use crate::spec::{EnvKey, Shard};
use crate::store::StoreError;

impl Resolver {
    /// Returns what is kept under names.
    pub(in crate::serve) fn pins(&self) -> &Pins {
        &self.inner.pins
    }

    /// Returns in which shard there is a whole entry. Its lease is prolonged.
    pub(in crate::serve) async fn entry(&self, wanted: &Wanted, rights: Rights) -> Result<Option<Shard>, BuildError> {
        let (shard, answer) = self.find(wanted).await?;
        answer.iter().try_for_each(|answer| check(rights, &wanted.environment, answer))?;
        Ok(answer.map(|_| shard))
    }

    /// Returns what messages call the environments of keys, of those that are remembered.
    pub(in crate::serve) async fn targets(&self) -> Result<HashMap<EnvKey, String>, StoreError> {
        let known = self.inner.known_keys.all().await?;
        Ok(known.into_iter().map(|known| (known.key, known.components.parts.target())).collect())
    }
}
