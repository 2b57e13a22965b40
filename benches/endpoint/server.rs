//! The servers that are measured: how each is started, and what the system says of its process.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use envserve::proto::reapi;

use super::client::{Client, Unable};

/// Longest wait for a server to listen.
const START: Duration = Duration::from_secs(20);
/// Between two looks whether it does.
const LOOK: Duration = Duration::from_millis(20);
/// Ticks in a second of the times in `/proc/PID/stat`: the same on every Linux.
const TICKS: f64 = 100.0;

/// A program that serves the REAPI.
#[derive(Debug, Clone)]
pub(crate) enum Program {
    /// A build of envserve, and options for it.
    Envserve(PathBuf, Vec<String>),
    /// `buildbox-casd`, from this directory of programs.
    Casd(PathBuf),
    /// `justbuild execute --compatible`, from this directory of programs.
    Just(PathBuf),
    /// One that runs already: address and instance name.
    Running(String, String),
}

/// A server to measure.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) name: String,
    pub(crate) program: Program,
}

/// A server in reach, killed when it is over.
pub(crate) struct Server {
    child: Option<Child>,
    pub(crate) client: Client,
    pub(crate) capabilities: reapi::ServerCapabilities,
    address: String,
    instance: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl Candidate {
    /// Starts it with an empty store in this directory, and connects.
    pub(crate) async fn start(&self, directory: &Path) -> Result<Server, Unable> {
        let (child, address, instance) = match &self.program {
            Program::Envserve(program, options) => envserve(program, options, directory)?,
            Program::Casd(programs) => casd(programs, directory)?,
            Program::Just(programs) => just(programs, directory)?,
            Program::Running(address, instance) => (None, address.clone(), instance.clone()),
        };
        let mut starting = Starting(child);
        let deadline = Instant::now() + START;
        loop {
            let tried = connect(&address, &instance).await;
            match tried {
                Ok((client, capabilities)) => {
                    return Ok(Server { child: starting.0.take(), client, capabilities, address, instance });
                }
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }
}

/// A process that is killed unless it becomes a server.
struct Starting(Option<Child>);

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

async fn connect(address: &str, instance: &str) -> Result<(Client, reapi::ServerCapabilities), Unable> {
    let client = Client::connect(address, instance)?;
    let capabilities = client.capabilities().await?;
    Ok((client, capabilities))
}

type Started = (Option<Child>, String, String);

fn envserve(program: &Path, options: &[String], directory: &Path) -> Result<Started, Unable> {
    let mut command = Command::new(program);
    command.args(["serve", "--listen", "127.0.0.1:0", "--root"]).arg(directory).args(options);
    command.env("ENVSERVE_LOG", "warn");
    let mut child = spawn(command.stdout(Stdio::piped()))?;
    let mut address = String::new();
    let stdout = child.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut address).map_err(|error| Unable::wrong("start", error.to_string()))?;
    Ok((Some(child), address.trim().to_owned(), String::new()))
}

fn casd(programs: &Path, directory: &Path) -> Result<Started, Unable> {
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(programs.join("buildbox-casd"));
    command.arg(format!("--bind={address}"));
    command.arg(format!("--buildbox-run={}", programs.join("buildbox-run-hosttools").display())).arg(directory);
    Ok((Some(spawn(command.stdout(Stdio::null()))?), address, String::new()))
}

fn just(programs: &Path, directory: &Path) -> Result<Started, Unable> {
    let port = free_port();
    let mut command = Command::new(programs.join("justbuild"));
    command.args(["execute", "--compatible", "-i", "127.0.0.1", "-p", &port.to_string(), "--plain-log"]);
    command.arg("--local-build-root").arg(directory);
    command.arg("--info-file").arg(directory.join("info")).arg("--pid-file").arg(directory.join("pid"));
    Ok((Some(spawn(command.stdout(Stdio::null()))?), format!("127.0.0.1:{port}"), String::new()))
}

fn spawn(command: &mut Command) -> Result<Child, Unable> {
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command.spawn().map_err(|error| Unable::wrong("start", format!("{}: {error}", command.get_program().display())))
}

/// Returns a port that was free just now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    listener.local_addr().expect("it is bound").port()
}

impl Server {
    /// Opens another connection.
    pub(crate) fn connect(&self) -> Result<Client, Unable> {
        Client::connect(&self.address, &self.instance)
    }

    /// Returns what it says of its cache.
    pub(crate) fn cache(&self) -> reapi::CacheCapabilities {
        self.capabilities.cache_capabilities.clone().unwrap_or_default()
    }

    /// Says whether it says that it compresses.
    pub(crate) fn has_zstd(&self) -> bool {
        self.cache().supported_compressors.contains(&(reapi::compressor::Value::Zstd as i32))
    }

    /// Returns the seconds of processor time that it and its ended children have taken.
    pub(crate) fn cpu(&self) -> Option<f64> {
        let stat = fs::read_to_string(self.process()?.join("stat")).ok()?;
        // The name in parentheses may hold spaces; utime, stime, cutime and cstime are fields 14 to 17.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: f64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<f64>().ok()).sum();
        Some(ticks / TICKS)
    }

    /// Waits until the server has nothing more to do, for a minute at most.
    pub(crate) async fn settle(&self) {
        let mut before = self.cpu();
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = self.cpu();
            if before.zip(now).is_none_or(|(before, now)| now - before < 0.02) {
                return;
            }
            before = now;
        }
    }

    /// Forgets the peak of its memory, and returns what it holds now, in MiB.
    pub(crate) fn reset_peak(&self) -> Option<f64> {
        fs::write(self.process()?.join("clear_refs"), "5").ok()?;
        self.memory("VmHWM:")
    }

    /// Returns the most memory that it held since then, in MiB.
    pub(crate) fn peak(&self) -> Option<f64> {
        self.memory("VmHWM:")
    }

    fn memory(&self, field: &str) -> Option<f64> {
        let status = fs::read_to_string(self.process()?.join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
    }

    fn process(&self) -> Option<PathBuf> {
        Some(Path::new("/proc").join(self.child.as_ref()?.id().to_string()))
    }
}
