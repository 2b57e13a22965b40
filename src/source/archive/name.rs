//! The path of an entry, made normal or refused.

use super::ArchiveError;
use crate::spec::RelativePath;

/// Longest path, and longest target of a symlink, that Linux follows.
pub(super) const MAX_PATH: usize = 4096;
/// Longest name that a Linux file system holds.
const MAX_NAME: usize = 255;
/// Most directories in one another. What walks over trees later may keep a stack.
const MAX_DEPTH: usize = 256;

/// Returns the path that an archive states, without `.` and repeated slashes.
///
/// # Errors
/// When it leaves the tree, or no Git tree can hold it.
pub(super) fn entry_path(raw: &[u8]) -> Result<RelativePath, ArchiveError> {
    let entry = || shown(raw);
    let wrong = |what| ArchiveError::Name { entry: entry(), what };
    let text = std::str::from_utf8(raw).map_err(|_| ArchiveError::NotUtf8 { entry: entry() })?;
    if text.starts_with('/') {
        return Err(ArchiveError::Absolute { entry: entry() });
    }
    let components: Vec<&str> = text.split('/').filter(|component| !matches!(*component, "" | ".")).collect();
    for component in &components {
        match *component {
            ".." => return Err(ArchiveError::Upwards { entry: entry() }),
            name if name.contains('\0') => return Err(wrong("contains a NUL")),
            name if name.len() > MAX_NAME => return Err(wrong("has a name of more than 255 bytes")),
            // Git refuses it in any case of its letters.
            name if name.eq_ignore_ascii_case(".git") => return Err(ArchiveError::GitDirectory { entry: entry() }),
            _ => {}
        }
    }
    if raw.is_empty() {
        return Err(wrong("is empty"));
    }
    if raw.len() > MAX_PATH {
        return Err(wrong("is longer than 4096 bytes"));
    }
    if components.len() > MAX_DEPTH {
        return Err(wrong("is deeper than 256 directories"));
    }
    RelativePath::parse(&components.join("/")).map_err(|_| wrong("is not normal"))
}

/// Checks the target of a symlink. Where it leads does not matter here.
pub(super) fn check_target(entry: &RelativePath, target: &[u8]) -> Result<(), ArchiveError> {
    let wrong = |what| Err(ArchiveError::Target { entry: shown(entry.as_str().as_bytes()), what });
    match std::str::from_utf8(target) {
        Err(_) => wrong("is not UTF-8"),
        Ok("") => wrong("is empty"),
        Ok(text) if text.contains('\0') => wrong("contains a NUL"),
        Ok(text) if text.len() >= MAX_PATH => wrong("is longer than 4095 bytes"),
        Ok(_) => Ok(()),
    }
}

/// Returns a name in a form fit for a message: of a bearable length and without control characters.
pub(super) fn shown(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(&raw[..raw.len().min(200)]);
    let more = if raw.len() > 200 { "…" } else { "" };
    format!("{}{more}", text.escape_debug())
}
