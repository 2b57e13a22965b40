//! A warm key, asked for by 100 clients at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use envserve::proto::v1;
use envserve::proto::v1::environments_client::EnvironmentsClient;
use envserve::transport::{Link, Security};

use crate::daemon::{Daemon, Place, fetch, processor_time};
use crate::just::Just;
use crate::repository::Repository;

const CLIENTS: usize = 100;

/// What a load came to.
struct Load {
    per_second: f64,
    /// Processor time of the server for one.
    cost: Duration,
    p50: Duration,
    p99: Duration,
}

pub(crate) fn run(seconds: u64) {
    let place = Place::new();
    let duration = Duration::from_secs(seconds);
    println!(
        "\na warm key, {CLIENTS} clients with a connection each, for {seconds} s each, on the same cores as the server\n"
    );
    let repository = Repository::new(&place);
    let just = Just::start(&place, &repository);
    let serve = Daemon::start("serve", &place.path("serve"), &["--remote", &just.endpoint]);
    let request = warm(&place, &serve, &repository);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    let ours = runtime.block_on(load(&serve.address, serve.process(), duration, move |channel| {
        let request = request.clone();
        async move {
            let mut stream = EnvironmentsClient::new(channel).serve(request).await.expect("an answer").into_inner();
            let event = stream.message().await.expect("an outcome").and_then(|answer| answer.event);
            assert!(matches!(event, Some(v1::serve_response::Event::Served(served)) if served.hit));
        }
    }));
    print("envserve serve", &ours);
    let key = just.warm_key(&place, &repository);
    let theirs = runtime.block_on(load(&just.serve, just.process(), duration, move |channel| {
        let key = key.clone();
        async move { crate::just::serve_target(channel, key).await }
    }));
    print("justbuild serve", &theirs);
    let cost = theirs.cost.as_secs_f64() / ours.cost.as_secs_f64();
    println!(
        "\n{:.1} times as many hits; {cost:.1} times as many for the same processor time of the server",
        ours.per_second / theirs.per_second
    );
}

fn print(name: &str, load: &Load) {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let (p50, p99) = (milliseconds(load.p50), milliseconds(load.p99));
    let cost = load.cost.as_secs_f64() * 1e6;
    println!(
        "{name:<16} {:>9.0} hits/s   p50 {p50:>7.2} ms   p99 {p99:>7.2} ms   {cost:>5.0} µs of the server each",
        load.per_second
    );
}

/// Has an environment built, and returns the request that is a hit from then on.
fn warm(place: &Place, serve: &Daemon, repository: &Repository) -> v1::ServeRequest {
    let spec = place.path("spec.json");
    let text = serde_json::json!({"environment": ["m", "", "x"], "repositories": {"m": {"repository":
        {"type": "git", "repository": repository.path, "branch": "main", "commit": repository.commit}}}});
    std::fs::write(&spec, text.to_string()).expect("a file");
    fetch(&spec, &serve.address, &place.path("client"), &["--absent"]);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_envserve"))
        .args(["key", "--json", "--root"])
        .arg(place.path("client"))
        .arg(&spec)
        .output()
        .expect("the binary is there");
    let key: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let part = |name: &str| key[name].clone();
    let canonical = serde_json::json!({
        "effective_config": part("effective_config"),
        "repo_key": part("repo_key"),
        "target_name": part("target_name"),
    });
    let bytes = |value: &serde_json::Value| serde_jcs::to_vec(value).expect("JSON");
    v1::ServeRequest { key: bytes(&canonical), description: bytes(&part("repositories")), ..Default::default() }
}

/// Has all clients call as often as they can, each over a connection of its own.
async fn load<F: Future<Output = ()> + Send>(
    address: &str,
    server: u32,
    duration: Duration,
    call: impl Fn(envserve::transport::Channel) -> F + Clone + Send + Sync + 'static,
) -> Load {
    let over = Arc::new(AtomicBool::new(false));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let link = Link::new(&address.parse().expect("an address"), &Security::default()).expect("an address");
        let (over, call) = (Arc::clone(&over), call.clone());
        call(link.channel()).await;
        clients.spawn(async move {
            let mut times = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let started = Instant::now();
                call(link.channel()).await;
                times.push(started.elapsed());
            }
            times
        });
    }
    let (started, before) = (Instant::now(), processor_time(server));
    tokio::time::sleep(duration).await;
    over.store(true, Ordering::Relaxed);
    let used = processor_time(server) - before;
    let mut times: Vec<Duration> = clients.join_all().await.into_iter().flatten().collect();
    let per_second = f64::from(u32::try_from(times.len()).unwrap_or(u32::MAX)) / started.elapsed().as_secs_f64();
    times.sort();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    let cost = used / u32::try_from(times.len().max(1)).unwrap_or(u32::MAX);
    Load { per_second, cost, p50: at(50), p99: at(99) }
}
