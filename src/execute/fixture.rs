//! Actions for tests: an executor over a fresh store, and the blobs that an action is made of.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use tempfile::TempDir;

use super::{ExecuteError, ExecuteRequest, Executed, Execution, ExecutionOptions, LocalExecution, NoEvents};
use crate::digest::{Digest, DigestFunction};
use crate::proto::reapi;
use crate::spec::RelativePath;
use crate::store::{
    ActionCache, BlobStore, Database, LocalActionCache, LocalBlobStore, MerkleTree, Node, StoreOptions,
};

pub(crate) const FUNCTION: DigestFunction = DigestFunction::Sha256;

/// An executor in a directory of its own.
pub(crate) struct Fixture {
    pub(crate) store: LocalBlobStore,
    pub(crate) actions: Arc<dyn ActionCache>,
    pub(crate) execution: LocalExecution,
    pub(crate) directory: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(ExecutionOptions::default())
    }

    pub(crate) fn with(options: ExecutionOptions) -> Self {
        Self::over(options, StoreOptions::default())
    }

    /// Returns an executor over a store of this kind.
    pub(crate) fn over(options: ExecutionOptions, kept: StoreOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("database"), u64::MAX).unwrap();
        let root = directory.path().join("store");
        let store = LocalBlobStore::open(&root, database.clone(), kept).unwrap();
        let actions: Arc<dyn ActionCache> = Arc::new(LocalActionCache::new(database));
        let execution = LocalExecution::new(store.clone(), actions.clone(), options);
        Self { store, actions, execution, directory }
    }

    pub(crate) async fn put(&self, bytes: impl Into<Bytes>) -> Digest {
        let store: &dyn BlobStore = &self.store;
        store.put(FUNCTION, bytes.into()).await.unwrap()
    }

    /// Stores an action over the command, with files as inputs.
    pub(crate) async fn action(&self, command: reapi::Command, inputs: &[(&str, &str)]) -> Digest {
        self.action_with(command, inputs, |_| ()).await
    }

    pub(crate) async fn action_with(
        &self,
        command: reapi::Command,
        inputs: &[(&str, &str)],
        change: impl FnOnce(&mut reapi::Action),
    ) -> Digest {
        let mut tree = MerkleTree::default();
        for (path, content) in inputs {
            let digest = self.put(content.to_string()).await;
            tree.insert(&RelativePath::parse(path).unwrap(), Node::File { digest, executable: false }).unwrap();
        }
        let (root, blobs) = tree.encode(FUNCTION);
        self.store.put_batch(blobs).await.unwrap();
        let command = self.put(command.encode_to_vec()).await;
        let mut action = reapi::Action {
            command_digest: Some(command.into()),
            input_root_digest: Some(root.into()),
            ..Default::default()
        };
        change(&mut action);
        self.put(action.encode_to_vec()).await
    }

    pub(crate) async fn execute(&self, action: Digest) -> Result<Executed, ExecuteError> {
        self.execution.execute(ExecuteRequest::new(action), &NoEvents).await
    }

    /// Runs a command on the inputs and returns its result.
    pub(crate) async fn run(&self, command: reapi::Command, inputs: &[(&str, &str)]) -> reapi::ActionResult {
        let action = self.action(command, inputs).await;
        self.execute(action).await.unwrap().result
    }

    pub(crate) async fn blob(&self, digest: Option<&reapi::Digest>) -> Bytes {
        self.store.get(&parsed(digest.expect("a digest"))).await.unwrap().expect("the blob is there")
    }

    /// Returns what a command wrote to stdout.
    pub(crate) async fn stdout(&self, result: &reapi::ActionResult) -> String {
        self.log(result.stdout_digest.as_ref()).await
    }

    /// Returns what a command wrote to stderr.
    pub(crate) async fn stderr(&self, result: &reapi::ActionResult) -> String {
        self.log(result.stderr_digest.as_ref()).await
    }

    async fn log(&self, digest: Option<&reapi::Digest>) -> String {
        match digest {
            Some(digest) => String::from_utf8(self.blob(Some(digest)).await.to_vec()).unwrap(),
            None => String::new(),
        }
    }

    /// Returns how many temporary files there are.
    pub(crate) fn temporary_files(&self) -> usize {
        let entries = std::fs::read_dir(self.directory.path().join("store/tmp")).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().file_type().unwrap().is_file()).count()
    }

    /// Returns how many work directories there are.
    pub(crate) fn leftovers(&self) -> usize {
        let yards = std::fs::read_dir(self.directory.path().join("store/tmp")).unwrap();
        let works = yards.map(|yard| std::fs::read_dir(yard.unwrap().path().join("work")).unwrap().count());
        works.sum()
    }
}

/// Sets properties of an action.
pub(crate) fn properties(pairs: &[(&str, &str)]) -> impl FnOnce(&mut reapi::Action) + use<> {
    let property = |(name, value): &(&str, &str)| reapi::platform::Property {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
    };
    let properties = pairs.iter().map(property).collect();
    |action| action.platform = Some(reapi::Platform { properties })
}

pub(crate) fn parsed(digest: &reapi::Digest) -> Digest {
    crate::store::wire::digest(FUNCTION, "digest", Some(digest)).unwrap()
}

/// A shell command that leaves the outputs.
pub(crate) fn shell(script: &str, outputs: &[&str]) -> reapi::Command {
    reapi::Command {
        arguments: ["sh", "-euc", script].map(String::from).to_vec(),
        output_paths: outputs.iter().map(ToString::to_string).collect(),
        output_directory_format: reapi::command::OutputDirectoryFormat::TreeAndDirectory.into(),
        ..Default::default()
    }
}
