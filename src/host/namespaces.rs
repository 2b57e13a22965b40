//! Namespaces of users: with one user, and with a range of them.

use std::fs;
use std::path::Path;

use super::command::{SHORT, run, system, system_as_nobody};
use super::{FIRST_ID, IDS, Lack, users};
use crate::store::blocking;

/// Makes a namespace in which it is root.
const MAKE: [&str; 4] = ["unshare", "--user", "--map-root-user", "true"];
/// Settings of kernels that keep users from making namespaces, and the value at which they do.
const SYSCTLS: [(&str, &str, &str); 3] = [
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("user.max_user_namespaces", "0", "65536"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
];

/// Makes one, and as root one for the user that actions run as.
pub(super) async fn probe() -> Result<String, Lack> {
    let failed = |error: super::command::CommandError| Lack::new(error.to_string(), remedy());
    run("unshare", &mut system(&MAKE), SHORT).await.map_err(failed)?;
    if !super::is_root() {
        return Ok("for this user".to_owned());
    }
    run("unshare", &mut system_as_nobody(&MAKE), SHORT).await.map_err(failed)?;
    Ok("for root and for `nobody`".to_owned())
}

/// Makes one with as many users as there are in an image.
pub(super) async fn probe_range() -> Result<String, Lack> {
    let made = blocking(|| users::namespace(FIRST_ID)).await;
    if super::is_root() {
        made.map_err(|error| Lack::new(error.to_string(), remedy()))?;
        return Ok(format!("{IDS} ids from {FIRST_ID} on"));
    }
    let remedy = || {
        format!(
            "install the package `uidmap`, and add a line `USER:100000:{IDS}` to both /etc/subuid and /etc/subgid, with the name of this user"
        )
    };
    made.map_err(|error| Lack::new(error.to_string(), remedy()))?;
    Ok(format!("{IDS} ids of /etc/subuid and /etc/subgid"))
}

/// Says what has to be set so that namespaces can be made.
pub(super) fn remedy() -> String {
    remedy_in("/proc/sys".as_ref())
}

fn remedy_in(settings: &Path) -> String {
    let bad = SYSCTLS.iter().filter(|(name, bad, _)| {
        let value = fs::read_to_string(settings.join(name.replace('.', "/"))).unwrap_or_default();
        value.trim() == *bad
    });
    let bad: Vec<String> = bad.map(|(name, _, good)| format!("`{name}={good}`")).collect();
    if bad.is_empty() {
        "let namespaces of users be made: no sysctl forbids it here, so it is the kernel, or the container that this is \
         (its seccomp profile, or AppArmor)"
            .to_owned()
    } else {
        format!("set the sysctl {}", bad.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_that_forbid_namespaces_are_named() {
        let settings = tempfile::tempdir().expect("temporary");
        for (name, value) in [("kernel/unprivileged_userns_clone", "0\n"), ("user/max_user_namespaces", "100\n")] {
            let path = settings.path().join(name);
            fs::create_dir_all(path.parent().expect("below")).expect("temporary");
            fs::write(path, value).expect("temporary");
        }
        assert_eq!(remedy_in(settings.path()), "set the sysctl `kernel.unprivileged_userns_clone=1`");
        fs::remove_file(settings.path().join("kernel/unprivileged_userns_clone")).expect("there");
        assert!(remedy_in(settings.path()).contains("seccomp"));
    }
}
