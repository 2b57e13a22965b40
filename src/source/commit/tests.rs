use std::path::PathBuf;

use super::*;

/// A repository with a commit, and a Git cache that does not know it.
struct World {
    _directory: tempfile::TempDir,
    repository: PathBuf,
    cache: GitStore,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let repository = directory.path().join("repository");
        std::fs::create_dir(&repository).unwrap();
        std::fs::write(repository.join("f"), "x").unwrap();
        let cache = GitStore::open(&directory.path().join("cache"), &[]).unwrap();
        let world = Self { _directory: directory, repository, cache };
        world.git(&["init", "-q", "-b", "main"]);
        world.git(&["add", "f"]);
        world.git(&["commit", "-q", "-m", "m"]);
        world.git(&["tag", "-a", "-m", "m", "annotated"]);
        world.git(&["tag", "-a", "-m", "m", "of-a-tag", "annotated"]);
        world.git(&["tag", "-a", "-m", "m", "of-a-tree", "HEAD^{tree}"]);
        world
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut command = std::process::Command::new("git");
        command.arg("-C").arg(&self.repository).args(["-c", "user.name=n", "-c", "user.email=e"]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn id(&self, name: &str) -> GitId {
        GitId::parse(&self.git(&["rev-parse", name])).unwrap()
    }

    async fn fetch(&self, id: GitId) -> Result<GitId, SourceError> {
        let environment = [("PATH".to_owned(), std::env::var("PATH").unwrap())];
        let address = self.repository.display().to_string();
        fetch_commit(&self.cache, &[address], "main", id, &RelativePath::default(), &environment.into()).await
    }
}

#[tokio::test]
async fn a_commit_is_fetched_once() {
    let world = World::new();
    let commit = world.id("HEAD");
    assert_eq!(world.fetch(commit).await.unwrap(), world.id("HEAD^{tree}"));
    std::fs::remove_dir_all(&world.repository).unwrap();
    world.fetch(commit).await.unwrap();
}

#[tokio::test]
async fn what_is_no_commit_is_named_with_the_commit_it_leads_to() {
    let world = World::new();
    let commit = world.id("HEAD");
    for (name, expected_kind, expected) in [
        ("annotated", "tag", Some(commit)),
        ("of-a-tag", "tag", Some(commit)),
        ("of-a-tree", "tag", None),
        ("HEAD^{tree}", "tree", None),
        ("HEAD:f", "blob", None),
    ] {
        let id = world.id(name);
        // The first time it has to be fetched, the second time it is there.
        for time in ["first", "second"] {
            let error = world.fetch(id).await.unwrap_err();
            let SourceError::Store(StoreError::NotCommit { id: named, kind, leads_to }) = &error else {
                panic!("{name}, {time} time: {error}");
            };
            assert_eq!((*named, *kind, *leads_to), (id, expected_kind, expected), "{name}, {time} time");
            assert_eq!(error.to_string(), format!("`{id}` is a {kind}, not a commit"));
            assert_eq!(error.hint(), expected.map(|commit| format!("write `\"commit\": \"{commit}\"`")));
        }
    }
}
