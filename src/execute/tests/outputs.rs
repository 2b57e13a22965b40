//! What is taken from the work directory.

use prost::Message;

use super::super::ExecuteError;
use super::super::fixture::{FUNCTION, Fixture, parsed, shell};
use crate::proto::reapi;
use crate::store::{Listing, collect_tree};

#[tokio::test]
async fn stdout_and_outputs_of_every_kind_are_captured() {
    let fixture = Fixture::new();
    let script = "echo said; echo text > a/file; echo '#!' > run; chmod +x run; ln -s ../elsewhere link; \
                  mkdir -p dir/sub/sub dir/other; echo x > dir/sub/x; echo x > dir/other/x; ln -s x dir/sub/l";
    let result = fixture.run(shell(script, &["a/file", "absent", "dir", "link", "run"]), &[]).await;
    assert_eq!((result.exit_code, fixture.stdout(&result).await.as_str()), (0, "said\n"));
    assert!(result.stderr_digest.is_none());
    let files: Vec<(&str, bool)> =
        result.output_files.iter().map(|file| (file.path.as_str(), file.is_executable)).collect();
    assert_eq!(files, [("a/file", false), ("run", true)]);
    assert_eq!(fixture.blob(result.output_files[0].digest.as_ref()).await, "text\n");
    assert_eq!(result.output_symlinks[0].target, "../elsewhere");

    let directory = &result.output_directories[0];
    let root = parsed(directory.root_directory_digest.as_ref().unwrap());
    let tree = fixture.blob(directory.tree_digest.as_ref()).await;
    let listing = Listing::parse(root, &tree).unwrap();
    assert_eq!(listing.directories, ["other", "sub", "sub/sub"]);
    assert_eq!(listing.symlinks, [("sub/l".to_owned(), "x".to_owned())]);
    assert_eq!(Listing::parse(root, &collect_tree(&fixture.store, root).await.unwrap()).unwrap(), listing);
    let metadata = result.execution_metadata.as_ref().unwrap();
    assert!(metadata.worker == "envserve" && metadata.execution_start_timestamp.is_some());
}

#[tokio::test]
async fn a_tree_lists_parents_before_children() {
    let fixture = Fixture::new();
    // The same directory at several depths: its one place in the list is after all its parents.
    let script = "mkdir -p d/a d/b/a d/c/b/a; for x in d/a d/b/a d/c/b/a; do echo x > $x/f; done";
    let result = fixture.run(shell(script, &["d"]), &[]).await;
    let directory = &result.output_directories[0];
    assert!(directory.is_topologically_sorted);
    let tree = reapi::Tree::decode(fixture.blob(directory.tree_digest.as_ref()).await).unwrap();
    let mut known = vec![directory.root_directory_digest.clone().unwrap()];
    assert_eq!(tree.children.len(), 3);
    for child in tree.root.iter().chain(&tree.children) {
        let digest = FUNCTION.digest(&child.encode_to_vec());
        assert!(known.contains(&digest.into()), "a child stands before its parent");
        known.extend(child.directories.iter().filter_map(|node| node.digest.clone()));
    }
}

#[tokio::test]
async fn outputs_may_lie_inside_each_other_and_share_files() {
    let fixture = Fixture::new();
    let script = "mkdir -p d/e; echo x > d/e/f; ln d/e/f d/g; chmod +x d/g";
    let result = fixture.run(shell(script, &["d", "d/e", "d/e/f", "d/g"]), &[]).await;
    assert_eq!((result.output_directories.len(), result.output_files.len()), (2, 2));
    assert!(result.output_files.iter().all(|file| file.is_executable));
}

#[tokio::test]
async fn outputs_are_relative_to_the_working_directory() {
    let fixture = Fixture::new();
    let mut command = shell("pwd; cat input; echo x > out/file", &["out/file"]);
    command.working_directory = "w/d".into();
    let result = fixture.run(command, &[("w/d/input", "here\n")]).await;
    assert_eq!(fixture.stdout(&result).await, "/build/w/d\nhere\n");
    assert_eq!(result.output_files[0].path, "out/file");
}

#[tokio::test]
async fn the_whole_working_directory_can_be_an_output() {
    let fixture = Fixture::new();
    let result = fixture.run(shell("echo x > made", &[""]), &[("given", "y")]).await;
    let tree = reapi::Tree::decode(fixture.blob(result.output_directories[0].tree_digest.as_ref()).await).unwrap();
    let names: Vec<String> = tree.root.unwrap().files.into_iter().map(|file| file.name).collect();
    assert_eq!(names, ["given", "made"]);
}

#[tokio::test]
#[expect(deprecated, reason = "clients of API 2.0 say it so")]
async fn older_clients_name_files_and_directories() {
    let fixture = Fixture::new();
    let mut command = shell("echo x > f; mkdir d", &[]);
    command.output_files = vec!["f".into()];
    command.output_directories = vec!["d".into()];
    let result = fixture.run(command.clone(), &[]).await;
    assert_eq!((result.output_files.len(), result.output_directories.len()), (1, 1));
    command.output_paths = vec!["d".into()];
    let result = fixture.run(command, &[]).await;
    assert_eq!((result.output_files.len(), result.output_directories.len()), (0, 1));
}

#[tokio::test]
async fn special_files_and_hostile_names_are_refused_by_path() {
    let fixture = Fixture::new();
    let cases = [
        ("mkfifo out", "output `out` is a named pipe; files, directories and symlinks can be outputs"),
        (
            "mkdir -p out/in; mkfifo out/in/p",
            "output `out/in/p` is a named pipe; files, directories and symlinks can be outputs",
        ),
        ("mkdir out; touch out/$(printf '\\377')", "output `out` holds a name not in UTF-8"),
        ("ln -s $(printf '\\377') out", "output `out` has a target not in UTF-8"),
    ];
    for (script, text) in cases {
        let action = fixture.action(shell(script, &["out"]), &[]).await;
        let error = fixture.execute(action).await.expect_err(script);
        assert!(matches!(error, ExecuteError::Output { .. }), "{error:?}");
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(fixture.leftovers(), 0);
}

#[tokio::test]
async fn an_output_nested_without_end_is_refused_and_removed() {
    let fixture = Fixture::new();
    let script = "mkdir -p out/$(printf '0123456789abcdef/%.0s' $(seq 300))";
    let action = fixture.action(shell(script, &["out"]), &[]).await;
    let error = fixture.execute(action).await.expect_err("too deep");
    assert!(error.to_string().ends_with("is nested too deep"), "{error}");
    assert_eq!(fixture.leftovers(), 0);
}

#[tokio::test]
async fn closed_directories_are_captured_and_removed() {
    let fixture = Fixture::new();
    let script = "mkdir -p out/in; echo x > out/in/f; chmod 0 out/in/f out/in out; mkdir -p /tmp/a/b; chmod 0 /tmp/a";
    let result = fixture.run(shell(script, &["out"]), &[]).await;
    let tree = reapi::Tree::decode(fixture.blob(result.output_directories[0].tree_digest.as_ref()).await).unwrap();
    assert_eq!(tree.children[0].files[0].name, "f");
    assert_eq!(fixture.leftovers(), 0);
}

#[tokio::test]
#[expect(deprecated, reason = "clients of API 2.0 say it so")]
async fn older_clients_get_symlinks_and_wrong_kinds_by_the_field_they_named() {
    let fixture = Fixture::new();
    let mut command = shell("ln -s /absolute f; ln -s nowhere d", &[]);
    command.output_files = vec!["f".into()];
    command.output_directories = vec!["d".into()];
    let result = fixture.run(command, &[]).await;
    assert_eq!((result.output_file_symlinks.len(), result.output_directory_symlinks.len()), (1, 1));
    assert_eq!(result.output_file_symlinks[0].target, "/absolute");
    assert_eq!(result.output_directory_symlinks[0].target, "nowhere");
    assert!(result.output_symlinks.is_empty());
    for (script, text) in [
        ("mkdir f", "output `f` is a directory, but is named as a file"),
        ("echo x > d", "output `d` is a file, but is named as a directory"),
    ] {
        let mut command = shell(script, &[]);
        command.output_files = vec!["f".into()];
        command.output_directories = vec!["d".into()];
        let action = fixture.action(command, &[]).await;
        assert_eq!(fixture.execute(action).await.expect_err(script).to_string(), text);
    }
}

#[tokio::test]
async fn directories_come_in_the_form_that_was_asked_for() {
    use reapi::command::OutputDirectoryFormat as Format;
    let fixture = Fixture::new();
    let forms =
        [(Format::TreeOnly, true, false), (Format::DirectoryOnly, false, true), (Format::TreeAndDirectory, true, true)];
    for (format, tree, root) in forms {
        let mut command = shell("mkdir -p out/d; echo x > out/d/f", &["out"]);
        command.output_directory_format = format.into();
        let action = fixture.action(command, &[]).await;
        let result = fixture.execute(action).await.unwrap().result;
        let directory = &result.output_directories[0];
        assert_eq!((directory.tree_digest.is_some(), directory.root_directory_digest.is_some()), (tree, root));
        assert_eq!(directory.is_topologically_sorted, tree);
        assert!(fixture.execute(action).await.unwrap().cached, "it is whole");
    }
}
