//! The registry that others wrote, and the programs that copy images.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::daemon::{Place, run};

/// A running `docker-registry`, killed when it is dropped.
pub(crate) struct DockerRegistry {
    child: Child,
    pub(crate) address: String,
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl DockerRegistry {
    /// Starts one, and waits until it listens.
    pub(crate) fn start(place: &Place) -> Self {
        let directory = place.path("docker-registry");
        fs::create_dir(&directory).expect("memory");
        let (config, log): (PathBuf, PathBuf) = (directory.join("config.yml"), directory.join("log"));
        let text = format!(
            "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\nhttp: {{addr: \"127.0.0.1:0\"}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\n",
            directory.join("data").display()
        );
        fs::write(&config, text).expect("memory");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(File::create(&log).expect("memory"));
        let mut child = command.spawn().expect("`docker-registry` is installed");
        loop {
            let said = fs::read_to_string(&log).expect("memory");
            if let Some((address, _)) = said.split_once("listening on ").and_then(|(_, after)| after.split_once('"')) {
                return Self { child, address: address.to_owned() };
            }
            assert!(child.try_wait().expect("waitable").is_none(), "{said}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Copies an image by skopeo, as it is.
pub(crate) fn copy(from: &str, to: &str) {
    let mut command = Command::new("skopeo");
    command.args(["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"]);
    run(command.args([from, to]));
}
