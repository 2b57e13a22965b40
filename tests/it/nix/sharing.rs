//! A derivation is built once, whichever environments need it, and again only when something of it is gone.

use std::collections::BTreeMap;
use std::fs;

use super::{Expression, content, descriptor, registered};
use crate::support::{files, succeed};

#[test]
fn a_derivation_that_two_environments_need_is_built_once() {
    let expression = Expression::features();
    let daemon = expression.world.daemon();
    // What `random` makes is different each time that it is built.
    let specs = [expression.spec("first"), expression.spec("second"), expression.spec("random")];
    let contents: Vec<String> = std::thread::scope(|scope| {
        let ask = |spec| descriptor(&mut expression.world.client_of(&daemon, "client"), spec);
        let asked: Vec<_> = specs.iter().map(|spec| scope.spawn(move || ask(spec))).collect();
        let answers = asked.into_iter().map(|asked| asked.join().expect("answered"));
        answers.map(|answer| content(&daemon.address, &answer)).collect()
    });
    let used = |text: &String| text.split(' ').nth(1).expect("a path").trim().to_owned();
    assert_eq!(used(&contents[0]), used(&contents[1]));
    let random = |attribute| {
        let answer = descriptor(&mut expression.world.client_of(&daemon, "client"), &expression.spec(attribute));
        let facts: BTreeMap<_, _> = registered(&daemon.address, &answer);
        facts.into_iter().find(|(path, _)| path.ends_with("-random")).expect("it is used").1.0
    };
    assert_eq!(random("first"), random("second"));
    assert_eq!(random("first"), random("random"));
}

#[test]
fn whichever_blob_of_a_closure_is_lost_the_next_answer_is_whole_again() {
    let expression = Expression::features();
    let daemon = expression.world.daemon();
    let spec = expression.spec("big");
    let expected = registered(&daemon.address, &descriptor(&mut expression.world.client_of(&daemon, "client"), &spec));
    let root = daemon.root.clone();
    drop(daemon);
    // Large files are gone, what is small lies in the database: the tools, which evaluation brings back, and the output,
    // which only its builder does.
    fs::rename(root.join("blobs"), root.join("gone")).expect("movable");
    let daemon = expression.world.daemon();
    let again = registered(&daemon.address, &descriptor(&mut expression.world.client_of(&daemon, "another"), &spec));
    assert_eq!(again, expected);
    assert!(files(&root.join("blobs")).len() > 1, "tools and output are there again");
}

#[test]
fn a_killed_daemon_goes_on_from_what_was_built() {
    let expression = Expression::features();
    let daemon = expression.world.daemon();
    let (first, second) = (expression.spec("random"), expression.spec("first"));
    let random = descriptor(&mut expression.world.client_of(&daemon, "client"), &first);
    let made = content(&daemon.address, &random);
    let daemon = daemon.kill_and_restart();
    let answer = descriptor(&mut expression.world.client_of(&daemon, "client"), &second);
    let kept = registered(&daemon.address, &answer);
    assert!(kept.keys().any(|path| path.ends_with("-random")));
    assert_eq!(content(&daemon.address, &descriptor(&mut expression.world.client_of(&daemon, "client"), &first)), made);
    succeed(expression.world.client_of(&daemon, "client").args(["fetch", "--probe"]).arg(&second));
}
