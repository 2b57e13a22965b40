//! Containers, tried by this program in namespaces of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use super::command::{self, SHORT, system};
use super::criu::Criu;
use super::scratch::Scratch;
use super::trial::{Tools, Trial};
use super::{Lack, Site, namespaces, programs};

/// Longest time of a dump and restore.
const LONG: Duration = Duration::from_secs(180);
/// Where root's containers are tried: all directories on the way have to be open to the container's users.
const PLACE: &str = "/run";
/// What makes the namespaces. Whoever kills it kills the first process in them, and so all.
const NAMESPACES: [&str; 11] = [
    "setpriv",
    "--pdeathsig",
    "KILL",
    "--",
    "unshare",
    "--mount",
    "--propagation=private",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
];

/// Runs a container.
pub(super) async fn probe_runc(site: &Site) -> Result<String, Lack> {
    let runc = programs::need("runc", "runc")?;
    let version = programs::version(&runc, "runc").await?;
    let said = attempt(site, &runc, Trial::Container, SHORT).await;
    let said = said.map_err(|reason| Lack::new(format!("{version}: {reason}"), namespaces::remedy()))?;
    Ok(format!("{version} (`{}`): {said}", runc.display()))
}

/// Writes a service in a container to disk, and wakes it up.
pub(super) async fn probe_criu(site: &Site) -> Result<String, Lack> {
    if !super::is_root() {
        return Err(Lack::root("dump and restore containers"));
    }
    let criu = Criu::find(site.criu.as_deref()).await?;
    let (version, program) = (&criu.version, &criu.program);
    let runc = programs::need("runc", "runc")?;
    let started = Instant::now();
    let trial = |tools| Trial::Checkpoint { tools, criu: program.clone() };
    let said = attempt(site, &runc, trial, LONG).await;
    let remedy = "see what it says of this: newer kernels need a newer CRIU, named by ENVSERVE_CRIU or in PATH";
    let said =
        said.map_err(|reason| Lack::new(format!("CRIU {version} (`{}`): {reason}", program.display()), remedy))?;
    let seconds = started.elapsed().as_secs_f32();
    Ok(format!("CRIU {version} (`{}`): {said}; {seconds:.1} s", program.display()))
}

/// Has something tried, and returns what came of it.
async fn attempt(
    site: &Site,
    runc: &Path,
    trial: impl FnOnce(Tools) -> Trial,
    limit: Duration,
) -> Result<String, String> {
    let mapped = super::is_root();
    let parent = if mapped { Path::new(PLACE) } else { &site.directory };
    let scratch = Scratch::new(parent).map_err(|lack| lack.reason)?;
    let place = scratch.path().to_owned();
    let trial = trial(Tools { place, name: scratch.name(), runc: runc.to_owned(), mapped });
    let mut command = system(&NAMESPACES);
    if !mapped {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg(&site.program).arg("trial").arg(serde_json::json!(trial).to_string());
    let ended = command::run("envserve trial", &mut command, limit).await;
    let said = ended.map_err(|error| error.to_string())?;
    serde_json::from_str::<Result<String, String>>(&said).map_err(|error| error.to_string())?
}
