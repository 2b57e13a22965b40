//! stdout or stderr of an action: to a file of bounded size, and to whoever watches, line by line or as bytes.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;

use super::{ExecuteError, ExecutionEvents};
use crate::store::blocking;

/// Bytes read at a time.
const CHUNK: usize = 64 << 10;
/// Longest line that is passed on, in bytes; what follows in it is only in the file.
const MAX_LINE: usize = 8 << 10;

/// Takes what is written to a pipe. The file is made with the first byte.
pub(super) struct Capture {
    path: PathBuf,
    file: Arc<OnceLock<File>>,
    written: watch::Sender<u64>,
}

/// A log that is being written, to be read meanwhile. It has ended when its capture has been dropped.
#[derive(Debug, Clone)]
pub struct LiveLog {
    file: Arc<OnceLock<File>>,
    written: watch::Receiver<u64>,
}

impl LiveLog {
    /// Returns at most `most` bytes from an offset on, for which it waits. There are none when the log has ended.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn read(&mut self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        // An error says that nobody writes any more: what is there is all.
        drop(self.written.wait_for(|written| *written > offset).await);
        let there = self.written.borrow().saturating_sub(offset);
        let most = most.min(usize::try_from(there).unwrap_or(most));
        if most == 0 {
            return Ok(Vec::new());
        }
        let file = Arc::clone(&self.file);
        blocking(move || {
            let mut bytes = vec![0; most];
            let file = file.get().ok_or(io::ErrorKind::NotFound)?;
            file.read_exact_at(&mut bytes, offset).map(|()| bytes)
        })
        .await
    }
}

impl Capture {
    /// Returns a capture into a new file.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: Arc::default(), written: watch::Sender::new(0) }
    }

    /// Returns the log as others read it.
    pub(super) fn live(&self) -> LiveLog {
        LiveLog { file: Arc::clone(&self.file), written: self.written.subscribe() }
    }

    /// Reads a pipe to its end, and keeps so many bytes.
    ///
    /// # Errors
    /// When the file cannot be written. The pipe is not read any more then.
    pub(super) async fn capture(
        &self,
        mut pipe: impl AsyncRead + Unpin,
        limit: u64,
        events: &dyn ExecutionEvents,
    ) -> Result<(), ExecuteError> {
        let mut lines = Lines::default();
        let mut buffer = Vec::new();
        let (mut kept, mut dropped) = (0, 0);
        loop {
            buffer.clear();
            buffer.reserve(CHUNK);
            let count = pipe.read_buf(&mut buffer).await.map_err(self.failed("read what goes to"))? as u64;
            if count == 0 {
                break;
            }
            let keep = count.min(limit - kept);
            buffer.truncate(usize::try_from(keep).expect("no more than was read"));
            kept += keep;
            dropped += count - keep;
            lines.push(&buffer, events);
            buffer = self.append(buffer).await?;
        }
        if dropped > 0 {
            let notice = format!("\n[envserve: {dropped} bytes beyond the limit of {limit} were dropped]\n");
            lines.push(notice.as_bytes(), events);
            self.append(notice.into_bytes()).await?;
        }
        lines.finish(events);
        Ok(())
    }

    /// Adds bytes, and returns their buffer.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) async fn append(&self, bytes: Vec<u8>) -> Result<Vec<u8>, ExecuteError> {
        if bytes.is_empty() {
            return Ok(bytes);
        }
        let (file, path) = (Arc::clone(&self.file), self.path.clone());
        let written = blocking(move || append(&file, &path, &bytes).map(|()| bytes)).await;
        let bytes = written.map_err(self.failed("write"))?;
        self.written.send_modify(|written| *written += bytes.len() as u64);
        Ok(bytes)
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> ExecuteError {
        ExecuteError::io(action, &self.path)
    }
}

fn append(file: &OnceLock<File>, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if file.get().is_none() {
        // Only the capture appends, so nobody else has set it meanwhile.
        let made = File::options().read(true).append(true).create_new(true).open(path)?;
        file.get_or_init(|| made);
    }
    let mut file = file.get().expect("it has just been set");
    file.write_all(bytes)
}

/// Cuts bytes into lines.
#[derive(Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    cut: bool,
}

impl Lines {
    pub(super) fn push(&mut self, bytes: &[u8], events: &dyn ExecutionEvents) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            let taken = text.len().min(MAX_LINE - self.line.len());
            self.line.extend_from_slice(&text[..taken]);
            self.cut |= taken < text.len();
            if text.len() < piece.len() {
                self.emit(events);
            }
        }
    }

    fn finish(&mut self, events: &dyn ExecutionEvents) {
        if !self.line.is_empty() {
            self.emit(events);
        }
    }

    fn emit(&mut self, events: &dyn ExecutionEvents) {
        let mut line = String::from_utf8_lossy(&self.line).into_owned();
        if self.cut {
            line.push('…');
        }
        events.log(&line);
        self.line.clear();
        self.cut = false;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::Stage;
    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl ExecutionEvents for Heard {
        fn stage(&self, _: Stage) {}

        fn log(&self, line: &str) {
            self.0.lock().unwrap().push(line.to_owned());
        }
    }

    async fn captured(output: &[u8], limit: u64) -> (String, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let (file, heard) = (directory.path().join("stdout"), Heard::default());
        Capture::new(file.clone()).capture(output, limit, &heard).await.unwrap();
        (std::fs::read_to_string(&file).unwrap(), heard.0.into_inner().unwrap())
    }

    #[tokio::test]
    async fn lines_are_passed_on_and_the_last_needs_no_end() {
        let (file, lines) = captured(b"one\n\nthree", 100).await;
        assert_eq!((file.as_str(), lines), ("one\n\nthree", vec!["one".into(), String::new(), "three".into()]));
    }

    #[tokio::test]
    async fn output_beyond_the_limit_is_dropped_and_said_so() {
        let (file, lines) = captured(b"0123456789", 4).await;
        assert_eq!(file, "0123\n[envserve: 6 bytes beyond the limit of 4 were dropped]\n");
        assert_eq!(lines[0], "0123");
    }

    #[tokio::test]
    async fn a_long_line_is_cut_for_those_who_watch() {
        let (file, lines) = captured(&vec![b'x'; 3 * CHUNK], 1 << 20).await;
        assert_eq!((file.len(), lines.len(), lines[0].chars().count()), (3 * CHUNK, 1, MAX_LINE + 1));
    }
}
