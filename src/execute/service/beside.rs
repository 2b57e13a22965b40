//! A service beside one action, from its start to its end.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;

use super::{Means, Ready};
use crate::execute::shared::SharedRoot;
use crate::execute::work::WorkDirectory;
use crate::instance::{Held, InstanceError};
use crate::spec::FormName;
use crate::store::blocking;

/// What the directory of the service is called in the work directory of its action.
const DIRECTORY: &str = "service";

/// A service, which ends when `end` is called, or soon after this was dropped.
pub(in crate::execute) struct Beside {
    held: Held,
    running: Option<Running>,
    /// What it was started from.
    _root: Arc<SharedRoot>,
}

/// One that is ready.
struct Running {
    form: FormName,
    network: File,
}

/// Starts a copy beside the action of a work directory, and waits until it is ready.
///
/// # Errors
/// When it does not get ready.
///
/// # Cancel safety
/// What was started ends with what is in the work directory.
pub(super) async fn start(means: &Means<'_>, ready: &Ready<'_>, work: &mut WorkDirectory) -> Result<(), InstanceError> {
    let program = std::env::current_exe();
    let program = program.map_err(InstanceError::io("find this program at", Path::new("/proc/self/exe")))?;
    let order = ready.order(&work.path().join(DIRECTORY), means.limits);
    let held = Held::spawn(&program, means.maker.criu())?;
    // Whatever happens from now on, it ends before the work directory is removed.
    let beside = work.occupy_service(Beside { held, running: None, _root: Arc::clone(&ready.root) });
    let Some(beside) = beside else { return Ok(()) };
    let instance = beside.held.start(&order).await?;
    let network = blocking(move || Held::network(&instance)).await?;
    beside.running = Some(Running { form: ready.choice.form, network });
    Ok(())
}

impl Beside {
    /// Returns the path of the network of the service, for as long as this is there, if it is ready.
    pub(in crate::execute) fn network(&self) -> Option<String> {
        let running = self.running.as_ref()?;
        Some(format!("/proc/{}/fd/{}", std::process::id(), running.network.as_raw_fd()))
    }

    /// Returns the form in which it was started, if it is ready.
    pub(in crate::execute) fn form(&self) -> Option<FormName> {
        self.running.as_ref().map(|running| running.form)
    }

    /// Ends the service, and returns when it is gone.
    pub(in crate::execute) async fn end(self) {
        self.held.end().await;
    }
}
