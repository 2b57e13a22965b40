//! What of the processor a program in memory may depend on: from `/proc/cpuinfo`, and from what CRIU finds.

use std::collections::BTreeMap;

use prost::Message;

use crate::digest::DigestFunction;

/// Bytes before the message in a file of CRIU: two magic numbers and a size.
const HEADER: usize = 12;

/// The processor as the kernel describes it. Other names of the same are those of other architectures.
pub(super) struct Described {
    pub(super) vendor: String,
    pub(super) family: String,
    pub(super) model: String,
    /// Sorted words.
    pub(super) flags: String,
}

impl Described {
    /// Reads what `/proc/cpuinfo` says of the first processor. Speeds, steppings and microcode are of no account.
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.lines().take_while(|line| !line.trim().is_empty());
        let facts: BTreeMap<&str, &str> =
            lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim(), value.trim())).collect();
        let fact = |names: [&str; 2]| names.iter().find_map(|name| facts.get(name)).copied().unwrap_or("unknown");
        let mut flags: Vec<&str> = fact(["flags", "Features"]).split_whitespace().collect();
        flags.sort_unstable();
        flags.dedup();
        Self {
            vendor: fact(["vendor_id", "CPU implementer"]).to_owned(),
            family: fact(["cpu family", "CPU architecture"]).to_owned(),
            model: fact(["model", "CPU part"]).to_owned(),
            flags: flags.join(" "),
        }
    }
}

/// The processor as CRIU finds it (`criu cpuinfo dump`).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Measured {
    /// Words of capability bits, in hexadecimal; of other architectures the digest of what CRIU writes.
    pub(super) capabilities: String,
    /// Parts of the state that are saved, as a mask.
    pub(super) xsave_features: String,
    /// Bytes of the state: those in use, and the most that there can be.
    pub(super) xsave_size: String,
}

/// The message in `cpuinfo.img`, as far as it is of any account.
#[derive(Clone, PartialEq, Message)]
struct CpuInfoEntry {
    #[prost(message, repeated, tag = "1")]
    x86: Vec<X86>,
}

/// One of them for each processor; CRIU writes one for all.
#[derive(Clone, PartialEq, Message)]
struct X86 {
    #[prost(uint32, repeated, packed = "false", tag = "6")]
    capability: Vec<u32>,
    #[prost(uint64, tag = "8")]
    xfeatures_mask: u64,
    #[prost(uint32, tag = "9")]
    xsave_size: u32,
    #[prost(uint32, tag = "10")]
    xsave_size_max: u32,
}

impl Measured {
    /// Reads what CRIU has written, which is `None` when it is cut off or no such file.
    pub(super) fn parse(file: &[u8]) -> Option<Self> {
        let (header, message) = file.split_at_checked(HEADER)?;
        let size = u32::from_le_bytes(header[8..].try_into().ok()?);
        let message = message.get(..usize::try_from(size).ok()?)?;
        let none = || "none".to_owned();
        let Some(found) = CpuInfoEntry::decode(message).ok()?.x86.into_iter().next() else {
            let capabilities = DigestFunction::Sha256.digest(message).hash();
            return Some(Self { capabilities, xsave_features: none(), xsave_size: none() });
        };
        let words: Vec<String> =
            found.capability.iter().enumerate().map(|(n, word)| format!("{n}:{word:08x}")).collect();
        Some(Self {
            capabilities: words.join(" "),
            xsave_features: format!("{:#x}", found.xfeatures_mask),
            xsave_size: format!("{} of {}", found.xsave_size, found.xsave_size_max),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_of_two_architectures_are_read() {
        let x86 = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nstepping\t: 8\n\
                   cpu MHz\t\t: 2100.0\nflags\t\t: fpu avx2 aes\n\nprocessor\t: 1\nflags\t\t: none\n";
        let found = Described::parse(x86);
        let found = [&found.vendor, &found.family, &found.model, &found.flags].map(String::as_str);
        assert_eq!(found, ["GenuineIntel", "6", "143", "aes avx2 fpu"]);
        let arm =
            "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd0c\n";
        let found = Described::parse(arm);
        let found = [&found.vendor, &found.family, &found.model, &found.flags].map(String::as_str);
        assert_eq!(found, ["0x41", "8", "0xd0c", "asimd fp"]);
        assert_eq!(Described::parse("").model, "unknown");
    }

    #[test]
    fn what_criu_finds_is_read_and_what_is_cut_off_is_not() {
        let x86 = X86 { capability: vec![1, 0xabc], xfeatures_mask: 0xe5, xsave_size: 2432, xsave_size_max: 2696 };
        let message = CpuInfoEntry { x86: vec![x86] }.encode_to_vec();
        let mut file = b"\x19CVT\x13@@a".to_vec();
        file.extend(u32::try_from(message.len()).expect("short").to_le_bytes());
        file.extend(&message);
        let found = Measured::parse(&file).expect("whole");
        assert_eq!(found.capabilities, "0:00000001 1:00000abc");
        assert_eq!((found.xsave_features.as_str(), found.xsave_size.as_str()), ("0xe5", "2432 of 2696"));
        for end in 0..file.len() {
            assert_eq!(Measured::parse(&file[..end]), None, "{end}");
        }
    }
}
