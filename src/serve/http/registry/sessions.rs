//! Uploads that are on their way: how many, how large together, for how long nothing may come.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::BodyDataStream;
use tempfile::NamedTempFile;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, Semaphore};
use uuid::Uuid;

use super::super::incoming::next;
use super::super::room::{Limits, Place, Room};
use super::error::RegistryError;
use crate::digest::{Digest, DigestFunction, Hasher};
use crate::spec::shown;
use crate::store::blocking;

/// What may be on its way.
const LIMITS: Limits = Limits { bytes: 16 << 30, total: 64 << 30, count: 200 };
/// For how long nothing may come for an upload.
const PATIENCE: Duration = Duration::from_secs(600);
/// Bytes that are gathered before they are written.
const GATHERED: usize = 1 << 20;
/// Uploads that are stored at a time.
const STORED_AT_ONCE: usize = 4;

/// The uploads of a registry.
pub(super) struct Sessions {
    open: Mutex<HashMap<Uuid, Arc<Session>>>,
    room: Room,
    patience: Duration,
    scratch: Arc<Path>,
    pub(super) storing: Semaphore,
}

/// An upload.
pub(super) struct Session {
    /// To which repository it goes.
    name: String,
    /// Held by the request that writes.
    place: AsyncMutex<Place>,
    /// A thread that writes goes on when its request was given up.
    received: Arc<Mutex<Received>>,
    used: Mutex<Instant>,
}

/// What has come of an upload.
struct Received {
    file: NamedTempFile,
    sha256: Hasher,
    /// For the digest in the CAS, where that is made by another function.
    own: Option<Hasher>,
}

impl Sessions {
    pub(super) fn new(scratch: Arc<Path>) -> Self {
        Self::with(scratch, LIMITS, PATIENCE)
    }

    fn with(scratch: Arc<Path>, limits: Limits, patience: Duration) -> Self {
        let storing = Semaphore::new(STORED_AT_ONCE);
        Self { open: Mutex::default(), room: Room::new(limits), patience, scratch, storing }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an upload to a repository, which may be said to have this length.
    ///
    /// # Errors
    /// When there is no room.
    pub(super) async fn begin(
        &self,
        name: &str,
        function: DigestFunction,
        length: Option<u64>,
    ) -> Result<(Uuid, Arc<Session>), RegistryError> {
        // Files are removed, and places given back, without the lock.
        let old: Vec<_> = self.open().extract_if(|_, session| session.idle() > self.patience).collect();
        drop(old);
        let place = self.room.place(length)?;
        let scratch = Arc::clone(&self.scratch);
        let file = blocking(move || NamedTempFile::new_in(scratch)).await.map_err(RegistryError::Io)?;
        let own = (function != DigestFunction::Sha256).then(|| function.hasher());
        let received = Received { file, sha256: DigestFunction::Sha256.hasher(), own };
        let session = Arc::new(Session {
            name: name.to_owned(),
            place: AsyncMutex::new(place),
            received: Arc::new(Mutex::new(received)),
            used: Mutex::new(Instant::now()),
        });
        let id = Uuid::new_v4();
        self.open().insert(id, Arc::clone(&session));
        Ok((id, session))
    }

    /// Returns an upload to a repository.
    ///
    /// # Errors
    /// `UnknownUpload` when there is none.
    pub(super) fn get(&self, name: &str, id: &str) -> Result<(Uuid, Arc<Session>), RegistryError> {
        let unknown = || RegistryError::UnknownUpload { id: shown(id) };
        let id = Uuid::parse_str(id).map_err(|_| unknown())?;
        let session = self.open().get(&id).filter(|session| session.name == name).cloned();
        let session = session.filter(|session| session.idle() <= self.patience).ok_or_else(unknown)?;
        session.touch();
        Ok((id, session))
    }

    /// Forgets an upload.
    pub(super) fn end(&self, id: Uuid) {
        let ended = self.open().remove(&id);
        drop(ended);
    }
}

impl Session {
    fn idle(&self) -> Duration {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Returns the bytes that have come.
    pub(super) async fn size(&self) -> u64 {
        let received = Arc::clone(&self.received);
        blocking(move || lock(&received).sha256.size()).await
    }

    /// Lets nobody else write meanwhile.
    ///
    /// # Errors
    /// `InUse` when another request does.
    pub(super) fn write(&self) -> Result<AsyncMutexGuard<'_, Place>, RegistryError> {
        self.place.try_lock().map_err(|_| RegistryError::InUse)
    }

    /// Takes a body. What came of one that stops stays.
    ///
    /// # Errors
    /// When it stops, there is no room, or the file cannot be written.
    pub(super) async fn receive(&self, place: &mut Place, body: &mut BodyDataStream) -> Result<(), RegistryError> {
        let mut gathered = Vec::new();
        loop {
            let came = next(body).await;
            if let Ok(Some(bytes)) = &came {
                place.grow(bytes.len() as u64)?;
                gathered.extend_from_slice(bytes);
            }
            let ended = !matches!(came, Ok(Some(_)));
            if (ended && !gathered.is_empty()) || gathered.len() >= GATHERED {
                let received = Arc::clone(&self.received);
                let write = move || lock(&received).write(&gathered).map(|()| gathered);
                gathered = blocking(write).await.map_err(RegistryError::Io)?;
                gathered.clear();
                self.touch();
            }
            came?;
            if ended {
                return Ok(());
            }
        }
    }

    /// Returns where all that came lies, SHA-256 and size of it, and its digest in the CAS.
    pub(super) async fn received(&self) -> (std::path::PathBuf, Digest, Digest) {
        let received = Arc::clone(&self.received);
        blocking(move || {
            let received = lock(&received);
            let sha256 = received.sha256.clone().finish();
            let own = received.own.clone().map_or(sha256, Hasher::finish);
            (received.file.path().to_owned(), sha256, own)
        })
        .await
    }
}

fn lock(received: &Mutex<Received>) -> MutexGuard<'_, Received> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Received {
    /// Writes what came next. Blocks.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.sha256.update(bytes);
        if let Some(own) = &mut self.own {
            own.update(bytes);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use bytes::Bytes;

    use super::super::super::room::RoomError;
    use super::*;

    const FUNCTION: DigestFunction = DigestFunction::Blake3;

    fn sessions(directory: &Path, patience: Duration) -> Sessions {
        Sessions::with(directory.into(), Limits { bytes: 10, total: 15, count: 2 }, patience)
    }

    async fn receive(session: &Session, text: &'static str) -> Result<(), RegistryError> {
        let mut place = session.write()?;
        session.receive(&mut place, &mut Body::from(text).into_data_stream()).await
    }

    #[tokio::test]
    async fn an_upload_comes_in_chunks_and_is_bounded() {
        let directory = tempfile::tempdir().expect("temporary");
        let sessions = sessions(directory.path(), PATIENCE);
        let (id, session) = sessions.begin("a", FUNCTION, None).await.expect("room");
        receive(&session, "0123").await.expect("short");
        receive(&session, "456789").await.expect("short");
        assert_eq!(session.size().await, 10);
        let (path, sha256, own) = session.received().await;
        assert_eq!(std::fs::read(&path).expect("there"), b"0123456789");
        assert_eq!((sha256, own), (DigestFunction::Sha256.digest(b"0123456789"), FUNCTION.digest(b"0123456789")));
        let more = receive(&session, "x").await;
        assert!(matches!(more, Err(RegistryError::Room(RoomError::TooLarge { limit: 10 }))), "{more:?}");
        let (_, other) = sessions.begin("a", FUNCTION, None).await.expect("room");
        assert!(matches!(receive(&other, "012345").await, Err(RegistryError::Room(RoomError::Busy))));
        assert!(matches!(sessions.begin("a", FUNCTION, None).await, Err(RegistryError::Room(RoomError::Busy))));
        drop(session);
        sessions.end(id);
        assert!(!path.exists());
        sessions.begin("a", FUNCTION, Some(10)).await.expect("room again");
    }

    #[tokio::test]
    async fn what_came_of_a_body_that_stops_stays() {
        let directory = tempfile::tempdir().expect("temporary");
        let sessions = sessions(directory.path(), PATIENCE);
        let (_, session) = sessions.begin("a", FUNCTION, None).await.expect("room");
        let stopped = futures::stream::iter([Ok(Bytes::from_static(b"ab")), Err(io::Error::other("gone"))]);
        let mut place = session.write().expect("free");
        let stopped = session.receive(&mut place, &mut Body::from_stream(stopped).into_data_stream()).await;
        assert!(matches!(stopped, Err(RegistryError::Interrupted(_))), "{stopped:?}");
        assert!(matches!(session.write(), Err(RegistryError::InUse)));
        assert_eq!(session.size().await, 2);
    }

    #[tokio::test]
    async fn an_upload_belongs_to_its_repository_and_does_not_wait_for_ever() {
        let directory = tempfile::tempdir().expect("temporary");
        let patient = sessions(directory.path(), PATIENCE);
        let (id, _) = patient.begin("a", FUNCTION, None).await.expect("room");
        patient.get("a", &id.to_string()).expect("there");
        for (name, id) in [("b", id.to_string()), ("a", Uuid::new_v4().to_string()), ("a", "../x".into())] {
            assert!(matches!(patient.get(name, &id), Err(RegistryError::UnknownUpload { .. })), "{name} {id}");
        }
        let impatient = sessions(directory.path(), Duration::ZERO);
        let (id, _) = impatient.begin("a", FUNCTION, None).await.expect("room");
        assert!(impatient.get("a", &id.to_string()).is_err());
    }
}
