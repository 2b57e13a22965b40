//! What a server keeps under names.

use super::{Client, ClientError};
use crate::proto::v1;
use crate::spec::PinName;

/// A name, and the entries that are kept under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEntries {
    /// The name.
    pub name: PinName,
    /// The entries.
    pub entries: Vec<KeptEntry>,
}

/// An entry that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEntry {
    /// Its key: HASH/SIZE.
    pub key: String,
    /// `NAME` or `MODULE:NAME`, where the server remembers it.
    pub environment: Option<String>,
    /// Until when, in seconds since 1970.
    pub expires: i64,
}

impl Client {
    /// Returns what the server keeps under names, in the order of the names.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn pins(&self) -> Result<Vec<KeptEntries>, ClientError> {
        const RPC: &str = "Pins.List";
        let connection = self.connection().await?;
        let answer = connection.wait(connection.pins().list(v1::ListPinsRequest {})).await?;
        let pins = answer.map_err(connection.failed(RPC))?.into_inner().pins;
        let entry = |kept: v1::list_pins_response::Kept| KeptEntry {
            key: kept.key,
            environment: Some(kept.environment).filter(|name| !name.is_empty()),
            expires: kept.expires,
        };
        let pin = |pin: v1::list_pins_response::Pin| {
            let name = pin.name.parse::<PinName>().map_err(|error| connection.broken(RPC, error.to_string()))?;
            Ok(KeptEntries { name, entries: pin.entries.into_iter().map(entry).collect() })
        };
        pins.into_iter().map(pin).collect()
    }

    /// Lets the server go what it keeps under a name. Returns how many entries that were.
    ///
    /// # Errors
    /// When the server cannot be asked, or keeps nothing under this name.
    pub async fn drop_pin(&self, name: &PinName) -> Result<u32, ClientError> {
        let connection = self.connection().await?;
        let question = v1::DropPinRequest { name: name.to_string() };
        let answer = connection.wait(connection.pins().drop(question)).await?;
        Ok(answer.map_err(connection.failed("Pins.Drop"))?.into_inner().entries)
    }
}
