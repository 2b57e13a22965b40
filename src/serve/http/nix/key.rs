//! The key with which narinfos are signed, and the place for temporary files.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::nix::base32;
use crate::nix::{SecretKey, SigningError};

/// Where the daemon keeps the key that it makes, below its root.
const FILE: &str = "nix-secret-key";
/// Random bytes in the name of a key: eight digits.
const NAME_BYTES: usize = 5;

/// Why a daemon cannot be a binary cache.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file system refused.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A file is no key.
    #[error("`{path}` cannot be used as a secret key of Nix")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: SigningError,
    },
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    move |source| KeyError::Io { action, path: path.to_owned(), source }
}

/// Reads the key in a file, or that of the daemon with this root, which is made when there is none. Blocks.
pub(super) fn open(root: &Path, given: Option<PathBuf>) -> Result<SecretKey, KeyError> {
    if let Some(path) = given {
        return read(&path)?.ok_or_else(|| io("read", &path)(io::ErrorKind::NotFound.into()));
    }
    let path = root.join(FILE);
    if let Some(key) = read(&path)? {
        return Ok(key);
    }
    let random: [u8; NAME_BYTES] = uuid::Uuid::new_v4().as_bytes()[..NAME_BYTES].try_into().expect("it has sixteen");
    let key = SecretKey::generate(&format!("envserve-{}", base32::encode(&random)));
    let key = key.map_err(|source| KeyError::Key { path: path.clone(), source })?;
    write(root, &path, &key.to_secret_text())?;
    Ok(key)
}

fn read(path: &Path) -> Result<Option<SecretKey>, KeyError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(io("read", path))?,
    };
    SecretKey::parse(&text).map(Some).map_err(|source| KeyError::Key { path: path.to_owned(), source })
}

/// Writes a file that only its owner can read, as a whole.
fn write(root: &Path, path: &Path, text: &str) -> Result<(), KeyError> {
    let mut file = tempfile::NamedTempFile::new_in(root).map_err(io("make", path))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all());
    written.map_err(io("write", path))?;
    file.persist_noclobber(path).map_err(|error| io("put in place", path)(error.error))?;
    Ok(())
}

/// Makes a directory, without whatever a daemon before left in it. Blocks.
pub(super) fn empty_directory(path: PathBuf) -> Result<PathBuf, KeyError> {
    super::super::empty_directory(&path).map_err(io("empty", &path))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let root = tempfile::tempdir().expect("temporary");
        let made = open(root.path(), None).expect("made").public_key();
        assert_eq!(made.name().len(), "envserve-".len() + 8);
        assert_eq!(open(root.path(), None).expect("read").public_key(), made);
        let mode = fs::metadata(root.path().join(FILE)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(root.path()).expect("there").count(), 1);
        let other = tempfile::tempdir().expect("temporary");
        assert_ne!(open(other.path(), None).expect("made").public_key().name(), made.name());
        let given = open(other.path(), Some(root.path().join(FILE)));
        assert_eq!(given.expect("read").public_key(), made);
    }

    #[test]
    fn a_key_that_is_given_must_be_there_and_be_one() {
        let root = tempfile::tempdir().expect("temporary");
        let path = root.path().join("key");
        assert!(matches!(open(root.path(), Some(path.clone())), Err(KeyError::Io { .. })));
        fs::write(&path, "none").expect("temporary");
        assert!(matches!(open(root.path(), Some(path)), Err(KeyError::Key { .. })));
        fs::write(root.path().join(FILE), "damaged").expect("temporary");
        assert!(matches!(open(root.path(), None), Err(KeyError::Key { .. })));
    }
}
