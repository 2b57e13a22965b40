//! How a daemon secures its connections, and whom it admits as what.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::ServeError;
use super::admission::Admission;
use super::handshake::{Handshakes, ServerTls};
use super::roles::Role;
use crate::transport::{Endpoint, SecurityError};

/// What a daemon shows to its clients and wants to see of them. By default nothing.
#[derive(Debug, Clone, Default)]
pub struct ServerSecurity {
    /// TLS, which TCP listeners then speak alone. Unix sockets stay plain.
    pub tls: Option<ServerTls>,
    /// Files of tokens, with the role of those who show one.
    pub token_files: Vec<(Role, PathBuf)>,
    /// The role of those who show nothing, where that is said: none, or this one.
    pub anonymous: Option<Option<Role>>,
    /// Whether it is meant that everybody who can connect can write or build, from other hosts too.
    pub allow_anonymous_writes: bool,
    /// The tokens with which a call over TCP may have checkpoints.
    pub checkpoint_token_file: Option<PathBuf>,
    /// Whether every call may have them.
    pub checkpoints_for_all: bool,
}

impl ServerSecurity {
    /// Returns by which address clients reach a daemon that is bound to this one.
    pub fn address(&self, bound: SocketAddr) -> Endpoint {
        match self.tls {
            Some(_) => Endpoint::Tls(bound.to_string()),
            None => Endpoint::Tcp(bound.to_string()),
        }
    }

    /// Refuses to let everybody write who can connect from another host. `bound` is the address of a TCP listener.
    ///
    /// # Errors
    /// `Exposed` when that is so, and nobody has said that it is meant.
    pub fn check_exposure(&self, bound: SocketAddr) -> Result<(), Box<ServeError>> {
        let writing = self.anonymous().filter(|role| *role >= Role::Uploader);
        match writing {
            Some(role) if !(self.wants_certificate() || bound.ip().to_canonical().is_loopback()) => {
                if self.allow_anonymous_writes {
                    tracing::warn!(%bound, %role, "everybody who can connect can write");
                    return Ok(());
                }
                Err(Box::new(ServeError::Exposed { bound, role }))
            }
            _ => Ok(()),
        }
    }

    /// Returns the role of those who show nothing.
    fn anonymous(&self) -> Option<Role> {
        let unsaid = if self.names_nobody() { Some(Role::Admin) } else { None };
        self.anonymous.unwrap_or(unsaid)
    }

    /// Says whether nobody gets a role by what he shows.
    fn names_nobody(&self) -> bool {
        self.token_files.is_empty() && !self.tls.as_ref().is_some_and(ServerTls::gives_roles)
    }

    /// Says whether every client over TLS has to show a certificate: it is wanted of all, or nothing else admits.
    fn wants_certificate(&self) -> bool {
        let Some(tls) = &self.tls else { return false };
        let tokens = !self.token_files.is_empty() || self.checkpoint_token_file.is_some();
        tls.is_gate() || (tls.gives_roles() && !tokens && self.anonymous().is_none())
    }

    /// Reads the files. Blocks.
    pub(super) fn open(self) -> Result<(Option<Handshakes>, Admission), SecurityError> {
        let (anonymous, wants_certificate) = (self.anonymous(), self.wants_certificate());
        let admission =
            Admission::open(self.token_files, anonymous, self.checkpoint_token_file, self.checkpoints_for_all)?;
        let handshakes = self.tls.map(|tls| Handshakes::open(tls, wants_certificate));
        Ok((handshakes.transpose()?, admission))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Identity;

    fn tls(authorities: &[Option<Role>]) -> Option<ServerTls> {
        let identity = Identity { certificate: "c".into(), key: "k".into() };
        let authorities = authorities.iter().map(|role| (*role, PathBuf::from("ca"))).collect();
        Some(ServerTls { identity, authorities })
    }

    fn starts(security: &ServerSecurity, address: &str) -> bool {
        security.check_exposure(format!("{address}:1").parse().expect("an address")).is_ok()
    }

    #[test]
    fn who_shows_nothing_is_an_admin_only_where_nobody_is_named() {
        let none = ServerSecurity::default();
        assert_eq!(none.anonymous(), Some(Role::Admin));
        let gate = ServerSecurity { tls: tls(&[None]), ..none.clone() };
        assert_eq!((gate.anonymous(), gate.wants_certificate()), (Some(Role::Admin), true));
        let tokens = ServerSecurity { token_files: vec![(Role::Reader, "t".into())], ..none.clone() };
        assert_eq!((tokens.anonymous(), tokens.wants_certificate()), (None, false));
        let certificates = ServerSecurity { tls: tls(&[Some(Role::Reader)]), ..none.clone() };
        assert_eq!((certificates.anonymous(), certificates.wants_certificate()), (None, true));
        let either = ServerSecurity { tls: certificates.tls.clone(), ..tokens };
        assert!(!either.wants_certificate(), "a token does as well");
        let readers = ServerSecurity { anonymous: Some(Some(Role::Reader)), ..certificates };
        assert_eq!((readers.anonymous(), readers.wants_certificate()), (Some(Role::Reader), false));
    }

    #[test]
    fn what_would_be_writable_for_everybody_does_not_start() {
        let open = ServerSecurity::default();
        for near in ["127.0.0.1", "127.8.9.1", "[::1]", "[::ffff:127.0.0.1]"] {
            assert!(starts(&open, near), "{near}");
        }
        for far in ["0.0.0.0", "[::]", "192.168.1.1", "[::ffff:10.0.0.1]"] {
            assert!(!starts(&open, far), "{far}");
            let with = |anonymous| ServerSecurity { anonymous: Some(anonymous), ..open.clone() };
            assert!(starts(&with(None), far) && starts(&with(Some(Role::Reader)), far));
            assert!(!starts(&with(Some(Role::Uploader)), far) && !starts(&with(Some(Role::Builder)), far));
            assert!(starts(&ServerSecurity { allow_anonymous_writes: true, ..open.clone() }, far));
            assert!(starts(&ServerSecurity { token_files: vec![(Role::Admin, "t".into())], ..open.clone() }, far));
            assert!(starts(&ServerSecurity { tls: tls(&[None]), ..open.clone() }, far));
            assert!(!starts(&ServerSecurity { tls: tls(&[]), ..open.clone() }, far), "TLS alone keeps nobody out");
        }
    }
}
