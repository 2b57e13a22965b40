//! One derivation: an action that runs its builder, and what has to be known of the outputs.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::super::action::{self, Ran, Task, compose};
use super::super::{Build, BuildError, FailureReason};
use super::{checks, fixed, path, store_nodes};
use crate::digest::Digest;
use crate::nix::{BuilderEnvironment, BuilderSettings, Derivation, PathInfo, StorePath, ValidPath, nar_facts};
use crate::store::Node;

const SCRIPT: &str = include_str!("build.sh");
/// The files of `/etc` that a builder sees, as in the sandbox of Nix.
const ETC_FILES: [(&str, &str); 3] = [
    (
        "root/etc/passwd",
        "root:x:0:0:Nix build user:/build:/noshell\n\
         nixbld:x:1000:100:Nix build user:/build:/noshell\n\
         nobody:x:65534:65534:Nobody:/:/noshell\n",
    ),
    ("root/etc/group", "root:x:0:\nnixbld:!:100:\nnogroup:x:65534:\n"),
    ("root/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
];
/// Enters the root file system as the user that builders have.
const ENTER: [&str; 6] =
    ["/usr/bin/unshare", "--user", "--map-user=1000", "--map-group=100", "--root=root", "--wd=/build"];
/// The directory with the outputs.
const MADE: &str = "made";
/// Where builders start.
const BUILD_DIRECTORY: &str = "/build";

/// Builds a derivation from the closure of its inputs, and makes its outputs known.
pub(super) async fn build(
    build: &Build<'_>,
    drv: &StorePath,
    derivation: &Derivation,
    inputs: &BTreeMap<StorePath, ValidPath>,
) -> Result<(), BuildError> {
    let given = given(build, drv, derivation, inputs)?;
    let network = derivation.is_fixed() && !build.nix.options.network.is_empty();
    let none = BTreeMap::new();
    let task = Task {
        arguments: arguments(derivation, &given, network),
        environment: &none,
        input_root: input_root(build, derivation, &given, inputs).await?,
        outputs: vec![path(MADE)],
        timeout: None,
        properties: if network { &build.nix.options.network } else { &none },
    };
    let within = |error: BuildError| error.within(|reason| FailureReason::Derivation { path: drv.to_string(), reason });
    let ran = action::run(build, task).await.map_err(within)?;
    let outputs = look_at(build, drv, derivation, inputs, &ran).await?;
    for output in &outputs {
        build.nix.paths.put(output).await?;
    }
    Ok(())
}

/// Returns what the builder is given.
fn given(
    build: &Build<'_>,
    drv: &StorePath,
    derivation: &Derivation,
    inputs: &BTreeMap<StorePath, ValidPath>,
) -> Result<BuilderEnvironment, BuildError> {
    // Zero stands for as many cores as there are; a number would be another one on each worker.
    let impure = BTreeMap::new();
    let settings =
        BuilderSettings { build_directory: BUILD_DIRECTORY, cores: 0, term: "xterm-256color", impure: &impure };
    let infos = inputs.iter().map(|(path, known)| (path.clone(), known.info.clone())).collect();
    let given = derivation.builder_environment(&settings, &infos);
    given.map_err(|error| BuildError::refused(build, format!("the derivation `{drv}`: {error}")))
}

fn arguments(derivation: &Derivation, given: &BuilderEnvironment, network: bool) -> Vec<String> {
    let network = if network { "network" } else { "isolated" };
    let mut arguments = ["/bin/sh", "build.sh", network, "/usr/bin/env", "-i"].map(str::to_owned).to_vec();
    arguments.extend(given.variables.iter().map(|(name, value)| format!("{name}={value}")));
    arguments.extend(ENTER.map(str::to_owned));
    arguments.push(derivation.builder.clone());
    arguments.extend(given.arguments.iter().cloned());
    arguments
}

async fn input_root(
    build: &Build<'_>,
    derivation: &Derivation,
    given: &BuilderEnvironment,
    inputs: &BTreeMap<StorePath, ValidPath>,
) -> Result<Digest, BuildError> {
    let names: String = derivation.outputs.values().map(|output| format!("{}\n", output.path.base_name())).collect();
    let mut files = vec![(path("build.sh"), Bytes::from_static(SCRIPT.as_bytes()))];
    files.push((path("outputs"), Bytes::from(names)));
    files.extend(ETC_FILES.map(|(at, text)| (path(at), Bytes::from_static(text.as_bytes()))));
    for (name, bytes) in &given.files {
        let at = path("root/build").join(name);
        let at = at.map_err(|_| BuildError::refused(build, format!("`{name}` cannot be the name of a file")))?;
        files.push((at, Bytes::copy_from_slice(bytes)));
    }
    let mut nodes = store_nodes("root/nix/store", inputs);
    let mut blobs = Vec::new();
    for (at, bytes) in files {
        let digest = build.function.digest(&bytes);
        nodes.push((at, Node::File { digest, executable: false }));
        blobs.push((digest, bytes));
    }
    build.store.put_missing(blobs).await?;
    compose(build, nodes).await
}

/// Looks at what the builder made, and returns it if it is what it should be.
async fn look_at(
    build: &Build<'_>,
    drv: &StorePath,
    derivation: &Derivation,
    inputs: &BTreeMap<StorePath, ValidPath>,
    ran: &Ran,
) -> Result<Vec<ValidPath>, BuildError> {
    let made = ran.directory(build, &path(MADE)).await?;
    let mut outputs = BTreeMap::new();
    let own = || derivation.outputs.values().map(|output| output.path.clone());
    let candidates: BTreeSet<StorePath> = inputs.keys().cloned().chain(own()).collect();
    for (name, output) in &derivation.outputs {
        let Some(node) = made.get(output.path.base_name()) else {
            let reason = format!("it did not make its output `{name}`");
            return Err(unusable(build, drv, ran, reason).await?);
        };
        let facts = nar_facts(build.store, node.clone(), &build.nix.scratch, candidates.clone()).await;
        let (nar, references) = facts.map_err(|source| BuildError::archive(build, &output.path, source))?;
        let info = PathInfo { nar, references, content_address: None };
        outputs.insert(name.clone(), (node.clone(), info));
    }
    let infos: BTreeMap<&str, &PathInfo> = outputs.iter().map(|(name, (_, info))| (name.as_str(), info)).collect();
    if let Err(reason) = checks::check(derivation, &infos, inputs) {
        return Err(unusable(build, drv, ran, reason).await?);
    }
    let mut known = Vec::new();
    for (name, (node, mut info)) in outputs {
        let output = &derivation.outputs[&name];
        match fixed::check(build, output, &node, &info).await? {
            Ok(content_address) => info.content_address = content_address,
            Err(reason) => return Err(unusable(build, drv, ran, reason).await?),
        }
        known.push(ValidPath::of(build.store, output.path.clone(), node, info, Some(drv.clone())).await?);
    }
    Ok(known)
}

/// Returns the failure of a derivation that was built but is not what it should be.
async fn unusable(build: &Build<'_>, drv: &StorePath, ran: &Ran, reason: String) -> Result<BuildError, BuildError> {
    let reason = Box::new(FailureReason::Output { reason });
    ran.failed(build, FailureReason::Derivation { path: drv.to_string(), reason }).await
}
