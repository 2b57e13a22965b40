//! What the executor itself costs: measured on request, with `--ignored --nocapture`.

use std::sync::Arc;
use std::time::Instant;

use super::super::ExecutionOptions;
use super::super::fixture::{Fixture, shell};
use crate::digest::Digest;
use crate::proto::reapi;

/// Runs the actions, as many at a time as there are slots, and prints what one takes.
async fn measure(what: &str, fixture: &Arc<Fixture>, actions: Vec<Digest>) {
    let count = actions.len();
    let begun = Instant::now();
    let runs = actions.into_iter().map(|action| {
        let fixture = Arc::clone(fixture);
        tokio::spawn(async move { fixture.execute(action).await.expect("it runs").result.exit_code })
    });
    for run in runs.collect::<Vec<_>>() {
        assert_eq!(run.await.expect("no panic"), 0);
    }
    let each = begun.elapsed().as_secs_f64() * 1000.0 / f64::from(u32::try_from(count).expect("few"));
    println!("{what}: {each:.2} ms/action");
}

fn two_slots() -> Arc<Fixture> {
    Arc::new(Fixture::with(ExecutionOptions { slots: 2, ..ExecutionOptions::default() }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn a_thousand_trivial_actions() {
    let fixture = two_slots();
    let mut actions = Vec::new();
    for number in 0..1000 {
        let command = reapi::Command { arguments: vec!["true".into(), number.to_string()], ..Default::default() };
        actions.push(fixture.action(command, &[("a", "x"), ("b/c", "y"), ("b/d", "z")]).await);
    }
    measure("trivial", &fixture, actions).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn an_input_root_of_fifteen_thousand_files() {
    let fixture = two_slots();
    let files: Vec<(String, String)> =
        (0..15_000).map(|number| (format!("d{}/f{number}", number % 150), format!("{number}").repeat(2000))).collect();
    let inputs: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let first = fixture.action(shell("true", &[]), &inputs).await;
    measure("15,000 files, first", &fixture, vec![first]).await;
    let mut again = Vec::new();
    for number in 0..10 {
        again.push(fixture.action(shell(&format!("true {number}"), &[]), &inputs).await);
    }
    measure("15,000 files, again", &fixture, again).await;
}
