//! The process that looks after one instance, as long as that belongs to anybody.
//!
//! ```text
//! up ─► supervise (this process, in a session and a namespace of mounts of its own) ─► the container
//!         stdin   the order; then a byte when the instance is to be kept. Its end instead ends the instance
//!         stdout  one reply
//! ```
//!
//! The instance ends with its owner, by `down`, and with this process, which the kernel makes sure of. Whoever looks
//! after instances next removes what is on the disk then.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::process::setsid;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::timeout;
use uuid::Uuid;

use super::control::{self, Request};
use super::error::{Failure, InstanceError, Reason};
use super::lease::{Owner, gone};
use super::order::{Order, Reply};
use super::plan::Plan;
use super::ports::Ports;
use super::state::{Instance, STATE_VERSION, Status};
use crate::container::{
    self, Container, ContainerError, Directory, Entrance, Output, Processes, Programs, Running, Service, World,
};

/// Most bytes of an order.
const MAX_ORDER: u64 = 4 << 20;
/// How long somebody who is connected may take to say something.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests that wait.
const REQUESTS: usize = 64;
/// The exit code of a command that was killed.
const KILLED: u8 = 137;

/// What is looked after.
struct Supervisor {
    running: Option<Running>,
    state: Instance,
    plan: Plan,
    timeout: Duration,
    entrances: Vec<(u16, Entrance)>,
    /// Dropped last: its directory is removed then.
    service: Service,
}

/// Somebody who asks for something.
type Asked = (Request, UnixStream);

/// Looks after an instance, for the process that has started this one.
///
/// # Errors
/// When nobody tells what to do. What happens to the instance is told to who has started this.
pub fn supervise() -> Result<(), InstanceError> {
    let _has_one_already = setsid();
    let failed = || InstanceError::io("take an order from", "stdin".as_ref());
    std::env::set_current_dir("/").map_err(failed())?;
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(failed())?);
    let mut line = String::new();
    BufReader::new((&stdin).take(MAX_ORDER)).read_line(&mut line).map_err(failed())?;
    if line.is_empty() {
        // Nobody wants it any more.
        return Ok(());
    }
    let order: Order = serde_json::from_str(&line).map_err(|error| failed()(error.into()))?;
    let (owner, supervisor, listener) = match prepare(order) {
        Ok(prepared) => prepared,
        Err(error) => return tell(&Reply::Failed(Failure::of(&error, String::new()))).map_err(failed()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed())?;
    runtime.block_on(supervisor.run(owner, listener, stdin)).map_err(failed())
}

type Prepared = (Option<Owner>, Supervisor, std::os::unix::net::UnixListener);

fn prepare(order: Order) -> Result<Prepared, InstanceError> {
    let owner = order.owner.map(Owner::open).transpose()?;
    let image = order.image()?;
    let programs = Programs::find()?;
    let of_files = container::Owner::current()?;
    let container = Container::new(&order.root, &image, &order.options, of_files, false)?;
    let program = std::env::current_exe().map_err(InstanceError::io("find the program", "/proc/self/exe".as_ref()))?;
    let directory = Directory::new(&order.client.join("instances"), "")?;
    let (path, id) = (directory.path().to_owned(), directory.name());
    let plan = Plan::of(&order);
    let world = World::enter(of_files, Processes::Host)?;
    let ports = Ports::open(&path, &order.ports).map_err(InstanceError::io("find free ports for", &path))?;
    let state = Instance {
        version: STATE_VERSION,
        id,
        environment: order.environment,
        key: order.key,
        form: order.form,
        generation: String::new(),
        status: Status::Starting,
        pid: None,
        supervisor: std::process::id(),
        owner: order.owner,
        ports: ports.addresses,
        directory: path.clone(),
    };
    let listener = control::listen(&path).map_err(InstanceError::io("listen in", &path))?;
    let Order { root, layers, options, .. } = order;
    let service = Service { programs, container, options, root, layers, world, program, directory };
    let timeout = Duration::from_secs(order.timeout_seconds);
    Ok((owner, Supervisor { running: None, state, plan, timeout, entrances: ports.entrances, service }, listener))
}

/// Answers who has started this process.
fn tell(reply: &Reply) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, reply)?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

/// Ends when the one who has started this process is gone without having said that the instance is to be kept.
async fn not_kept(stdin: File) -> io::Result<()> {
    let mut stdin = Receiver::from_owned_fd(stdin.into())?;
    if stdin.read(&mut [0; 1]).await? == 0 {
        return Ok(());
    }
    // Whoever reads what it says on stderr waits no longer.
    rustix::stdio::dup2_stderr(File::options().write(true).open("/dev/null")?)?;
    std::future::pending().await
}

/// Takes requests: those for the end go one way, all others another.
async fn listen(listener: tokio::net::UnixListener, requests: mpsc::Sender<Asked>, ends: mpsc::Sender<Asked>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let (requests, ends) = (requests.clone(), ends.clone());
        tokio::spawn(async move {
            let Ok(Ok(request)) = timeout(REQUEST_TIMEOUT, control::request(&mut stream)).await else { return };
            let way = if request == Request::Down { ends } else { requests };
            // Nobody takes it: this process ends.
            drop(way.send((request, stream)).await);
        });
    }
}

impl Supervisor {
    async fn run(
        mut self,
        owner: Option<Owner>,
        listener: std::os::unix::net::UnixListener,
        stdin: File,
    ) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let (requests, asked) = mpsc::channel(REQUESTS);
        let (ends, mut ending) = mpsc::channel(REQUESTS);
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::spawn(listen(tokio::net::UnixListener::from_std(listener)?, requests, ends));
        // Whoever wants the end waits for that of this process.
        let waiting = tokio::select! {
            () = gone(owner) => None,
            _ = terminate.recv() => None,
            _ = not_kept(stdin) => None,
            ended = ending.recv() => ended,
            outcome = self.live(asked) => outcome.map(|()| None)?,
        };
        self.stop().await;
        drop(self);
        drop(waiting);
        Ok(())
    }

    /// Starts the instance, and again whenever that is asked for.
    async fn live(&mut self, mut asked: mpsc::Receiver<Asked>) -> io::Result<()> {
        match self.start().await {
            Ok(()) => tell(&Reply::Started(Box::new(self.state.clone())))?,
            Err(failure) => return tell(&Reply::Failed(failure)),
        }
        loop {
            let running = self.running.as_ref();
            let ended = async {
                match running {
                    Some(running) => running.dead().await,
                    None => std::future::pending().await,
                }
            };
            let next = tokio::select! {
                () = ended => None,
                next = asked.recv() => next,
            };
            match next {
                None => self.note_end().await?,
                Some((Request::Reset, stream)) => {
                    self.stop().await;
                    let failure = self.start().await.err();
                    // Who has asked may be gone.
                    drop(control::answer(&stream, failure, &[]));
                }
                Some((Request::Enter | Request::Down, stream)) => drop(self.let_in(&stream)),
            }
        }
    }

    /// Hands out what one needs to get into the container.
    fn let_in(&self, stream: &UnixStream) -> io::Result<()> {
        let output = Output::of(self.service.directory.path());
        let process = self.running.as_ref().and_then(|running| Some((running, running.process().ok()?)));
        let Some((running, process)) = process else {
            let code = if let Status::Ended(code) = self.state.status { code } else { KILLED };
            return control::answer(stream, Some(Failure::ended(code, output.tail())), &[]);
        };
        let root = File::open(format!("/proc/{process}/root"))?;
        control::answer(stream, None, &[running.runc(), root.as_fd()])
    }

    /// Starts it and waits until it is ready.
    async fn start(&mut self) -> Result<(), Failure> {
        let io =
            |error| Failure::of(&InstanceError::io("write the state of", "instance".as_ref())(error), String::new());
        self.state.generation = Uuid::new_v4().to_string();
        self.note(Status::Starting).map_err(io)?;
        let limit = self.timeout;
        let outcome = timeout(limit, self.start_ready()).await.unwrap_or_else(|_| {
            let text = format!("the instance was not ready after {} s", limit.as_secs());
            Err((KILLED, Failure::new(Reason::NotReady, text)))
        });
        match outcome {
            Ok(()) => self.note(Status::Running).map_err(io),
            Err((code, failure)) => {
                self.stop().await;
                self.note(Status::Ended(code)).map_err(io)?;
                let log = Some(failure.log).filter(|log| !log.is_empty());
                let log = log.unwrap_or_else(|| Output::of(self.service.directory.path()).tail());
                Err(Failure { log, ..failure })
            }
        }
    }

    async fn start_ready(&mut self) -> Result<(), (u8, Failure)> {
        let failed = |error: InstanceError| (KILLED, Failure::of(&error, String::new()));
        let started = self.service.start(&self.plan.beginning, self.plan.ready.as_ref()).await;
        let running = self.running.insert(started.map_err(|error| failed(error.into()))?);
        let prepared = tokio::select! {
            () = running.dead() => None,
            prepared = self.plan.prepare(running, &self.state) => Some(prepared),
        };
        if let Some(prepared) = prepared {
            prepared.map_err(|failure| (KILLED, failure))?;
            // Nobody reaches it before it knows who it is.
            for (port, entrance) in &self.entrances {
                let passed = entrance.try_clone().and_then(|entrance| running.forward(entrance, *port));
                passed
                    .map_err(|error| failed(InstanceError::io("pass on the ports of", &self.state.directory)(error)))?;
            }
            return Ok(());
        }
        let code = running.ended().await.unwrap_or(KILLED);
        if running.has_begun() {
            return Err((code, Failure::ended(code, String::new())));
        }
        Err(failed(ContainerError::NotStarted { code }.into()))
    }

    async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill().await;
        }
    }

    /// Notes that the command has ended.
    async fn note_end(&mut self) -> io::Result<()> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        let code = running.ended().await.unwrap_or(KILLED);
        self.note(Status::Ended(code))
    }

    fn note(&mut self, status: Status) -> io::Result<()> {
        self.state.status = status;
        self.state.pid = self.running.as_ref().and_then(|running| running.process().ok());
        self.state.write()
    }
}
