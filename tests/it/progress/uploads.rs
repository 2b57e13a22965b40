//! What is told of sources that are sent.

use serde_json::{Value, json};

use super::Stage;
use super::screens::still;
use super::terminal::{COMMON, Terminal};
use crate::support::{Proxy, run, script, text};

/// Bytes of the sources, and of those that pass in a second.
const BYTES: u32 = 8 << 20;
const RATE: u64 = 2 << 20;

#[test]
fn an_upload_says_how_much_how_fast_and_for_how_long() {
    let stage = Stage::new();
    let spec = stage.world.spec("none", &json!({"none": script("echo x >out", &["out"])}));
    let mut large = vec![0; BYTES as usize];
    fastrand::Rng::with_seed(7).fill(&mut large);
    stage.world.write("source/large", &large);
    let proxy = Proxy::new(&stage.daemon.address);
    proxy.rate(RATE);
    let mut command = stage.world.client("client");
    let terminal = Terminal::start(command.env("ENVSERVE_SERVE", &proxy.address).arg("fetch").arg(&spec), COMMON);
    let screen = terminal.until("a rate", |screen| screen.contains("/s, ") && screen.contains(" left"));
    let still = still(&screen).replace("KiB", "MiB").replace("second left", "seconds left");
    insta::assert_snapshot!(still, @"* sending the sources of `main`: 0.0 MiB of 0.0 MiB, 0.0 MiB/s, 0 seconds left");
    assert_eq!(terminal.end().code, Some(0));
}

#[test]
fn a_program_is_told_of_every_byte_of_a_file_that_is_sent() {
    let stage = Stage::new();
    let archive = stage.world.write("distdir/file", vec![7; 3 << 20]);
    let id = crate::support::git(&stage.world.path("distdir"), &["hash-object", &archive.display().to_string()]);
    let root = json!({"type": "foreign file", "content": id, "fetch": "https://example.invalid/file", "name": "file"});
    let spec = json!({"environment": ["main", "", "x"], "repositories": {"main": {"repository": root}}});
    let spec = stage.world.write("spec.json", spec.to_string());
    let mut command = stage.client("client");
    command.args(["fetch", "--sources", "--backup-to-remote", "--events", "jsonl", "--distdir"]);
    let output = run(command.arg(stage.world.path("distdir")).arg(spec));
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let events: Vec<Value> = stderr.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let told: Vec<u64> = events
        .iter()
        .filter(|event| event["event"] == "upload")
        .map(|event| event["done"].as_u64().expect("bytes"))
        .collect();
    assert!(told.is_sorted() && told.last() == Some(&(3 << 20)), "{stderr}");
    assert!(events.iter().all(|event| event["event"] != "upload" || event["total"] == 3 << 20), "{stderr}");
}
