//! How a client works, with defaults for what nobody needs to name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::host::Criu;
use crate::source::Limits;
use crate::transport::{Endpoint, EndpointError, Headers, Identity, Security, SecurityError};

/// Seconds that a private daemon stays without anyone connected.
pub(crate) const IDLE_SECONDS: u64 = 60;
/// What is started as private daemon, where nobody says otherwise: looked for in `PATH`.
const PROGRAM: &str = "envserve";

/// How a client works. [`ClientOptions::new`] has defaults for everything but the root; what shall be otherwise is
/// set afterwards.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientOptions {
    /// Where it keeps everything, absolute.
    pub root: PathBuf,
    /// The server to ask; without one, a private daemon on `root`.
    pub serve: Option<Endpoint>,
    /// What is shown to that server, and whom to trust.
    pub security: Security,
    /// The same for the remote-execution endpoint whose CAS the server names.
    pub remote_security: Security,
    /// CRIU, where there is one.
    pub criu: Option<PathBuf>,
    /// The program `envserve`, which is started as private daemon where there is no server.
    pub program: PathBuf,
    /// Seconds after which an idle private daemon leaves.
    pub idle_seconds: u64,
    /// Variables that commands of `git tree` roots may inherit.
    pub environment: BTreeMap<String, String>,
    /// Directories in which files are looked for before they are fetched.
    pub distdirs: Vec<PathBuf>,
    /// Whether absent roots are fetched here when the server has no way to them.
    pub fetch_absent: bool,
    /// What archives may come to.
    pub limits: Limits,
    /// Of the actions of builds that this client asks for, as the REAPI has it: the lowest number runs first.
    pub priority: i32,
}

/// Why the environment of a process does not say how a client works.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// No variable leads to a place.
    #[error("there is no place for the cache: neither `ENVSERVE_ROOT`, `XDG_CACHE_HOME` nor `HOME` is set")]
    NoRoot,
    /// What names the server is no address.
    #[error(transparent)]
    Address(#[from] EndpointError),
    /// A file about certificates, keys or headers cannot be used.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// A certificate without its key, or a key without its certificate.
    #[error("a certificate and its key go together: `{missing}` is not set")]
    HalfAnIdentity {
        /// The variable of the other half.
        missing: String,
    },
}

impl ClientOptions {
    /// Returns the options of a client that keeps everything below `root` and asks a private daemon, the program
    /// `envserve` in `PATH`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            root: std::path::absolute(&root).unwrap_or(root),
            serve: None,
            security: Security::default(),
            remote_security: Security::default(),
            criu: Criu::named(),
            program: PROGRAM.into(),
            idle_seconds: IDLE_SECONDS,
            environment: variables(),
            distdirs: Vec::new(),
            fetch_absent: false,
            limits: Limits::default(),
            priority: 0,
        }
    }

    /// Returns the options that the variables of this process come to, as for the command `envserve`: `ENVSERVE_ROOT`
    /// (or `XDG_CACHE_HOME`, or `HOME`), `ENVSERVE_SERVE`, and `ENVSERVE_SERVE_CA`, `_CERT`, `_KEY` and `_HEADERS`, for the
    /// endpoint behind the server `ENVSERVE_REMOTE_CA` and so on.
    ///
    /// # Errors
    /// When there is no place for the root, or a variable names what cannot be used.
    pub fn of_environment() -> Result<Self, OptionsError> {
        Self::of(|name| std::env::var_os(name))
    }

    fn of(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, OptionsError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let root = set("ENVSERVE_ROOT").map(PathBuf::from).or_else(|| default_root(&variable));
        let mut options = Self::new(root.ok_or(OptionsError::NoRoot)?);
        if let Some(address) = set("ENVSERVE_SERVE") {
            options = options.with_server(&address.to_string_lossy())?;
        }
        options.security = security("ENVSERVE_SERVE", set)?;
        options.remote_security = security("ENVSERVE_REMOTE", set)?;
        Ok(options)
    }

    /// Returns the options with a server to ask: `HOST:PORT`, `grpcs://HOST:PORT` or `unix:PATH`.
    ///
    /// # Errors
    /// When that is no address.
    pub fn with_server(self, address: &str) -> Result<Self, EndpointError> {
        Ok(Self { serve: Some(address.parse()?), ..self })
    }

    /// Returns the options with a file of headers that go with every call to the server, a `name: value` on each line.
    ///
    /// # Errors
    /// When it cannot be read, or holds something else.
    pub fn with_headers(mut self, file: impl Into<PathBuf>) -> Result<Self, SecurityError> {
        self.security.headers = Headers::from_file(file.into())?;
        Ok(self)
    }

    /// Returns the options with another program `envserve`, which is started as private daemon where there is no
    /// server.
    pub fn with_program(self, program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), ..self }
    }
}

/// Returns where a client keeps everything that is told nothing else.
pub(crate) fn default_root(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(cache.join("envserve"))
}

/// Returns the variables of this process that are text: only such ones can be parts of a key.
fn variables() -> BTreeMap<String, String> {
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(text).collect()
}

fn security(prefix: &str, set: impl Fn(&str) -> Option<OsString>) -> Result<Security, OptionsError> {
    let names = ["CA", "CERT", "KEY", "HEADERS"].map(|part| format!("{prefix}_{part}"));
    let [ca, certificate, key, headers] = names.each_ref().map(|name| set(name).map(PathBuf::from));
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
        (None, None) => None,
        (Some(_), None) => return Err(OptionsError::HalfAnIdentity { missing: names[2].clone() }),
        (None, Some(_)) => return Err(OptionsError::HalfAnIdentity { missing: names[1].clone() }),
    };
    let headers = headers.map_or_else(|| Ok(Headers::default()), Headers::from_file)?;
    Ok(Security { ca, identity, headers })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<ClientOptions, OptionsError> {
        ClientOptions::of(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn variables_say_how_a_client_works() {
        let named =
            of(&[("ENVSERVE_ROOT", "/r"), ("HOME", "/home/u"), ("ENVSERVE_SERVE", "farm:8980")]).expect("sound");
        assert_eq!((named.root, named.serve), ("/r".into(), Some(Endpoint::Tcp("farm:8980".to_owned()))));
        let home = of(&[("HOME", "/home/u"), ("ENVSERVE_SERVE", "")]).expect("sound");
        assert_eq!((home.root, home.serve), ("/home/u/.cache/envserve".into(), None));
        let cache =
            of(&[("HOME", "/home/u"), ("XDG_CACHE_HOME", "/cache"), ("ENVSERVE_REMOTE_CA", "/ca")]).expect("sound");
        assert_eq!((cache.root, cache.remote_security.ca), ("/cache/envserve".into(), Some("/ca".into())));
    }

    #[test]
    fn what_variables_lack_is_said() {
        assert!(matches!(of(&[]), Err(OptionsError::NoRoot)));
        assert!(matches!(of(&[("HOME", "/h"), ("ENVSERVE_SERVE", "farm")]), Err(OptionsError::Address(_))));
        let half = of(&[("HOME", "/h"), ("ENVSERVE_SERVE_CERT", "/c")]);
        assert!(matches!(half, Err(OptionsError::HalfAnIdentity { missing }) if missing == "ENVSERVE_SERVE_KEY"));
        let headers = of(&[("HOME", "/h"), ("ENVSERVE_SERVE_HEADERS", "/does/not/exist")]);
        assert!(matches!(headers, Err(OptionsError::Security(_))));
    }

    #[test]
    fn a_root_is_absolute() {
        assert!(ClientOptions::new("cache").root.is_absolute());
    }
}
