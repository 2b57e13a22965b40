//! The proxy of these tests does what it says.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{Fault, Proxy};

const LARGE: usize = 32 << 20;
const SECOND: Duration = Duration::from_secs(1);

/// Starts a server that says how long a line is with so many bytes, and returns a proxy in front of it.
fn proxy() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let proxy = Proxy::new(&listener.local_addr().expect("bound").to_string());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("taken");
            std::thread::spawn(move || {
                let mut request = [0; 8];
                while stream.read_exact(&mut request).is_ok() {
                    let count = usize::from_le_bytes(request);
                    if stream.write_all(&vec![1; count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    proxy
}

fn connect(proxy: &Proxy) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&proxy.address.parse().expect("an address"), SECOND)?;
    stream.set_read_timeout(Some(SECOND))?;
    Ok(stream)
}

/// Asks for bytes and returns how many came before the end, and what the end was.
fn ask(stream: &mut TcpStream, count: usize) -> (usize, io::Result<()>) {
    if let Err(error) = stream.write_all(&count.to_le_bytes()) {
        return (0, Err(error));
    }
    let (mut came, mut buffer) = (0, vec![0; 1 << 16]);
    while came < count {
        match stream.read(&mut buffer) {
            Ok(0) => return (came, Ok(())),
            Ok(more) => came += more,
            Err(error) => return (came, Err(error)),
        }
    }
    (came, Ok(()))
}

#[test]
fn latency_costs_a_round_trip_and_no_throughput() {
    let proxy = proxy();
    let mut stream = connect(&proxy).expect("up");
    proxy.delay(Duration::from_millis(50));
    let started = Instant::now();
    assert_eq!(ask(&mut stream, 1).0, 1);
    let one = started.elapsed();
    assert!(one >= Duration::from_millis(100) && one < SECOND, "{one:?}");
    assert_eq!(ask(&mut stream, LARGE).0, LARGE);
    let large = started.elapsed() - one;
    assert!(large < Duration::from_secs(2), "{large:?}");
    assert!(proxy.bytes().1 > LARGE as u64 && proxy.connections() == 1);
}

#[test]
fn no_more_passes_than_the_rate_that_is_set() {
    let proxy = proxy();
    proxy.rate(LARGE as u64);
    let mut stream = connect(&proxy).expect("up");
    let started = Instant::now();
    assert_eq!(ask(&mut stream, LARGE / 4).0, LARGE / 4);
    let took = started.elapsed();
    assert!(took >= SECOND / 4 && took < SECOND, "{took:?}");
}

#[test]
fn every_fault_is_what_it_is_called_and_passes() {
    let proxy = proxy();
    let kind = |result: io::Result<()>| result.map_err(|error| error.kind());
    proxy.set(Fault::Refused);
    assert_eq!(connect(&proxy).expect_err("nobody listens").kind(), io::ErrorKind::ConnectionRefused);
    proxy.set(Fault::Unanswered);
    assert_eq!(connect(&proxy).expect_err("nobody answers").kind(), io::ErrorKind::TimedOut);
    proxy.set(Fault::Swallowed);
    let mut swallowed = connect(&proxy).expect("taken");
    let (came, end) = ask(&mut swallowed, 10);
    assert_eq!((came, kind(end)), (0, Err(io::ErrorKind::WouldBlock)));
    proxy.set(Fault::None);
    for (fault, end) in [
        (Fault::Reset { after: 100_000, again: false }, Err(io::ErrorKind::ConnectionReset)),
        (Fault::Truncated { after: 100_000, again: false }, Ok(())),
    ] {
        let mut before = connect(&proxy).expect("up");
        proxy.set(fault);
        let (came, ended) = ask(&mut before, LARGE);
        assert!(came <= 100_000, "{came}");
        assert_eq!(kind(ended), end, "{fault:?}");
        assert_eq!(ask(&mut connect(&proxy).expect("up"), LARGE).0, LARGE, "after {fault:?}");
    }
    assert!(ask(&mut swallowed, 10).1.is_err(), "what was swallowed does not come later");
}
