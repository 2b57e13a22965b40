//! What CRIU wrote, compressed by all cores; large files in chunks by content, most of which stay when the same service
//! is dumped again.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{available_parallelism, scope};

use super::WorkerError;
use crate::checkpoint::MEMORY;
use crate::store::Chunks;

/// Files from here on are cut into chunks.
const LARGE: u64 = 1 << 20;
/// Size of a chunk on average, in bytes: memory changes by pages, which lie together.
const AVERAGE: u32 = 64 << 10;
const LEVEL: i32 = 3;
/// Chunks for each thread that may wait.
const WAITING: usize = 4;

/// Content that is to be compressed, and where it goes.
type Piece = (PathBuf, Vec<u8>);

/// Compresses the files in a directory.
pub(super) fn compress(images: &Path, to: &Path) -> Result<(), WorkerError> {
    let to = to.join(MEMORY);
    fs::create_dir(&to).map_err(WorkerError::io("make the directory", &to))?;
    let threads = available_parallelism().map_or(1, usize::from);
    let (sender, pieces) = sync_channel::<Piece>(threads * WAITING);
    let pieces = Mutex::new(pieces);
    scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| write(&pieces))).collect();
        // A worker that failed takes no more, and what is sent to nobody is an end.
        let cut = cut(images, &to, |piece| sender.send(piece).is_ok());
        drop(sender);
        let written = workers.into_iter().try_for_each(|worker| worker.join().expect("it does not panic"));
        cut.and(written)
    })
}

/// Gives the pieces of all files.
fn cut(images: &Path, to: &Path, mut give: impl FnMut(Piece) -> bool) -> Result<(), WorkerError> {
    for entry in fs::read_dir(images).map_err(WorkerError::io("read", images))? {
        let entry = entry.map_err(WorkerError::io("read", images))?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let failed = || WorkerError::io("read", &path);
        let mut file = File::open(&path).map_err(failed())?;
        if file.metadata().map_err(failed())?.len() <= LARGE {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(failed())?;
            give((to.join(format!("{name}.zst")), bytes));
            continue;
        }
        let directory = to.join(name);
        fs::create_dir(&directory).map_err(WorkerError::io("make the directory", &directory))?;
        for (number, chunk) in Chunks::around(file, AVERAGE).enumerate() {
            if !give((directory.join(format!("{number:06}.zst")), chunk.map_err(failed())?)) {
                break;
            }
        }
    }
    Ok(())
}

/// Compresses pieces until there are no more.
fn write(pieces: &Mutex<Receiver<Piece>>) -> Result<(), WorkerError> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL).map_err(WorkerError::io("compress", Path::new(MEMORY)))?;
    loop {
        let next = pieces.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((path, bytes)) = next else { return Ok(()) };
        let compressed: io::Result<Vec<u8>> = compressor.compress(&bytes);
        let written = compressed.and_then(|compressed| fs::write(&path, compressed));
        written.map_err(WorkerError::io("write", &path))?;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PAGE: usize = 4096;

    /// Returns what is left of a directory, chunk by chunk.
    fn compressed(top: &Path, name: &str, files: &[(&str, &[u8])]) -> PathBuf {
        let (images, made) = (top.join(format!("{name}-images")), top.join(name));
        for directory in [&images, &made] {
            fs::create_dir(directory).expect("temporary");
        }
        for (name, bytes) in files {
            fs::write(images.join(name), bytes).expect("temporary");
        }
        compress(&images, &made).expect("compressed");
        made.join(MEMORY)
    }

    fn chunks(directory: &Path) -> Vec<Vec<u8>> {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(directory).expect("there").flatten().map(|entry| entry.path()).collect();
        paths.sort();
        paths.iter().map(|path| fs::read(path).expect("there")).collect()
    }

    #[test]
    fn files_come_back_whole_and_those_of_one_lineage_share_most_of_their_chunks() {
        let top = tempfile::tempdir().expect("temporary");
        let mut random = fastrand::Rng::with_seed(1);
        let mut memory: Vec<u8> = (0..12 << 20).map(|_| random.u8(..64)).collect();
        let first = compressed(top.path(), "first", &[("small.img", b"small"), ("pages-1.img", &memory)]);
        let small = fs::read(first.join("small.img.zst")).expect("there");
        assert_eq!(zstd::decode_all(&small[..]).expect("zstd"), b"small");
        let whole: Vec<u8> = chunks(&first.join("pages-1.img"))
            .iter()
            .flat_map(|chunk| zstd::decode_all(&chunk[..]).expect("zstd"))
            .collect();
        assert!(whole == memory);

        // Some pages change, and one comes in between.
        for page in [3, 4, 1000, 2000, 2001] {
            memory[page * PAGE..(page + 1) * PAGE].fill(7);
        }
        memory.splice(1500 * PAGE..1500 * PAGE, [5; PAGE]);
        let second = compressed(top.path(), "second", &[("small.img", b"small"), ("pages-1.img", &memory)]);
        let known: BTreeSet<Vec<u8>> = chunks(&first.join("pages-1.img")).into_iter().collect();
        let all = chunks(&second.join("pages-1.img"));
        let new = all.iter().filter(|chunk| !known.contains(*chunk)).count();
        assert!(all.len() > 100 && (1..=12).contains(&new), "{new} of {}", all.len());
    }
}
