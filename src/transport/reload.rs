//! What was read from files, and is read again when they change.
//!
//! A look at the files costs a system call for each, so there is at most one a second. Files that became bad are
//! reported once; until they are good again the last good content stays.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::SecurityError;

/// Shortest time between two looks at the files.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

type Load<T> = Box<dyn Fn() -> Result<T, SecurityError> + Send + Sync>;

/// The content of files, kept up to date. Its `Debug` form names the files and nothing of their content.
pub(crate) struct Reloaded<T> {
    paths: Vec<PathBuf>,
    load: Load<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    value: Arc<T>,
    /// The files that `value` was read from.
    good: Vec<Option<Stamp>>,
    /// The files that were found bad last.
    bad: Option<Vec<Option<Stamp>>>,
    next_look: Instant,
}

/// What changes when a file is written or replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    size: u64,
    inode: u64,
}

impl<T> fmt::Debug for Reloaded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.paths).finish()
    }
}

impl<T> Reloaded<T> {
    /// Reads files for the first time. Blocks.
    ///
    /// # Errors
    /// What `load` returns.
    pub(crate) fn open(
        paths: Vec<PathBuf>,
        load: impl Fn() -> Result<T, SecurityError> + Send + Sync + 'static,
    ) -> Result<Self, SecurityError> {
        // Before they are read: a change meanwhile is then seen at the next look.
        let good = stamps(&paths);
        let value = Arc::new(load()?);
        let state = State { value, good, bad: None, next_look: Instant::now() + BETWEEN_LOOKS };
        Ok(Self { paths, load: Box::new(load), state: Mutex::new(state) })
    }

    /// Returns the content as it was found last.
    pub(crate) fn current(&self) -> Arc<T> {
        Arc::clone(&self.state().value)
    }

    /// Says whether it is time to look at the files. Of many who ask, one is told so, once a second.
    pub(crate) fn is_due(&self) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        let due = now >= state.next_look;
        if due {
            state.next_look = now + BETWEEN_LOOKS;
        }
        due
    }

    /// Reads the files again if they have changed. Blocks.
    pub(crate) fn look(&self) {
        let found = stamps(&self.paths);
        if self.state().good == found {
            return;
        }
        // Not under the lock: who asks for the content meanwhile gets the last.
        let loaded = (self.load)();
        let mut state = self.state();
        match loaded {
            Ok(value) => {
                tracing::info!(files = ?self.paths, "read again");
                (state.value, state.good, state.bad) = (Arc::new(value), found, None);
            }
            Err(error) if state.bad.as_ref() != Some(&found) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "a changed file is not taken up; what it held before stays in use");
                state.bad = Some(found);
            }
            Err(_) => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Option<Stamp>> {
    paths.iter().map(|path| stamp(path)).collect()
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    Some(Stamp { modified, size: metadata.size(), inode: metadata.ino() })
}

/// Returns the lines of a file that say something, with their numbers: not those that are blank or begin with `#`.
/// Blocks.
///
/// # Errors
/// When it cannot be read, or is no text.
pub(crate) fn lines(path: &Path) -> Result<Vec<(usize, String)>, SecurityError> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|source| SecurityError::Read { path: path.to_owned(), source })?;
    let lines = (1..).zip(text.lines().map(str::trim));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(|(number, line)| (number, line.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reloaded(path: &Path) -> Result<Reloaded<Vec<(usize, String)>>, SecurityError> {
        let read = path.to_owned();
        Reloaded::open(vec![path.to_owned()], move || lines(&read))
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_lost_one_is_not_missed() {
        let directory = tempfile::tempdir().expect("temporary");
        let path = directory.path().join("file");
        assert!(reloaded(&path).is_err());
        std::fs::write(&path, "# a comment\n\n one \n").expect("temporary");
        let content = reloaded(&path).expect("readable");
        assert_eq!(*content.current(), [(3, "one".to_owned())]);
        std::fs::write(&path, "other").expect("temporary");
        content.look();
        assert_eq!(*content.current(), [(1, "other".to_owned())]);
        std::fs::remove_file(&path).expect("there");
        content.look();
        assert_eq!(*content.current(), [(1, "other".to_owned())]);
    }

    #[test]
    fn there_is_one_look_a_second() {
        let directory = tempfile::tempdir().expect("temporary");
        let path = directory.path().join("file");
        std::fs::write(&path, "").expect("temporary");
        let content = reloaded(&path).expect("readable");
        assert!(!content.is_due());
        content.state().next_look = Instant::now();
        assert_eq!((content.is_due(), content.is_due()), (true, false));
    }
}
