//! What is sent: blobs from a fast generator, hashed before any clock runs.

use bytes::Bytes;
use envserve::digest::DigestFunction;
use envserve::proto::reapi;
use sha2::Digest as _;

/// Payload of one ByteStream message.
pub(crate) const PIECE: usize = 256 << 10;
/// The end of a large blob, by which those of one kind differ.
const TAIL: usize = 4096;

/// SplitMix64: no statistics are made of it, so speed is all.
pub(crate) struct Random(u64);

impl Random {
    /// Begins a sequence of its own for each list of numbers.
    pub(crate) fn of(seed: &[u64]) -> Self {
        let mut random = Self(0);
        for part in seed {
            random.0 = random.next() ^ part.wrapping_mul(0x2545_F491_4F6C_DD1D);
        }
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = end as u64;
        usize::try_from(self.next() % end).expect("below a usize")
    }

    /// Returns bytes that cannot be compressed; `size` is a multiple of 8.
    pub(crate) fn bytes(&mut self, size: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(size);
        while bytes.len() < size {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes
    }

    /// Returns words of eight letters out of 4,096, which zstd makes less than half of; `size` is a multiple of 32.
    fn words(&mut self, size: usize) -> Vec<u8> {
        let mut words = vec![[0_u8; 8]; 4096];
        for word in &mut words {
            word.iter_mut().for_each(|letter| *letter = b'a' + u8::try_from(self.below(26)).expect("below 26"));
        }
        let mut bytes = Vec::with_capacity(size);
        while bytes.len() < size {
            let mut choice = self.next();
            for _ in 0..4 {
                bytes.extend_from_slice(&words[usize::try_from(choice & 4095).expect("below 4096")]);
                choice >>= 12;
            }
        }
        bytes
    }
}

/// A blob that travels in batches.
#[derive(Clone)]
pub(crate) struct Blob {
    pub(crate) digest: reapi::Digest,
    pub(crate) data: Bytes,
}

impl Blob {
    pub(crate) fn new(data: impl Into<Bytes>) -> Self {
        let data = data.into();
        Self { digest: DigestFunction::Sha256.digest(&data).into(), data }
    }
}

/// Returns distinct blobs that cannot be compressed.
pub(crate) fn blobs(seed: &[u64], count: usize, size: usize) -> Vec<Blob> {
    let mut random = Random::of(seed);
    (0..count).map(|_| Blob::new(random.bytes(size))).collect()
}

/// What a large blob is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Bytes that cannot be compressed.
    Random,
    /// Words that can.
    Words,
}

/// A large blob but for its end: made and hashed once, for many blobs.
pub(crate) struct Base {
    data: Bytes,
    hasher: sha2::Sha256,
}

impl Base {
    pub(crate) fn new(content: Content, size: usize) -> Self {
        let mut random = Random::of(&[size as u64]);
        let data = match content {
            Content::Random => random.bytes(size - TAIL),
            Content::Words => random.words(size - TAIL),
        };
        let mut hasher = sha2::Sha256::new();
        hasher.update(&data);
        Self { data: data.into(), hasher }
    }

    /// Returns the blob with an end of its own.
    pub(crate) fn blob(&self, seed: u64) -> Large {
        let tail = Bytes::from(Random::of(&[seed]).bytes(TAIL));
        let hash = self.hasher.clone().chain_update(&tail).finalize();
        let mut pieces = pieces(&self.data);
        pieces.push(tail);
        Large { hash: const_hex::encode(hash), size: self.data.len() + TAIL, pieces }
    }
}

/// Cuts bytes into the pieces in which they travel.
pub(crate) fn pieces(data: &Bytes) -> Vec<Bytes> {
    (0..data.len()).step_by(PIECE).map(|start| data.slice(start..data.len().min(start + PIECE))).collect()
}

/// A blob that travels by ByteStream.
pub(crate) struct Large {
    pub(crate) hash: String,
    pub(crate) size: usize,
    pub(crate) pieces: Vec<Bytes>,
}

impl Large {
    /// Returns the blob as one zstd frame, cut into pieces.
    pub(crate) fn compressed(&self) -> Vec<Bytes> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("the level is one of zstd's");
        for piece in &self.pieces {
            std::io::Write::write_all(&mut encoder, piece).expect("a vector takes all");
        }
        pieces(&encoder.finish().expect("a vector takes all").into())
    }

    /// Returns what compares the blob with bytes as they come.
    pub(crate) fn comparison(&self) -> Comparison<'_> {
        Comparison { rest: &self.pieces, at: 0 }
    }
}

/// How much of a blob has come back as it was sent.
pub(crate) struct Comparison<'a> {
    rest: &'a [Bytes],
    at: usize,
}

impl Comparison<'_> {
    /// Says whether these are the next bytes.
    pub(crate) fn next(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let Some(piece) = self.rest.first() else { return false };
            let count = bytes.len().min(piece.len() - self.at);
            if bytes[..count] != piece[self.at..self.at + count] {
                return false;
            }
            bytes = &bytes[count..];
            self.at += count;
            if self.at == piece.len() {
                self.rest = &self.rest[1..];
                self.at = 0;
            }
        }
        true
    }

    /// Says whether all of it has come.
    pub(crate) fn is_complete(&self) -> bool {
        self.rest.is_empty()
    }
}
