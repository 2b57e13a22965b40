//! The variables of a shell: dumped by a derivation of its own, so that entering it runs nothing.

use std::collections::BTreeMap;

use super::super::{Build, BuildError};
use crate::nix::{StorePath, ValidPath};
use crate::store::{Node, StoreError};

/// What the dumping derivation runs: the set-up of `stdenv` where there is one, the hook, and the dump.
pub(super) const DUMP: &str = r#"dump=$out
if [ -n "${stdenv:-}" ] && [ -e "$stdenv/setup" ]; then . "$stdenv/setup"; fi
eval "${shellHook:-}"
export -p >"$dump"
"#;
/// Largest dump.
const MAX_DUMP_BYTES: u64 = 4 << 20;
/// Variables that say something of the build, or of the host that it ran on, and nothing of the environment.
const DROPPED: [&str; 25] = [
    "builder",
    "dump",
    "HOME",
    "IN_NIX_SHELL",
    "name",
    "NIX_BUILD_CORES",
    "NIX_BUILD_TOP",
    "NIX_LOG_FD",
    "NIX_STORE",
    "OLDPWD",
    "out",
    "outputs",
    "PWD",
    "shellHook",
    "SHELL",
    "SHLVL",
    "system",
    "TEMP",
    "TEMPDIR",
    "TERM",
    "TMP",
    "TMPDIR",
    "USER",
    "_",
    "NIX_OUTPUT_CHECKED",
];
/// What `PATH` is when nobody sets it.
const NO_PATH: &str = "/path-not-set";

/// Reads the variables from the output of the dumping derivation.
pub(super) async fn variables(
    build: &Build<'_>,
    outputs: &[(String, StorePath)],
    closure: &BTreeMap<StorePath, ValidPath>,
) -> Result<BTreeMap<String, String>, BuildError> {
    let node = outputs.first().and_then(|(_, path)| closure.get(path)).map(|known| &known.node);
    let Some(Node::File { digest, .. }) =
        node.filter(|node| matches!(node, Node::File { digest, .. } if digest.size() <= MAX_DUMP_BYTES))
    else {
        return Err(BuildError::refused(build, format!("its variables are no file of at most {MAX_DUMP_BYTES} bytes")));
    };
    let text =
        build.store.get(digest).await?.ok_or(StoreError::Missing { digest: *digest, role: "variables of a shell" })?;
    let parsed = std::str::from_utf8(&text).ok().and_then(parse);
    let mut variables =
        parsed.ok_or_else(|| BuildError::refused(build, "its variables are not what a shell prints".to_owned()))?;
    variables.retain(|name, value| !(DROPPED.contains(&name.as_str()) || name == "PATH" && value == NO_PATH));
    variables.insert("IN_NIX_SHELL".to_owned(), "impure".to_owned());
    Ok(variables)
}

/// Reads what `export -p` prints: `export NAME='…'` of POSIX shells, `declare -x NAME="…"` of bash.
fn parse(text: &str) -> Option<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    let mut rest = text;
    while !rest.trim_start().is_empty() {
        rest = rest.trim_start();
        let after = match rest.strip_prefix("export ") {
            Some(after) => after,
            // Other attributes of a variable stand beside the `x`.
            None => rest.strip_prefix("declare -")?.split_once(' ').filter(|(flags, _)| flags.contains('x'))?.1,
        };
        let end = after.find(['=', '\n']).unwrap_or(after.len());
        let name = &after[..end];
        rest = &after[end..];
        let Some(value) = rest.strip_prefix('=') else { continue };
        let (value, after) = word(value)?;
        variables.insert(name.to_owned(), value);
        rest = after;
    }
    Some(variables)
}

/// Reads a quoted word up to the end of its line. Returns what comes after it.
fn word(text: &str) -> Option<(String, &str)> {
    let mut value = Vec::new();
    let mut rest = text;
    loop {
        let Some(first) = rest.chars().next().filter(|char| *char != '\n') else {
            return Some((String::from_utf8(value).ok()?, rest));
        };
        if let Some(quoted) = rest.strip_prefix('\'') {
            let (inner, after) = quoted.split_once('\'')?;
            value.extend_from_slice(inner.as_bytes());
            rest = after;
        } else if let Some(quoted) = rest.strip_prefix("$'") {
            rest = escaped(quoted, '\'', &mut value, ansi)?;
        } else if let Some(quoted) = rest.strip_prefix('"') {
            rest = escaped(quoted, '"', &mut value, Some)?;
        } else if let Some(after) = rest.strip_prefix('\\') {
            let char = after.chars().next()?;
            push(&mut value, char);
            rest = &after[char.len_utf8()..];
        } else {
            push(&mut value, first);
            rest = &rest[first.len_utf8()..];
        }
    }
}

/// Reads up to a quote; what a backslash and a character stand for is asked for.
fn escaped<'a>(
    text: &'a str,
    quote: char,
    value: &mut Vec<u8>,
    meaning: impl Fn(char) -> Option<char>,
) -> Option<&'a str> {
    let mut chars = text.char_indices();
    loop {
        let (at, char) = chars.next()?;
        if char == quote {
            return Some(&text[at + 1..]);
        }
        if char != '\\' {
            push(value, char);
            continue;
        }
        let (at, char) = chars.next()?;
        if let Some(octal) = text.get(at..at + 3).filter(|octal| octal.bytes().all(|byte| matches!(byte, b'0'..=b'7')))
        {
            // A byte; several of them are one character.
            value.push(u8::from_str_radix(octal, 8).ok()?);
            chars.nth(1);
            continue;
        }
        push(value, meaning(char)?);
    }
}

fn push(value: &mut Vec<u8>, char: char) {
    value.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Returns what stands for a control character in `$'…'`.
fn ansi(char: char) -> Option<char> {
    let meant = match char {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'a' => '\x07',
        'b' => '\x08',
        'v' => '\x0b',
        'f' => '\x0c',
        'E' | 'e' => '\x1b',
        '\\' | '\'' | '"' | '?' => char,
        _ => return None,
    };
    Some(meant)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_shells_print_is_read_back() {
        let values = [
            ("PLAIN", "x"),
            ("EMPTY", ""),
            ("QUOTES", "a'b\"c`d$e\\f"),
            ("LINES", "one\n two\nexport X='y'\n"),
            ("CONTROL", "tab\tbell\x07escape\x1bend"),
            ("UNICODE", "ä€"),
        ];
        let mut tried = 0;
        for shell in [&["bash", "-c"][..], &["dash", "-c"], &["busybox", "sh", "-c"]] {
            let mut command = Command::new(shell[0]);
            command.args(&shell[1..]).arg("unset UNSET; export UNSET; export -p").env_clear().envs(values);
            let Ok(output) = command.output() else { continue };
            let text = String::from_utf8(output.stdout).expect("UTF-8");
            let parsed = parse(&text).unwrap_or_else(|| panic!("{shell:?}: {text}"));
            for (name, value) in values {
                assert_eq!(parsed.get(name).map(String::as_str), Some(value), "{shell:?}: {text}");
            }
            assert!(!parsed.contains_key("UNSET"));
            tried += 1;
        }
        assert!(tried >= 2, "bash and dash are on every Debian");
    }

    #[test]
    fn what_no_shell_prints_is_refused() {
        for text in ["x", "export A='", "declare A=\"x\"", "export A=\"\\", "declare -x A=$'\\q'"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
