//! Commands run in images.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::Case;
use crate::support::{fail, processes, run, succeed, text, tree, until};

/// Starts a command and returns it with the first line that it prints.
fn started(command: &mut Command) -> (Child, String) {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
    (child, line.trim().to_owned())
}

fn kill(signal: &str, child: &Child) {
    succeed(Command::new("kill").arg(signal).arg(child.id().to_string()));
}

/// Returns the names of runs that go on, or were killed.
fn runs(case: &Case) -> Vec<OsString> {
    let entries = fs::read_dir(case.world.path("client/runs")).expect("made").map(|entry| entry.expect("readable"));
    entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name()).collect()
}

#[test]
fn a_command_runs_as_root_of_its_own_world() {
    let case = Case::new();
    assert_eq!(succeed(&mut case.command("run")), "yes");
    let script = "id -u; pwd; hostname; echo $$; read -r map </proc/self/uid_map; echo $map; ls /data; exit 7";
    let output = run(&mut case.run(&["sh", "-c", script]));
    assert_eq!(text(&output.stdout), "0\n/\nenvserve\n1\n0 1879048192 65536\nlarge\nsmall\n");
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    let mut command = case.command("run");
    command.args(["-w", "/data", "--env", "A=given", "--env", "B", "--env", "C", "--", "sh", "-c"]).env("B", "here");
    assert_eq!(succeed(command.arg("pwd; echo $A-$B-${C-none}-$OF_IMAGE")), "/data\ngiven-here-none-yes");
    let not_found = run(&mut case.run(&["nothing"]));
    assert!(!not_found.status.success() && text(&not_found.stderr).contains("nothing"), "{not_found:?}");
}

#[test]
fn input_is_passed_on_and_a_terminal_is_one() {
    let case = Case::new();
    let mut child = case.run(&["cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
    child.stdin.take().expect("piped").write_all(b"given").expect("taken");
    assert_eq!(text(&child.wait_with_output().expect("ours").stdout), "given");
    let program = env!("CARGO_BIN_EXE_envserve");
    let typed = format!("{program} run {} -- sh -c 'tty; exit 3'", case.spec.display());
    let mut script = Command::new("script");
    script.args(["-qec", &typed, "/dev/null"]).env("ENVSERVE_ROOT", case.world.path("client"));
    let output = run(script.env("ENVSERVE_SERVE", &case.daemon.address).stdin(Stdio::null()));
    assert!(text(&output.stdout).contains("/dev/pts/0"), "{}", text(&output.stdout));
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(run(case.run(&["tty"]).stdin(Stdio::null())).status.code(), Some(1));
}

#[test]
fn what_is_written_is_gone_and_the_image_stays_as_it_is() {
    let case = Case::new();
    let root = succeed(&mut case.command("fetch"));
    let before = tree(Path::new(&root));
    let script = "echo x >/data/small && echo y >/new && rm -f /bin/tty; mkdir /data/d && cat /data/small /new";
    let script = script.replace("rm", "busybox rm").replace("mkdir", "busybox mkdir");
    assert_eq!(succeed(&mut case.run(&["sh", "-c", &script])), "x\ny");
    assert_eq!(tree(Path::new(&root)), before);
    assert_eq!(succeed(&mut case.run(&["cat", "/data/small"])), "before");
    assert!(runs(&case).is_empty());
    let mounts = fs::read_to_string("/proc/self/mounts").expect("Linux");
    assert!(!mounts.contains(case.world.path("client").to_str().expect("UTF-8")), "the host sees no mount");
}

#[test]
fn signals_reach_the_command_which_decides() {
    let case = Case::new();
    let script = |signal: &str| format!("trap 'exit 9' {signal}; echo ready; while :; do sleep 0.05; done");
    for signal in ["INT", "TERM", "HUP", "USR1"] {
        let (mut child, line) = started(case.run(&["sh", "-c", &script(signal)]).stdin(Stdio::null()));
        assert_eq!(line, "ready");
        kill(&format!("-{signal}"), &child);
        assert_eq!(child.wait().expect("ours").code(), Some(9), "{signal}");
    }
    let killed = case.run(&["sh", "-c", "sh -c 'kill -9 $$'; echo $?"]);
    assert_eq!(succeed(&mut { killed }), "137");
    assert!(runs(&case).is_empty());
}

#[test]
fn everything_dies_with_the_client_and_the_next_run_clears_up() {
    let case = Case::new();
    let (mut child, line) = started(&mut case.run(&["sh", "-c", "sleep 98765 & echo ready; sleep 98765"]));
    assert_eq!(line, "ready");
    kill("-KILL", &child);
    child.wait().expect("ours");
    until("the command is dead", || processes(|line| line == "sleep 98765").is_empty().then_some(()));
    let left = runs(&case);
    let [name] = &left[..] else { panic!("{left:?}") };
    assert!(!groups(name).is_empty());
    succeed(&mut case.command("run"));
    assert_eq!((runs(&case), groups(name)), (vec![], vec![]));
}

/// Returns the control groups of a run.
fn groups(name: &OsStr) -> Vec<PathBuf> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    let group = format!("envserve-{}", name.to_string_lossy());
    let all = hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]).map(|path| path.join(&group));
    all.filter(|path| path.exists()).collect()
}

#[test]
fn files_of_the_host_are_seen_as_they_are() {
    let case = Case::new();
    let shared = case.world.path("shared");
    case.world.write("shared/file", "host");
    let bind = |words: &str| format!("{}:{words}", shared.display());
    let mut command = case.command("run");
    command.args(["--bind", &bind("/mnt/it"), "--bind", &format!("{}/file:/etc/one:ro", shared.display())]);
    let script = "stat -c %u /mnt/it/file && cat /etc/one && echo new >/mnt/it/new && ! echo no >/etc/one";
    assert_eq!(succeed(command.args(["--", "sh", "-c", script])), "0\nhost");
    assert_eq!(fs::read(shared.join("new")).expect("written"), b"new\n");
    assert_eq!(fs::read(shared.join("file")).expect("there"), b"host");
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(shared.join("new")).expect("there"));
    assert_eq!(owner, 0);
    for wrong in ["/x", "relative:to", ":/x"] {
        let error = fail(case.command("run").args(["--bind", wrong, "--", "true"]), 2);
        assert!(error.contains("SOURCE:DESTINATION[:ro]"), "{error}");
    }
}

#[test]
fn the_network_is_that_of_the_host_or_none() {
    let case = Case::new();
    let devices =
        |network: &str| succeed(case.command("run").args(["--network", network, "--", "ls", "/sys/class/net"]));
    assert_eq!(devices("none"), "lo");
    let host = succeed(Command::new("ls").arg("/sys/class/net"));
    assert_eq!(devices("host"), host);
}

#[test]
fn the_user_of_the_image_is_looked_up_in_the_image() {
    let case = Case::with(&json!({"Env": ["PATH=/bin"], "User": "app", "WorkingDir": "/made/for/it"}));
    assert_eq!(succeed(&mut case.run(&["sh", "-c", "id -u; id -g; id -G; pwd"])), "7\n8\n8 9\n/made/for/it");
    let case = Case::with(&json!({"Env": ["PATH=/bin"], "User": "stranger"}));
    let error = fail(&mut case.run(&["id"]), 1);
    assert!(error.contains("`stranger`") && error.contains("etc/passwd"), "{error}");
}

#[test]
fn an_ordinary_user_is_root_in_the_image() {
    let case = Case::new();
    let script = "id -u; stat -c %u /data/small; echo x >/data/small; cat /data/small; echo $OF_IMAGE; exit 5";
    let output = run(case.as_user("run").args(["--", "sh", "-c", script]));
    assert_eq!(text(&output.stdout), "0\n0\nx\nyes\n", "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(succeed(case.as_user("run").args(["--network", "none", "--", "cat", "/data/small"])), "before");
    let mut child = case.as_user("run");
    let (mut child, line) = started(child.args(["--", "sh", "-c", "echo ready; sleep 87654"]));
    assert_eq!(line, "ready");
    kill("-KILL", &child);
    child.wait().expect("ours");
    until("the command is dead", || processes(|line| line == "sleep 87654").is_empty().then_some(()));
}

#[test]
fn places_for_mounts_that_are_links_do_not_lead_to_the_host() {
    let case = Case::new();
    let outside = case.world.path("outside");
    fs::create_dir(&outside).expect("temporary");
    let root = case.world.path("source/root");
    std::os::unix::fs::symlink(&outside, root.join("dev")).expect("temporary");
    std::os::unix::fs::symlink("../../../../../../../..", root.join("up")).expect("temporary");
    let mut command = case.command("run");
    command.args(["--bind", &format!("{}:/up{}/bound", case.spec.display(), outside.display()), "--", "ls", "/up"]);
    let output = run(&mut command);
    assert_eq!(fs::read_dir(&outside).expect("there").count(), 0, "{}", text(&output.stderr));
    fs::remove_file(root.join("dev")).expect("there");
    std::os::unix::fs::symlink("data", root.join("proc")).expect("temporary");
    let output = run(&mut case.run(&["ls", "/proc"]));
    assert!(!output.status.success(), "{}", text(&output.stdout));
}

#[test]
fn a_host_that_cannot_says_what_is_missing() {
    let case = Case::with(&json!({"Cmd": ["/bin/id"], "architecture": "riscv64"}));
    let error = fail(&mut case.command("run"), 15);
    assert!(error.contains("`linux/riscv64`"), "{error}");
    let case = Case::with(&json!({}));
    let error = fail(&mut case.command("run"), 2);
    assert!(error.contains("no command is given, and the image names none"), "{error}");
    let error = fail(case.run(&["/bin/id"]).env("PATH", "/nowhere"), 15);
    assert!(error.contains("`runc` is not installed") && error.contains("install the package `runc`"), "{error}");
    let error = fail(case.command("run").args(["-e", "main", "", "tree", "--", "/bin/id"]), 2);
    assert!(error.contains("an environment of kind `tree` is no image"), "{error}");
    let mut without = Command::new("unshare");
    without.args([
        "--user",
        "--map-root-user",
        "--",
        "sh",
        "-c",
        "echo 0 >/proc/sys/user/max_user_namespaces; exec \"$0\" \"$@\"",
    ]);
    let command = case.run(&["/bin/id"]);
    without.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        without.env(name, value.unwrap_or_default());
    }
    let error = fail(&mut without, 15);
    assert!(error.contains("this host lets no namespaces be made"), "{error}");
}
