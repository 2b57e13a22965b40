//! From specs to items: an environment of a spec, in a configuration.

use std::path::{Path, PathBuf};

use super::item::Item;
use super::matrix::MAX_ITEMS;
use super::paths::Found;
use super::work::Prefill;
use crate::cli::arguments::read_spec;
use crate::cli::error::CliError;
use crate::cli::failure::Failure;
use crate::cli::prefill::PrefillError;
use crate::client::{Batch, ClientError, Directories, Events, LocatedSpec};
use crate::spec::{Config, Spec, Target};

/// What is wanted of each spec.
pub(super) struct Wanted {
    /// All environments of its file.
    pub(super) all: bool,
    /// These; without any, its own.
    pub(super) environments: Vec<Target>,
    /// What is set, for each item.
    pub(super) configs: Vec<Config>,
}

/// A spec that could be read.
pub(super) struct SpecFile {
    /// The file as it was named.
    pub(super) file: String,
    spec: Spec,
    base: PathBuf,
    /// What is wanted of it: which item of the report, and what it asks for.
    pub(super) asked: Vec<Asked>,
}

/// What an item asks for.
pub(super) struct Asked {
    pub(super) item: usize,
    pub(super) target: Target,
    pub(super) config: Config,
}

impl SpecFile {
    pub(super) fn batch<'a>(&'a self, directories: &'a Directories) -> Batch<'a> {
        Batch { file: &self.file, spec: &self.spec, base: &self.base, directories }
    }

    /// Returns the spec with what it is made from wanted for each repository that is asked for, and the directory that
    /// its paths start from.
    pub(super) fn variants(&self) -> impl Iterator<Item = (Spec, &Path)> {
        let mut targets: Vec<&Target> = self.asked.iter().map(|asked| &asked.target).collect();
        targets.sort_unstable_by_key(|target| &target.repository);
        targets.dedup_by_key(|target| &target.repository);
        let variant = |target: &Target| self.spec.clone().with_environment(&self.file, target.clone()).ok();
        targets.into_iter().filter_map(move |target| Some((variant(target)?, &*self.base)))
    }
}

impl Prefill<'_> {
    /// Reads the specs. One that cannot be read is an item that failed.
    pub(super) async fn read(&self, found: Vec<Found>) -> Vec<SpecFile> {
        let mut files = Vec::new();
        for found in found {
            let (path, read) = match found {
                Ok(path) => (path.clone(), read_spec(&path).await),
                Err((path, source)) => (path.clone(), Err(ClientError::ReadSpec { path, source }.into())),
            };
            let file = path.display().to_string();
            match read {
                Ok(LocatedSpec { spec, base }) => files.push(SpecFile { file, spec, base, asked: Vec::new() }),
                Err(error) => self.add(Item::new(&file, None, &Config::default()).failed(Failure::of(&error))),
            }
        }
        files
    }

    /// Puts the items of a spec into the report, and returns it with them.
    ///
    /// # Errors
    /// When there are more than there may be.
    pub(super) async fn expand(
        &self,
        mut file: SpecFile,
        wanted: &Wanted,
        events: &dyn Events,
    ) -> Result<SpecFile, CliError> {
        let targets = match self.targets(&file, wanted, events).await {
            Ok(targets) => targets,
            Err(error) => {
                let item = Item::new(&file.file, Some(&file.spec.environment), &file.spec.config);
                self.add(item.failed(Failure::of(&error.into())));
                return Ok(file);
            }
        };
        for target in targets {
            for set in &wanted.configs {
                let config = file.spec.config.with(set);
                let item = self.report.borrow().items.len();
                if item >= MAX_ITEMS {
                    return Err(PrefillError::TooMany { limit: MAX_ITEMS }.into());
                }
                self.add(Item::new(&file.file, Some(&target), &config));
                file.asked.push(Asked { item, target: target.clone(), config });
            }
        }
        Ok(file)
    }

    async fn targets(&self, file: &SpecFile, wanted: &Wanted, events: &dyn Events) -> Result<Vec<Target>, ClientError> {
        if wanted.all {
            let batch = file.batch(&self.directories);
            return self.persist(events, async || self.client.environments(batch, events).await).await;
        }
        let own = || vec![file.spec.environment.clone()];
        Ok(if wanted.environments.is_empty() { own() } else { wanted.environments.clone() })
    }

    fn add(&self, item: Item) {
        self.report.borrow_mut().items.push(item);
    }
}
