//! The path of a request: key → entry in the cache, or single flight → build → entry; descriptor and lease.
//! No tonic types here.

mod checkpoints;
mod explain;
mod flight;
mod pins;
mod plan;
mod uses;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::admission::Rights;
use super::cache::{Answer, KeyedCache};
use super::dispatch::{Dispatch, Properties};
use super::flight::Flights;
use super::known_keys::KnownKeys;
use super::pins::Pins;
use super::wanted::{self, Wanted};
use crate::checkpoint::KnownCheckpoints;
use crate::digest::{Digest, DigestFunction};
use crate::environment::{
    BaseImages, Build, BuildError, CheckpointOptions, ImageBuilds, ImageOptions, NixBuilds, NixOptions, Priority,
    ProgressSink, Runs, build, plan,
};
use crate::nix::ValidPaths;
use crate::oci::{KnownArchives, KnownImages};
use crate::source::{Sources, Turns};
use crate::spec::{Components, EnvKey, KeyParts, Shard, ShardParts, SpecError};
use crate::store::{BlobStore, Database, SharedEntries, StoreError};

use checkpoints::check;
pub use explain::{Against, Compared, ExplainError, Explained};
pub use flight::Flight;
pub use plan::{Given, Planned, PlannedEnvironment};
use uses::{InCache, InFlight};

/// Most derivations that are built at a time, for all environments together.
const MAX_TURNS: usize = 4096;

/// What the resolver works with.
pub struct Parts {
    /// The endpoint's CAS.
    pub store: Arc<dyn BlobStore>,
    /// The endpoint's executors.
    pub dispatch: Dispatch,
    /// Roots.
    pub sources: Sources,
    /// The local tier of the keyed cache.
    pub database: Database,
    /// The images that were answered.
    pub known_images: KnownImages,
    /// The tier of it that all daemons over one endpoint share.
    pub shared: Option<SharedEntries>,
    /// Function of all digests.
    pub function: DigestFunction,
    /// Who the endpoint is.
    pub endpoint: Identity,
    /// How long what was answered stays.
    pub lease: Duration,
    /// How derivations are built.
    pub nix: NixOptions,
    /// How images are built.
    pub images: ImageOptions,
    /// How checkpoints are made.
    pub checkpoints: CheckpointOptions,
    /// Where large files wait while they are looked at.
    pub scratch: PathBuf,
}

/// Who an endpoint is, wherever it may be reached.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// Its instance name.
    pub instance: String,
    /// Its stable id, if it has one.
    pub id: Option<String>,
    /// Its address as clients reach it; `None` when this daemon is the endpoint.
    pub address: Option<String>,
}

/// Answers requests for environments.
#[derive(Clone)]
pub struct Resolver {
    inner: Arc<Inner>,
}

struct Inner {
    sources: Sources,
    store: Arc<dyn BlobStore>,
    dispatch: Dispatch,
    cache: KeyedCache,
    function: DigestFunction,
    endpoint: Identity,
    nix: NixBuilds,
    images: ImageBuilds,
    checkpoints: CheckpointOptions,
    known_images: KnownImages,
    known_checkpoints: KnownCheckpoints,
    known_keys: KnownKeys,
    pins: Pins,
    flights: Flights<(Shard, EnvKey), Result<Answer, Arc<BuildError>>>,
    known: wanted::Known,
}

/// What a request comes to at once.
pub enum Resolution {
    /// The environment is in the cache.
    Hit(Answer),
    /// It is being built: by a build just begun, or one that was running.
    Building {
        /// Where progress and result are seen.
        flight: Flight,
        /// Whether the build was running before.
        joined: bool,
    },
}

impl Resolver {
    /// Returns a resolver over these parts.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            store,
            dispatch,
            sources,
            database,
            known_images,
            shared,
            function,
            endpoint,
            lease,
            nix,
            images,
            checkpoints,
            scratch,
        } = parts;
        let paths = ValidPaths::new(database.clone(), Arc::clone(&store), function);
        let archives = KnownArchives::new(database.clone(), scratch.clone());
        let bases: Option<Arc<dyn BaseImages>> = Some(Arc::new(sources.registries()));
        let images = ImageBuilds { archives, bases, runs: Runs::new(images) };
        let nix = NixBuilds { paths, turns: Turns::new(MAX_TURNS), options: nix, scratch };
        let known_checkpoints = KnownCheckpoints::new(database.clone());
        let known_keys = KnownKeys::new(database.clone());
        let pins = Pins::new(database.clone());
        let cache = KeyedCache::new(Arc::clone(&store), database, shared, function, lease);
        Self {
            inner: Arc::new(Inner {
                sources,
                store,
                dispatch,
                cache,
                function,
                endpoint,
                nix,
                images,
                checkpoints,
                known_images,
                known_checkpoints,
                known_keys,
                pins,
                flights: Flights::new(),
                known: wanted::Known::default(),
            }),
        }
    }

    /// Returns the resolvers that there are, each once.
    pub(super) fn distinct(both: [Option<&Self>; 2]) -> Vec<&Self> {
        let [first, second] = both;
        let other = |one: &&Self| first.is_none_or(|first| !Arc::ptr_eq(&first.inner, &one.inner));
        first.into_iter().chain(second.filter(other)).collect()
    }

    /// Returns the function of all digests.
    pub fn function(&self) -> DigestFunction {
        self.inner.function
    }

    /// Returns the source trees that are known.
    pub fn sources(&self) -> &Sources {
        &self.inner.sources
    }

    /// Returns the endpoint's CAS.
    pub fn store(&self) -> &dyn BlobStore {
        &*self.inner.store
    }

    /// Returns the objects of a Nix store that are in the CAS.
    pub fn paths(&self) -> &ValidPaths {
        &self.inner.nix.paths
    }

    /// Returns the images that were answered.
    pub fn known_images(&self) -> &KnownImages {
        &self.inner.known_images
    }

    /// Returns who the endpoint is.
    pub fn endpoint(&self) -> &Identity {
        &self.inner.endpoint
    }

    /// Returns the number of builds that run now.
    pub fn builds_in_flight(&self) -> usize {
        self.inner.flights.count()
    }

    /// Tells the CAS that all under lease or pinned is in use. Returns how many entries that were.
    ///
    /// # Errors
    /// When a store cannot tell.
    pub async fn touch_leased(&self) -> Result<usize, StoreError> {
        self.inner.cache.touch_leased().await
    }

    /// Returns what the shard is made from of requests with these properties, or of those among them whose environments
    /// run only on hosts like this one.
    fn shard_parts(&self, properties: &Properties, host: Option<String>) -> ShardParts {
        let Inner { function, endpoint, dispatch, .. } = &*self.inner;
        ShardParts {
            digest_function: *function,
            properties: properties.clone(),
            instance: endpoint.instance.clone(),
            id: endpoint.id.clone(),
            dispatch: dispatch.rule(properties).cloned(),
            host,
        }
    }

    /// Returns what these parts of a key ask for.
    pub fn wanted(&self, parts: KeyParts, properties: Properties) -> Arc<Wanted> {
        let shard = self.shard_parts(&properties, None).shard();
        Wanted::new(parts, properties, shard)
    }

    /// Returns what a request asks for.
    ///
    /// # Errors
    /// When key or description are not in canonical form, or do not fit together.
    pub fn understand(&self, key: &[u8], description: &[u8], properties: Properties) -> Result<Arc<Wanted>, SpecError> {
        let read = |properties| Ok(self.wanted(KeyParts::parse(key, description)?, properties));
        self.inner.known.understand(key, description, properties, read)
    }

    async fn lookup(&self, shard: Shard, wanted: &Wanted) -> Result<Option<Answer>, StoreError> {
        let answer = self.inner.cache.lookup(shard, &wanted.key).await?;
        if let Some(answer) = &answer {
            self.note(shard, wanted, answer).await;
        }
        Ok(answer)
    }

    /// Has the image known that is about to be answered, and what its key was made from. Whoever wants an environment
    /// gets it all the same when that fails; it is tried again with the next answer.
    async fn note(&self, shard: Shard, wanted: &Wanted, answer: &Answer) {
        let Wanted { parts, properties, key, .. } = wanted;
        if !self.inner.known_keys.is_noted(shard, key) {
            let host = answer.descriptor.checkpoint.as_ref().map(|facts| facts.made.host.to_string());
            let components = Components::new(parts.clone(), self.shard_parts(properties, host));
            if let Err(error) = self.inner.known_keys.note(shard, components, &answer.descriptor).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%key, error, "cannot remember what a key was made from: `explain` will not know it");
            }
        }
        if let Err(error) = self.inner.known_images.note(key, parts, properties, &answer.descriptor).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(%key, error, "cannot remember an image: the registry does not have it");
        }
        if let Err(error) = self.inner.known_checkpoints.note(&answer.descriptor).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(%key, error, "cannot remember a checkpoint: actions do not have it beside them");
        }
    }

    /// Answers from the cache, or joins or begins the build. `lost` are blobs of an earlier
    /// answer that a client did not find; `priority` is for the actions of the build.
    ///
    /// # Errors
    /// When a store cannot tell whether the environment is there; `CheckpointDenied` for those who may not have it;
    /// `NotBuilt` for those for whom nothing is built.
    pub(crate) async fn resolve(
        &self,
        wanted: Arc<Wanted>,
        lost: &[Digest],
        rights: Rights,
        priority: i32,
    ) -> Result<Resolution, BuildError> {
        if !lost.is_empty() {
            tracing::warn!(key = %wanted.key, count = lost.len(), "a client did not find blobs that were answered");
            self.doubt_all();
        }
        let (shard, answer) = self.find(&wanted).await?;
        if let Some(answer) = answer {
            check(rights, &wanted.environment, &answer)?;
            return Ok(Resolution::Hit(answer));
        }
        if !rights.builds() {
            return Err(BuildError::NotBuilt { environment: wanted.environment.clone() });
        }
        // Nor may they see how it comes about.
        if !rights.checkpoints && self.is_checkpoint(&wanted).await {
            return Err(BuildError::CheckpointDenied { environment: wanted.environment.clone() });
        }
        let (flight, joined) = self.fly(shard, wanted, rights, priority);
        Ok(Resolution::Building { flight, joined })
    }

    /// Checks every entry anew from now on: blobs are gone that should not be.
    pub fn doubt_all(&self) {
        self.inner.cache.doubt_all();
    }

    /// Returns the environment when it is in the cache and whole.
    ///
    /// # Errors
    /// When a store cannot tell; `CheckpointDenied` for those who may not have it.
    pub(crate) async fn probe(&self, wanted: &Wanted, rights: Rights) -> Result<Option<Answer>, BuildError> {
        let (_, answer) = self.find(wanted).await?;
        answer.iter().try_for_each(|answer| check(rights, &wanted.environment, answer))?;
        Ok(answer)
    }

    /// Prolongs the lease of an entry and returns its new end; `None` when there is no whole entry.
    ///
    /// # Errors
    /// When a store cannot tell.
    pub async fn renew(&self, wanted: &Wanted) -> Result<Option<i64>, BuildError> {
        Ok(self.find(wanted).await?.1.map(|answer| answer.lease_expires))
    }

    fn fly(&self, shard: Shard, wanted: Arc<Wanted>, rights: Rights, priority: i32) -> (Flight, bool) {
        let (key, environment) = ((shard, wanted.key), wanted.environment.clone());
        let this = self.clone();
        let work = |progress: ProgressSink, priority: Priority| async move {
            this.build(shard, &wanted, &progress, &priority).await.map_err(Arc::new)
        };
        let (seat, joined) = self.inner.flights.board(key, priority, work);
        (Flight { seat, environment, rights }, joined)
    }

    /// Builds a missing environment and writes its entry. Runs in a flight.
    async fn build(
        &self,
        shard: Shard,
        wanted: &Wanted,
        progress: &ProgressSink,
        priority: &Priority,
    ) -> Result<Answer, BuildError> {
        let Wanted { parts, properties, shard: usual, key, environment } = wanted;
        // A flight that landed between the miss and this one may have built it.
        if let Some(answer) = self.lookup(shard, wanted).await? {
            return Ok(answer);
        }
        let started = Instant::now();
        progress.environment(environment);
        let plan = plan(&self.inner.sources, &InCache { resolver: self, shard: *usual }, parts).await?;
        let dependencies = InFlight::new(self, properties, progress, priority, plan);
        let own = &self.inner;
        let built = build(&Build {
            parts,
            properties,
            function: own.function,
            sources: &own.sources,
            store: &*own.store,
            execution: own.dispatch.executor(properties),
            nix: &own.nix,
            images: &own.images,
            checkpoints: &own.checkpoints,
            dependencies: &dependencies,
            fresh: false,
            started,
            priority,
            progress,
        })
        .await?;
        tracing::info!(%key, environment, ms = started.elapsed().as_millis(), "built");
        let answer = own.cache.write(shard, key, built).await?;
        self.note(shard, wanted, &answer).await;
        Ok(answer)
    }
}
