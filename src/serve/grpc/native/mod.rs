//! The native protocol: `Environments`, `Pins`, `SourceTrees`, `Configuration`.

mod explain;
mod pins;
mod plan;
mod sources;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use futures::Stream;
use tonic::{Request, Response, Status};

use crate::digest::DigestFunction;
use crate::environment::{BuildError, Failure, Progress, definition_at, describe, environments_at};
use crate::proto::v1;
use crate::proto::v1::configuration_server::{Configuration, ConfigurationServer};
use crate::proto::v1::environments_server::{Environments, EnvironmentsServer};
use crate::proto::v1::pins_server::PinsServer;
use crate::proto::v1::source_trees_server::SourceTreesServer;
use crate::serve::admission::Rights;
use crate::serve::backend::Backend;
use crate::serve::cache::Answer;
use crate::serve::resolve::{Flight, Resolution, Resolver};
use crate::serve::status;
use crate::serve::wanted::Wanted;
use crate::spec::{Definition, GitId, PathError, RelativePath};
use crate::store::wire;

/// Largest request taken: a key and a description of many repositories fit easily.
const MAX_REQUEST: usize = 4 << 20;

/// The services of a daemon.
#[derive(Clone)]
pub struct Native {
    backend: Backend,
    shared_root: Option<PathBuf>,
}

impl Native {
    /// Returns the services. `shared_root` is told to clients that may use the server's store themselves.
    pub fn new(backend: Backend, shared_root: Option<PathBuf>) -> Self {
        Self { backend, shared_root }
    }

    /// Adds the services to a router.
    pub fn add_to(self, routes: &mut tonic::service::RoutesBuilder) {
        routes
            .add_service(EnvironmentsServer::new(self.clone()).max_decoding_message_size(MAX_REQUEST))
            .add_service(PinsServer::new(self.clone()).max_decoding_message_size(MAX_REQUEST))
            .add_service(SourceTreesServer::new(self.clone()).max_decoding_message_size(MAX_REQUEST))
            .add_service(ConfigurationServer::new(self).max_decoding_message_size(MAX_REQUEST));
    }

    async fn resolver(&self) -> Result<&Resolver, Status> {
        self.backend.resolver().await.map_err(|error| status::remote_status(&error))
    }

    async fn wanted(
        &self,
        key: &[u8],
        description: &[u8],
        properties: std::collections::HashMap<String, String>,
    ) -> Result<Arc<Wanted>, Status> {
        let wanted = self.resolver().await?.understand(key, description, properties.into_iter().collect());
        wanted.map_err(|error| Status::invalid_argument(error.to_string()))
    }

    async fn definition(&self, name: v1::EnvironmentName) -> Result<Definition, Status> {
        let (root, path) = environments_file(&name.root_tree, &name.module, &name.environments_file)?;
        let found = definition_at(self.resolver().await?.sources(), root, &path, &name.name).await;
        found.map_err(|error| status::build_status(&error))
    }
}

/// Returns the root, and the path in it, of an environments file.
fn environments_file(root: &str, module: &str, name: &str) -> Result<(GitId, RelativePath), Status> {
    let invalid = |error: PathError| Status::invalid_argument(format!("field `environments_file`: {error}"));
    Ok((git_id("root_tree", root)?, path("module", module)?.join(name).map_err(invalid)?))
}

fn git_id(field: &str, text: &str) -> Result<GitId, Status> {
    GitId::parse(text).map_err(|error| Status::invalid_argument(format!("field `{field}`: {error}")))
}

fn path(field: &str, text: &str) -> Result<RelativePath, Status> {
    RelativePath::parse(text).map_err(|error| Status::invalid_argument(format!("field `{field}`: {error}")))
}

fn progress(progress: Progress) -> v1::ServeResponse {
    let progress = v1::Progress {
        phase: progress.phase.as_str().to_owned(),
        environment: progress.environment,
        actions_done: progress.actions_done,
        actions_total: progress.actions_total,
        log: progress.log.into(),
    };
    event(v1::serve_response::Event::Progress(progress))
}

fn event(event: v1::serve_response::Event) -> v1::ServeResponse {
    v1::ServeResponse { event: Some(event) }
}

fn served(function: DigestFunction, answer: &Answer, hit: bool) -> v1::Served {
    v1::Served {
        descriptor: answer.canonical.to_vec(),
        descriptor_digest: Some(answer.digest.into()),
        digest_function: v1::DigestFunction::from(function).into(),
        lease_expires: answer.lease_expires,
        hit,
    }
}

fn failed(function: DigestFunction, failure: &Failure) -> v1::ServeResponse {
    event(v1::serve_response::Event::Failed(v1::BuildFailure {
        environment: failure.environment.clone(),
        reason: failure.reason.to_string(),
        log_digest: failure.log.map(Into::into),
        digest_function: v1::DigestFunction::from(function).into(),
        log_tail: failure.log_tail.to_vec(),
    }))
}

fn outcome(
    function: DigestFunction,
    answer: Result<&Answer, &BuildError>,
    hit: bool,
) -> Result<v1::ServeResponse, Status> {
    match answer.map_err(BuildError::cause) {
        Ok(answer) => Ok(event(v1::serve_response::Event::Served(served(function, answer, hit)))),
        Err(BuildError::Failed(failure)) => Ok(failed(function, failure)),
        Err(error) => Err(status::build_status(error)),
    }
}

/// Streams the progress of a build, then its outcome.
fn follow(function: DigestFunction, flight: Flight) -> impl Stream<Item = Result<v1::ServeResponse, Status>> {
    futures::stream::unfold(Some(flight), move |state| async move {
        let mut flight = state?;
        if let Some(next) = flight.next().await {
            return Some((Ok(progress(next)), Some(flight)));
        }
        let answer = flight.answer().await;
        Some((outcome(function, answer.as_ref().map_err(AsRef::as_ref), false), None))
    })
}

type ServeStream = std::pin::Pin<Box<dyn Stream<Item = Result<v1::ServeResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Environments for Native {
    type ServeStream = ServeStream;

    async fn serve(&self, request: Request<v1::ServeRequest>) -> Result<Response<ServeStream>, Status> {
        let (started, rights) = (Instant::now(), Rights::of(&request));
        let request = request.into_inner();
        let resolver = self.resolver().await?;
        let function = resolver.function();
        let lost = request.lost_blobs.iter().map(|digest| wire::native_digest(function, "lost_blobs", Some(digest)));
        let lost: Vec<_> = lost.collect::<Result<_, _>>().map_err(|error| status::wire_status(&error))?;
        let wanted = self.wanted(&request.key, &request.description, request.properties).await?;
        let resolution = resolver.resolve(Arc::clone(&wanted), &lost, rights, request.priority).await;
        let (came, stream): (_, ServeStream) = match resolution {
            Ok(Resolution::Hit(answer)) => ("hit", Box::pin(tokio_stream::once(outcome(function, Ok(&answer), true)))),
            Ok(Resolution::Building { flight, joined }) => {
                (if joined { "joined" } else { "miss" }, Box::pin(follow(function, flight)))
            }
            Err(error) => return Err(status::build_status(&error)),
        };
        tracing::info!(rpc = "Serve", key = %wanted.key, environment = wanted.environment, outcome = came, ms = started.elapsed().as_millis());
        Ok(Response::new(stream))
    }

    async fn probe(&self, request: Request<v1::ServeRequest>) -> Result<Response<v1::ProbeResponse>, Status> {
        let rights = Rights::of(&request);
        let request = request.into_inner();
        let wanted = self.wanted(&request.key, &request.description, request.properties).await?;
        let resolver = self.resolver().await?;
        let answer = resolver.probe(&wanted, rights).await;
        let answer = answer.map_err(|error| status::build_status(&error))?;
        let served = answer.map(|answer| served(resolver.function(), &answer, true));
        Ok(Response::new(v1::ProbeResponse { served }))
    }

    async fn plan(&self, request: Request<v1::PlanRequest>) -> Result<Response<v1::PlanResponse>, Status> {
        let rights = Rights::of(&request);
        self.planned(request.into_inner(), rights).await.map(Response::new)
    }

    async fn variables(
        &self,
        request: Request<v1::EnvironmentName>,
    ) -> Result<Response<v1::VariablesResponse>, Status> {
        let definition = self.definition(request.into_inner()).await?;
        Ok(Response::new(v1::VariablesResponse { flexible_config: definition.flexible_config().to_vec() }))
    }

    async fn names(&self, request: Request<v1::EnvironmentsFileName>) -> Result<Response<v1::NamesResponse>, Status> {
        let file = request.into_inner();
        let (root, path) = environments_file(&file.root_tree, &file.module, &file.environments_file)?;
        let found = environments_at(self.resolver().await?.sources(), root, &path).await;
        let found = found.map_err(|error| status::build_status(&error))?;
        Ok(Response::new(v1::NamesResponse { names: found.names().map(str::to_owned).collect() }))
    }

    async fn describe(&self, request: Request<v1::EnvironmentName>) -> Result<Response<v1::DescribeResponse>, Status> {
        let definition = self.definition(request.into_inner()).await?;
        Ok(Response::new(v1::DescribeResponse { description: describe(&definition) }))
    }

    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Result<Response<v1::ExplainResponse>, Status> {
        let rights = Rights::of(&request);
        self.explained(request.into_inner(), rights).await.map(Response::new)
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::RenewResponse>, Status> {
        let request = request.into_inner();
        let wanted = self.wanted(&request.key, &request.description, request.properties).await?;
        let renewed = self.resolver().await?.renew(&wanted).await;
        let gone = || Status::not_found(format!("there is no whole entry for key `{}`", wanted.key));
        let lease_expires = renewed.map_err(|error| status::build_status(&error))?.ok_or_else(gone)?;
        Ok(Response::new(v1::RenewResponse { lease_expires }))
    }
}

#[tonic::async_trait]
impl Configuration for Native {
    async fn get(
        &self,
        _request: Request<v1::ConfigurationRequest>,
    ) -> Result<Response<v1::ConfigurationResponse>, Status> {
        let resolver = self.resolver().await?;
        let endpoint = resolver.endpoint().clone();
        let shared_root = self.shared_root.as_ref().map(|root| root.display().to_string());
        Ok(Response::new(v1::ConfigurationResponse {
            endpoint: endpoint.address.unwrap_or_default(),
            instance_name: endpoint.instance,
            endpoint_id: endpoint.id.unwrap_or_default(),
            digest_function: v1::DigestFunction::from(resolver.function()).into(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            shared_root: shared_root.unwrap_or_default(),
        }))
    }
}
