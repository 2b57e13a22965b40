//! What copies share, and what they do not.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::process::Stdio;

use super::{ask, case, succeed};
use crate::instances::id;
use crate::support::until;

#[test]
fn twenty_have_the_data_of_the_warm_up_and_nothing_of_each_other() {
    let case = case();
    // What this host has at the same port does not matter.
    let _taken = TcpListener::bind("127.0.0.1:7000");
    let instances = case.started(&["-n", "20", "--form", "memory"]);
    let of_all = |question: &str| instances.iter().map(|instance| ask(instance, question)).collect::<Vec<_>>();
    assert_eq!(of_all("get"), vec!["warm"; 20]);
    assert_eq!(of_all("file"), vec!["warm"; 20]);
    assert_eq!(of_all("random").into_iter().collect::<BTreeSet<_>>().len(), 20, "each has a seed of its own");
    for (number, instance) in instances.iter().enumerate() {
        ask(instance, &format!("set {number}"));
    }
    let numbers: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(of_all("get"), numbers);
    assert_eq!(of_all("file"), numbers);
    succeed(case.command("reset").args([id(&instances[3]), id(&instances[7])]));
    let mut expected = numbers;
    (expected[3], expected[7]) = ("warm".to_owned(), "warm".to_owned());
    assert_eq!(of_all("get"), expected);
    assert_eq!(of_all("file"), expected);
    let listed = case.listed();
    for (number, instance) in instances.iter().enumerate() {
        let now = listed.iter().find(|now| id(now) == id(instance)).expect("there");
        assert_eq!(
            (&now["ports"], &now["status"], &now["form"]),
            (&instance["ports"], &"running".into(), &"memory".into())
        );
        assert_eq!(now["generation"] == instance["generation"], ![3, 7].contains(&number));
        let told = ask(instance, "told_by");
        assert!(told.starts_with(now["generation"].as_str().expect("a text")), "{told}");
    }
    succeed(case.command("down").arg("--all"));
    assert!(case.listed().is_empty() && case.directories().is_empty());
}

#[test]
fn connections_open_files_watches_and_locks_are_in_each_copy() {
    let case = case();
    for form in ["memory", "memory", "filesystem"] {
        let instances = case.started(&["-n", "2", "--form", form]);
        for instance in &instances {
            assert_eq!(ask(instance, "connection"), "through it");
            assert_eq!(ask(instance, "open_file"), "still there");
            assert_eq!(ask(instance, "watch"), "new");
            assert_eq!(ask(instance, "lock"), "held");
        }
    }
}

#[test]
fn copies_are_gone_when_their_owner_is_killed() {
    let mut case = case();
    let instances = case.started(&["-n", "2", "--form", "memory"]);
    let mounts = || fs::read_to_string("/proc/self/mounts").expect("Linux");
    let top = case.world.path("client").display().to_string();
    case.end_with_owner(&instances);
    assert!(!mounts().contains(&top));
}

#[test]
fn copies_whose_client_is_killed_while_they_start_are_gone() {
    let case = case();
    case.started(&["--form", "memory"]);
    let mut up = case.up(&["-n", "8", "--form", "memory"]);
    let mut up = up.stdout(Stdio::null()).spawn().expect("runs");
    until("some are being started", || (case.directories().len() >= 3).then_some(()));
    up.kill().expect("ours");
    up.wait().expect("ours");
    // The first one belongs to somebody who is there.
    until("all others are gone", || (case.directories().len() == 1).then_some(()));
    assert_eq!(ask(&case.listed()[0], "get"), "warm");
}
