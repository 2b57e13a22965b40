//! What a container says: kept in a file of bounded size, of which the older half goes first.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;

/// Size at which the file becomes the older one.
const MAX_BYTES: u64 = 4 << 20;
/// Bytes read at a time.
const CHUNK: usize = 1 << 16;
/// How much of it is shown with an error.
const TAIL_BYTES: u64 = 8 << 10;
const TAIL_LINES: usize = 50;

/// The files.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// What was said last.
    pub(crate) newer: PathBuf,
    /// What was said before.
    pub(crate) older: PathBuf,
}

impl Output {
    /// Returns those in a directory.
    pub(crate) fn of(directory: &Path) -> Self {
        Self { newer: directory.join("log"), older: directory.join("log.old") }
    }

    /// Begins anew.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(super) fn create(&self) -> io::Result<File> {
        match fs::remove_file(&self.older) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.renew()
    }

    /// Puts an empty file in place of the newer one. There is always one, and who reads the last one sees that.
    fn renew(&self) -> io::Result<File> {
        let beside = self.newer.with_extension("new");
        let file = File::create(&beside)?;
        fs::rename(beside, &self.newer)?;
        Ok(file)
    }

    /// Makes the newer file the older one.
    fn turn(&self) -> io::Result<File> {
        let beside = self.older.with_extension("kept");
        fs::hard_link(&self.newer, &beside)?;
        fs::rename(beside, &self.older)?;
        self.renew()
    }

    /// Returns the end of it.
    pub(crate) fn tail(&self) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&self.newer)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let text = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

/// Keeps what comes through a pipe until its end, and tells when a text has come.
pub(super) async fn keep(mut pipe: Receiver, output: Output, mut file: File, text: String, found: watch::Sender<bool>) {
    let mut search = Search::new(text);
    let (mut chunk, mut length) = (vec![0; CHUNK], 0);
    while let Ok(count) = pipe.read(&mut chunk).await
        && count > 0
    {
        if search.finds(&chunk[..count]) {
            found.send_replace(true);
        }
        length += count as u64;
        // What cannot be kept is lost; whoever says it must not stand still.
        if file.write_all(&chunk[..count]).is_ok()
            && length >= MAX_BYTES
            && let Ok(new) = output.turn()
        {
            (file, length) = (new, 0);
        }
    }
}

/// Looks for a text that may come in pieces.
struct Search {
    text: Vec<u8>,
    /// The end of what has come, in which the text may begin.
    rest: Vec<u8>,
}

impl Search {
    fn new(text: String) -> Self {
        Self { text: text.into_bytes(), rest: Vec::new() }
    }

    fn finds(&mut self, piece: &[u8]) -> bool {
        let Self { text, rest } = self;
        if text.is_empty() {
            return false;
        }
        rest.extend_from_slice(piece);
        let found = rest.windows(text.len()).any(|window| window == text);
        rest.drain(..rest.len().saturating_sub(text.len() - 1));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_however_it_comes() {
        for pieces in [&["is ready now"][..], &["is re", "ady now"], &["r", "e", "a", "d", "y"], &["rere", "ady"]] {
            let mut search = Search::new("ready".to_owned());
            assert!(pieces.iter().any(|piece| search.finds(piece.as_bytes())), "{pieces:?}");
        }
        let mut search = Search::new("ready".to_owned());
        assert!(!["read", "read", "eady"].iter().any(|piece| search.finds(piece.as_bytes())));
    }

    #[tokio::test]
    async fn what_is_said_does_not_grow_without_end() {
        let directory = tempfile::tempdir().expect("temporary");
        let output = Output::of(directory.path());
        let (reader, mut writer) = io::pipe().expect("made");
        let said = std::thread::spawn(move || {
            let line = vec![b'x'; 1 << 20];
            (0..10).for_each(|_| writer.write_all(&line).expect("read"));
            writer.write_all(b"\nthe end\n").expect("read");
        });
        let pipe = Receiver::from_owned_fd(reader.into()).expect("a pipe");
        let (found, finds) = watch::channel(false);
        keep(pipe, output.clone(), output.create().expect("made"), "the end".to_owned(), found).await;
        said.join().expect("said");
        let kept = |path: &Path| fs::metadata(path).expect("there").len();
        assert!(kept(&output.older) + kept(&output.newer) <= 2 * MAX_BYTES + 2 * CHUNK as u64);
        assert!(output.tail().ends_with("the end") && *finds.borrow());
    }
}
