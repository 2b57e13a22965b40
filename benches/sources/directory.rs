//! A directory of many files into a Git cache and a CAS, beside `git add`.

use std::path::Path;
use std::time::Instant;

use envserve::digest::DigestFunction;
use envserve::source::{export_tree, import_path};
use envserve::store::{Database, GitStore, LocalBlobStore, StoreOptions};

use crate::rounds::Rounds;
use crate::{Bench, git_add};

/// What came of an import: the tree's id and the seconds of its two parts.
struct Taken {
    tree: String,
    import: f64,
    export: f64,
}

/// Prints the rows of directories.
pub(crate) fn measure(bench: &Bench) {
    let [mut server, mut files, mut alone] = std::array::from_fn(|_| Rounds::default());
    let mut exports = Vec::new();
    for _ in 0..bench.rounds {
        let (expected, git) = bench.timed(|directory| git_add(&bench.tree, &directory.join("git")));
        for (shared, rounds) in [(false, &mut server), (true, &mut files)] {
            let (taken, seconds) = bench.timed(|directory| take(bench, directory, shared));
            assert_eq!(taken.tree, expected);
            rounds.other.push(git);
            rounds.own.push(seconds);
            if !shared {
                alone.other.push(git);
                alone.own.push(taken.import);
                exports.push(taken.export);
            }
        }
    }
    server.print("directory to Git cache and server's CAS", "git add");
    files.print("directory to Git cache and CAS of files", "git add");
    alone.print("directory to Git cache alone", "git add");
    exports.sort_by(f64::total_cmp);
    println!("{:<44} {:>7.3} s", "Git cache to server's CAS alone", exports[bench.rounds / 2]);
}

/// Takes the tree into fresh stores, as a server has them or, `shared`, as a private daemon does.
fn take(bench: &Bench, directory: &Path, shared: bool) -> Taken {
    let git = GitStore::open(&directory.join("git"), &[]).expect("made");
    let database = Database::open(&directory.join("database"), u64::MAX).expect("made");
    let options = StoreOptions { shared, ..StoreOptions::default() };
    let store = LocalBlobStore::open(directory, database, options).expect("made");
    let started = Instant::now();
    let tree = import_path(&git, &bench.tree).expect("imported");
    let import = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let export = export_tree(&git, tree, &store, DigestFunction::Blake3);
    bench.runtime.block_on(export).expect("exported").expect("it was imported");
    Taken { tree: tree.to_string(), import, export: started.elapsed().as_secs_f64() }
}
