//! Which platforms, as images name them, have programs that run on this host.

/// Returns the architectures whose programs run here, this host's own first, in the words of Go.
fn architectures() -> &'static [&'static str] {
    match std::env::consts::ARCH {
        "x86_64" => &["amd64", "386"],
        "x86" => &["386"],
        "aarch64" => &["arm64"],
        "powerpc64" => &["ppc64le", "ppc64"],
        "loongarch64" => &["loong64"],
        _ => &[std::env::consts::ARCH],
    }
}

/// Says whether programs for a platform run here.
pub(crate) fn runs(os: &str, architecture: &str) -> bool {
    os == "linux" && architectures().contains(&architecture)
}

/// Returns what this host is, as it is shown to people.
pub(crate) fn shown() -> String {
    format!("linux/{}", architectures()[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_for_this_host_run_and_those_for_others_do_not() {
        let (os, architecture) = shown().split_once('/').map(|(os, it)| (os.to_owned(), it.to_owned())).expect("both");
        assert!(runs(&os, &architecture));
        assert!(!runs("windows", &architecture) && !runs(&os, "s390x-none"));
    }
}
