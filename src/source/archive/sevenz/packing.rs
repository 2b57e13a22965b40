//! How a block is packed: which methods it takes to unpack it, and how much memory.

use sevenz_rust2::{Block, Coder, EncoderMethod as Method};

use super::super::meter::Meter;
use super::super::{ArchiveError, Limits};

/// Most memory that one block may take. `7z -mx=9` uses dictionaries of 64 MiB, and makes them up to 3840 MiB when asked.
const MAX_MEMORY: u64 = 1 << 30;
/// Three streams of one block may be packed by LZMA, when calls and jumps of programs are kept apart.
const MAX_LZMA: usize = 3;

/// What it takes to undo one step of packing.
enum Step {
    /// A filter, which keeps sizes.
    Filter,
    /// LZMA with its dictionary. It ends at the size that is said.
    Lzma(u64),
    /// Another method with its memory. It ends where it says itself.
    Open(u64),
}

/// Checks that a block can be unpacked with bearable memory and in bearable time.
pub(super) fn check(block: &Block, entry: &str, limits: &Limits, meter: &Meter) -> Result<(), ArchiveError> {
    let unknown = || ArchiveError::Method { entry: entry.to_owned() };
    let (mut bytes, mut lzma, mut open, mut branches) = (0, 0, 0, false);
    for (index, coder) in block.coders.iter().enumerate() {
        if block.get_unpack_size_at_index(index) > limits.max_bytes {
            return Err(ArchiveError::Bytes { place: meter.place(), limit: limits.max_bytes });
        }
        match step(coder).ok_or_else(unknown)? {
            Step::Filter => branches |= coder.encoder_method_id() == Method::ID_BCJ2,
            Step::Lzma(memory) => (bytes, lzma) = (bytes + memory, lzma + 1),
            Step::Open(memory) => (bytes, open) = (bytes + memory, open + 1),
        }
    }
    // Of methods within one another, each could multiply what the one before makes of a small file.
    let nested = if branches { open > 1 || lzma > MAX_LZMA } else { open + lzma > 1 };
    if nested {
        return Err(unknown());
    }
    if bytes > MAX_MEMORY {
        return Err(ArchiveError::Memory { place: meter.place(), bytes, limit: MAX_MEMORY });
    }
    Ok(())
}

/// Returns what a step is; nothing when it is not known here.
fn step(coder: &Coder) -> Option<Step> {
    let properties = coder.properties();
    // LZMA and PPMd have another byte first.
    let memory = || Some(u32::from_le_bytes(properties.get(1..5)?.try_into().ok()?).into());
    match coder.encoder_method_id() {
        Method::ID_LZMA => memory().map(Step::Lzma),
        Method::ID_PPMD => memory().map(Step::Open),
        Method::ID_LZMA2 => match *properties.first()? {
            40 => Some(Step::Open(u32::MAX.into())),
            bits @ 0..40 => Some(Step::Open((2 | u64::from(bits & 1)) << (bits / 2 + 11))),
            _ => None,
        },
        Method::ID_BZIP2 | Method::ID_DEFLATE => Some(Step::Open(0)),
        Method::ID_COPY
        | Method::ID_DELTA
        | Method::ID_BCJ_X86
        | Method::ID_BCJ_PPC
        | Method::ID_BCJ_IA64
        | Method::ID_BCJ_ARM
        | Method::ID_BCJ_ARM64
        | Method::ID_BCJ_ARM_THUMB
        | Method::ID_BCJ_SPARC
        | Method::ID_BCJ_RISCV
        | Method::ID_BCJ2 => Some(Step::Filter),
        _ => None,
    }
}
