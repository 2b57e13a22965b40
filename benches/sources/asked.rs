//! A daemon that is asked for the tree of an archive: the first time it fetches and unpacks it, then it remembers.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use envserve::proto::v1;
use envserve::proto::v1::configuration_client::ConfigurationClient;
use envserve::proto::v1::source_trees_client::SourceTreesClient;
use envserve::transport::{Link, Security};

use crate::Bench;
use crate::daemon::{Daemon, run};
use crate::rounds::Rounds;

/// Requests of which a row gives the mean.
const REQUESTS: u32 = 200;

/// Prints a row: a request that is answered from the map, beside a round trip that asks for nothing.
pub(crate) fn measure(bench: &Bench) {
    let archive = bench.place.path("asked.tar.gz");
    let gzip = "--use-compress-program=gzip -1";
    run(Command::new("tar").args(["-c", gzip, "-f"]).arg(&archive).arg("-C").arg(&bench.tree).arg("."));
    let content = run(Command::new("git").args(["hash-object", "--no-filters"]).arg(&archive));
    let allowed = format!("file://{}/", bench.place.path("").display().to_string().trim_end_matches('/'));
    let address = format!("file://{}", archive.display());
    let mut rounds = Rounds::default();
    let mut first = Vec::new();
    for _ in 0..bench.rounds {
        let ((), _) = bench.timed(|directory| {
            let daemon = Daemon::start("serve", &directory.join("daemon"), &["--fetch", &allowed]);
            let request = v1::ArchiveTreeRequest {
                content: content.clone(),
                kind: v1::archive_tree_request::Kind::Tar.into(),
                origin: Some(v1::Origin { addresses: vec![address.clone()], ..Default::default() }),
                ..Default::default()
            };
            let (once, again, nothing) = bench.runtime.block_on(ask(&daemon, &request));
            first.push(once);
            rounds.own.push(again);
            rounds.other.push(nothing);
        });
    }
    first.sort_by(f64::total_cmp);
    println!("{:<44} {:>7.3} s", "tree of an archive, asked for the first time", first[first.len() / 2]);
    rounds.print("the same again: answered from the map", "Configuration");
    drop(std::fs::remove_file(Path::new(&archive)));
}

/// Returns the seconds of the first request, of one of those that follow, and of one that asks for nothing.
async fn ask(daemon: &Daemon, request: &v1::ArchiveTreeRequest) -> (f64, f64, f64) {
    let link = Link::new(&daemon.address.parse().expect("an address"), &Security::default()).expect("an address");
    let (mut sources, mut configuration) =
        (SourceTreesClient::new(link.channel()), ConfigurationClient::new(link.channel()));
    configuration.get(v1::ConfigurationRequest {}).await.expect("it answers");
    let start = Instant::now();
    let tree = sources.archive_tree(request.clone()).await.expect("it may fetch").into_inner().tree;
    let once = start.elapsed().as_secs_f64();
    let start = Instant::now();
    for _ in 0..REQUESTS {
        let answer = sources.archive_tree(request.clone()).await.expect("it knows").into_inner();
        assert!(answer.tree == tree && !answer.fetched);
    }
    let again = start.elapsed().as_secs_f64() / f64::from(REQUESTS);
    let start = Instant::now();
    for _ in 0..REQUESTS {
        configuration.get(v1::ConfigurationRequest {}).await.expect("it answers");
    }
    (once, again, start.elapsed().as_secs_f64() / f64::from(REQUESTS))
}
