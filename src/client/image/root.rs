//! The root file system of an image in a directory, which is never changed once it is there.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::keeper::Keeper;
use super::make::make;
use super::parts::Parts;
use crate::client::brought::Brought;
use crate::client::connect::Reached;
use crate::client::events::Events;
use crate::client::fill::Filled;
use crate::client::materialize::prepare;
use crate::client::{Client, ClientError};
use crate::container::{Owner, Plan};
use crate::digest::Digest;
use crate::oci::{ImageConfig, root_file_system};
use crate::store::blocking;

const ROOT: &str = "root";
const CONFIG: &str = "config.json";
const LINKS: &str = "links.json";

/// The root file system of an image, with what belongs to it.
#[derive(Debug, Clone)]
pub struct RootFileSystem {
    home: PathBuf,
}

impl RootFileSystem {
    /// Returns where the one of an image lies when it is there.
    pub(in crate::client) fn of(client: &Path, root: &Digest, owner: Owner) -> Self {
        let home = images(client, owner).join(root.function().as_str()).join(root.hash());
        Self { home }
    }

    /// Returns the one whose directory this is.
    pub fn at(directory: &Path) -> Self {
        Self { home: directory.parent().unwrap_or(directory).to_owned() }
    }

    /// Returns the directory.
    pub fn directory(&self) -> PathBuf {
        self.home.join(ROOT)
    }

    /// Returns the file with the configuration of the image.
    pub fn config_file(&self) -> PathBuf {
        self.home.join(CONFIG)
    }

    /// Returns the configuration of the image. Blocks.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn config(&self) -> Result<ImageConfig, ClientError> {
        let path = self.config_file();
        let bytes = fs::read(&path).map_err(ClientError::io("read", &path))?;
        ImageConfig::parse(&bytes).map_err(|error| ClientError::io("read", &path)(io::Error::other(error)))
    }

    /// Returns the other paths of files that have several, with the first one. Blocks.
    ///
    /// # Errors
    /// When that cannot be read.
    pub(super) fn links(&self) -> Result<BTreeMap<String, String>, ClientError> {
        let path = self.home.join(LINKS);
        let bytes = fs::read(&path).map_err(ClientError::io("read", &path))?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::io("read", &path)(error.into()))
    }
}

/// Returns where all root file systems of an owner are, which nobody else may enter: there are programs in them that
/// set user ids.
fn images(client: &Path, owner: Owner) -> PathBuf {
    client.join("images").join(owner.directory())
}

/// Opens the files of all images of an owner.
pub(super) fn keeper(client: &Path, owner: Owner, digest: &Digest) -> Result<Keeper, ClientError> {
    let images = images(client, owner);
    let made = fs::create_dir_all(&images).and_then(|()| fs::set_permissions(&images, Permissions::from_mode(0o700)));
    made.map_err(ClientError::io("make the directory", &images))?;
    Keeper::open(&images.join("files"), digest.function())
}

impl Client {
    /// Makes the root file system.
    pub(in crate::client) async fn bring_root(
        &self,
        parts: Parts,
        cas: &Reached,
        events: &dyn Events,
    ) -> Result<Brought<PathBuf>, ClientError> {
        let owner = Owner::current()?;
        let layer = parts.image.root_file_system;
        parts.check_documents()?;
        let attributes = parts.attributes_of(&[layer])?[0];
        let documents = match self.documents(&[parts.image.config, attributes], cas).await? {
            Ok(documents) => documents,
            Err(lost) => return Ok(Brought::Lost(lost)),
        };
        let (config, attributes) = (documents.bytes[&parts.image.config].clone(), documents.bytes[&attributes].clone());
        parts.check("configuration", parts.facts.config, &config)?;
        let place = RootFileSystem::of(self.root(), &parts.root, owner);
        let (client, home) = (self.root().to_owned(), place.home.clone());
        let prepared = blocking(move || {
            let plan = plan(&parts, &attributes, owner)?;
            plan.left_out.tell();
            let keeper = keeper(&client, owner, &parts.root)?;
            let (lock, partial) = prepare(&home)?;
            Ok::<_, ClientError>((plan, keeper, lock, partial))
        });
        let (plan, keeper, lock, partial) = prepared.await?;
        let downloaded = documents.downloaded;
        if place.directory().is_dir() {
            return Ok(Brought::Here { place: place.directory(), downloaded });
        }
        fs::create_dir(&partial).map_err(ClientError::io("make the directory", &partial))?;
        let links: BTreeMap<String, String> = plan.links.iter().cloned().collect();
        for (name, bytes) in [(CONFIG, &config[..]), (LINKS, serde_json::json!(links).to_string().as_bytes())] {
            let path = partial.join(name);
            fs::write(&path, bytes).map_err(ClientError::io("write", &path))?;
        }
        let downloaded = match make(&partial.join(ROOT), plan, keeper, self.store().await?, cas, events).await? {
            Filled::Whole { downloaded: files } => downloaded + files,
            Filled::Lost(lost) => return Ok(Brought::Lost(lost)),
        };
        fs::rename(&partial, &place.home).map_err(ClientError::io("put in place", &place.home))?;
        drop(lock);
        Ok(Brought::Here { place: place.directory(), downloaded })
    }
}

/// Plans the root file system of an image.
pub(super) fn plan(parts: &Parts, attributes: &[u8], owner: Owner) -> Result<Plan, ClientError> {
    let attributes = parts.parse_attributes(attributes)?;
    let listing = parts.directories.listing(parts.image.root_file_system.root).map_err(parts.unusable())?;
    let entries = root_file_system(&listing, &attributes).map_err(parts.unusable())?;
    Ok(Plan::new(entries, owner))
}
