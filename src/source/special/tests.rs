use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::source::import_path;

/// Writes a tree of files (`Ok` with their content) and symlinks (`Err` with their target).
fn tree(git: &GitStore, entries: &[(&str, Result<&str, &str>)]) -> GitId {
    let directory = tempfile::tempdir().unwrap();
    for (path, what) in entries {
        let place = directory.path().join(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        match what {
            Ok(content) => std::fs::write(place, content).unwrap(),
            Err(target) => symlink(target, place).unwrap(),
        }
    }
    import_path(git, directory.path()).unwrap()
}

fn store(directory: &Path) -> GitStore {
    GitStore::open(&directory.join("git"), &[]).unwrap()
}

type Entries<'a> = [(&'a str, Result<&'a str, &'a str>)];

fn treat(special: Special, entries: &Entries) -> Result<(GitStore, GitId, tempfile::TempDir), SpecialError> {
    let directory = tempfile::tempdir().unwrap();
    let git = store(directory.path());
    let before = tree(&git, entries);
    let after = resolve(&git, before, special)?;
    Ok((git, after, directory))
}

fn assert_becomes(special: Special, before: &Entries, after: &Entries) {
    let (git, id, _directory) = treat(special, before).unwrap();
    assert_eq!(id, tree(&git, after), "{special:?} {before:?}");
}

const LINKS: &Entries = &[
    ("a/b/file", Ok("1")),
    ("a/down", Err("b/file")),
    ("a/b/up", Err("../../top")),
    ("a/b/beside", Err("file")),
    ("top", Ok("2")),
    ("dir", Err("a/b")),
    ("x/dir", Err("../a/b")),
    ("x/around", Err("b/../../a/./b//file")),
];

#[test]
fn ignored_symlinks_are_left_out() {
    assert_becomes(Special::Ignore, &LINKS[..6], &[("a/b/file", Ok("1")), ("top", Ok("2"))]);
    let escaping = [("f", Ok("1")), ("out", Err("../x")), ("abs", Err("/x")), ("gone", Err("y"))];
    assert_becomes(Special::Ignore, &escaping, &[("f", Ok("1"))]);
}

#[test]
fn a_directory_of_ignored_symlinks_only_stays_as_an_empty_one() {
    let (git, id, _directory) = treat(Special::Ignore, &[("f", Ok("1")), ("only/link", Err("x"))]).unwrap();
    let entries = git.tree(id).unwrap().unwrap();
    assert_eq!(entries[1].id.to_string(), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    assert!(git.contains(entries[1].id).unwrap());
}

#[test]
fn symlinks_that_lead_upwards_are_replaced_partially() {
    let after = [
        ("a/b/file", Ok("1")),
        ("a/down", Err("b/file")),
        ("a/b/up", Ok("2")),
        ("a/b/beside", Err("file")),
        ("top", Ok("2")),
        ("dir", Err("a/b")),
        ("x/dir/file", Ok("1")),
        ("x/dir/up", Ok("2")),
        ("x/dir/beside", Err("file")),
        ("x/around", Ok("1")),
    ];
    assert_becomes(Special::ResolvePartially, LINKS, &after);
    // Where an upward link leads to another that stays, that one comes in its place, as in just-mr.
    let moved = [("a/up", Err("../l")), ("l", Err("f")), ("f", Ok("1"))];
    assert_becomes(Special::ResolvePartially, &moved, &[("a/up", Err("f")), ("l", Err("f")), ("f", Ok("1"))]);
    assert_becomes(Special::ResolvePartially, &[("gone", Err("x"))], &[("gone", Err("x"))]);
}

#[test]
fn all_symlinks_are_replaced_completely() {
    let after = [
        ("a/b/file", Ok("1")),
        ("a/down", Ok("1")),
        ("a/b/up", Ok("2")),
        ("a/b/beside", Ok("1")),
        ("top", Ok("2")),
        ("dir/file", Ok("1")),
        ("dir/up", Ok("2")),
        ("dir/beside", Ok("1")),
        ("x/dir/file", Ok("1")),
        ("x/dir/up", Ok("2")),
        ("x/dir/beside", Ok("1")),
        ("x/around", Ok("1")),
    ];
    assert_becomes(Special::ResolveCompletely, LINKS, &after);
    let through = [("real/f", Ok("1")), ("link", Err("real")), ("l", Err("link/f"))];
    assert_becomes(Special::ResolveCompletely, &through, &[("real/f", Ok("1")), ("link/f", Ok("1")), ("l", Ok("1"))]);
}

#[test]
fn symlinks_that_leave_the_tree_are_refused() {
    for target in ["..", "../x", "/etc", "a/../../x", "../../top"] {
        for special in [Special::ResolvePartially, Special::ResolveCompletely] {
            let error = treat(special, &[("f", Ok("1")), ("a/f", Ok("1")), ("l", Err(target))]).err().unwrap();
            assert!(
                matches!(&error, SpecialError::Escapes { path, target: said } if path == "l" && said == target),
                "{error}"
            );
        }
    }
}

#[test]
fn circles_and_dangling_symlinks_are_refused() {
    let circles: [&Entries; 5] = [
        &[("l", Err("l"))],
        &[("a", Err("b")), ("b", Err("a"))],
        &[("d/up", Err(".."))],
        &[("d/here", Err("."))],
        &[("d/e/l", Err("../../d"))],
    ];
    for circle in circles {
        let error = treat(Special::ResolveCompletely, circle).err().unwrap();
        assert!(matches!(error, SpecialError::Cycle { .. }), "{circle:?}: {error}");
    }
    let dangling: [&Entries; 3] = [
        &[("l", Err("x"))],
        &[("f", Ok("1")), ("l", Err("f/x"))],
        &[("d/f", Ok("1")), ("m", Err("d")), ("l", Err("m/x"))],
    ];
    for entries in dangling {
        let error = treat(Special::ResolveCompletely, entries).err().unwrap();
        assert!(matches!(error, SpecialError::Dangling { .. }), "{entries:?}: {error}");
    }
}

#[test]
fn a_chain_of_symlinks_without_measure_is_refused() {
    let names: Vec<String> = (0..2000).map(|number| format!("l{number:04}")).collect();
    let mut entries: Vec<_> = names.windows(2).map(|pair| (pair[0].as_str(), Err(pair[1].as_str()))).collect();
    entries.push((&names[1999], Ok("end")));
    let error = treat(Special::ResolveCompletely, &entries).err().unwrap();
    assert!(matches!(error, SpecialError::Depth { .. }), "{error}");
}

#[test]
fn directories_that_double_at_every_step_are_resolved_in_no_time() {
    let mut entries: Vec<(String, Result<String, String>)> = vec![("d00/f".to_owned(), Ok("1".to_owned()))];
    for step in 1..60 {
        for side in ["a", "b"] {
            entries.push((format!("d{step:02}/{side}"), Err(format!("../d{:02}", step - 1))));
        }
    }
    let borrowed: Vec<_> =
        entries.iter().map(|(path, what)| (path.as_str(), what.as_deref().map_err(String::as_str))).collect();
    treat(Special::ResolveCompletely, &borrowed).unwrap();
}
