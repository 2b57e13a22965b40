//! What just's clients are answered with: the value of an environment, its description, and the log of a failed build.
//!
//! All of them are blobs in the CAS.

use serde_json::{Value, json};

use crate::digest::Digest;
use crate::environment::Failure;
use crate::spec::{Definition, RelativePath};

/// The path of an environment whose name is none.
const FALLBACK: &str = "environment";

/// Returns the value of an environment: one tree, at the path by which consumers find it.
pub(super) fn value(name: &str, root: Digest) -> Vec<u8> {
    let data = json!({"id": root.hash(), "size": root.size(), "file_type": "t"});
    let artifacts =
        Value::Object([(path(name).to_owned(), json!({"type": "KNOWN", "data": data}))].into_iter().collect());
    let provides = json!({
        "entry": "0",
        "nodes": {"0": {}},
        "provided_artifacts": [],
        "provided_nodes": [],
        "provided_results": [],
    });
    json!({"artifacts": artifacts, "runfiles": artifacts, "provides": provides}).to_string().into_bytes()
}

/// Returns the path at which consumers find an environment: its name, when that can be one.
fn path(name: &str) -> &str {
    match RelativePath::parse(name) {
        Ok(path) if !path.is_root() => name,
        Ok(_) | Err(_) => FALLBACK,
    }
}

/// Returns the description of an environment. To just it is like a target that is exported.
pub(super) fn description(definition: &Definition) -> Vec<u8> {
    let description = json!({
        "type": "export",
        "doc": definition.doc(),
        "flexible_config": definition.flexible_config(),
        "config_doc": definition.config_doc(),
    });
    description.to_string().into_bytes()
}

/// Returns the log of a failed build: what failed and why, then the end of the output, and where the whole is.
pub(super) fn log(failure: &Failure) -> Vec<u8> {
    let Failure { environment, reason, log, log_tail } = failure;
    let mut text = format!("environment `{environment}` failed to build: {reason}\n");
    match log {
        Some(log) if log.size() > log_tail.len() as u64 => {
            text += &format!("The end of its output; the whole is blob [{}:{}:f]:\n", log.hash(), log.size());
        }
        _ if log_tail.is_empty() => text += "It has put nothing out.\n",
        _ => text += "Its output:\n",
    }
    [text.as_bytes(), log_tail].concat()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::digest::DigestFunction;
    use crate::environment::FailureReason;
    use crate::spec::EnvironmentsFile;

    #[test]
    fn an_environment_is_one_tree_under_its_name() {
        let root = DigestFunction::Sha256.digest(b"root");
        let value: Value = serde_json::from_slice(&value("tools", root)).unwrap();
        let artifact = &value["artifacts"]["tools"];
        assert_eq!(artifact["data"], json!({"id": root.hash(), "size": 4, "file_type": "t"}));
        assert_eq!(artifact["type"], "KNOWN");
        assert_eq!(value["runfiles"], value["artifacts"]);
        assert_eq!(value["provides"]["nodes"][value["provides"]["entry"].as_str().unwrap()], json!({}));
        for list in ["provided_artifacts", "provided_nodes", "provided_results"] {
            assert_eq!(value["provides"][list], json!([]), "{list}");
        }
    }

    #[test]
    fn a_name_that_is_no_path_gives_way_to_one_that_is() {
        for (name, expected) in [("a", "a"), ("a/b c", "a/b c"), ("é", "é")] {
            assert_eq!(path(name), expected);
        }
        for name in ["", ".", "..", "../a", "/a", "a/", "a//b", "a/../b"] {
            assert_eq!(path(name), FALLBACK, "{name}");
        }
    }

    #[test]
    fn a_description_tells_the_variables() {
        let file = r#"{"a": {"type": "tree", "inputs": {}, "doc": ["A.", "B."], "flexible_config": ["X"],
            "config_doc": {"X": ["of x"]}}}"#;
        let file = EnvironmentsFile::parse("ENVS", file.as_bytes()).unwrap();
        let described: Value = serde_json::from_slice(&description(file.get("a").unwrap())).unwrap();
        let expected =
            json!({"type": "export", "doc": ["A.", "B."], "flexible_config": ["X"], "config_doc": {"X": ["of x"]}});
        assert_eq!(described, expected);
    }

    #[test]
    fn a_log_begins_with_the_reason_and_names_the_whole_only_where_there_is_more() {
        let failure = |whole: &[u8], tail: &'static [u8]| Failure {
            environment: "m:a".into(),
            reason: FailureReason::Exit { code: 3 },
            log: (!whole.is_empty()).then(|| DigestFunction::Sha256.digest(whole)),
            log_tail: Bytes::from_static(tail),
        };
        let text = |failure: &Failure| String::from_utf8(log(failure)).unwrap();
        let first = "environment `m:a` failed to build: its command ended with exit code 3\n";
        assert_eq!(text(&failure(b"all\n", b"all\n")), format!("{first}Its output:\nall\n"));
        assert_eq!(text(&failure(b"", b"")), format!("{first}It has put nothing out.\n"));
        let long = text(&failure(b"first\nlast\n", b"last\n"));
        let whole = DigestFunction::Sha256.digest(b"first\nlast\n").hash();
        assert!(
            long.starts_with(first) && long.contains(&format!("[{whole}:11:f]")) && long.ends_with(":\nlast\n"),
            "{long}"
        );
    }
}
