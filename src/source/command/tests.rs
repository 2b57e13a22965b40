//! Commands with and without a sandbox. bubblewrap has to be installed, and to work.

use std::path::Path;
use std::time::{Duration, Instant};

use super::*;

const WRONG: &str = "5555555555555555555555555555555555555555";

/// A Git cache, and a directory in which no command has any business.
struct World {
    cache: GitStore,
    outside: tempfile::TempDir,
    _directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cache = GitStore::open(&directory.path().join("cache"), &[]).unwrap();
        // Not in `/tmp`, which a sandbox has for itself.
        Self { cache, outside: tempfile::tempdir_in("/var/tmp").unwrap(), _directory: directory }
    }

    async fn git_tree(&self, script: &str) -> Result<(), SourceError> {
        let command = ["sh", "-c", script].map(str::to_owned);
        git_tree(&self.cache, "r", GitId::parse(WRONG).unwrap(), &command, &environment()).await
    }

    /// Returns the tree that a command leaves.
    async fn tree(&self, script: &str) -> GitId {
        match self.git_tree(script).await {
            Err(SourceError::OtherTree { actual, .. }) => actual,
            other => panic!("{script}: {other:?}"),
        }
    }

    fn is_untouched(&self) -> bool {
        fs::read_dir(self.outside.path()).unwrap().next().is_none()
    }
}

fn environment() -> BTreeMap<String, String> {
    [("PATH".to_owned(), std::env::var("PATH").unwrap())].into()
}

/// Runs a script with a short time limit.
async fn run(script: &str, directory: &Path, sandbox: Option<&Sandbox>, timeout: Duration) -> Result<(), SourceError> {
    let command = &["sh", "-c", script].map(str::to_owned);
    Program { command, environment: &environment(), directory, purpose: "a test", timeout, sandbox }.run().await
}

#[tokio::test]
async fn a_command_writes_nowhere_but_its_directory() {
    let world = World::new();
    let outside = world.outside.path().display();
    let escapes = [
        "echo x >../envserve-x".to_owned(),
        "echo x >/tmp/envserve-x".to_owned(),
        format!("echo x >{outside}/x"),
        format!("ln -s {outside} link && echo x >link/x"),
        format!("ln -s / link && mkdir link/{outside}/x"),
        format!("mount -o remount,rw / && echo x >{outside}/x"),
        format!("umount {outside} /; rm -rf {outside}"),
        "echo 1 >/proc/sys/vm/drop_caches".to_owned(),
    ];
    for escape in escapes {
        // Neither does it matter whether the command notices.
        let tree = world.tree(&format!("({escape}) 2>failed || true; test -s failed || rm failed; echo y >y")).await;
        let entries = world.cache.tree(tree).unwrap().unwrap();
        assert!(entries.iter().any(|entry| entry.name == "y"), "{escape}");
        let failed = entries.iter().any(|entry| entry.name == "failed");
        // What lies in a `/tmp` of its own is gone afterwards.
        assert_eq!(failed, !escape.ends_with("/envserve-x"), "{escape}");
        assert!(world.is_untouched(), "{escape}");
        assert!(!Path::new("/tmp/envserve-x").exists());
        assert!(!std::env::temp_dir().join("envserve-x").exists());
    }
}

#[tokio::test]
async fn a_command_has_its_environment_and_a_directory_for_temporary_files() {
    let world = World::new();
    let mut environment = environment();
    environment.insert("TMPDIR".to_owned(), "/not/there".to_owned());
    environment.insert("NAME".to_owned(), "value".to_owned());
    let script = r#"test "$NAME" = value && test -z "$HOME$USER" && mktemp >&2 && echo y >y"#;
    let command = ["sh", "-c", script].map(str::to_owned);
    let error = git_tree(&world.cache, "r", GitId::parse(WRONG).unwrap(), &command, &environment).await.unwrap_err();
    assert!(matches!(error, SourceError::OtherTree { .. }), "{error}");
}

#[tokio::test]
async fn a_command_that_gives_another_tree_is_told_both() {
    let world = World::new();
    let error = world.git_tree("echo x >x").await.unwrap_err();
    let SourceError::OtherTree { repository, expected, actual } = &error else { panic!("{error}") };
    assert_eq!((repository.as_str(), expected.to_string().as_str()), ("r", WRONG));
    assert!(error.hint().unwrap().contains(&actual.to_string()));
    let command = ["sh", "-c", "echo x >x"].map(str::to_owned);
    git_tree(&world.cache, "r", *actual, &command, &environment()).await.unwrap();
}

#[tokio::test]
async fn a_command_that_fails_shows_how_and_what_it_said_last() {
    let world = World::new();
    let script = "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo; echo the reason >&2; exit 4";
    let error = world.git_tree(script).await.unwrap_err();
    let SourceError::Failed { status, output, purpose, .. } = error else { panic!("{error}") };
    assert_eq!((status.as_str(), purpose.as_str()), ("exit status: 4", "repository `r`"));
    assert!(output.ends_with("the reason"), "{output}");
    assert!(output.len() <= 4096, "{}", output.len());
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let world = World::new();
    for program in ["no-such-program", "./no-such-program"] {
        let error = git_tree(&world.cache, "r", GitId::parse(WRONG).unwrap(), &[program.to_owned()], &environment())
            .await
            .unwrap_err();
        assert!(matches!(&error, SourceError::Start { program: named, .. } if named == program), "{error}");
    }
}

#[tokio::test]
async fn a_symlink_out_of_the_tree_is_taken_as_a_symlink() {
    let world = World::new();
    let tree = world.tree("ln -s /etc etc").await;
    let entries = world.cache.tree(tree).unwrap().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].kind, crate::store::GitEntryKind::Symlink);
    assert_eq!(world.cache.blob(entries[0].id).unwrap().unwrap(), b"/etc");
}

#[tokio::test]
async fn a_fifo_cannot_be_left() {
    let world = World::new();
    let error = world.git_tree("mkfifo pipe").await.unwrap_err();
    assert!(matches!(&error, SourceError::Unsupported { path, .. } if path.ends_with("pipe")), "{error}");
}

/// Waits until no process has the token among its arguments.
async fn is_gone(token: &str) -> bool {
    let started = Instant::now();
    while runs(token) {
        if started.elapsed() > Duration::from_secs(10) {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

/// Says whether a process has the token among its arguments.
fn runs(token: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines.any(|line| line.split(|byte| *byte == 0).any(|argument| argument == token.as_bytes()))
}

#[tokio::test]
async fn nothing_outlives_a_command_that_takes_too_long_or_is_given_up() {
    let scratch = Scratch::new().unwrap();
    let sandbox = Sandbox::new(&scratch.tmp()).await.expect("bubblewrap works here");
    for (case, sandbox) in [(0, None), (1, Some(&sandbox))] {
        // No other process has such a number of seconds.
        let token = format!("{}.{case}", 100_000 + std::process::id());
        let tree = scratch.tree();
        let script = format!("sleep {token} 2>&- & touch started; sleep {token}");
        let started = Instant::now();
        let error = run(&script, &tree, sandbox, Duration::from_millis(300)).await.unwrap_err();
        assert!(matches!(error, SourceError::Timeout { seconds: 0, .. }), "{error}");
        assert!(tree.join("started").exists() && started.elapsed() < Duration::from_secs(10));
        assert!(is_gone(&token).await, "too long, case {case}");

        fs::remove_file(tree.join("started")).unwrap();
        let running = run(&script, &tree, sandbox, Duration::from_secs(100));
        let begun = async {
            while !runs(&token) || !tree.join("started").exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = running => panic!("{ended:?}"),
            () = begun => {}
        }
        assert!(is_gone(&token).await, "given up, case {case}");

        let script = format!("sleep {token} 2>&- & exit 0");
        run(&script, &tree, sandbox, Duration::from_secs(100)).await.unwrap();
        assert!(is_gone(&token).await, "left behind, case {case}");
    }
}
