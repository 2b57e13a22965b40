//! What holds for whatever a client sends, as functions that panic when it does not.
//!
//! The fuzz targets in `tests/fuzz` and the tests here call them; the server does not.

use super::resource::Resource;
use crate::digest::DigestFunction;
use crate::store::{Directory, Node};

/// A resource name is refused, or names an instance and a blob that can be written as a name again.
///
/// # Panics
/// When it does not hold.
pub fn resource_name(name: &str) {
    for write in [false, true] {
        let read = if write { Resource::to_write } else { Resource::to_read };
        let Ok(resource) = read(name) else { continue };
        let words = ["blobs", "compressed-blobs", "uploads"];
        assert!(resource.instance.split('/').all(|segment| !words.contains(&segment)), "{name:?}");
        assert!(i64::try_from(resource.digest.size()).is_ok(), "{name:?}");
        assert_eq!(resource.digest.hash().len(), 64, "{name:?}");
        assert_eq!(read(&written(&resource, write)).as_ref(), Ok(&resource), "{name:?}");
    }
}

fn written(resource: &Resource, write: bool) -> String {
    let Resource { instance, digest, compressor } = resource;
    let mut segments = Vec::new();
    if !instance.is_empty() {
        segments.push(instance.clone());
    }
    if write {
        segments.push("uploads/u".to_owned());
    }
    segments.push(compressor.segments().to_owned());
    if digest.function() == DigestFunction::Blake3 {
        segments.push("blake3".to_owned());
    }
    segments.push(digest.to_string());
    segments.join("/")
}

/// Bytes are refused as a Directory, or have safe names in order and an encoding that means the same.
///
/// # Panics
/// When it does not hold.
pub fn directory(bytes: &[u8]) {
    for function in DigestFunction::ALL {
        let Ok(directory) = Directory::parse(function, bytes) else { continue };
        let names: Vec<&str> = directory.iter().map(|(name, _)| name).collect();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
        for name in names {
            assert!(!["", ".", ".."].contains(&name) && !name.contains(['/', '\0']), "{name:?}");
        }
        for (name, node) in directory.iter() {
            if let Node::Symlink { target } = node {
                assert!(!target.is_empty() && !target.contains('\0'), "{name:?}");
            }
        }
        let again = Directory::parse(function, &directory.encode());
        assert_eq!(again.as_ref().ok(), Some(&directory), "{again:?}");
    }
}
