//! Why a request is a miss: in what its key differs from one that is there.

use std::cmp::Reverse;

use super::Resolver;
use crate::environment::BuildError;
use crate::execute::CheckpointWorker;
use crate::serve::admission::Rights;
use crate::serve::known_keys::KnownKey;
use crate::serve::wanted::Wanted;
use crate::spec::{Components, EnvKey, KeyDifference};
use crate::store::{StoreError, blocking};

/// What a request is compared with.
pub enum Against<'a> {
    /// The nearest entry that is known: of the same module and name if there is one, then that with the fewest
    /// differences, then the newest.
    Nearest,
    /// The entry whose key begins so.
    Key(&'a str),
    /// What another request asks for.
    Other(&'a Wanted),
}

/// Why a request is a miss, or that it is none.
#[derive(Debug)]
pub struct Explained {
    /// Whether it would be answered from the cache.
    pub hit: bool,
    /// Whether there was an entry by this very key.
    pub was_there: bool,
    /// What it was compared with, if there was anything.
    pub compared: Option<Compared>,
}

/// What a request was compared with.
#[derive(Debug)]
pub struct Compared {
    /// Its key.
    pub key: EnvKey,
    /// What messages call it.
    pub environment: String,
    /// When it was built, in seconds since 1970, and for how many milliseconds, where that is known.
    pub built: Option<(u64, u64)>,
    /// In what they differ, the first to be told first.
    pub differences: Vec<KeyDifference>,
}

/// Why a request cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// What is there cannot be told.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A text that no key begins with.
    #[error("`{name}` is no key: at least 6 of its lower-case hexadecimal digits are expected")]
    Name {
        /// The text.
        name: String,
    },
    /// No key is remembered that begins so.
    #[error("nothing is known of a key `{name}`")]
    Unknown {
        /// The text.
        name: String,
    },
    /// Several keys begin so.
    #[error("{count} known keys begin with `{name}`")]
    Ambiguous {
        /// The text.
        name: String,
        /// How many.
        count: usize,
    },
}

impl From<StoreError> for ExplainError {
    fn from(error: StoreError) -> Self {
        Self::Build(error.into())
    }
}

impl Resolver {
    /// Says why a request is a miss. Never builds.
    ///
    /// # Errors
    /// When a store cannot tell what is there, or what it is to be compared with is not known.
    pub(crate) async fn explain(
        &self,
        wanted: &Wanted,
        against: Against<'_>,
        rights: Rights,
    ) -> Result<Explained, ExplainError> {
        let hit = self.probe(wanted, rights).await?.is_some();
        let here = self.components(wanted).await;
        let mut was_there = hit;
        let known = match against {
            Against::Other(other) => {
                let there = self.components(other).await;
                let differences = here.differences(&there);
                let (key, environment) = (other.key, other.environment.clone());
                let compared = Some(Compared { key, environment, built: None, differences });
                return Ok(Explained { hit, was_there, compared });
            }
            Against::Nearest if hit => return Ok(Explained { hit, was_there, compared: None }),
            Against::Nearest => {
                let mut known = self.inner.known_keys.alike(&wanted.parts).await?;
                was_there = known.iter().any(|known| known.components == here);
                if known.is_empty() {
                    known = self.inner.known_keys.all().await?;
                }
                known
            }
            Against::Key(name) => self.named(name).await?,
        };
        let compared = blocking(move || nearest(&here, known)).await;
        Ok(Explained { hit, was_there, compared })
    }

    /// Returns what is remembered of the one key that begins so, in all its shards.
    async fn named(&self, name: &str) -> Result<Vec<KnownKey>, ExplainError> {
        let shown = || crate::spec::shown(name);
        let known = self.inner.known_keys.named(name).await?.ok_or_else(|| ExplainError::Name { name: shown() })?;
        let keys: std::collections::BTreeSet<EnvKey> = known.iter().map(|known| known.key).collect();
        match keys.len() {
            0 => Err(ExplainError::Unknown { name: shown() }),
            1 => Ok(known),
            count => Err(ExplainError::Ambiguous { name: shown(), count }),
        }
    }

    /// Returns everything by which a request is looked up. The host counts for a checkpoint, where one is made here.
    async fn components(&self, wanted: &Wanted) -> Components {
        let host = if self.is_checkpoint(wanted).await {
            match self.inner.dispatch.executor(&wanted.properties).checkpoints().await {
                Ok(CheckpointWorker::Own(host)) => Some(host.to_string()),
                _ => None,
            }
        } else {
            None
        };
        Components::new(wanted.parts.clone(), self.shard_parts(&wanted.properties, host))
    }
}

/// Returns the entry that differs in the fewest components, the newest of several.
fn nearest(here: &Components, known: Vec<KnownKey>) -> Option<Compared> {
    let key = here.parts.key();
    let compared = known.into_iter().map(|mut known| {
        // On which host another one was made is no reason for this one to be a miss.
        if known.key != key || here.shard.host.is_none() {
            known.components.shard.host.clone_from(&here.shard.host);
        }
        (here.differences(&known.components), known)
    });
    let (differences, known) =
        compared.min_by_key(|(differences, known)| (differences.len(), Reverse(known.built_at), known.key))?;
    let KnownKey { key, components, built_at, duration_ms, .. } = known;
    Some(Compared { key, environment: components.parts.target(), built: Some((built_at, duration_ms)), differences })
}
