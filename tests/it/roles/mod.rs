//! Who may call what: tokens and certificates give roles, and every call is for a role at least.

mod admitted;
mod matrix;
mod reading;
mod rpcs;
mod starting;

use std::path::PathBuf;
use std::process::Command;

use envserve::serve::roles::Role;
use envserve::transport::{Headers, Link, Security};

use crate::support::{Daemon, World};

/// A world with a token of each role.
struct Roles {
    world: World,
}

impl Roles {
    fn new() -> Self {
        let world = World::new();
        for role in Role::ALL {
            world.write(&format!("{role}.tokens"), format!("token-of-{role}\n"));
            world.write(&format!("{role}.headers"), format!("authorization: Bearer token-of-{role}\n"));
        }
        Self { world }
    }

    /// Returns the options that give every token its role.
    fn options(&self) -> Vec<String> {
        let file = |role: Role| self.world.path(&format!("{role}.tokens")).display().to_string();
        Role::ALL.into_iter().flat_map(|role| ["--token-file".to_owned(), format!("{role}={}", file(role))]).collect()
    }

    fn start(&self, verb: &str, options: &[&str]) -> Daemon {
        let roles = self.options();
        let options: Vec<&str> = roles.iter().map(String::as_str).chain(options.iter().copied()).collect();
        Daemon::start_as(verb, &self.world.path("daemon"), &options)
    }

    fn headers(&self, role: Role) -> PathBuf {
        self.world.path(&format!("{role}.headers"))
    }

    /// Returns the command as a client of a daemon that shows the token of a role.
    fn client(&self, daemon: &Daemon, role: Role, root: &str) -> Command {
        let mut command = self.world.client_of(daemon, root);
        command.env("ENVSERVE_SERVE_HEADERS", self.headers(role));
        command
    }

    /// Returns a connection over which the token of a role is shown, or none.
    fn link(&self, daemon: &Daemon, role: Option<Role>) -> Link {
        let headers = role.map(|role| Headers::from_file(self.headers(role)).expect("good"));
        let security = Security { headers: headers.unwrap_or_default(), ..Security::default() };
        Link::new(&daemon.address.parse().expect("an address"), &security).expect("an address")
    }
}
