//! Actions with a copy of a checkpoint beside them: each its own, which is gone with it.

mod end;
mod refused;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use envserve::digest::Digest;
use envserve::proto::reapi;
use envserve::store::blocking;
use serde_json::{Value, json};
use tonic::Code;

use super::build::{self, Case};
use crate::execute::{execute, upload};
use crate::support::{Daemon, criu, files, succeed, text, until};

/// Takes long to start, so that its memory is the fastest form.
const SLOW: &str = "sleep 3; exec httpd -f -p 80 -h /srv -r";
/// Adds what is asked for to a file, and answers with all of it.
const ADD: &str = "#!/bin/sh\necho Content-type: text/plain; echo; echo $QUERY_STRING >>/srv/added; cat /srv/added\n";
/// Asks the service.
const GET: &str = "get() { busybox wget -q -O - http://127.0.0.1/$1; }";

/// Returns a word that no other run of these tests has.
fn told_apart(word: &str) -> String {
    format!("{word}-{}", std::process::id())
}

/// A daemon with a warm service.
struct Warm {
    case: Case,
    daemon: Daemon,
    /// The value of the property `service`.
    service: String,
}

impl Warm {
    /// Has a web server made warm that is told apart from others by a word.
    fn new(word: &str) -> Self {
        Self::with(word, &json!({}), &[])
    }

    /// The same with these fields, and options of the daemon.
    fn with(word: &str, fields: &Value, options: &[&str]) -> Self {
        let word = told_apart(word);
        let mut service = build::service(&json!({"cmd": ["sh", "-c", format!("{SLOW} {word}")]}));
        for (name, value) in fields.as_object().expect("an object") {
            service[name] = value.clone();
        }
        let case = Case::with(&service);
        let add = case.world.write("source/root/srv/cgi-bin/add", ADD);
        fs::set_permissions(add, fs::Permissions::from_mode(0o755)).expect("temporary");
        let all: Vec<&str> = ["--checkpoints-for-all", "--jobs", "2"].iter().chain(options).copied().collect();
        let daemon = case.daemon_with(&criu(), &all);
        let object: Value = serde_json::from_str(&succeed(&mut case.ask(&daemon))).expect("JSON");
        let service = object["service"].as_str().expect("printed").to_owned();
        Self { case, daemon, service }
    }

    /// Runs a script with the service beside it.
    async fn run(&self, script: &str) -> reapi::ExecuteResponse {
        self.run_with(script, &[]).await
    }

    async fn run_with(&self, script: &str, properties: &[(&str, &str)]) -> reapi::ExecuteResponse {
        let all: Vec<_> = [("service", self.service.as_str())].iter().chain(properties).copied().collect();
        let action = upload(&self.daemon, "", &format!("{GET}; {script}"), &all).await;
        execute(&self.daemon.link().channel(), "", action).await
    }

    /// Waits until so many actions are at a place where they wait, and returns where.
    async fn waiting(&self, count: usize) -> Vec<PathBuf> {
        let place = self.daemon.root.join("tmp");
        let all = move || {
            let waits = |path: &PathBuf| path.ends_with("root/ready");
            until("all actions wait", || {
                Some(files(&place).into_iter().filter(waits).collect::<Vec<_>>()).filter(|all| all.len() == count)
            })
        };
        blocking(all).await
    }

    /// Waits for them and lets them go on.
    async fn meet(&self, count: usize) {
        let waiting = self.waiting(count).await;
        waiting.iter().for_each(|path| fs::write(path.with_file_name("go"), "").expect("it is there"));
    }
}

/// Waits in an action until the test says that it goes on.
const WAIT: &str = "touch ready; while [ ! -e go ]; do sleep 0.05; done";

/// Returns what a script wrote that must have succeeded.
fn said(response: &reapi::ExecuteResponse) -> String {
    let result = response.result.as_ref().unwrap_or_else(|| panic!("no result: {response:?}"));
    assert_eq!(result.exit_code, 0, "{response:?}");
    text(&result.stdout_raw)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_finds_the_state_of_the_warm_up_and_nothing_else_in_its_network() {
    let warm = Warm::new("realm-of-state");
    let port = warm.daemon.address.rsplit_once(':').expect("an address").1.to_owned();
    let script = format!(
        "get warm; echo $ENVSERVE_SERVICE_FORM; id -u; grep -c : /proc/net/dev; \
         busybox nc 127.0.0.1 {port} </dev/null && echo reached; ls -d /proc/[0-9]* | wc -l >/dev/null; get index.html"
    );
    let response = warm.run(&script).await;
    assert_eq!(said(&response), "warm\nmemory\n1000\n1\nfirst");
    assert!(warm.run(&script).await.cached_result, "it is cached like all others");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_one_action_are_not_seen_by_another_at_the_same_time_nor_later() {
    let warm = Warm::new("realm-of-changes");
    let script = |name: &str| format!("get cgi-bin/add?{name} >/dev/null; {WAIT}; get cgi-bin/add?after");
    let (one, other) = (script("one"), script("other"));
    let (one, other, ()) = tokio::join!(warm.run(&one), warm.run(&other), warm.meet(2));
    assert_eq!((said(&one), said(&other)), ("one\nafter\n".to_owned(), "other\nafter\n".to_owned()));
    assert_eq!(said(&warm.run("get cgi-bin/add?later").await), "later\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_in_an_image_of_its_own_has_a_service_too() {
    let warm = Warm::new("realm-of-image");
    warm.case.other("image");
    let object: Value = serde_json::from_str(&succeed(&mut warm.case.ask(&warm.daemon))).expect("JSON");
    let image = object["container_image"].as_str().expect("printed");
    // The image has neither wget nor bash; its shell has no network either.
    let response = warm
        .run_with("ls /srv/cgi-bin; grep -c : /proc/net/dev || cat /proc/net/dev", &[("container-image", image)])
        .await;
    assert!(said(&response).starts_with("add\n"), "{response:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_form_is_the_one_that_starts() {
    let slow_warmup = json!([["sh", "-c", "sleep 3; echo warm >/srv/warm"]]);
    // The first process of a container heeds only signals that it asks for.
    let command = json!(["sh", "-c", "trap 'exit 0' TERM; httpd -f -p 80 -h /srv & wait"]);
    let warm = Warm::with("", &json!({"cmd": command, "warmup": slow_warmup}), &[]);
    let (case, service) = (warm.case, warm.service);
    drop(warm.daemon);
    // Nothing is restored without CRIU.
    let daemon = case.daemon_with(Path::new("/nowhere/criu"), &["--checkpoints-for-all"]);
    let warm = Warm { case, daemon, service };
    assert_eq!(said(&warm.run("get warm; echo $ENVSERVE_SERVICE_FORM").await), "warm\nfilesystem\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_that_does_not_start_here_gives_way_to_the_next() {
    let warm = Warm::new("realm-of-next");
    let (case, service) = (warm.case, warm.service);
    drop(warm.daemon);
    // It says the same of this host, and restores nothing.
    let real = criu();
    let script = format!("#!/bin/sh\n[ \"$1\" != swrk ] || exit 1\nexec '{}' \"$@\"\n", real.display());
    let broken = case.world.write("criu", script);
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).expect("temporary");
    let daemon = case.daemon_with(&broken, &["--checkpoints-for-all"]);
    let warm = Warm { case, daemon, service };
    let said = said(&warm.run("get warm; echo $ENVSERVE_SERVICE_FORM").await);
    assert!(["warm\nfilesystem\n", "warm\ncold\n"].contains(&said.as_str()), "{said}");
    assert!(warm.daemon.log().contains("a service does not start in a form"), "{}", warm.daemon.log());
}
