//! Getting an environment: from the memo, or from the server and its CAS.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use tonic::Code;
use tonic_types::StatusExt;

use super::brought::Brought;
use super::checkpoint::Prepared;
use super::connect::Reached;
use super::events::{Event, Events};
use super::image::{RootFileSystem, Wanted};
use super::nix::Stored;
use super::placement::{Placement, Start, View};
use super::roots::ROOTS_AT_ONCE;
use super::{Client, ClientError, FailedBuild, Request, materialize};
use crate::digest::Digest;
use crate::proto::v1;
use crate::proto::v1::serve_response;
use crate::serve::status::ROOT_VIOLATION;
use crate::spec::{Descriptor, GitId};
use crate::store::{BlobStore, Listing, wire};

/// How often the server is asked again when blobs of its answer are gone.
const ATTEMPTS: u32 = 3;
/// After how long it is worth trying again to reach a CAS that could not be reached.
const STALE: Duration = Duration::from_secs(5);

/// An environment that lies on this host.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// What the server answered.
    pub descriptor: Descriptor,
    /// Where it lies. Read-only, and shared by all who use it. Of a closure, where the first output lies.
    pub directory: PathBuf,
    /// In which form.
    pub view: View,
    /// The closure, for an environment of kind `nix`.
    pub stored: Option<Stored>,
    /// What copies of the service start from, for an environment of kind `checkpoint`.
    pub checkpoint: Option<Prepared>,
    /// Whether it was here before; then no connection was opened.
    pub present: bool,
    /// Bytes that came over the wire.
    pub downloaded: u64,
}

impl Fetched {
    /// Returns the root file system, where that is what was fetched.
    pub fn root_file_system(&self) -> Option<RootFileSystem> {
        let rooted = self.descriptor.image.is_some() && self.view == View::Dir;
        rooted.then(|| RootFileSystem::at(&self.directory))
    }
}

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probed {
    /// The environment is on this host.
    Here,
    /// The server has it.
    Hit,
    /// It would have to be built.
    Miss,
}

impl Client {
    /// Returns the environment in a directory, or in a store, built first if the server does not have it.
    ///
    /// # Errors
    /// `Failed` when it cannot be built; `Lost` when the CAS keeps losing it; `View` when it has no such view; else
    /// what stood in the way.
    ///
    /// # Cancel safety
    /// What has arrived stays; the next call goes on from there.
    pub async fn fetch(
        &self,
        request: &Request,
        placement: &Placement,
        events: &dyn Events,
    ) -> Result<Fetched, ClientError> {
        if let Some(descriptor) = self.known(request)
            && let Some(place) = self.present(request, &descriptor, placement).await?
        {
            return Ok(place.fetched(descriptor, placement.view, true, 0));
        }
        let mut lost = Vec::new();
        for _ in 0..ATTEMPTS {
            // While the server looks the environment up, the CAS is reached.
            let asked = Instant::now();
            let reach = async { Ok(self.reach_blobs(events).await) };
            let (descriptor, mut reached) = futures::try_join!(self.serve(request, &lost, events), reach)?;
            tracing::debug!(root = ?descriptor.root, "the server answered");
            check_view(&descriptor, placement)?;
            if reached.is_err() && asked.elapsed() > STALE {
                reached = self.reach_blobs(events).await;
            }
            match self.bring(request, &descriptor, placement, reached?, events).await? {
                Brought::Here { place, downloaded } => {
                    self.note(request, &descriptor);
                    return Ok(place.fetched(descriptor, placement.view, false, downloaded));
                }
                Brought::Lost(digests) => {
                    events.event(Event::Lost { first: digests[0], count: digests.len() });
                    lost = digests;
                }
            }
        }
        let endpoint = self.server();
        let first = lost[0];
        Err(ClientError::Lost { count: lost.len(), first, endpoint, attempts: ATTEMPTS })
    }

    pub(super) async fn reach_blobs(&self, events: &dyn Events) -> Result<&Reached, ClientError> {
        self.connection().await?.blobs(events).await
    }

    /// Returns what the server answers, and fetches nothing of the environment.
    ///
    /// # Errors
    /// As `fetch`.
    pub async fn fetch_absent(&self, request: &Request, events: &dyn Events) -> Result<Descriptor, ClientError> {
        self.serve(request, &[], events).await
    }

    /// Says whether the environment is there, and builds nothing.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn probe(&self, request: &Request, placement: &Placement) -> Result<Probed, ClientError> {
        if let Some(descriptor) = self.known(request)
            && self.present(request, &descriptor, placement).await?.is_some()
        {
            return Ok(Probed::Here);
        }
        Ok(if self.at_server(request).await?.is_some() { Probed::Hit } else { Probed::Miss })
    }

    /// Returns what the server would answer at once; `None` when it would have to build.
    pub(super) async fn at_server(&self, request: &Request) -> Result<Option<Descriptor>, ClientError> {
        const RPC: &str = "Environments.Probe";
        let connection = self.connection().await?;
        let answer = connection.wait(connection.environments().probe(self.question(request, &[]))).await?;
        let Some(served) = answer.map_err(connection.failed(RPC))?.into_inner().served else { return Ok(None) };
        let descriptor = Descriptor::parse(&served.descriptor);
        descriptor.map(Some).map_err(|error| connection.broken(RPC, error.to_string()))
    }

    /// Returns the documentation of the environment as JSON.
    ///
    /// # Errors
    /// When the server cannot be asked, or the root cannot be given to it.
    pub async fn describe(&self, request: &Request, events: &dyn Events) -> Result<Vec<u8>, ClientError> {
        const RPC: &str = "Environments.Describe";
        let connection = self.connection().await?;
        let main = request.parts.description.main();
        let question = v1::EnvironmentName {
            root_tree: main.root.to_string(),
            environments_file: main.environments_file.clone(),
            module: request.parts.module.to_string(),
            name: request.parts.name.clone(),
        };
        match connection.wait(connection.environments().describe(question.clone())).await? {
            Ok(answer) => return Ok(answer.into_inner().description),
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => return Err(connection.failed(RPC)(status)),
        }
        self.provide(request, main.root, events).await?;
        let answer = connection.wait(connection.environments().describe(question)).await?;
        Ok(answer.map_err(connection.failed(RPC))?.into_inner().description)
    }

    /// Under what an answer is noted: it belongs to one server, as another may build otherwise.
    fn subject(&self, request: &Request) -> [String; 4] {
        let properties = serde_json::json!(request.properties).to_string();
        ["descriptor".to_owned(), self.server(), properties, request.parts.key().to_string()]
    }

    /// Notes what the server answered.
    pub(super) fn note(&self, request: &Request, descriptor: &Descriptor) {
        self.memo.put(&self.subject(request), descriptor);
    }

    pub(super) fn known(&self, request: &Request) -> Option<Descriptor> {
        self.memo.get(&self.subject(request))
    }

    fn question(&self, request: &Request, lost: &[Digest]) -> v1::ServeRequest {
        v1::ServeRequest {
            key: request.parts.canonical(),
            description: request.parts.description.canonical(),
            properties: request.properties.clone().into_iter().collect(),
            lost_blobs: lost.iter().map(|digest| (*digest).into()).collect(),
            priority: self.options.priority,
        }
    }

    /// Asks the server, and gives it the roots that it does not know.
    async fn serve(&self, request: &Request, lost: &[Digest], events: &dyn Events) -> Result<Descriptor, ClientError> {
        let mut given: Vec<GitId> = Vec::new();
        loop {
            let wanted = match self.serve_once(request, lost, events).await? {
                Asked::Answer(descriptor) => return Ok(*descriptor),
                Asked::Roots(roots) => roots,
            };
            if let Some(tree) = wanted.iter().copied().find(|tree| given.contains(tree)) {
                let reason = "it was given already";
                return Err(ClientError::RootAsked { tree, endpoint: self.server(), reason });
            }
            let provided: Vec<_> = wanted.iter().map(|tree| self.provide(request, *tree, events)).collect();
            futures::stream::iter(provided).buffer_unordered(ROOTS_AT_ONCE).try_collect::<()>().await?;
            given.extend(wanted);
        }
    }

    async fn serve_once(&self, request: &Request, lost: &[Digest], events: &dyn Events) -> Result<Asked, ClientError> {
        const RPC: &str = "Environments.Serve";
        let connection = self.connection().await?;
        let mut environments = connection.environments();
        let mut stream = match connection.wait(environments.serve(self.question(request, lost))).await? {
            Ok(answer) => answer.into_inner(),
            Err(status) => {
                return unknown_roots(&status).map(Asked::Roots).ok_or_else(|| connection.failed(RPC)(status));
            }
        };
        loop {
            let event = match connection.wait(stream.message()).await? {
                Ok(Some(message)) => message.event,
                Ok(None) => return Err(connection.broken(RPC, "the stream ended without an outcome")),
                Err(status) => {
                    return unknown_roots(&status).map(Asked::Roots).ok_or_else(|| connection.failed(RPC)(status));
                }
            };
            match event {
                Some(serve_response::Event::Progress(progress)) => events.event(progress.into()),
                Some(serve_response::Event::Served(served)) => {
                    events.event(Event::Answer { hit: served.hit });
                    let descriptor = Descriptor::parse(&served.descriptor)
                        .map_err(|error| connection.broken(RPC, error.to_string()))?;
                    return Ok(Asked::Answer(Box::new(descriptor)));
                }
                Some(serve_response::Event::Failed(failure)) => {
                    return Err(ClientError::Failed(Box::new(failed(failure))));
                }
                // An event of a later protocol that this client can do without.
                None => {}
            }
        }
    }

    /// Returns where the environment lies if all of it is here.
    pub(super) async fn present(
        &self,
        request: &Request,
        descriptor: &Descriptor,
        placement: &Placement,
    ) -> Result<Option<Lies>, ClientError> {
        check_view(descriptor, placement)?;
        if let Some(facts) = &descriptor.image {
            let place = self.image_place(&Wanted { request, descriptor, facts, placement })?;
            return Ok(place.exists().then_some(Lies::Directory(place)));
        }
        if let Some(facts) = &descriptor.checkpoint {
            return Ok(self.present_checkpoint(descriptor, facts, placement.start).await?.map(Lies::checkpoint));
        }
        if descriptor.nix.is_some() {
            return Ok(self.stored(descriptor, placement).await?.map(Lies::Store));
        }
        Ok(materialize::present(self.root(), &descriptor.root).map(Lies::Directory))
    }

    /// Brings the environment to where it is wanted.
    async fn bring(
        &self,
        request: &Request,
        descriptor: &Descriptor,
        placement: &Placement,
        cas: &Reached,
        events: &dyn Events,
    ) -> Result<Brought<Lies>, ClientError> {
        let Some(tree) = cas.blobs.get(&descriptor.tree).await? else {
            return Ok(Brought::Lost(vec![descriptor.tree]));
        };
        let root = descriptor.root;
        tracing::debug!(bytes = tree.len(), "read the listing");
        if let Some(facts) = &descriptor.image {
            let wanted = Wanted { request, descriptor, facts, placement };
            return Ok(self.bring_image(&wanted, &tree, cas, events).await?.map(Lies::Directory));
        }
        if let Some(facts) = &descriptor.checkpoint {
            let brought = self.bring_checkpoint(descriptor, facts, placement.start, &tree, cas, events).await?;
            return Ok(brought.map(Lies::checkpoint));
        }
        let listing = Listing::parse(root, &tree).map_err(|source| ClientError::Tree { root, source })?;
        if descriptor.nix.is_some() {
            // The links of a closure lead to where its paths lie once it is entered.
            let brought = self.put_into_store(descriptor, placement, listing, cas, events).await?;
            return Ok(brought.map(Lies::Store));
        }
        listing.check_symlinks().map_err(|source| ClientError::Tree { root, source })?;
        let store = self.store().await?;
        let brought = materialize::materialize(self.root(), store, cas, root, listing, events).await?;
        Ok(brought.map(Lies::Directory))
    }
}

/// Checks that an environment can be had in the form that is wanted.
pub(super) fn check_view(descriptor: &Descriptor, placement: &Placement) -> Result<(), ClientError> {
    let (view, there) = match placement.view {
        View::Dir if descriptor.checkpoint.is_some() && placement.start == Start::Never => {
            return Err(ClientError::OnlyStarted);
        }
        View::Dir => return Ok(()),
        View::Nix => ("nix", descriptor.nix.is_some()),
        View::Oci => ("oci", descriptor.image.is_some()),
        View::DockerArchive => ("docker-archive", descriptor.image.is_some()),
    };
    if there { Ok(()) } else { Err(ClientError::View { view, kind: descriptor.kind }) }
}

/// Where an environment lies.
pub(super) enum Lies {
    /// In a directory, or a file, of its own.
    Directory(PathBuf),
    /// In a store.
    Store(Stored),
    /// In several directories.
    Checkpoint(Box<Prepared>),
}

impl Lies {
    fn checkpoint(prepared: Prepared) -> Self {
        Self::Checkpoint(Box::new(prepared))
    }

    fn fetched(self, descriptor: Descriptor, view: View, present: bool, downloaded: u64) -> Fetched {
        let (directory, stored, checkpoint) = match self {
            Self::Directory(directory) => (directory, None, None),
            Self::Store(stored) => (stored.directory(), Some(stored), None),
            Self::Checkpoint(prepared) => (prepared.directory.clone(), None, Some(*prepared)),
        };
        Fetched { descriptor, directory, view, stored, checkpoint, present, downloaded }
    }
}

enum Asked {
    Answer(Box<Descriptor>),
    Roots(Vec<GitId>),
}

/// Returns the roots that the server says it does not know.
fn unknown_roots(status: &tonic::Status) -> Option<Vec<GitId>> {
    if status.code() != Code::NotFound {
        return None;
    }
    let violations = status.get_details_precondition_failure()?.violations;
    let roots = violations.iter().filter(|violation| violation.r#type == ROOT_VIOLATION);
    let roots: Vec<GitId> = roots.filter_map(|violation| GitId::parse(&violation.subject).ok()).collect();
    (!roots.is_empty()).then_some(roots)
}

fn failed(failure: v1::BuildFailure) -> FailedBuild {
    let function = wire::native_function(failure.digest_function).ok();
    let digest = failure.log_digest.as_ref();
    FailedBuild {
        environment: failure.environment,
        reason: failure.reason,
        log: String::from_utf8_lossy(&failure.log_tail).trim_end().to_owned(),
        log_digest: function.and_then(|function| wire::native_digest(function, "log_digest", digest).ok()),
    }
}
