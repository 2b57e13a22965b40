//! Actions that are root among a range of users.

use std::time::{Duration, Instant};

use super::super::fixture::{Fixture, properties, shell};
use super::super::{ExecuteError, ExecutionOptions, Sandbox};
use crate::proto::protobuf;

const RANGE: [(&str, &str); 1] = [("user-ids", "range")];

async fn run(fixture: &Fixture, script: &str, outputs: &[&str], inputs: &[(&str, &str)]) -> String {
    let action = fixture.action_with(shell(script, outputs), inputs, properties(&RANGE)).await;
    let result = fixture.execute(action).await.expect("it runs").result;
    assert_eq!(result.exit_code, 0, "{}", fixture.stderr(&result).await);
    fixture.stdout(&result).await
}

#[tokio::test]
async fn such_an_action_is_root_gives_files_away_and_its_outputs_are_taken() {
    let fixture = Fixture::new();
    let script = "id -u; id -g; cat input; mkdir -p made/d; echo secret >made/d/f; chmod 600 made/d/f; chmod 700 made/d
        chown -R 1234:5678 made/d; stat -c '%u %g' made/d/f; touch last; chown 65535 last
        mkdir m; mount -t tmpfs m m; touch m/x; if chown 65536 last; then exit 9; fi";
    let action = fixture.action_with(shell(script, &["made", "last"]), &[("input", "in\n")], properties(&RANGE)).await;
    let result = fixture.execute(action).await.unwrap().result;
    assert_eq!(fixture.stdout(&result).await, "0\n0\nin\n1234 5678\n");
    assert_eq!(result.exit_code, 0);
    assert_eq!(result.output_directories.len(), 1);
    assert_eq!(result.output_files.len(), 1);
    assert_eq!(fixture.leftovers(), 0);
    // What was stored can be read like anything else.
    let again = fixture.run(shell("test \"$(id -u)\" = 1000", &[]), &[]).await;
    assert_eq!(again.exit_code, 0);
}

#[tokio::test]
async fn many_inputs_are_seen_through_an_overlay_and_belong_to_root() {
    let fixture = Fixture::new();
    let names: Vec<String> = (0..200).map(|number| format!("d/{number}")).collect();
    let inputs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    let script =
        "stat -c '%u' d/7; chmod 600 d/7; echo y >>d/7; chown 5 d/8; cat d/7; stat -c '%u' d/8; rm d/9; ls d | wc -l";
    for _ in 0..2 {
        assert_eq!(run(&fixture, script, &["d"], &inputs).await, "0\nxy\n5\n199\n");
    }
    assert_eq!(fixture.leftovers(), 0);
}

#[tokio::test]
async fn the_host_is_as_far_away_as_from_any_action() {
    let fixture = Fixture::new();
    let script = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '
        never() { if sh -c \"$1\" 2>/dev/null; then echo \"$1\" >&2; exit 9; fi; }
        mount -o remount,rw /usr 2>/dev/null || :; never 'echo x >/usr/bin/x'; never 'echo x >>/etc/passwd'
        never 'echo 1 >/proc/sys/kernel/printk'; never 'ls /home'; never 'ls /root'; never 'ls /var'
        never 'mknod null c 1 3'; ls /proc | grep -c '^[0-9]*$' >count; test $(cat count) -lt 10";
    assert_eq!(run(&fixture, script, &[], &[]).await, "lo\n");
}

#[tokio::test]
async fn it_dies_with_all_that_it_started() {
    let fixture = Fixture::new();
    let begun = Instant::now();
    let script = "setpriv --reuid 7 sleep 600 & echo done";
    assert_eq!(run(&fixture, script, &[], &[]).await, "done\n");
    let timeout = Some(protobuf::Duration { seconds: 1, nanos: 0 });
    let command = shell("mkdir d; chown 77 d; setpriv --reuid 77 sleep 600 & sleep 600", &[]);
    let action = fixture.action_with(command, &[], |action| {
        properties(&RANGE)(action);
        action.timeout = timeout;
    });
    let error = fixture.execute(action.await).await.expect_err("it takes ten minutes");
    assert!(matches!(error, ExecuteError::Timeout { seconds: 1, .. }), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(fixture.leftovers(), 0);
}

#[tokio::test]
async fn it_needs_a_sandbox_and_a_known_value() {
    let unconfined = Fixture::with(ExecutionOptions { sandbox: Sandbox::None, ..ExecutionOptions::default() });
    for (fixture, value) in [(unconfined, "range"), (Fixture::new(), "all")] {
        let action = fixture.action_with(shell("true", &[]), &[], properties(&[("user-ids", value)])).await;
        let error = fixture.execute(action).await.expect_err("it is refused");
        assert!(matches!(error, ExecuteError::Invalid { field: "platform", .. }), "{error:?}");
    }
}
