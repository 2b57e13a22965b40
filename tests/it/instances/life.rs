//! What can be done with an instance.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::{Case, get, id};
use crate::support::{fail, run, succeed, text, until};

#[test]
fn a_command_ends_as_it_does_in_the_instance() {
    let case = Case::new();
    let id = case.one(&[]);
    for (script, code) in [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)] {
        assert_eq!(run(&mut case.exec(&id, &["sh", "-c", script])).status.code(), Some(code), "{script}");
    }
    let mut child = case.exec(&id, &["cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
    child.stdin.take().expect("piped").write_all(b"given").expect("taken");
    assert_eq!(text(&child.wait_with_output().expect("ours").stdout), "given");
    let mut command = case.command("exec");
    command.args(["-w", "/srv", "--env", "A=given", &id, "--", "sh", "-c", "pwd; echo $A-$OF_IMAGE; id -u"]);
    assert_eq!(succeed(&mut command), "/srv\ngiven-yes\n0");
    assert!(!run(&mut case.exec(&id, &["nothing"])).status.success());
    assert_eq!(run(&mut case.exec(&id, &["tty"])).status.code(), Some(1));
    let program = env!("CARGO_BIN_EXE_envserve");
    let typed = format!("{program} exec -it {id} -- sh -c 'tty; exit 3'");
    let mut script = Command::new("script");
    script.args(["-qec", &typed, "/dev/null"]).env("ENVSERVE_ROOT", case.world.path("client")).stdin(Stdio::null());
    let output = run(&mut script);
    assert!(text(&output.stdout).contains("/dev/pts/"), "{}", text(&output.stdout));
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn signals_reach_a_command_in_an_instance() {
    let case = Case::new();
    let script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let mut exec = case.exec(&case.one(&[]), &["sh", "-c", script]);
    let mut child = exec.stdout(Stdio::piped()).spawn().expect("runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
    assert_eq!(line, "ready\n");
    succeed(Command::new("kill").arg("-TERM").arg(child.id().to_string()));
    assert_eq!(child.wait().expect("ours").code(), Some(9));
}

#[test]
fn a_reset_undoes_everything_and_keeps_the_addresses() {
    let case = Case::new();
    let instances = case.started(&["-n", "2", "--ready-http", "80"]);
    let (one, other) = (id(&instances[0]), id(&instances[1]));
    for (id, text) in [(&one, "changed"), (&other, "kept")] {
        let script =
            format!("echo -n {text} >/srv/index.html; echo x >/new; rm -f /bin/tty; sleep 65432 >/dev/null 2>&1 &");
        succeed(&mut case.exec(id, &["sh", "-c", &script.replace("rm", "busybox rm")]));
    }
    succeed(case.command("reset").arg(&one));
    assert_eq!((get(&instances[0]), get(&instances[1])), ("first".to_owned(), "kept".to_owned()));
    assert_eq!(run(&mut case.exec(&one, &["ls", "/new"])).status.code(), Some(1));
    succeed(&mut case.exec(&one, &["ls", "/bin/tty"]));
    succeed(&mut case.exec(&other, &["ls", "/new"]));
    assert_eq!(crate::support::processes(|line| line == "sleep 65432").len(), 1);
    let listed = case.listed();
    let reset = listed.iter().find(|instance| id(instance) == one).expect("there");
    assert_eq!((&reset["ports"], &reset["status"]), (&instances[0]["ports"], &"running".into()));
    assert_ne!(reset["pid"], instances[0]["pid"]);
}

#[test]
fn an_instance_whose_command_has_ended_can_be_read_and_reset() {
    let case = Case::new();
    let script = "echo begun; test -e /srv/bad && exit 4; while test ! -e /end; do sleep 0.05; done; exit 5";
    let id = case.one(&["--ready-log", "begun", "--", "sh", "-c", script]);
    // The command that makes it end may end with it.
    run(&mut case.exec(&id, &["sh", "-c", "echo >/end"]));
    until("it has ended", || (case.listed()[0]["status"]["ended"] == 5).then_some(()));
    let error = fail(&mut case.exec(&id, &["ls"]), 1);
    assert!(error.contains("has ended: exit code 5") && error.contains("| begun"), "{error}");
    assert_eq!(succeed(case.command("logs").arg(&id)), "begun");
    succeed(case.command("reset").arg(&id));
    assert_eq!(case.listed()[0]["status"], "running");
    succeed(case.command("down").arg(&id));
    assert!(case.listed().is_empty());
}

#[test]
fn what_an_instance_says_can_be_followed() {
    let case = Case::new();
    let script = "echo one; echo two; while test ! -e /go; do sleep 0.05; done; echo more >&2; sleep 1000";
    let id = case.one(&["--ready-log", "two", "--", "sh", "-c", script]);
    assert_eq!(succeed(case.command("logs").arg(&id)), "one\ntwo");
    let mut logs = case.command("logs");
    let mut child = logs.arg("-f").arg(&id).stdout(Stdio::piped()).spawn().expect("runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map(|line| line.expect("text"));
    assert_eq!([lines.next(), lines.next()], [Some("one".to_owned()), Some("two".to_owned())]);
    succeed(&mut case.exec(&id, &["sh", "-c", "echo >/go"]));
    assert_eq!(lines.next().as_deref(), Some("more"));
    succeed(case.command("reset").arg(&id));
    assert_eq!([lines.next(), lines.next()], [Some("one".to_owned()), Some("two".to_owned())]);
    succeed(case.command("down").arg(&id));
    assert_eq!(lines.next(), None);
    assert!(child.wait().expect("ours").success());
}

#[test]
fn ids_that_are_not_there_are_refused() {
    let case = Case::new();
    let id = case.one(&[]);
    succeed(case.command("down").arg(&id));
    for wrong in [id.as_str(), "", ".", "..", "../instances", "lock"] {
        let mut commands = vec![case.exec(wrong, &["ls"])];
        for verb in ["logs", "reset", "down"] {
            let mut command = case.command(verb);
            command.arg(wrong);
            commands.push(command);
        }
        // What has no name, or a slash before the colon, is a path of this host.
        if !wrong.is_empty() && !wrong.contains('/') {
            let mut command = case.command("cp");
            command.arg(format!("{wrong}:/srv")).arg(case.world.path("x"));
            commands.push(command);
        }
        for mut command in commands {
            let error = fail(&mut command, 1);
            assert!(error.contains(&format!("there is no instance `{wrong}`")), "{error}");
        }
    }
    let mut other = case.world.client("other");
    let id = case.one(&[]);
    let error = fail(other.args(["exec", &id, "--", "ls"]), 1);
    assert!(error.contains("there is no instance"), "{error}");
    assert_eq!(succeed(case.world.client("other").arg("ps")), "");
}
