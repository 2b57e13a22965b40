//! An archive into a Git cache, beside `tar` and `git add`.

use std::fs;
use std::path::Path;
use std::process::Command;

use envserve::source::{ArchiveKind, Limits, unpack};
use envserve::spec::RelativePath;
use envserve::store::GitStore;

use crate::daemon::run;
use crate::rounds::Rounds;
use crate::{Bench, git_add};

/// The end of the file's name, and what compresses it.
const COMPRESSIONS: [(&str, &str); 3] = [("gz", "gzip -1"), ("zst", "zstd -1"), ("xz", "xz -0 -T2")];

/// Prints the rows of archives.
pub(crate) fn measure(bench: &Bench) {
    for (end, compress) in COMPRESSIONS {
        let archive = bench.place.path(&format!("archive.tar.{end}"));
        let program = format!("--use-compress-program={compress}");
        run(Command::new("tar").arg("-c").arg(program).arg("-f").arg(&archive).arg("-C").arg(&bench.tree).arg("."));
        let mut rounds = Rounds::default();
        for _ in 0..bench.rounds {
            let (expected, other) = bench.timed(|directory| unpack_and_add(&archive, directory));
            let (tree, own) = bench.timed(|directory| take(&archive, directory));
            assert_eq!(tree, expected);
            rounds.other.push(other);
            rounds.own.push(own);
        }
        let megabytes = fs::metadata(&archive).expect("it was made").len() / 1_000_000;
        rounds.print(&format!("tar.{end} of {megabytes} MB to Git cache"), "tar, git add");
        fs::remove_file(&archive).expect("it is ours");
    }
}

fn unpack_and_add(archive: &Path, directory: &Path) -> String {
    let tree = directory.join("tree");
    fs::create_dir(&tree).expect("it is new");
    run(Command::new("tar").arg("-x").arg("-f").arg(archive).arg("-C").arg(&tree));
    git_add(&tree, &directory.join("git"))
}

fn take(archive: &Path, directory: &Path) -> String {
    let git = GitStore::open(&directory.join("git"), &[]).expect("made");
    let root = RelativePath::default();
    let tree = unpack(&git, archive, ArchiveKind::Tar, &root, &Limits::default());
    tree.expect("it is sound").to_string()
}
