//! What the action brings: read with bounds, and checked.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use super::WorkerError;
use crate::checkpoint::{CONFIG, ORDER, Order};
use crate::oci::ImageConfig;

/// Most bytes of a document.
const MAX_BYTES: u64 = 16 << 20;

/// What every version of the order has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Reads the order.
pub(super) fn order(directory: &Path) -> Result<Order, WorkerError> {
    let bytes = read(directory, ORDER)?;
    let wrong = |reason: String| WorkerError::Order { file: ORDER, reason };
    let Version { version } = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    if version != Order::VERSION {
        return Err(wrong(format!(
            "it is of version {version}, and this worker reads version {}: the worker and who asks it have to be of \
             the same version of envserve",
            Order::VERSION
        )));
    }
    serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))
}

/// Reads the configuration of the image.
pub(super) fn image(directory: &Path) -> Result<ImageConfig, WorkerError> {
    let bytes = read(directory, CONFIG)?;
    ImageConfig::parse(&bytes).map_err(|error| WorkerError::Order { file: CONFIG, reason: error.to_string() })
}

fn read(directory: &Path, file: &'static str) -> Result<Vec<u8>, WorkerError> {
    let mut bytes = Vec::new();
    let opened = File::open(directory.join(file));
    let read = opened.and_then(|opened| opened.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| WorkerError::Order { file, reason: error.to_string() })?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(WorkerError::Order { file, reason: format!("it has more than {MAX_BYTES} bytes") });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_order_of_another_form_is_refused_with_what_is_wrong() {
        let directory = tempfile::tempdir().expect("temporary");
        let refused = |text: String| {
            std::fs::write(directory.path().join(ORDER), text).expect("temporary");
            order(directory.path()).expect_err("it is not of the form").to_string()
        };
        let good = json!({"version": 1, "service": {
            "cmd": null, "ready": {"tcp": 80}, "warmup": [], "restored": null,
            "stop": {"by": {"signal": "SIGTERM"}, "timeout": null}, "timeout": null,
        }});
        std::fs::write(directory.path().join(ORDER), good.to_string()).expect("temporary");
        assert_eq!(order(directory.path()).expect("of the form").version, 1);
        let mut other = good.clone();
        other["version"] = 2.into();
        assert!(refused(other.to_string()).contains("it is of version 2, and this worker reads version 1"));
        let mut more = good;
        more["more"] = 1.into();
        assert!(refused(more.to_string()).contains("unknown field"));
        assert!(refused("[".to_owned()).contains("EOF"));
        assert!(refused(" ".repeat(17 << 20)).contains("more than"));
        std::fs::remove_file(directory.path().join(ORDER)).expect("there");
        assert!(order(directory.path()).expect_err("not there").to_string().contains("No such file"));
    }
}
