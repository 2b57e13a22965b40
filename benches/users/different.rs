//! As many environments as clients, which have nine tenths of their files in common.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::clients::Clients;
use crate::daemon::Place;
use crate::server::Server;

/// Files of an environment, and how many of them no other has.
const FILES: usize = 1000;
const OWN: usize = FILES / 10;
/// Mean size of a file.
const MEAN: usize = 20_000;

/// Measures the first fetch of each, and that of the environment of one's neighbour.
pub(crate) fn different(place: &Place, count: usize) {
    let server = Server::start(place, "different");
    let source = place.path("source");
    make(&source, count);
    let spec = |number: usize| source.with_file_name(format!("different-{number}.json"));
    (0..count).for_each(|number| write_spec(&source, &spec(number), number));
    println!(
        "\n{count} environments of {FILES} files of {} KB on average, {OWN} of them in no other; {count} clients at once",
        MEAN / 1000
    );

    let clients = Clients::new(place, "different", count);
    let first = clients.fetch(&server, spec);
    first.print("each its own, none of them built");
    let neighbour = clients.fetch(&server, |number| spec((number + 1) % count));
    neighbour.print("each that of its neighbour");
    clients.fetch(&server, spec).print("each its own again: it is there");
    let [first, neighbour] = [first, neighbour].map(|fetched| fetched.downloaded.iter().sum::<u64>() as f64);
    println!(
        "    builds {}; its neighbour's brought {:.3} of the bytes of the first",
        server.builds(),
        neighbour / first
    );
    assert_eq!(server.builds(), count, "each environment is built once");
}

/// Makes the sources: what all have in common, and what each has alone.
fn make(source: &Path, count: usize) {
    let mut random = fastrand::Rng::with_seed(1);
    write_files(&source.join("common"), FILES - OWN, &mut random);
    (0..count).for_each(|number| write_files(&source.join(format!("own-{number}")), OWN, &mut random));
    let environment = |number: usize| {
        let inputs = json!({"common": {"path": "common"}, "own": {"path": format!("own-{number}")}});
        (format!("environment-{number}"), json!({"type": "tree", "inputs": inputs}))
    };
    let environments: Map<String, Value> = (0..count).map(environment).collect();
    fs::write(source.join("ENVS"), Value::from(environments).to_string()).expect("it can be written");
}

fn write_files(directory: &Path, count: usize, random: &mut fastrand::Rng) {
    for number in 0..count {
        let directory = directory.join(format!("d{}", number % 16));
        fs::create_dir_all(&directory).expect("it can be made");
        let bytes: Vec<u8> = (0..random.usize(1..2 * MEAN)).map(|_| random.u8(..)).collect();
        fs::write(directory.join(format!("f{number}")), bytes).expect("it can be written");
    }
}

fn write_spec(source: &Path, spec: &PathBuf, number: usize) {
    let root = json!({"type": "file", "path": source, "pragma": {"to_git": true}});
    let text = json!({
        "environment": ["main", "", format!("environment-{number}")],
        "repositories": {"main": {"repository": root}},
    });
    fs::write(spec, text.to_string()).expect("it can be written");
}
