//! The abilities that a host can have, in the order in which they are told.

/// Something that a host can, or cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Ability {
    /// Actions in a sandbox.
    Sandbox,
    /// Namespaces of users, for this user and for the one that actions run as.
    UserNamespaces,
    /// A namespace with a range of users.
    UserRange,
    /// Directories laid over others.
    Overlays,
    /// Files shown as those of other users.
    IdMappedMounts,
    /// Groups of processes with bounds in common.
    ControlGroups,
    /// Containers.
    Runc,
    /// Containers written to disk and woken up again.
    Criu,
    /// Git.
    Git,
    /// Nix.
    Nix,
    /// Podman.
    Podman,
    /// Skopeo.
    Skopeo,
}

impl Ability {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Sandbox,
        Self::UserNamespaces,
        Self::UserRange,
        Self::Overlays,
        Self::IdMappedMounts,
        Self::ControlGroups,
        Self::Runc,
        Self::Criu,
        Self::Git,
        Self::Nix,
        Self::Podman,
        Self::Skopeo,
    ];

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::UserNamespaces => "user-namespaces",
            Self::UserRange => "user-range",
            Self::Overlays => "overlays",
            Self::IdMappedMounts => "id-mapped-mounts",
            Self::ControlGroups => "control-groups",
            Self::Runc => "runc",
            Self::Criu => "criu",
            Self::Git => "git",
            Self::Nix => "nix",
            Self::Podman => "podman",
            Self::Skopeo => "skopeo",
        }
    }

    /// Returns what it is for.
    pub fn purpose(self) -> &'static str {
        match self {
            Self::Sandbox => "runs the actions that build environments",
            Self::UserNamespaces => "keeps actions and containers from being root on this host",
            Self::UserRange => "runs the steps of images, in which there are many users",
            Self::Overlays => "gives actions their inputs without a copy, and containers a layer to write to",
            Self::IdMappedMounts => "shows one tree of files to containers with users of their own",
            Self::ControlGroups => "bounds the memory and the processes of a whole action",
            Self::Runc => "runs commands in images",
            Self::Criu => "keeps the memory of running services, and starts copies from it",
            Self::Git => "fetches commits of Git repositories",
            Self::Nix => "evaluates expressions of Nix",
            Self::Podman => "takes images by `fetch --load podman`",
            Self::Skopeo => "copies images between registries",
        }
    }

    /// Says whether envserve cannot build environments on this host without it.
    pub fn is_needed(self) -> bool {
        matches!(self, Self::Sandbox | Self::UserNamespaces)
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        let named = Ability::value_variants().iter().map(ValueEnum::to_possible_value);
        let named: Vec<String> = named.flatten().map(|value| value.get_name().to_owned()).collect();
        assert_eq!(named, Ability::ALL.map(Ability::as_str));
    }
}
