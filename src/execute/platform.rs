//! The properties of an action that decide how it is run.
//!
//! Others are accepted: they are part of what the action is cached by.

use super::ExecuteError;
use crate::digest::{Digest, DigestFunction};
use crate::oci::OciDigest;
use crate::proto::reapi;
use crate::spec::{RelativePath, shown};

/// Where an action finds its inputs, unless it says where.
const BUILD: &str = "/build";
/// Directories of the sandbox that an input root cannot stand in, nor be.
const TAKEN: [&str; 10] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "proc", "dev"];
/// What stands in an input root that is the whole root file system.
const MOUNT_POINTS: [&str; 3] = ["proc", "dev", "tmp"];

/// What the properties come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Platform {
    /// Whether the command gets the network of the host.
    pub(super) network: bool,
    /// Whether the command is root among a range of users.
    pub(super) users: bool,
    /// Whether it is the one command that makes checkpoints.
    pub(super) checkpoint: bool,
    /// The descriptor of the checkpoint of which the command has a copy beside it, if any.
    pub(super) service: Option<Digest>,
    /// The manifest of the image that the command runs in, if any.
    pub(super) image: Option<OciDigest>,
    /// Where the input root stands; `/` when it is the whole root file system.
    pub(super) root: String,
}

impl Platform {
    /// Returns what holds for an action without properties.
    fn plain() -> Self {
        Self { network: false, users: false, checkpoint: false, service: None, image: None, root: BUILD.to_owned() }
    }

    /// Reads the properties of an action, whose digest is of that function.
    ///
    /// # Errors
    /// `Invalid` for what would change how it runs and is not offered; `Denied` for the network where that is not allowed.
    pub(super) fn parse(
        function: DigestFunction,
        message: Option<&reapi::Platform>,
        allow_network: bool,
    ) -> Result<Self, ExecuteError> {
        let mut platform = Self::plain();
        for property in message.iter().flat_map(|message| &message.properties) {
            let (name, value) = (property.name.as_str(), property.value.as_str());
            let offered = match name {
                "container-image" => {
                    platform.image = image(value)?;
                    true
                }
                "OSFamily" => value.eq_ignore_ascii_case("linux"),
                "network" => {
                    platform.network = value == "on";
                    matches!(value, "on" | "off")
                }
                "user-ids" => {
                    platform.users = value == "range";
                    matches!(value, "range" | "")
                }
                "checkpoint" => {
                    platform.checkpoint = value == "criu";
                    matches!(value, "criu" | "")
                }
                "service" => {
                    platform.service = service(function, value)?;
                    true
                }
                "InputRootAbsolutePath" => {
                    value.clone_into(&mut platform.root);
                    can_stand(value)
                }
                _ => true,
            };
            if !offered {
                return Err(invalid(format!("asks for `{name}` = `{value}`, which is not offered")));
            }
        }
        platform.check_together()?;
        if platform.network && !allow_network {
            return Err(ExecuteError::Denied { property: "network", option: "--allow-network" });
        }
        Ok(platform)
    }

    /// Refuses properties that do not go together.
    fn check_together(&self) -> Result<(), ExecuteError> {
        let whole = (self.whole(), "InputRootAbsolutePath` = `/");
        let (users, network) = ((self.users, "user-ids"), (self.network, "network"));
        let pairs = [
            (self.image.is_some(), "container-image", whole),
            (self.image.is_some(), "container-image", users),
            (self.service.is_some(), "service", users),
            (self.service.is_some(), "service", network),
        ];
        if let Some((_, one, (_, other))) = pairs.iter().find(|(asked, _, (also, _))| *asked && *also) {
            return Err(invalid(format!(
                "asks for `{one}` together with `{other}`, of which one at a time is offered"
            )));
        }
        let alone = Self { checkpoint: true, ..Self::plain() };
        if self.checkpoint && *self != alone {
            let reason = "asks for `checkpoint` together with other properties that change how it is run";
            return Err(invalid(reason.to_owned()));
        }
        Ok(())
    }

    /// Refuses what only a sandbox can do.
    ///
    /// # Errors
    /// `Invalid` when the input root is to stand at another place, or the command to run in an image or as root.
    pub(super) fn check_unconfined(&self) -> Result<(), ExecuteError> {
        let asked = [
            ("InputRootAbsolutePath", self.root != BUILD),
            ("container-image", self.image.is_some()),
            ("user-ids", self.users),
            ("service", self.service.is_some()),
        ];
        let Some((name, _)) = asked.iter().find(|(_, asked)| *asked) else { return Ok(()) };
        let reason = format!("asks for `{name}`, which needs a sandbox");
        Err(invalid(reason))
    }

    /// Says whether the command makes a checkpoint, or has a copy of one beside it.
    pub(super) fn is_about_checkpoints(&self) -> bool {
        self.checkpoint || self.service.is_some()
    }

    /// Says whether the input root is the whole root file system.
    pub(super) fn whole(&self) -> bool {
        self.root == "/"
    }

    /// Returns the directories that the input root must have for the sandbox.
    pub(super) fn mount_points(&self) -> impl Iterator<Item = RelativePath> {
        let names = if self.whole() { &MOUNT_POINTS[..] } else { &[] };
        names.iter().map(|name| RelativePath::parse(name).expect("it is a name"))
    }
}

/// Returns the image that a property names. Registries call it by a name before the digest, which does not matter.
fn image(value: &str) -> Result<Option<OciDigest>, ExecuteError> {
    if value.is_empty() {
        return Ok(None);
    }
    let digest = value.rsplit_once('@').and_then(|(_, digest)| digest.parse().ok());
    let reason = || format!("asks for `container-image` = `{}`: `NAME@sha256:HASH` is to be written", shown(value));
    digest.map(Some).ok_or_else(|| invalid(reason()))
}

/// Returns the checkpoint that a property names: `FUNCTION:HASH/SIZE`, or `HASH/SIZE` of the function of the action.
fn service(function: DigestFunction, value: &str) -> Result<Option<Digest>, ExecuteError> {
    if value.is_empty() {
        return Ok(None);
    }
    let native = || if value.contains(':') { value.to_owned() } else { format!("{function}:{value}") };
    let reason = |_| {
        let found = shown(value);
        invalid(format!("asks for `service` = `{found}`: the digest that `envserve fetch --absent` prints is expected"))
    };
    native().parse().map(Some).map_err(reason)
}

fn invalid(reason: String) -> ExecuteError {
    ExecuteError::Invalid { what: "command", field: "platform", reason }
}

/// Says whether an input root can stand at a path.
fn can_stand(path: &str) -> bool {
    let Some(inner) = path.strip_prefix('/') else { return false };
    let Ok(inner) = RelativePath::parse(inner) else { return false };
    inner.components().next().is_none_or(|first| !TAKEN.contains(&first) && inner.as_str() != "tmp")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, value: &str, allow_network: bool) -> Result<Platform, ExecuteError> {
        parse_all(&[(name, value)], allow_network)
    }

    fn parse_all(properties: &[(&str, &str)], allow_network: bool) -> Result<Platform, ExecuteError> {
        let property = |(name, value): &(&str, &str)| reapi::platform::Property {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        let properties = properties.iter().map(property).collect();
        Platform::parse(DigestFunction::Sha256, Some(&reapi::Platform { properties }), allow_network)
    }

    #[test]
    fn an_input_root_stands_at_any_place_that_is_free() {
        for path in ["/", "/workspace/main", "/tmp/x", "/home"] {
            assert_eq!(parse("InputRootAbsolutePath", path, false).unwrap().root, path);
        }
        for path in ["", "x", "//", "/a/../b", "/a/", "/usr", "/usr/src", "/bin", "/etc/x", "/proc/1", "/dev", "/tmp"] {
            assert!(parse("InputRootAbsolutePath", path, false).is_err(), "{path}");
        }
    }

    #[test]
    fn checkpoints_are_made_in_one_way_only() {
        assert!(parse("checkpoint", "criu", false).unwrap().checkpoint);
        assert!(!parse("checkpoint", "", false).unwrap().checkpoint);
        assert!(parse("checkpoint", "yes", false).is_err());
        for (name, value) in [("network", "on"), ("user-ids", "range"), ("InputRootAbsolutePath", "/")] {
            let parsed = parse_all(&[("checkpoint", "criu"), (name, value)], true);
            assert!(matches!(parsed, Err(ExecuteError::Invalid { .. })), "{name}: {parsed:?}");
        }
    }

    #[test]
    fn a_service_is_named_by_a_digest_of_either_form() {
        let digest = DigestFunction::Sha256.digest(b"descriptor");
        for text in [format!("{digest:?}"), digest.to_string()] {
            assert_eq!(parse("service", &text, false).unwrap().service, Some(digest), "{text}");
        }
        let other = DigestFunction::Blake3.digest(b"descriptor");
        assert_eq!(parse("service", &format!("{other:?}"), false).unwrap().service, Some(other));
        assert_eq!(parse("service", "", false).unwrap().service, None);
        let hash = digest.hash();
        let wrong = ["x".to_owned(), hash.clone(), format!("md5:{hash}/1"), format!("{hash}/-1"), format!(":{hash}/1")];
        for text in wrong {
            let parsed = parse("service", &text, false);
            assert!(matches!(parsed, Err(ExecuteError::Invalid { field: "platform", .. })), "{text}: {parsed:?}");
        }
    }

    #[test]
    fn a_service_goes_with_an_image_and_with_no_other_network_or_users() {
        let service = format!("{:?}", DigestFunction::Sha256.digest(b"descriptor"));
        let with = |name, value| parse_all(&[("service", &service), (name, value)], true);
        let image = format!("docker://x/y@sha256:{}", "1".repeat(64));
        assert!(with("container-image", &image).is_ok());
        assert!(with("network", "off").is_ok() && with("user-ids", "").is_ok());
        for (name, value) in [("network", "on"), ("user-ids", "range"), ("checkpoint", "criu")] {
            let parsed = with(name, value);
            assert!(matches!(parsed, Err(ExecuteError::Invalid { .. })), "{name}: {parsed:?}");
        }
        assert!(with("other", "x").unwrap().check_unconfined().is_err());
    }

    #[test]
    fn the_network_is_for_those_who_ask_where_it_is_allowed() {
        assert!(parse("network", "on", true).unwrap().network);
        assert!(!parse("network", "off", true).unwrap().network);
        assert!(!parse("other", "on", true).unwrap().network);
        assert!(matches!(parse("network", "on", false), Err(ExecuteError::Denied { .. })));
        assert!(matches!(parse("network", "yes", true), Err(ExecuteError::Invalid { .. })));
    }
}
