//! What holds for whatever a client sends. `tests/fuzz` looks for counterexamples for longer.

use proptest::prelude::*;
use prost::Message;

use super::super::properties::{directory, resource_name};
use crate::proto::reapi;

/// Names that are nearly right.
fn names() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        Just("blobs".to_owned()),
        Just("compressed-blobs".to_owned()),
        Just("uploads".to_owned()),
        Just("zstd".to_owned()),
        Just("blake3".to_owned()),
        Just("ab".repeat(32)),
        Just(String::new()),
        Just("..".to_owned()),
        "[0-9]{1,20}",
        ".{0,5}",
    ];
    prop::collection::vec(segment, 0..9).prop_map(|segments| segments.join("/"))
}

/// Directories that are nearly right.
fn directories() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof!["[a-c]{0,2}", Just("..".to_owned()), "[a-c./\0]{0,4}"];
    let digest = (prop_oneof![Just("ab".repeat(32)), "[a-f0-9]{0,64}"], -1_i64..100);
    let digest = digest.prop_map(|(hash, size_bytes)| Some(reapi::Digest { hash, size_bytes }));
    let file = (name.clone(), digest.clone(), any::<bool>()).prop_map(|(name, digest, is_executable)| {
        reapi::FileNode { name, digest, is_executable, node_properties: None }
    });
    let below = (name.clone(), digest).prop_map(|(name, digest)| reapi::DirectoryNode { name, digest });
    let link =
        (name.clone(), name).prop_map(|(name, target)| reapi::SymlinkNode { name, target, node_properties: None });
    let few = 0..3;
    let all = (
        prop::collection::vec(file, few.clone()),
        prop::collection::vec(below, few.clone()),
        prop::collection::vec(link, few),
    );
    all.prop_map(|(files, directories, symlinks)| {
        reapi::Directory { files, directories, symlinks, node_properties: None }.encode_to_vec()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn resource_names_are_refused_or_round_trip(name in names(), any in ".*") {
        resource_name(&name);
        resource_name(&any);
    }

    #[test]
    fn directories_are_refused_or_safe(
        bytes in directories(),
        any in prop::collection::vec(any::<u8>(), 0..100),
        at in any::<prop::sample::Index>(),
    ) {
        directory(&bytes);
        directory(&any);
        directory(&bytes[..at.index(bytes.len() + 1)]);
    }
}
