//! The connection to the server: one that is configured, or the private daemon, started when it is not there.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tonic::transport::Channel;

use super::{ClientError, ClientOptions};
use crate::digest::DigestFunction;
use crate::proto::v1;
use crate::proto::v1::configuration_client::ConfigurationClient;
use crate::proto::v1::environments_client::EnvironmentsClient;
use crate::proto::v1::source_trees_client::SourceTreesClient;
use crate::serve::{PrivatePaths, lock_start};
use crate::store::{Endpoint, RemoteBlobStore, blocking, wire};

/// Longest wait for a private daemon to come up.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause between looks whether it is up.
const START_TICK: Duration = Duration::from_millis(5);
/// How often a private daemon that leaves at the wrong moment is replaced.
const ATTEMPTS: usize = 5;
/// Bytes of the daemon's log that an error shows.
const LOG_SHOWN: u64 = 2000;
/// Largest message taken from the server.
const MAX_MESSAGE: usize = 64 << 20;

/// A server that answered.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Function of the digests of this conversation.
    pub function: DigestFunction,
    channel: Channel,
    instance: String,
    shared_root: Option<PathBuf>,
}

impl Connection {
    pub(super) fn environments(&self) -> EnvironmentsClient<Channel> {
        EnvironmentsClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    pub(super) fn sources(&self) -> SourceTreesClient<Channel> {
        SourceTreesClient::new(self.channel.clone())
    }

    /// Returns the CAS over this connection.
    pub(super) fn blobs(&self) -> RemoteBlobStore {
        self.blobs_over(self.channel.clone())
    }

    /// Returns the CAS over a connection of its own.
    pub(super) async fn own_blobs(&self) -> Result<RemoteBlobStore, ClientError> {
        Ok(self.blobs_over(self.endpoint.connect().await?))
    }

    fn blobs_over(&self, channel: Channel) -> RemoteBlobStore {
        RemoteBlobStore::new(channel, self.endpoint.to_string(), self.instance.clone(), self.function)
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
        Some(endpoint) => greet(endpoint).await,
        None => connect_private(options).await,
    }
}

/// Connects, and learns how the server wants to be spoken to.
async fn greet(endpoint: &Endpoint) -> Result<Connection, ClientError> {
    const RPC: &str = "Configuration.Get";
    let channel = endpoint.connect().await?;
    let answer = ConfigurationClient::new(channel.clone()).get(v1::ConfigurationRequest {}).await;
    let failed = |status| ClientError::rpc(RPC, endpoint.to_string(), status);
    let configuration = answer.map_err(failed)?.into_inner();
    let function = wire::native_function(configuration.digest_function).map_err(|error| ClientError::Protocol {
        rpc: RPC,
        endpoint: endpoint.to_string(),
        reason: error.to_string(),
    })?;
    tracing::debug!(%endpoint, %function, "connected");
    let shared_root = (!configuration.shared_root.is_empty()).then(|| configuration.shared_root.into());
    let instance = configuration.instance_name;
    Ok(Connection { endpoint: endpoint.clone(), function, channel, instance, shared_root })
}

async fn connect_private(options: &ClientOptions) -> Result<Connection, ClientError> {
    let paths = PrivatePaths::new(&options.root).map_err(ClientError::io("make the directory", &options.root))?;
    let endpoint = Endpoint::Unix(paths.socket());
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match greet(&endpoint).await {
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
    if let Ok(connection) = greet(endpoint).await {
        return Ok(connection);
    }
    let mut child = spawn(options, paths).map_err(failed)?;
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        if let Ok(connection) = greet(endpoint).await {
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
    Command::new(&options.program)
        .arg("serve")
        .arg("--listen")
        .arg(format!("unix:{}", paths.socket().display()))
        .arg("--root")
        .arg(&options.root)
        .arg("--idle-seconds")
        .arg(options.idle_seconds.to_string())
        .current_dir("/")
        .env_remove("ENVSERVE_SERVE")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
}

fn log_end(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_SHOWN)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    Ok(String::from_utf8_lossy(&end).trim().to_owned())
}
