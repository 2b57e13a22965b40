//! 50 ms and a gigabit away: round trips of a hit, and the share of the link that a fetch uses.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, Place, fetch, toolchain};
use crate::proxy::Proxy;

/// Time of a round trip.
const ROUND_TRIP: Duration = Duration::from_millis(50);
/// Bytes in a second.
const RATE: u64 = 125_000_000;
/// Connections over which the link itself is measured.
const CONNECTIONS: u64 = 2;
const ROUNDS: usize = 3;

/// Returns a link to a server.
fn far(target: &str) -> Proxy {
    let proxy = Proxy::new(target);
    proxy.delay(ROUND_TRIP / 2);
    proxy.rate(RATE);
    proxy
}

fn round_trips(took: Duration) -> f64 {
    took.as_secs_f64() / ROUND_TRIP.as_secs_f64()
}

pub(crate) fn run() {
    let place = Place::new();
    let execute = Daemon::start("execute", &place.path("endpoint"), &["--min-age-seconds", "3600"]);
    let near = Daemon::start("serve", &place.path("near"), &["--remote", &execute.address]);
    println!("a link of {ROUND_TRIP:?} and {} MB/s to and fro; toolchain, medians of {ROUNDS}\n", RATE / 1_000_000);
    let spec = toolchain();
    let (built, directory) = fetch(&spec, &near.address, &place.path("first"), &[]);
    println!("built and fetched without the link                   {:>8.2} s", built.as_secs_f64());

    resolve(&place, &spec, &execute, &near);
    let bytes = files(Path::new(&directory));
    transfer(&place, &spec, &execute, bytes);
}

/// Resolves hits with the link in different places.
fn resolve(place: &Place, spec: &Path, execute: &Daemon, near: &Daemon) {
    let to_endpoint = far(&execute.address);
    let (mut first, mut second, mut client) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let options = ["--remote", &to_endpoint.address, "--client-address", &execute.address];
        let serve = Daemon::start("serve", &place.path(&format!("far-{round}")), &options);
        let root = place.path(&format!("resolve-{round}"));
        // The spec is resolved without the sources once; what is left is the server's.
        fetch(spec, &near.address, &root, &["--absent"]);
        let beside = Daemon::start("serve", &place.path(&format!("beside-{round}")), &["--remote", &execute.address]);
        // The same work without the distance.
        let new = fetch(spec, &beside.address, &root, &["--absent"]).0;
        let known = fetch(spec, &beside.address, &root, &["--absent"]).0;
        first.push(fetch(spec, &serve.address, &root, &["--absent"]).0.saturating_sub(new));
        second.push(fetch(spec, &serve.address, &root, &["--absent"]).0.saturating_sub(known));
        let to_serve = far(&near.address);
        client.push(fetch(spec, &to_serve.address, &root, &["--absent"]).0);
    }
    for (what, times) in [
        ("added by a far endpoint, first answer of a new daemon", &mut first),
        ("added by a far endpoint, second answer", &mut second),
        ("hit, daemon far, connection included", &mut client),
    ] {
        let took = median(times);
        println!("{what:<53} {:>8.0} ms = {:.1} round trips", took.as_secs_f64() * 1e3, round_trips(took));
    }
}

/// Fetches everything over the link, beside the same bytes over plain connections.
fn transfer(place: &Place, spec: &Path, execute: &Daemon, bytes: u64) {
    let to_endpoint = far(&execute.address);
    let options = ["--remote", &execute.address, "--client-address", &to_endpoint.address];
    let serve = Daemon::start("serve", &place.path("transfer"), &options);
    let to_serve = far(&serve.address);
    let (mut link, mut fetched) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        link.push(plain(bytes));
        fetched.push(fetch(spec, &to_serve.address, &place.path(&format!("all-{round}")), &[]).0);
    }
    let (link, fetched) = (median(&mut link), median(&mut fetched));
    println!("{} MB over plain connections                        {:>8.2} s", bytes / 1_000_000, link.as_secs_f64());
    let share = link.as_secs_f64() / fetched.as_secs_f64();
    println!(
        "fetch, daemon and endpoint far                       {:>8.2} s = {:.0} % of the link",
        fetched.as_secs_f64(),
        share * 100.0
    );
}

/// Sends so many bytes over a link and returns how long they took.
fn plain(bytes: u64) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let link = far(&listener.local_addr().expect("bound").to_string());
    let share = bytes / CONNECTIONS;
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().expect("a connection");
                let chunk = vec![7; 1 << 18];
                let mut left = share;
                while left > 0 {
                    let count = left.min(chunk.len() as u64);
                    stream.write_all(&chunk[..usize::try_from(count).expect("small")]).expect("written");
                    left -= count;
                }
            });
            scope.spawn(|| {
                let mut stream = TcpStream::connect(&link.address).expect("connected");
                let mut chunk = vec![0; 1 << 18];
                while stream.read(&mut chunk).expect("readable") > 0 {}
            });
        }
    });
    started.elapsed()
}

/// Returns the bytes of all files below a directory, each file once however often it is linked.
fn files(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let (mut bytes, mut seen) = (0, std::collections::HashSet::new());
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("readable") {
            let entry = entry.expect("readable");
            let metadata = entry.path().symlink_metadata().expect("there");
            if metadata.is_dir() {
                directories.push(entry.path());
            } else if seen.insert(metadata.ino()) {
                bytes += metadata.len();
            }
        }
    }
    bytes
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}
