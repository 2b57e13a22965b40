//! Refusals for what somebody's role is: how they are told, and how a client recognizes them.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::serve::roles::Role;

/// Of the details of such a status.
const DOMAIN: &str = "envserve";
/// The reason of one for a call that the role may not make.
const ROLE_REASON: &str = "ROLE_TOO_LOW";
/// The reason of one for an environment that is not built.
const NOT_BUILT_REASON: &str = "NOT_BUILT";
/// The name of what the details hold.
const LEAST: &str = "role";

/// A refusal for what somebody's role is, as a client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleDenied {
    /// The role that is needed.
    pub least: Role,
    /// Whether it is about an environment that would have to be built.
    pub not_built: bool,
}

impl RoleDenied {
    /// Recognizes one by its details.
    pub fn of(status: &Status) -> Option<Self> {
        let info = status.get_details_error_info().filter(|info| info.domain == DOMAIN)?;
        let not_built = match info.reason.as_str() {
            ROLE_REASON => false,
            NOT_BUILT_REASON => true,
            _ => return None,
        };
        Some(Self { least: info.metadata.get(LEAST)?.parse().ok()?, not_built })
    }

    fn status(self, message: &str) -> Status {
        let reason = if self.not_built { NOT_BUILT_REASON } else { ROLE_REASON };
        let metadata = HashMap::from([(LEAST.to_owned(), self.least.to_string())]);
        let details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
        Status::with_error_details(Code::PermissionDenied, message, details)
    }
}

/// Returns what is told to those who have one role and need another.
pub fn role_message(held: Role, least: Role) -> String {
    format!("that takes the role `{least}`, and what was shown gives `{held}`")
}

/// Returns the status of a call that needs another role.
pub fn role_status(held: Role, least: Role) -> Status {
    RoleDenied { least, not_built: false }.status(&role_message(held, least))
}

/// Returns the status of an environment that is not built, and is not built for this role.
pub(super) fn not_built_status(message: &str) -> Status {
    RoleDenied { least: Role::Builder, not_built: true }.status(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_recognizes_what_a_server_says() {
        for least in Role::ALL {
            let status = role_status(Role::Reader, least);
            assert_eq!(status.code(), Code::PermissionDenied);
            assert_eq!(RoleDenied::of(&status), Some(RoleDenied { least, not_built: false }));
        }
        let status = not_built_status("x");
        assert_eq!(RoleDenied::of(&status), Some(RoleDenied { least: Role::Builder, not_built: true }));
    }

    #[test]
    fn what_others_say_is_not_taken_for_it() {
        assert_eq!(RoleDenied::of(&Status::permission_denied("x")), None);
        let info = |reason: &str, domain: &str, role: &str| {
            let metadata = HashMap::from([(LEAST.to_owned(), role.to_owned())]);
            let details = ErrorDetails::with_error_info(reason, domain, metadata);
            RoleDenied::of(&Status::with_error_details(Code::PermissionDenied, "x", details))
        };
        assert!(info(ROLE_REASON, DOMAIN, "reader").is_some());
        assert_eq!(info(ROLE_REASON, "other.example", "reader"), None);
        assert_eq!(info("OTHER", DOMAIN, "reader"), None);
        assert_eq!(info(ROLE_REASON, DOMAIN, "king"), None);
    }
}
