//! What an action can see and change.

use super::super::fixture::{FUNCTION, Fixture, shell};
use crate::proto::reapi;
use crate::store::BlobStore;

#[tokio::test]
async fn there_is_no_network_but_the_loopback() {
    let fixture = Fixture::new();
    let result = fixture.run(shell("tail -n +3 /proc/net/dev", &[]), &[]).await;
    let interfaces = fixture.stdout(&result).await;
    let names: Vec<&str> = interfaces.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    assert_eq!(names, ["lo"]);
}

#[tokio::test]
async fn environment_is_that_of_the_command_and_the_working_directory() {
    let fixture = Fixture::new();
    let variables = [("A", "1"), ("EMPTY", ""), ("WITH", "a=b c")];
    let command = reapi::Command {
        arguments: vec!["/usr/bin/env".into()],
        environment_variables: variables
            .map(|(name, value)| reapi::command::EnvironmentVariable { name: name.into(), value: value.into() })
            .to_vec(),
        ..Default::default()
    };
    let result = fixture.run(command, &[]).await;
    let stdout = fixture.stdout(&result).await;
    let mut lines: Vec<&str> = stdout.lines().collect();
    lines.sort_unstable();
    // PWD is bubblewrap's; it is fixed as well.
    assert_eq!(lines, ["A=1", "EMPTY=", "PWD=/build", "WITH=a=b c"]);
}

#[tokio::test]
async fn the_first_process_does_not_show_the_environment_of_the_executor() {
    let fixture = Fixture::new();
    let result = fixture.run(shell("tr '\\0' '\\n' < /proc/1/environ", &[]), &[]).await;
    let shown = fixture.stdout(&result).await;
    assert!(!shown.contains("HOME=") && !shown.contains("CARGO"), "{shown}");
}

#[tokio::test]
async fn nothing_of_the_host_is_seen_but_its_tools() {
    let fixture = Fixture::new();
    let result = fixture.run(shell("ls -A / /etc; ls -A /tmp; id -un; id -u; hostname; pwd", &[]), &[]).await;
    let stdout = fixture.stdout(&result).await;
    let allowed = [
        "/:",
        "/etc:",
        "",
        "bin",
        "build",
        "dev",
        "etc",
        "lib",
        "lib32",
        "lib64",
        "libx32",
        "proc",
        "sbin",
        "tmp",
        "usr",
        "alternatives",
        "group",
        "hosts",
        "ld.so.cache",
        "passwd",
        "1000",
        "localhost",
        "/build",
    ];
    let unexpected: Vec<&str> = stdout.lines().filter(|line| !allowed.contains(line)).collect();
    assert!(unexpected.is_empty(), "{unexpected:?} in {stdout}");
    for hidden in ["/root", "/home", "/var", fixture.directory.path().to_str().unwrap()] {
        let result = fixture.run(shell(&format!("ls {hidden}"), &[]), &[]).await;
        assert_ne!(result.exit_code, 0, "{hidden}");
    }
}

#[tokio::test]
async fn the_host_cannot_be_changed() {
    let fixture = Fixture::new();
    // What is written is what stands there, in case it can be.
    let core_pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let scripts = [
        "echo x > /usr/bin/x",
        "echo x > /x",
        "echo x > /etc/passwd",
        &format!("echo '{}' > /proc/sys/kernel/core_pattern", core_pattern.trim()),
        "echo h > /proc/sysrq-trigger",
    ];
    for script in scripts {
        assert_ne!(fixture.run(shell(script, &[]), &[]).await.exit_code, 0, "{script}");
    }
    let result = fixture.run(shell("echo x > /dev/null; head -c 1 /dev/urandom > /tmp/x", &[]), &[]).await;
    assert_eq!(result.exit_code, 0, "devices can be used");
}

#[tokio::test]
async fn an_action_that_overwrites_its_input_leaves_the_store_as_it_was() {
    let fixture = Fixture::new();
    let large = "0123456789abcdef".repeat(100_000);
    let inputs = [("input", "original"), ("large", large.as_str())];
    let script = "! echo x 2>&- > input; chmod u+w input large; echo changed > input; truncate -s 0 large; \
                  ln input linked; mv large moved; rm moved; chmod 777 input; cat input";
    let result = fixture.run(shell(script, &["input", "linked"]), &inputs).await;
    assert_eq!((result.exit_code, fixture.stdout(&result).await.as_str()), (0, "changed\n"));
    for (_, content) in inputs {
        let kept = fixture.store.get(&FUNCTION.digest(content.as_bytes())).await.unwrap();
        assert!(kept.is_some_and(|bytes| bytes == content));
    }
}

#[tokio::test]
async fn input_symlinks_lead_no_output_out_of_the_sandbox() {
    let fixture = Fixture::new();
    let outside = fixture.directory.path().join("outside");
    std::fs::write(&outside, "secret").unwrap();
    let script = format!("ln -s {} link; ln -s {} dir", outside.display(), fixture.directory.path().display());
    let result = fixture.run(shell(&script, &["link"]), &[]).await;
    assert!(result.output_files.is_empty());
    assert_eq!(result.output_symlinks[0].target, outside.to_str().unwrap());
    let action = fixture.action(shell(&format!("rm -r d; {script}; mv dir d"), &["d/outside"]), &[]).await;
    let error = fixture.execute(action).await.expect_err("it lies behind a link");
    assert_eq!(error.to_string(), "output `d/outside` lies behind a symlink");
}

#[tokio::test]
async fn an_action_is_not_root_to_the_kernel_and_what_it_leaves_is_the_stores() {
    use std::os::unix::fs::MetadataExt;
    let fixture = Fixture::new();
    let result = fixture.run(shell("cat /proc/self/uid_map; echo x > out; chmod 4777 out", &["out"]), &[]).await;
    let stdout = fixture.stdout(&result).await;
    // Inside, outside, how many. Through a namespace in between, that is what is outside.
    let map: Vec<&str> = stdout.split_whitespace().collect();
    assert_eq!(map[0], "1000");
    assert_eq!(fixture.blob(result.output_files[0].digest.as_ref()).await, "x\n");
    let digest = super::super::fixture::parsed(result.output_files[0].digest.as_ref().unwrap());
    let placed = fixture.directory.path().join("store/placed");
    assert!(fixture.store.place(&digest, true, &placed).unwrap());
    let found = std::fs::metadata(&placed).unwrap();
    assert_eq!((found.uid(), found.mode() & 0o7777), (rustix::process::geteuid().as_raw(), 0o555));
    if rustix::process::geteuid().is_root() {
        let script = "echo >&2 /proc/self; for f in /proc/1/*; do :; done; stat -c %u /proc/sys/kernel/hostname";
        let owner = fixture.run(shell(script, &[]), &[]).await;
        // What root owns belongs to nobody here, so root is not the user.
        assert_eq!(fixture.stdout(&owner).await, "65534\n");
    }
}
