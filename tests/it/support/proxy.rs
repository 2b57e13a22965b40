//! A TCP proxy between a server and its users, which does to their connections what networks do.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

/// Most bytes that are read at a time.
const CHUNK: usize = 64 << 10;
/// Chunks that may be under way in one direction of one connection.
const UNDER_WAY: usize = 4096;
/// How long it takes until a connection that nobody answers is known to be none.
const UNANSWERED: Duration = Duration::from_millis(100);

/// What becomes of connections, and of what they carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Nobody listens, and connections that there were are reset.
    Refused,
    /// Nobody answers those who would connect; connections that there were fall silent.
    Unanswered,
    /// Connections are taken, and nothing ever comes back.
    Swallowed,
    /// A connection is reset after the server has sent so many bytes; only the first one, or each.
    Reset { after: u64, again: bool },
    /// The same, but the connection is closed as if it were complete.
    Truncated { after: u64, again: bool },
}

#[derive(Debug, Clone, Copy)]
struct Weather {
    fault: Fault,
    delay: Duration,
    /// Bytes in a second, each way, of all connections together; `None` stands for as many as can be carried.
    rate: Option<u64>,
    /// Grows with each change of the fault.
    number: u64,
}

#[derive(Debug)]
struct Shared {
    target: Mutex<String>,
    weather: watch::Sender<Weather>,
    /// Number of the weather that new connections meet.
    settled: AtomicU64,
    connections: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
    /// When what was sent each way will have passed, at the rate that is set.
    free: [Mutex<Instant>; 2],
}

/// A running proxy, gone when dropped.
pub(crate) struct Proxy {
    pub(crate) address: String,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl Proxy {
    /// Starts one in front of a server, which need not run yet.
    pub(crate) fn new(target: &str) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().expect("threads can be started");
        let weather = Weather { fault: Fault::None, delay: Duration::ZERO, rate: None, number: 0 };
        let shared = Arc::new(Shared {
            target: Mutex::new(target.to_owned()),
            weather: watch::Sender::new(weather),
            settled: AtomicU64::default(),
            connections: AtomicU64::default(),
            up: AtomicU64::default(),
            down: AtomicU64::default(),
            free: [Mutex::new(Instant::now()), Mutex::new(Instant::now())],
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        listener.set_nonblocking(true).expect("settable");
        let entered = runtime.enter();
        let listener = TcpListener::from_std(listener).expect("a runtime");
        drop(entered);
        runtime.spawn(listen(Arc::clone(&shared), address, listener));
        Self { address: address.to_string(), shared, runtime: Some(runtime) }
    }

    /// Changes what becomes of connections, of those that there are as well.
    pub(crate) fn set(&self, fault: Fault) {
        let number = self.shared.set(fault);
        while self.shared.settled.load(Relaxed) < number {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Leads new connections to another server.
    pub(crate) fn lead_to(&self, target: &str) {
        target.clone_into(&mut self.shared.target.lock().expect("no panic"));
    }

    /// Sets how long everything is under way, in each direction. The throughput stays as it is.
    pub(crate) fn delay(&self, delay: Duration) {
        self.shared.weather.send_modify(|weather| weather.delay = delay);
    }

    /// Sets how many bytes pass in a second, each way.
    pub(crate) fn rate(&self, bytes: u64) {
        self.shared.weather.send_modify(|weather| weather.rate = Some(bytes));
    }

    /// Returns how many connections were made.
    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(Relaxed)
    }

    /// Returns how many bytes the server was sent, and how many it has sent.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.shared.up.load(Relaxed), self.shared.down.load(Relaxed))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    /// Returns when so many bytes that are sent now will have arrived.
    fn arrival(&self, weather: &Weather, down: bool, count: usize) -> Instant {
        let now = Instant::now();
        let Some(rate) = weather.rate else { return now + weather.delay };
        let mut free = self.free[usize::from(down)].lock().expect("no panic");
        *free = (*free).max(now) + Duration::from_nanos(1_000_000_000 * count as u64 / rate);
        *free + weather.delay
    }

    /// Changes the weather and returns its number.
    fn set(&self, fault: Fault) -> u64 {
        let mut number = 0;
        self.weather.send_modify(|weather| {
            weather.fault = fault;
            weather.number += 1;
            number = weather.number;
        });
        number
    }
}

/// Listens as long as the weather lets it.
async fn listen(shared: Arc<Shared>, address: SocketAddr, first: TcpListener) {
    let mut weather = shared.weather.subscribe();
    let mut listening = Some(first);
    loop {
        let Weather { fault, number, .. } = *weather.borrow_and_update();
        let settled = || shared.settled.store(number, Relaxed);
        match fault {
            Fault::Refused => {
                listening = None;
                settled();
                drop(weather.changed().await);
            }
            Fault::Unanswered => {
                listening = None;
                let full = full(address).await;
                settled();
                drop(weather.changed().await);
                drop(full);
            }
            _ => {
                if listening.is_none() {
                    listening = TcpListener::bind(address).await.ok();
                }
                let Some(listener) = &listening else { continue };
                settled();
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => {
                        shared.connections.fetch_add(1, Relaxed);
                        tokio::spawn(connection(Arc::clone(&shared), stream));
                    }
                    _ = weather.changed() => {}
                }
            }
        }
    }
}

/// Returns a listener that has no room for another connection: the system then ignores whoever would connect.
async fn full(address: SocketAddr) -> (Option<TcpListener>, Vec<TcpStream>) {
    let listener = TcpSocket::new_v4().and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(0)
    });
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) = timeout(UNANSWERED, TcpStream::connect(address)).await {
        waiting.push(stream);
    }
    (listener.ok(), waiting)
}

/// How a direction of a connection ends.
#[derive(Clone, Copy)]
enum End {
    /// The sender has said all that it has to say.
    Closed,
    /// By the network, as if it were complete.
    Truncated,
    /// By the network with a reset, once what was read has arrived.
    Reset,
    /// The same, at once.
    Broken,
}

async fn connection(shared: Arc<Shared>, client: TcpStream) {
    let target = shared.target.lock().expect("no panic").clone();
    let Ok(server) = TcpStream::connect(target).await else {
        drop(client.set_zero_linger());
        return;
    };
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let end = {
        let up = direction(&shared, &mut from_client, &mut to_server, None);
        let down = direction(&shared, &mut from_server, &mut to_client, Some(0));
        tokio::pin!(up, down);
        // One side may close its half and still listen; what the network does is for both.
        tokio::select! {
            end @ (End::Truncated | End::Reset | End::Broken) = &mut up => end,
            end @ (End::Truncated | End::Reset | End::Broken) = &mut down => end,
            else => End::Closed,
        }
    };
    if matches!(end, End::Reset | End::Broken) {
        drop((from_client.as_ref().set_zero_linger(), from_server.as_ref().set_zero_linger()));
        // Dropped, they would close their direction first, in order.
        to_client.forget();
        to_server.forget();
        return;
    }
    // To close a connection from which something could still be read is to reset it.
    drop((from_server, to_server, to_client));
    let mut rest = vec![0; CHUNK];
    while from_client.read(&mut rest).await.is_ok_and(|count| count > 0) {}
}

/// Carries bytes one way. Counts them against the fault if it is the way from the server.
async fn direction(shared: &Shared, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, counted: Option<u64>) -> End {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let write = async {
        while let Some((due, bytes)) = receiver.recv().await {
            // A timer is never shorter than a millisecond.
            if due > Instant::now() {
                sleep_until(due).await;
            }
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    // The sender goes with it; what is under way still arrives.
    let read = read(shared, from, sender, counted);
    let end = {
        tokio::pin!(read, write);
        tokio::select! {
            end = &mut read => {
                if !matches!(end, End::Broken) {
                    write.await;
                }
                end
            }
            () = &mut write => End::Broken,
        }
    };
    if matches!(end, End::Closed | End::Truncated) {
        drop(to.shutdown().await);
    }
    end
}

async fn read(
    shared: &Shared,
    from: &mut OwnedReadHalf,
    to: mpsc::Sender<(Instant, Vec<u8>)>,
    mut counted: Option<u64>,
) -> End {
    let mut changes = shared.weather.subscribe();
    let mut weather = *changes.borrow_and_update();
    loop {
        let mut bytes = vec![0; CHUNK];
        let read = tokio::select! {
            read = from.read(&mut bytes) => read,
            _ = changes.changed() => {
                let silent = matches!(weather.fault, Fault::Swallowed | Fault::Unanswered);
                let now = *changes.borrow_and_update();
                // What was swallowed would be missing.
                if now.fault == Fault::Refused || (silent && now.number != weather.number) {
                    return End::Broken;
                }
                counted = counted.map(|count| if now.number == weather.number { count } else { 0 });
                weather = now;
                continue;
            }
        };
        let Ok(count) = read else { return End::Broken };
        if count == 0 {
            return End::Closed;
        }
        bytes.truncate(count);
        let total = if counted.is_some() { &shared.down } else { &shared.up };
        total.fetch_add(count as u64, Relaxed);
        let mut cut = None;
        match (weather.fault, &mut counted) {
            (Fault::Swallowed | Fault::Unanswered, _) => continue,
            (Fault::Reset { after, again } | Fault::Truncated { after, again }, Some(counted)) => {
                let left = after - *counted;
                *counted += (count as u64).min(left);
                if left <= count as u64 {
                    bytes.truncate(usize::try_from(left).unwrap_or(count));
                    cut = Some(if matches!(weather.fault, Fault::Reset { .. }) { End::Reset } else { End::Truncated });
                    if !again {
                        shared.set(Fault::None);
                    }
                }
            }
            _ => {}
        }
        let due = shared.arrival(&weather, counted.is_some(), bytes.len());
        if to.send((due, bytes)).await.is_err() {
            return End::Broken;
        }
        if let Some(end) = cut {
            return end;
        }
    }
}
