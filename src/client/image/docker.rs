//! An image as the archive that `docker load` takes: `docker save` writes such.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use serde_json::json;
use tar::{EntryType, Header};

use super::archive::Layers;
use super::parts::Parts;
use crate::client::brought::Brought;
use crate::client::connect::Reached;
use crate::client::events::Events;
use crate::client::materialize::prepare;
use crate::client::{Client, ClientError};
use crate::oci::LayerCompression;
use crate::store::{blocking, remove_tree};

/// The unit of tar archives.
const BLOCK: u64 = 512;

impl Client {
    /// Makes the archive.
    pub(super) async fn bring_archive(
        &self,
        parts: &Parts,
        name: &str,
        place: PathBuf,
        cas: &Reached,
        events: &dyn Events,
    ) -> Result<Brought<PathBuf>, ClientError> {
        let layers = match self.bring_layers(parts, cas, events).await? {
            Ok(layers) => layers,
            Err(lost) => return Ok(Brought::Lost(lost)),
        };
        let downloaded = layers.documents.downloaded;
        let target = place.clone();
        let (lock, partial) = blocking(move || prepare(&target)).await?;
        if place.is_file() {
            return Ok(Brought::Here { place, downloaded });
        }
        fs::create_dir(&partial).map_err(ClientError::io("make the directory", &partial))?;
        let path = partial.join("archive");
        let file = File::create(&path).map_err(ClientError::io("make", &path))?;
        let mut file = self.write_layers(parts, &layers, &partial, file).await?;
        let config = &layers.documents.bytes[&parts.image.config];
        parts.check("configuration", parts.facts.config, config)?;
        let hashes = parts.facts.layers.iter().map(|layer| format!("{}.tar", layer.hash()));
        let config_name = format!("{}.json", parts.facts.config.hash());
        let manifest = json!([{"Config": config_name, "RepoTags": [name], "Layers": hashes.collect::<Vec<_>>()}]);
        let mut end = entry(&config_name, config);
        end.extend(entry("manifest.json", manifest.to_string().as_bytes()));
        end.resize(end.len() + 2 * usize::try_from(BLOCK).expect("small"), 0);
        file.write_all(&end).map_err(ClientError::io("write", &path))?;
        drop(file);
        fs::rename(&path, &place).map_err(ClientError::io("put in place", &place))?;
        blocking(move || remove_tree(&partial).map_err(ClientError::io("remove", &partial))).await?;
        drop(lock);
        Ok(Brought::Here { place, downloaded })
    }

    /// Writes the layers, each once, whose sizes are known before.
    async fn write_layers(
        &self,
        parts: &Parts,
        layers: &Layers,
        scratch: &std::path::Path,
        mut file: File,
    ) -> Result<File, ClientError> {
        let mut seen = HashSet::new();
        for (number, layer) in parts.facts.layers.iter().enumerate() {
            if !seen.insert(*layer) {
                continue;
            }
            let unwritten = || ClientError::io("write to", scratch);
            file.write_all(header(&format!("{}.tar", layer.hash()), layer.size()).as_bytes()).map_err(unwritten())?;
            let plain = LayerCompression::None;
            let (_, sink) = self.write_archive(parts, layers, number, plain, scratch, file).await?;
            file = sink;
            file.write_all(&padding(layer.size())).map_err(unwritten())?;
        }
        Ok(file)
    }
}

/// Returns a file of the archive.
fn entry(name: &str, bytes: &[u8]) -> Vec<u8> {
    let size = bytes.len() as u64;
    [header(name, size).as_bytes(), bytes, &padding(size)].concat()
}

fn padding(size: u64) -> Vec<u8> {
    vec![0; usize::try_from(size.wrapping_neg() % BLOCK).expect("less than a block")]
}

/// Returns what stands before a file, always the same.
fn header(name: &str, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_path(name).expect("a hash and an ending");
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    header
}
