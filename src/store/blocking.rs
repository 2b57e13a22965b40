//! The one way from async code to calls that block: RocksDB, libgit2, files, hashing.

/// Runs `work` on the runtime's bounded pool of blocking threads and returns what it returns.
///
/// # Panics
/// When `work` panics, with the same payload.
///
/// # Cancel safety
/// Dropping the future does not stop `work`; its result is thrown away.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let span = tracing::Span::current();
    #[expect(clippy::disallowed_methods, reason = "this is the helper that the rule points to")]
    let joined = tokio::task::spawn_blocking(move || span.in_scope(work)).await;
    match joined {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going away, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}
