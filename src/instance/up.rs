//! Starting instances: a process for each that looks after it, as many starts at once as there are cores.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::SUPERVISE_VERB;
use super::error::InstanceError;
use super::lease::Owner;
use super::order::{Order, Reply};
use super::state::Instance;
use crate::container::{self, Container, Programs};
use crate::host::{Criu, cores};

/// Most bytes of a reply.
const MAX_REPLY: u64 = 1 << 20;
/// How long instances that are not wanted may take to go.
pub(super) const END_TIMEOUT: Duration = Duration::from_secs(10);

/// A process that looks after an instance.
pub(super) struct Supervised {
    pub(super) child: Child,
    pub(super) stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// Starts so many instances, with this program, and returns them when all are ready. They stay when this process ends.
///
/// # Errors
/// When one cannot be started; then there is none.
///
/// # Cancel safety
/// The instances go.
pub async fn up(program: &Path, order: &Order, count: usize) -> Result<Vec<Instance>, InstanceError> {
    let of_files = container::Owner::current()?;
    if of_files != container::Owner::Image {
        return Err(InstanceError::NotRoot);
    }
    Programs::find()?;
    let image = order.image()?;
    Container::new(&order.root, &image, &order.options, of_files, false)?;
    let owner = order.owner.map(Owner::open).transpose()?;
    let line = order.line()?;
    let mut all = (0..count).map(|_| Supervised::spawn(program, None)).collect::<Result<Vec<_>, _>>()?;
    let starts: Vec<_> = all.iter_mut().map(|supervised| supervised.start(&line)).collect();
    let mut started: Result<Vec<Instance>, InstanceError> = stream::iter(starts).buffered(cores()).try_collect().await;
    if let (Ok(_), Some(pid)) = (&started, order.owner.filter(|_| owner.is_some_and(|owner| owner.is_gone()))) {
        started = Err(InstanceError::OwnerGone { pid });
    }
    for supervised in all {
        match started {
            Ok(_) => supervised.keep().await?,
            Err(_) => supervised.end().await,
        }
    }
    started
}

impl Supervised {
    pub(super) fn spawn(program: &Path, criu: Option<&Path>) -> Result<Self, InstanceError> {
        let mut command = Command::new(program);
        command.envs(criu.map(|criu| (Criu::VARIABLE, criu)));
        command.arg(SUPERVISE_VERB).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(InstanceError::io("run", program))?;
        let stdin = child.stdin.take().expect("stdin was made a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("stdout was made a pipe"));
        Ok(Self { child, stdin, stdout })
    }

    pub(super) async fn start(&mut self, line: &str) -> Result<Instance, InstanceError> {
        let abandoned = || InstanceError::Abandoned { id: None };
        let written = self.stdin.write_all(format!("{line}\n").as_bytes()).await;
        written.map_err(|_| abandoned())?;
        let mut line = String::new();
        let read = (&mut self.stdout).take(MAX_REPLY).read_line(&mut line).await;
        read.map_err(|_| abandoned())?;
        match serde_json::from_str(&line).map_err(|_| abandoned())? {
            Reply::Started(instance) => Ok(*instance),
            Reply::Failed(failure) => Err(InstanceError::Failed(Box::new(failure))),
        }
    }

    /// Lets the instance stay when this process ends.
    async fn keep(mut self) -> Result<(), InstanceError> {
        self.stdin.write_all(b"k").await.map_err(|_| InstanceError::Abandoned { id: None })
    }

    /// Ends the instance.
    async fn end(mut self) {
        drop(self.stdin);
        // It ends by itself if not now.
        drop(timeout(END_TIMEOUT, self.child.wait()).await);
    }
}
