//! Where the ports of an instance are reached on this host: each at a free port of 127.0.0.1, and at a socket in the
//! directory of the instance.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use super::control;
use super::state::Address;
use crate::container::Entrance;

/// The ports of an instance, twice each, and where they are by their names in the image.
pub(super) struct Ports {
    pub(super) entrances: Vec<(u16, Entrance)>,
    pub(super) addresses: BTreeMap<String, Address>,
}

impl Ports {
    /// Listens for these ports. The listeners stay when the instance is started again.
    ///
    /// # Errors
    /// When there is no free port, or no socket can be made in the directory.
    pub(super) fn open(directory: &Path, ports: &[u16]) -> io::Result<Self> {
        let mut opened = Self { entrances: Vec::new(), addresses: BTreeMap::new() };
        for port in ports {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let (name, address) = (format!("{port}.sock"), listener.local_addr()?);
            let socket = control::bind(directory, &name)?;
            opened.entrances.extend([(*port, Entrance::Tcp(listener)), (*port, Entrance::Unix(socket))]);
            let (host, socket) = (address.ip().to_string(), directory.join(name));
            opened.addresses.insert(format!("{port}/tcp"), Address { host, port: address.port(), socket });
        }
        Ok(opened)
    }
}
