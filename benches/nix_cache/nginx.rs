//! nginx, which serves a directory.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::daemon::Place;
use crate::nix::peers;

/// A running nginx, killed when it is dropped.
pub(crate) struct Nginx {
    child: Child,
    pub(crate) address: String,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // A KILL would leave its worker behind.
        drop(Command::new("kill").arg(self.child.id().to_string()).status());
        drop(self.child.wait());
    }
}

impl Nginx {
    /// Starts one for a directory and waits until it listens.
    pub(crate) fn start(place: &Place, directory: &Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let (prefix, directory) = (place.path("nginx"), directory.display());
        fs::create_dir(&prefix).expect("a new directory");
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {}/{kind};\n", prefix.display()))
            .concat();
        let configuration = format!(
            "daemon off;\nuser root;\nworker_processes 2;\npid {0}/pid;\nerror_log {0}/log;\nevents {{}}\nhttp {{\naccess_log off;\n\
             sendfile on;\ntcp_nopush on;\nkeepalive_requests 100000;\n{temporary}\
             server {{ listen {free} backlog=1024; root {directory}; }}\n}}\n",
            prefix.display(),
        );
        fs::write(prefix.join("conf"), configuration).expect("a file");
        let program = peers("web").join("nginx");
        assert!(program.exists(), "nginx is not installed: run `.ci/peers`");
        let mut command = Command::new(program);
        command.arg("-p").arg(&prefix).arg("-e").arg(prefix.join("log")).arg("-c").arg(prefix.join("conf"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it can be started");
        let listens = || TcpStream::connect(free).is_ok();
        while !listens() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, address: format!("http://{free}") }
    }
}
