//! stdout or stderr of an action: to a file of bounded size, and to whoever watches, line by line.

use std::path::Path;

use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::{ExecuteError, ExecutionEvents};

/// Bytes read at a time.
const CHUNK: usize = 64 << 10;
/// Longest line that is passed on, in bytes; what follows in it is only in the file.
const MAX_LINE: usize = 8 << 10;

/// Where the output goes.
pub(super) struct Capture<'a> {
    /// Into this new file,
    pub(super) file: &'a Path,
    /// up to this many bytes,
    pub(super) limit: u64,
    /// and to whoever watches.
    pub(super) events: &'a dyn ExecutionEvents,
}

/// Reads a pipe to its end.
///
/// # Errors
/// When the file cannot be written. The pipe is not read any more then.
pub(super) async fn capture(
    mut pipe: impl AsyncRead + Unpin,
    Capture { file: path, limit, events }: Capture<'_>,
) -> Result<(), ExecuteError> {
    let mut file = File::create(path).await.map_err(ExecuteError::io("make", path))?;
    let mut lines = Lines::default();
    let mut buffer = Vec::with_capacity(CHUNK);
    let (mut kept, mut dropped) = (0, 0);
    loop {
        buffer.clear();
        let count = pipe.read_buf(&mut buffer).await.map_err(ExecuteError::io("read what goes to", path))? as u64;
        if count == 0 {
            break;
        }
        let keep = count.min(limit - kept);
        let piece = &buffer[..usize::try_from(keep).expect("no more than was read")];
        kept += keep;
        dropped += count - keep;
        lines.push(piece, events);
        file.write_all(piece).await.map_err(ExecuteError::io("write", path))?;
    }
    if dropped > 0 {
        let notice = format!("\n[envserve: {dropped} bytes beyond the limit of {limit} were dropped]\n");
        lines.push(notice.as_bytes(), events);
        file.write_all(notice.as_bytes()).await.map_err(ExecuteError::io("write", path))?;
    }
    lines.finish(events);
    file.flush().await.map_err(ExecuteError::io("write", path))
}

/// Cuts bytes into lines.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    cut: bool,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], events: &dyn ExecutionEvents) {
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
        capture(output, Capture { file: &file, limit, events: &heard }).await.unwrap();
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
