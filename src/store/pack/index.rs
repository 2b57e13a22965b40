//! The index of a pack, version 2: which object lies where.

use sha1_checked::Digest as _;

use super::plain_hasher;
use crate::spec::GitId;

/// From here on an offset takes eight bytes, in a table of its own.
const LARGE: u64 = 1 << 31;

/// Where an object lies in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed {
    /// Of its first byte.
    pub(super) offset: u64,
    /// Of its bytes in the pack.
    pub(super) crc: u32,
}

/// Returns the bytes of the index.
pub(super) fn encode(mut objects: Vec<(GitId, Packed)>, pack: [u8; 20]) -> Vec<u8> {
    objects.sort_unstable_by(|(one, _), (other, _)| one.as_bytes().cmp(other.as_bytes()));
    let mut bytes = b"\xfftOc\0\0\0\x02".to_vec();
    for first in 0..=u8::MAX {
        let up_to = objects.partition_point(|(id, _)| id.as_bytes()[0] <= first);
        bytes.extend_from_slice(&number(up_to).to_be_bytes());
    }
    for (id, _) in &objects {
        bytes.extend_from_slice(id.as_bytes());
    }
    for (_, packed) in &objects {
        bytes.extend_from_slice(&packed.crc.to_be_bytes());
    }
    let mut large = Vec::new();
    for (_, packed) in &objects {
        let small = u32::try_from(packed.offset).ok().filter(|_| packed.offset < LARGE);
        let offset = small.unwrap_or_else(|| {
            large.push(packed.offset);
            number(large.len() - 1) | (1 << 31)
        });
        bytes.extend_from_slice(&offset.to_be_bytes());
    }
    for offset in large {
        bytes.extend_from_slice(&offset.to_be_bytes());
    }
    bytes.extend_from_slice(&pack);
    let checksum = plain_hasher().chain_update(&bytes).finalize();
    bytes.extend_from_slice(&checksum);
    bytes
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("the number of objects in a pack is checked before its index is made")
}
