//! The fingerprint of a host: everything that must be the same where a checkpoint of memory is made and where it is
//! woken up.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::json;
use crate::digest::{Digest, DigestFunction};

/// The version of the list of parts.
pub const FINGERPRINT_VERSION: u32 = 1;

/// What a checkpoint of memory depends on, part by part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fingerprint {
    /// The version of this list: another one never fits.
    pub version: u32,
    /// Who made the processor.
    pub cpu_vendor: String,
    /// Its family.
    pub cpu_family: String,
    /// Its model.
    pub cpu_model: String,
    /// What the kernel says that it can, sorted.
    pub cpu_flags: String,
    /// What CRIU says that it can, by word.
    pub cpu_capabilities: String,
    /// Which parts of its state are saved.
    pub xsave_features: String,
    /// How many bytes these are.
    pub xsave_size: String,
    /// The release of the kernel.
    pub kernel_release: String,
    /// The version of CRIU.
    pub criu_version: String,
    /// The version of runc.
    pub runc_version: String,
    /// Which ids of the host containers have.
    pub user_map: String,
}

/// A part in which two fingerprints differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which part.
    pub part: &'static str,
    /// What it is in the other one.
    pub there: String,
    /// What it is in this one.
    pub here: String,
}

impl Fingerprint {
    /// Returns the digest of the canonical form, which is equal only where all parts are.
    pub fn digest(&self) -> Digest {
        DigestFunction::Sha256.digest(&json::canonical(self))
    }

    /// Returns the parts with their names.
    pub fn parts(&self) -> [(&'static str, &str); 11] {
        [
            ("CPU vendor", &self.cpu_vendor),
            ("CPU family", &self.cpu_family),
            ("CPU model", &self.cpu_model),
            ("CPU flags", &self.cpu_flags),
            ("CPU capabilities", &self.cpu_capabilities),
            ("xsave features", &self.xsave_features),
            ("xsave size", &self.xsave_size),
            ("kernel release", &self.kernel_release),
            ("CRIU version", &self.criu_version),
            ("runc version", &self.runc_version),
            ("user map", &self.user_map),
        ]
    }

    /// Returns in what another one differs from this, which is of this host. Of lists of words it is the words that
    /// only one has.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let pairs = self.parts().into_iter().zip(other.parts()).filter(|((_, here), (_, there))| here != there);
        let mut differences: Vec<Difference> = pairs
            .map(|((part, here), (_, there))| match part {
                "CPU flags" | "CPU capabilities" => {
                    Difference { part, there: words_without(there, here), here: words_without(here, there) }
                }
                _ => Difference { part, there: there.to_owned(), here: here.to_owned() },
            })
            .collect();
        if self.version != other.version {
            let (there, here) = (other.version.to_string(), self.version.to_string());
            differences.push(Difference { part: "version of the fingerprint", there, here });
        }
        differences
    }
}

/// Returns the words of one text that another has not.
fn words_without(text: &str, other: &str) -> String {
    let other: Vec<&str> = other.split_whitespace().collect();
    let own: Vec<&str> = text.split_whitespace().filter(|word| !other.contains(word)).collect();
    if own.is_empty() { "nothing more".to_owned() } else { own.join(" ") }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.digest().hash())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} there, {} here", self.part, self.there, self.here)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn fingerprint() -> Fingerprint {
        Fingerprint {
            version: FINGERPRINT_VERSION,
            cpu_vendor: "GenuineIntel".to_owned(),
            cpu_family: "6".to_owned(),
            cpu_model: "143".to_owned(),
            cpu_flags: "aes avx2 fpu".to_owned(),
            cpu_capabilities: "0:00000001 1:00000abc".to_owned(),
            xsave_features: "0xe5".to_owned(),
            xsave_size: "2432 of 2696".to_owned(),
            kernel_release: "6.1.0-13-amd64".to_owned(),
            criu_version: "4.2.1".to_owned(),
            runc_version: "1.1.5".to_owned(),
            user_map: "0 1879048192 65536".to_owned(),
        }
    }

    #[test]
    fn the_fingerprint_of_a_host_stays_what_it_is() {
        let golden = "sha256:a55a00e75192672f41552390922e548c610e713c5644734424a363986af1b9f7";
        assert_eq!(fingerprint().to_string(), golden);
    }

    #[test]
    fn each_part_changes_it_and_is_told_by_its_name() {
        let whole = serde_json::to_value(fingerprint()).expect("text");
        let names: Vec<String> = whole.as_object().expect("an object").keys().cloned().collect();
        assert_eq!(names.len(), fingerprint().parts().len() + 1);
        let mut parts = Vec::new();
        for name in &names {
            let mut changed = whole.clone();
            changed[name] = if name == "version" { 2.into() } else { Value::from("other") };
            let changed: Fingerprint = serde_json::from_value(changed).expect("of the form");
            assert_ne!(changed.digest(), fingerprint().digest(), "{name}");
            let differences = fingerprint().differences(&changed);
            assert_eq!(differences.len(), 1, "{name}: {differences:?}");
            parts.push(differences[0].part);
        }
        parts.sort_unstable();
        parts.dedup();
        assert_eq!(parts.len(), names.len());
        assert!(fingerprint().differences(&fingerprint()).is_empty());
    }

    #[test]
    fn a_difference_says_what_is_there_and_here() {
        let mut other = fingerprint();
        other.kernel_release = "6.18.0".to_owned();
        other.cpu_flags = "aes avx512f fpu".to_owned();
        let told: Vec<String> = fingerprint().differences(&other).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["CPU flags: avx512f there, avx2 here", "kernel release: 6.18.0 there, 6.1.0-13-amd64 here"]);
    }

    #[test]
    fn it_is_read_back_as_it_was_written_and_nothing_else_is_read() {
        let text = serde_json::to_string(&fingerprint()).expect("text");
        assert_eq!(serde_json::from_str::<Fingerprint>(&text).expect("of the form"), fingerprint());
        let more = text.replacen('{', r#"{"more": "1","#, 1);
        assert!(serde_json::from_str::<Fingerprint>(&more).is_err());
    }
}
