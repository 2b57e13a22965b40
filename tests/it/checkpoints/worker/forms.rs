//! Forms of services of all sorts, and which of them there are.

use std::fs;

use serde_json::{Value, json};

use super::{Case, USER, command, layers, listing, refused};
use crate::support::{criu, processes};

/// A shell that says that it is ready and stops when it is told, on what it has left at once.
fn shell() -> Value {
    let script = "trap 'echo stopped >/data/end; exit' TERM; test -e /data/warm || sleep 1; echo is ready; \
                  while :; do sleep 0.1; done";
    json!({"cmd": ["sh", "-c", script], "warmup": [command("sleep 3; echo warm >/data/warm")]})
}

#[test]
fn a_service_with_connections_unlinked_files_watches_and_locks_comes_back_with_them() {
    let case = Case::of_python(&[], &json!({}));
    let (outcome, said) = case.made();
    assert_eq!((layers(&outcome, "memory"), layers(&outcome, "filesystem"), &outcome["layers"]), (1, 2, &json!(2)));
    assert!(outcome["made"]["warmup_ms"].as_u64() >= Some(3000), "{outcome}");
    assert_eq!(outcome["made"]["host"]["version"], 1);
    for step in ["root file system unpacked after ", "warm after ", "dumped after ", "memory compressed after "] {
        assert!(said.contains(step), "{step}: {said}");
    }
    let lines = listing(&case.path("made/layer-0.tar"));
    let owner = format!(" {USER}/{USER} ");
    for file in ["./data/posix", "./data/renewed/", "./data/"] {
        assert!(lines.iter().any(|line| line.ends_with(file) && line.contains(&owner)), "{file}: {lines:#?}");
    }
    let gone = |line: &String| line.starts_with('c') && line.ends_with(" ./data/removed") && line.contains(" 0,0 ");
    assert!(lines.iter().any(gone), "{lines:#?}");
    let opaque = lines.iter().position(|line| line.ends_with(" ./data/renewed/")).expect("there");
    assert!(lines[opaque..].iter().any(|line| line.contains("trusted.overlay.opaque")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("socket")), "{lines:#?}");
    let pages = fs::read_dir(case.path("made/memory/pages-1.img")).expect("it is large");
    assert!(pages.count() > 10);
    assert!(case.path("made/memory/descriptors.json.zst").exists());
}

#[test]
fn what_uses_io_uring_has_a_form_of_its_files_only() {
    let case = Case::of_python(&["io_uring"], &json!({}));
    let (outcome, said) = case.made();
    let reason = refused(&outcome, "memory");
    assert!(reason.starts_with("it cannot be dumped: ") && reason.contains("io_uring"), "{reason}");
    assert_eq!((layers(&outcome, "filesystem"), &outcome["layers"]), (1, &json!(1)));
    assert!(said.contains("no form memory: it cannot be dumped"), "{said}");
    assert!(!case.path("made/memory").exists() && !case.path("made/layer-1.tar").exists());
}

#[test]
fn what_has_said_that_it_is_ready_is_so_when_it_comes_back() {
    let case = Case::of_shell(&shell());
    let (outcome, _) = case.made();
    assert_eq!((layers(&outcome, "memory"), layers(&outcome, "filesystem")), (1, 2));
    let lines = listing(&case.path("made/layer-1.tar"));
    assert!(lines.iter().any(|line| line.ends_with(" ./data/end")), "{lines:#?}");
}

#[test]
fn what_does_not_come_back_is_warmed_up_once_more_for_the_other_form() {
    let case = Case::of_shell(&shell());
    let work = case.path("work");
    let fails = case.criu_that(&format!("[ -z \"$(find '{}' -name inventory.img)\" ] || exit 1", work.display()));
    let mut worker = case.worker();
    worker.env("ENVSERVE_CRIU", fails);
    let (outcome, said) = case.made_by(worker);
    let reason = refused(&outcome, "memory");
    assert!(reason.starts_with("it was dumped, but does not come back: "), "{reason}");
    assert_eq!((layers(&outcome, "filesystem"), &outcome["layers"]), (1, &json!(1)));
    assert_eq!(said.matches("warm after ").count(), 2, "{said}");
    let lines = listing(&case.path("made/layer-0.tar"));
    assert!(lines.iter().any(|line| line.ends_with(" ./data/end")), "{lines:#?}");
}

#[test]
fn a_criu_that_hangs_is_not_waited_for_longer_than_a_service() {
    let script = "trap exit TERM; test -e /data/before || sleep 2; echo >/data/before; echo is ready; \
                  while :; do sleep 0.1; done";
    let case = Case::of_shell(&json!({"cmd": ["sh", "-c", script], "timeout": 8}));
    let mut worker = case.worker();
    worker.env("ENVSERVE_CRIU", case.criu_that("[ \"$1\" != swrk ] || exec sleep 98763"));
    let (outcome, _) = case.made_by(worker);
    assert_eq!(refused(&outcome, "memory"), "it cannot be dumped: CRIU had not done it after 8 s");
    assert_eq!((layers(&outcome, "filesystem"), &outcome["layers"]), (1, &json!(1)));
    assert!(processes(|line| line == "sleep 98763").is_empty());
}

#[test]
fn what_does_not_stop_has_a_form_of_its_memory_only() {
    let mut service = shell();
    let no_form = |service: &Value, why: &str| {
        let case = Case::of_shell(service);
        let (outcome, said) = case.made();
        let reason = refused(&outcome, "filesystem");
        assert!(reason.starts_with("it does not stop cleanly: ") && reason.contains(why), "{reason}\n{said}");
        assert_eq!((layers(&outcome, "memory"), &outcome["layers"]), (1, &json!(1)));
        assert!(processes(|line| line.contains(&format!("{}", case.path("").display()))).is_empty());
    };
    service["stop"] = json!({"by": {"signal": "SIGHUP"}, "timeout": null});
    no_form(&service, "its first process has no handler of `SIGHUP`");
    service["stop"] = json!({"by": {"cmd": ["sh", "-c", "echo will not; exit 3"]}, "timeout": null});
    no_form(&service, "`sh -c echo will not; exit 3` ended with exit code 3: will not");
    service["stop"] = json!({"by": {"cmd": ["sh", "-c", "exit 0"]}, "timeout": 1});
    no_form(&service, "it did not stop within 1 s of `sh -c exit 0`");
}

#[test]
fn a_form_that_is_not_faster_than_a_cold_start_is_none() {
    let slow = "trap exit TERM; test -e /data/before && sleep 4; echo >/data/before; echo is ready; \
                while :; do sleep 0.1; done";
    let case = Case::of_shell(&json!({"cmd": ["sh", "-c", slow]}));
    // CRIU takes more than the service ever does.
    let mut worker = case.worker();
    worker.env("ENVSERVE_CRIU", case.criu_that("[ \"$1\" != swrk ] || sleep 1"));
    let (outcome, _) = case.made_by(worker);
    for form in ["memory", "filesystem"] {
        let reason = refused(&outcome, form);
        assert!(reason.starts_with("it is not faster: ready after "), "{reason}");
    }
    assert_eq!(outcome["layers"], 0);
    let names = fs::read_dir(case.path("made")).expect("there").flatten().map(|entry| entry.file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["outcome.json"]);
    assert!(criu().exists());
}
