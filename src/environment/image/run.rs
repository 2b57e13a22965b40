//! A `run` step: an action that executes a command in the root file system so far, and the layer that it leaves.
//!
//! A Directory has no owners and a worker no users to give files to, so the root file system travels as one tar
//! archive, and the script that the action starts with unpacks it as what it says. The command works in an overlay; the
//! upper layer comes back as an archive too.

mod archive;

use std::collections::BTreeMap;

use bytes::Bytes;

use super::super::action::{self, Ran, Task, compose};
use super::super::{Build, BuildError, FailureReason};
use crate::digest::Digest;
use crate::oci::{Attributes, Exception, ImageConfig, Metadata, ReadLayer, StoredLayer};
use crate::spec::{Command, RelativePath};
use crate::store::Node;

pub use archive::Runs;

const SCRIPT: &str = include_str!("run.sh");
const SCRIPT_NAME: &str = "run.sh";
/// The root file system, for the script.
const ROOT_ARCHIVE: &str = "root.tar";
/// What the script leaves.
const MADE: &str = "made";
const LAYER: &str = "layer.tar";
/// Asks an executor for as many users as owners in an image need.
const USER_IDS: (&str, &str) = ("user-ids", "range");
/// What a command may do, as with `RUN` in a Dockerfile: nothing that changes what is mounted.
const CAPABILITIES: &str = "--bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,\
                            +net_bind_service,+sys_chroot,+mknod,+audit_write,+setfcap";
/// Variables that are set where the image does not set them.
const VARIABLES: [(&str, &str); 2] =
    [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root")];

/// What a step came to.
pub(super) struct Step {
    /// What it changed. It has no times.
    pub layer: StoredLayer,
    /// The action.
    pub action: Digest,
}

/// Runs a command, as the image's root, in a root file system, and returns what it changed there.
///
/// # Errors
/// `Failed` when it ends with another code than 0, the worker cannot run it, or it leaves what no layer can have.
pub(super) async fn run_step(
    build: &Build<'_>,
    root: &StoredLayer,
    config: &ImageConfig,
    command: &Command,
) -> Result<Step, BuildError> {
    let within =
        |error: BuildError| error.within(|reason| FailureReason::Step { command: shell_words(&command.cmd), reason });
    let attributes = super::parts::attributes(build, &root.attributes).await?;
    let archive = build.images.runs.archive(build, root, &attributes).await?;
    let none = BTreeMap::new();
    let mut properties = build.images.runs.options().worker.clone();
    if build.execution.gives_users() {
        properties.insert(USER_IDS.0.to_owned(), USER_IDS.1.to_owned());
    }
    let task = Task {
        arguments: arguments(config, command),
        environment: &none,
        input_root: input_root(build, archive).await?,
        outputs: vec![RelativePath::parse(MADE).expect("it is a name")],
        timeout: None,
        properties: &properties,
    };
    let ran = action::run(build, task).await.map_err(within)?;
    let mut layer = read(build, &ran).await.map_err(within)?;
    forget_root(&mut layer.attributes, &attributes);
    let attributes = build.store.put(build.function, layer.attributes.canonical().into()).await?;
    Ok(Step { layer: StoredLayer { root: layer.root, attributes }, action: ran.action })
}

/// Returns what the action starts with. What comes after the script enters the root file system.
fn arguments(config: &ImageConfig, command: &Command) -> Vec<String> {
    let mut variables: BTreeMap<&str, &str> = VARIABLES.into();
    variables.extend(config.execution.env.iter().filter_map(|variable| variable.split_once('=')));
    variables.extend(command.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let directory = match config.execution.working_dir.as_str() {
        "" => "/",
        directory => directory,
    };
    let mut arguments = ["/bin/sh", SCRIPT_NAME, directory, "/usr/bin/env", "-i"].map(str::to_owned).to_vec();
    arguments.extend(variables.iter().map(|(name, value)| format!("{name}={value}")));
    arguments.extend(["/usr/bin/setpriv", "--inh-caps=-all", CAPABILITIES].map(str::to_owned));
    arguments.extend(["/usr/bin/unshare", "--root=merged"].map(str::to_owned));
    arguments.extend([format!("--wd={directory}"), "--".to_owned()]);
    arguments.extend(command.cmd.iter().cloned());
    arguments
}

async fn input_root(build: &Build<'_>, archive: Digest) -> Result<Digest, BuildError> {
    let script = Bytes::from_static(SCRIPT.as_bytes());
    let script = build.store.put(build.function, script).await?;
    let file = |name: &str, digest| {
        let path = RelativePath::parse(name).expect("it is a name");
        (path, Node::File { digest, executable: false })
    };
    compose(build, vec![file(SCRIPT_NAME, script), file(ROOT_ARCHIVE, archive)]).await
}

/// Reads the upper layer that the script left.
async fn read(build: &Build<'_>, ran: &Ran) -> Result<ReadLayer, BuildError> {
    let made = ran.directory(build, &RelativePath::parse(MADE).expect("it is a name")).await?;
    let Some(Node::File { digest, .. }) = made.get(LAYER) else {
        let reason = FailureReason::Output { reason: format!("it left no `{MADE}/{LAYER}`") };
        return Err(ran.failed(build, reason).await?);
    };
    super::parts::upper_layer(build, ran, digest, false).await
}

/// Leaves the root directory out of a layer when it is as it was: an upper layer always has one.
fn forget_root(layer: &mut Attributes, lower: &Attributes) {
    let path = RelativePath::root();
    let stated = |attributes: &Attributes| match attributes.exceptions.get(&path) {
        Some(Exception::Node(metadata)) => Metadata { mtime: 0, ..metadata.clone() },
        _ => Metadata::default(),
    };
    if matches!(layer.exceptions.get(&path), Some(Exception::Node(_))) && stated(layer) == stated(lower) {
        layer.exceptions.remove(&path);
    }
}

/// Returns a command as it is shown, cut to a readable length.
fn shell_words(command: &[String]) -> String {
    const SHOWN: usize = 200;
    let text = command.join(" ");
    let mut shown: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > SHOWN {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Platform;

    fn command(cmd: &[&str], env: &[(&str, &str)]) -> Command {
        Command {
            cmd: cmd.iter().map(ToString::to_string).collect(),
            env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn variables_of_the_step_win_over_those_of_the_image_and_these_over_defaults() {
        let mut config = ImageConfig::new(Platform::linux("amd64"));
        config.execution.env = vec!["PATH=/bin".into(), "A=image".into(), "B=image=x".into()];
        config.execution.working_dir = "/srv".into();
        let arguments = arguments(&config, &command(&["sh", "-c", "x"], &[("A", "step")]));
        let text = arguments.join(" ");
        assert!(
            text.starts_with("/bin/sh run.sh /srv /usr/bin/env -i A=step B=image=x HOME=/root PATH=/bin "),
            "{text}"
        );
        assert!(text.ends_with(" --root=merged --wd=/srv -- sh -c x"), "{text}");
    }

    #[test]
    fn the_root_directory_counts_only_when_it_was_changed() {
        let with = |mode, mtime| {
            let metadata = Metadata { mode, mtime, ..Metadata::default() };
            Attributes { exceptions: [(RelativePath::root(), Exception::Node(metadata))].into() }
        };
        for (upper, lower, kept) in [
            (with(None, 0), Attributes::default(), false),
            (with(None, 0), with(None, 12), false),
            (with(Some(0o700), 0), with(Some(0o700), 12), false),
            (with(Some(0o700), 0), with(None, 0), true),
            (with(Some(0o700), 0), Attributes::default(), true),
            (with(None, 0), with(Some(0o700), 0), true),
        ] {
            let mut layer = upper.clone();
            forget_root(&mut layer, &lower);
            assert_eq!(!layer.exceptions.is_empty(), kept, "{upper:?} over {lower:?}");
        }
    }

    #[test]
    fn a_long_command_is_cut_where_it_is_shown() {
        assert_eq!(shell_words(&command(&["sh", "-c", "a\nb"], &[]).cmd), "sh -c a b");
        assert_eq!(shell_words(&["x".repeat(300)]).chars().count(), 201);
    }
}
