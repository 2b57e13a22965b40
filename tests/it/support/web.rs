//! A web server of files, which remembers what it was asked for.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A server of a directory on a port of its own, for as long as the test runs.
pub(crate) struct Web {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    pub(crate) fn of(directory: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (directory, log) = (directory.to_owned(), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is none of ours.
                drop(answer(stream, &directory, &log));
            }
        });
        Self { address, asked }
    }

    /// Returns the paths that were asked for since the last time, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("no test panics with it"))
    }
}

fn answer(mut stream: TcpStream, directory: &Path, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
    log.lock().expect("no test panics with it").push(path.clone());
    if let Some(target) = path.strip_prefix("redirect/") {
        return write!(
            stream,
            "HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    let file: PathBuf = directory.join(path);
    match fs::read(file) {
        Ok(bytes) => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len())?;
            stream.write_all(&bytes)
        }
        Err(_) => write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    }
}
