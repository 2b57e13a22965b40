//! The connection to the server: one that is configured, or the private daemon, started when it is not there.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use super::events::{Event, Events};
use super::{ClientError, ClientOptions};
use crate::digest::DigestFunction;
use crate::proto::v1;
use crate::proto::v1::configuration_client::ConfigurationClient;
use crate::proto::v1::environments_client::EnvironmentsClient;
use crate::proto::v1::pins_client::PinsClient;
use crate::proto::v1::source_trees_client::SourceTreesClient;
use crate::serve::{PrivatePaths, lock_start};
use crate::store::{Capabilities, RemoteBlobStore, StoreError, blocking, wire};
use crate::transport::{Channel, Endpoint, EndpointError, Link, Security};

/// Longest wait for a private daemon to come up.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause between looks whether it is up.
const START_TICK: Duration = Duration::from_millis(5);
/// How often a private daemon that leaves at the wrong moment is replaced.
const ATTEMPTS: usize = 5;
/// Bytes of the daemon's log that an error shows.
const LOG_SHOWN: u64 = 2000;
const CONFIGURATION: &str = "Configuration.Get";
/// Longest wait for a short answer of the server.
const DEADLINE: Duration = Duration::from_secs(30);
/// Largest message taken from the server.
const MAX_MESSAGE: usize = 64 << 20;

/// Variables about servers and other daemons, which are none of the private daemon's business.
const NOT_INHERITED: [&str; 17] = [
    "ENVSERVE_ANONYMOUS",
    "ENVSERVE_CHECKPOINT_TOKEN_FILE",
    "ENVSERVE_FETCH",
    "ENVSERVE_REMOTE",
    "ENVSERVE_REMOTE_CA",
    "ENVSERVE_REMOTE_CERT",
    "ENVSERVE_REMOTE_HEADERS",
    "ENVSERVE_REMOTE_KEY",
    "ENVSERVE_SERVE",
    "ENVSERVE_SERVE_CA",
    "ENVSERVE_SERVE_CERT",
    "ENVSERVE_SERVE_HEADERS",
    "ENVSERVE_SERVE_KEY",
    "ENVSERVE_TLS_CERT",
    "ENVSERVE_TLS_CLIENT_CA",
    "ENVSERVE_TLS_KEY",
    "ENVSERVE_TOKEN_FILE",
];

/// A server that answered.
#[derive(Debug)]
pub(super) struct Connection {
    /// Where it listens.
    pub(super) endpoint: Endpoint,
    /// Function of the digests of this conversation.
    pub(super) function: DigestFunction,
    link: Link,
    instance: String,
    /// Where the CAS is when it is not at the server itself.
    remote: Option<Link>,
    blobs: OnceCell<Reached>,
    /// About the time of a round trip to the server.
    latency: Duration,
    shared_root: Option<PathBuf>,
}

/// A CAS within reach.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) blobs: RemoteBlobStore,
    /// About the time of a round trip to it.
    pub(super) latency: Duration,
}

impl Connection {
    pub(super) fn environments(&self) -> EnvironmentsClient<Channel> {
        EnvironmentsClient::new(self.link.channel()).max_decoding_message_size(MAX_MESSAGE)
    }

    pub(super) fn pins(&self) -> PinsClient<Channel> {
        PinsClient::new(self.link.channel()).max_decoding_message_size(MAX_MESSAGE)
    }

    pub(super) fn sources(&self) -> SourceTreesClient<Channel> {
        SourceTreesClient::new(self.link.channel()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// Returns the CAS: at the endpoint that the server names, or through the server when that is out of reach.
    ///
    /// # Errors
    /// When neither answers.
    pub(super) async fn blobs(&self, events: &dyn Events) -> Result<&Reached, ClientError> {
        self.blobs.get_or_try_init(|| self.reach(events)).await
    }

    async fn reach(&self, events: &dyn Events) -> Result<Reached, ClientError> {
        let at = |link: &Link, batch_bytes, latency| {
            let blobs = RemoteBlobStore::new(link.clone(), self.instance.clone(), self.function);
            Reached { blobs: blobs.with_batch_bytes(batch_bytes), latency }
        };
        let Some(remote) = &self.remote else { return Ok(at(&self.link, 0, self.latency)) };
        let asked = Instant::now();
        match Capabilities::ask(remote, &self.instance).await {
            // Twice to and fro: the connection, then the answer.
            Ok(found) => Ok(at(remote, found.batch_bytes, asked.elapsed() / 2)),
            Err(error @ (StoreError::Endpoint(_) | StoreError::Rpc { .. })) => {
                let (cas, serve) = (remote.endpoint().to_string(), self.endpoint.to_string());
                events.event(Event::Detour { cas, serve, reason: error.to_string() });
                let asked = Instant::now();
                let found = Capabilities::ask(&self.link, &self.instance).await?;
                Ok(at(&self.link, found.batch_bytes, asked.elapsed()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for what the server says to a call, for as long as the server lives: a build may be silent for long.
    pub(super) async fn wait<T>(&self, answer: impl Future<Output = T>) -> Result<T, ClientError> {
        tokio::select! {
            answer = answer => Ok(answer),
            error = self.link.gone() => Err(error.into()),
        }
    }

    /// Says whether the server keeps its blobs and Git objects in this very root.
    pub(super) fn shares(&self, root: &Path) -> bool {
        self.shared_root.as_deref() == Some(root)
    }

    pub(super) fn failed(&self, rpc: &'static str) -> impl FnOnce(tonic::Status) -> ClientError + use<> {
        let endpoint = self.endpoint.to_string();
        move |status| ClientError::rpc(rpc, endpoint, status)
    }

    pub(super) fn broken(&self, rpc: &'static str, reason: impl Into<String>) -> ClientError {
        ClientError::Protocol { rpc, endpoint: self.endpoint.to_string(), reason: reason.into() }
    }
}

pub(super) async fn connect(options: &ClientOptions) -> Result<Connection, ClientError> {
    match &options.serve {
        Some(endpoint) => {
            let link = Link::new(endpoint, &options.security)?;
            let asked = Instant::now();
            let answer = link.call_once(CONFIGURATION, DEADLINE, configuration).await?;
            // Twice to and fro: the connection, then the answer.
            greeted(options, link, answer, asked.elapsed() / 2)
        }
        None => connect_private(options).await,
    }
}

async fn configuration(channel: Channel) -> Result<v1::ConfigurationResponse, tonic::Status> {
    Ok(ConfigurationClient::new(channel).get(v1::ConfigurationRequest {}).await?.into_inner())
}

/// Asks the private daemon once how it wants to be spoken to.
async fn greet(options: &ClientOptions, endpoint: &Endpoint) -> Result<Connection, ClientError> {
    let link = Link::new(endpoint, &Security::default())?;
    let answer = link.call_now(CONFIGURATION, DEADLINE, configuration).await?;
    greeted(options, link, answer, Duration::ZERO)
}

/// Takes what a server said about how it wants to be spoken to.
fn greeted(
    options: &ClientOptions,
    link: Link,
    configuration: v1::ConfigurationResponse,
    latency: Duration,
) -> Result<Connection, ClientError> {
    let endpoint = link.endpoint().clone();
    let broken = |reason: String| ClientError::Protocol { rpc: CONFIGURATION, endpoint: endpoint.to_string(), reason };
    let function = wire::native_function(configuration.digest_function).map_err(|error| broken(error.to_string()))?;
    let remote = match configuration.endpoint.as_str() {
        "" => None,
        address => {
            let address = address.parse().map_err(|error: EndpointError| broken(error.to_string()))?;
            Some(Link::new(&address, &options.remote_security)?)
        }
    };
    tracing::debug!(%endpoint, %function, "connected");
    let shared_root = (!configuration.shared_root.is_empty()).then(|| configuration.shared_root.into());
    let instance = configuration.instance_name;
    Ok(Connection { endpoint, function, link, instance, remote, blobs: OnceCell::new(), latency, shared_root })
}

async fn connect_private(options: &ClientOptions) -> Result<Connection, ClientError> {
    let paths = PrivatePaths::new(&options.root).map_err(ClientError::io("make the directory", &options.root))?;
    let endpoint = Endpoint::Unix(paths.socket());
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match greet(options, &endpoint).await {
            Ok(connection) => return Ok(connection),
            // Nobody there, or one that is just leaving: see to it that one is.
            Err(ClientError::Unreachable(_) | ClientError::Disconnected { .. } | ClientError::Rpc { .. }) => {}
            Err(error) => return Err(error),
        }
        match start(options, &paths, &endpoint).await {
            Ok(connection) => return Ok(connection),
            Err(error @ ClientError::Private { .. }) => return Err(error),
            Err(error) => last = Some(error),
        }
    }
    let never = || ClientError::Private { root: options.root.clone(), log: String::new(), source: None };
    Err(last.unwrap_or_else(never))
}

/// Starts the daemon unless another client did meanwhile.
async fn start(options: &ClientOptions, paths: &PrivatePaths, endpoint: &Endpoint) -> Result<Connection, ClientError> {
    let locked = paths.clone();
    let failed = |source| ClientError::Private { root: options.root.clone(), log: String::new(), source: Some(source) };
    let _lock = blocking(move || lock_start(&locked)).await.map_err(failed)?;
    if let Ok(connection) = greet(options, endpoint).await {
        return Ok(connection);
    }
    let mut child = spawn(options, paths).map_err(failed)?;
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        if let Ok(connection) = greet(options, endpoint).await {
            return Ok(connection);
        }
        let ended = child.try_wait().map_err(failed)?.is_some();
        if ended || Instant::now() >= deadline {
            let log = log_end(&paths.log()).unwrap_or_default();
            return Err(ClientError::Private { root: options.root.clone(), log, source: None });
        }
        tokio::time::sleep(START_TICK).await;
    }
}

fn spawn(options: &ClientOptions, paths: &PrivatePaths) -> io::Result<Child> {
    let log = File::create(paths.log())?;
    fs::create_dir_all(&options.root)?;
    let mut command = Command::new(&options.program);
    command
        .arg("serve")
        .arg("--listen")
        .arg(format!("unix:{}", paths.socket().display()))
        .arg("--root")
        .arg(&options.root)
        .arg("--idle-seconds")
        .arg(options.idle_seconds.to_string())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    command.spawn()
}

fn log_end(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_SHOWN)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    Ok(String::from_utf8_lossy(&end).trim().to_owned())
}
