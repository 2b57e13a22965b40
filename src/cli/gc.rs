//! `envserve gc`: evicts from the store of a daemon that does not run. A daemon does so by itself.

use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

use super::error::CliError;
use super::store::{RootArguments, SizeArguments};
use super::{Exit, output};
use crate::store::{Goal, StoreError};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    root: RootArguments,

    #[command(flatten)]
    size: SizeArguments,

    /// Evict what was not used for so many days, whatever the size.
    #[arg(long, value_name = "DAYS")]
    max_age_days: Option<u64>,

    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let store = arguments.root.open(arguments.size.options())?;
    let failed = |source: StoreError| CliError::Store { action: "evict from", source };
    let before = store.used().map_err(failed)?;
    let free = arguments.size.max_size().map_or(0, |limit| before.saturating_sub(limit));
    let max_age = arguments.max_age_days.map(|days| Duration::from_secs(days.saturating_mul(86_400)));
    let collected = store.collect(Goal { free, max_age }).map_err(failed)?;
    let after = store.used().map_err(failed)?;
    if arguments.json {
        let object = serde_json::json!({
            "version": 1,
            "evicted_blobs": collected.blobs,
            "evicted_bytes": collected.bytes,
            "removed_records": collected.records,
            "used_bytes_before": before,
            "used_bytes_after": after,
        });
        output::print(object.to_string().as_bytes())?;
    } else {
        let (size, used) = (ByteSize(collected.bytes), ByteSize(after));
        let blobs = collected.blobs;
        output::print(format!("evicted {blobs} blobs of {size}; the store takes {used}").as_bytes())?;
    }
    Ok(if after > arguments.size.max_size().unwrap_or(u64::MAX) { Exit::Error } else { Exit::Done })
}
