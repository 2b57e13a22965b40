//! CRIU: where it is, and whether it is one that can work.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::command::{SHORT, run, shown};
use super::{Lack, find};

/// The oldest version that dumps sockets on kernels from 6.16 on.
const OLDEST: [u64; 2] = [4, 2];
const REMEDY: &str =
    "install the package `criu` of Debian 14 or later, or name another CRIU, 4.2 or later, by ENVSERVE_CRIU";

/// A CRIU that is new enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Criu {
    /// Where it is.
    pub program: PathBuf,
    /// Its version.
    pub version: String,
}

impl Criu {
    /// Names the program.
    pub(crate) const VARIABLE: &str = "ENVSERVE_CRIU";

    /// Returns the program that `ENVSERVE_CRIU` names, or the one in `PATH`, whatever its version.
    pub(crate) fn named() -> Option<PathBuf> {
        let named = std::env::var_os(Self::VARIABLE).filter(|path| !path.is_empty());
        named.map(PathBuf::from).or_else(|| find("criu"))
    }

    /// Finds the CRIU that is named, or the one in `PATH`.
    pub(super) async fn find(named: Option<&Path>) -> Result<Self, Lack> {
        let program = match named {
            Some(path) => path.to_owned(),
            None => find("criu").ok_or_else(|| Lack::new("`criu` is not installed", REMEDY))?,
        };
        let name = program.display().to_string();
        let said = run(&name, Command::new(&program).arg("--version"), SHORT).await;
        let said = said.map_err(|error| Lack::new(error.to_string(), REMEDY))?;
        let version = said.lines().find_map(|line| line.strip_prefix("Version:"));
        let Some(version) = version.map(|version| shown(version.trim())) else {
            return Err(Lack::new(format!("`{name} --version` does not say which version it is"), REMEDY));
        };
        if is_old(&version) {
            return Err(Lack::new(format!("`{name}` is CRIU {version}, and 4.2 or later is needed"), REMEDY));
        }
        Ok(Self { program, version })
    }
}

/// Says whether a version comes before the oldest that works. One that cannot be read does.
fn is_old(version: &str) -> bool {
    let numbers = version.split('.').map(|part| part.chars().take_while(char::is_ascii_digit).collect::<String>());
    let numbers: Option<Vec<u64>> = numbers.take(2).map(|part| part.parse().ok()).collect();
    numbers.is_none_or(|numbers| numbers.as_slice() < OLDEST.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for old in ["3.17", "3.17.1", "4.1.1", "4", "", "later", "4.x"] {
            assert!(is_old(old), "{old}");
        }
        for new in ["4.2", "4.2.1", "4.10", "5.0", "4.2-rc1"] {
            assert!(!is_old(new), "{new}");
        }
    }
}
