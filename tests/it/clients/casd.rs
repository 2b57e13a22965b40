//! buildbox-casd: a cache near its clients, in front of the endpoint.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use super::Project;
use super::trees::write_tree;
use crate::support::tree;

const REMOTE: &str = "--remote=unix:casd.sock";

/// A running proxy with an empty cache, killed when dropped.
struct Proxy(Child);

impl Proxy {
    fn start(project: &Project) -> Self {
        let shown = project.shown("buildbox-casd").replace("buildbox-casd ", "exec buildbox-casd --log-level=info ");
        let mut shell = project.shell(&[], &format!("rm -rf cache casd.sock\n{shown}"));
        let mut child = shell.stdout(Stdio::piped()).spawn().expect("there is a shell");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let mut printed = Vec::new();
        let listening = lines.find(|line| {
            printed.push(line.clone());
            line.contains("Server listening")
        });
        let proxy = Self(child);
        assert!(listening.is_some(), "the proxy did not start:\n{}", printed.join("\n"));
        std::thread::spawn(move || lines.for_each(drop));
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn what_a_proxy_uploads_comes_back_through_a_fresh_one() {
    let project = Project::new(&["buildbox-casd", "casupload", "casdownload"]);
    write_tree(&project);
    let first = Proxy::start(&project);
    project.succeed(&format!("casupload {REMOTE} --output-digest-file=digest tree"));
    drop(first);
    let _second = Proxy::start(&project);
    let script = format!("mkdir copy; casdownload {REMOTE} --root-digest=$(cat digest) --destination-dir=copy");
    project.succeed(&script);
    assert_eq!(tree(&project.path("tree")), tree(&project.path("copy")));
}

#[test]
fn a_proxy_hands_actions_on_to_the_endpoint() {
    let project = Project::new(&["buildbox-casd", "trexe"]);
    project.write("source/words", "through the proxy\n");
    let _proxy = Proxy::start(&project);
    let shown = project.shown("trexe").replace(&format!("http://{}", project.daemon.address), "unix:casd.sock");
    project.succeed(&format!("mkdir result\n{shown}"));
    assert_eq!(project.read("result/out/words"), "THROUGH THE PROXY\n");
    // The result is at the endpoint, too.
    let shown = project.shown("trexe").replace("trexe ", "trexe --result-metadata-file=metadata ");
    project.succeed(&shown);
    assert!(project.read("metadata").contains("\"cachedResult\":true"));
}
