//! Which ports of an instance are passed on.

use std::collections::BTreeSet;

use crate::cli::error::CliError;
use crate::cli::output::note;
use crate::oci::ImageConfig;

/// Most ports of one instance.
const MAX_PORTS: usize = 128;

/// Returns those that the image exposes, and those that are given.
pub(super) fn all_ports(image: &ImageConfig, given: &[u16]) -> Result<Vec<u16>, CliError> {
    let mut ports: BTreeSet<u16> = given.iter().copied().collect();
    for exposed in &image.execution.exposed_ports {
        let (range, protocol) = exposed.split_once('/').unwrap_or((exposed, "tcp"));
        if protocol != "tcp" {
            note(&format!("port `{exposed}` is not passed on: only those of TCP are"));
            continue;
        }
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) {
            ports.extend((first.max(1)..=last).take(MAX_PORTS + 1));
        }
    }
    if ports.len() > MAX_PORTS {
        return Err(CliError::TooManyPorts { ports: ports.len(), limit: MAX_PORTS });
    }
    Ok(ports.into_iter().collect())
}
